"""Symmetries of a grid, in the sections ``model`` and ``training`` of a study file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sciml.errors import InputError
from sciml.study.section import Section


class SymmetriesSection(Section):
    """See :class:`sciml.surrogates.symmetry.symmetries.Symmetries`; ``augment: square`` is short for
    ``augment: {symmetries: [square]}``, and ``symmetrize`` alike."""

    symmetries: Annotated[
        list[Literal["flips", "square", "cube", "translations"]], Field(min_length=1)
    ]
    vectors: list[dict[str, str]] = []
    pseudoscalars: list[str] = []
    scalars: list[str] = []

    @model_validator(mode="after")
    def _possible(self) -> SymmetriesSection:
        from sciml.surrogates.symmetry.symmetries import Symmetries

        try:
            Symmetries(**self.model_dump())
        except InputError as error:
            raise ValueError(str(error).removeprefix("symmetries: ")) from error
        return self
