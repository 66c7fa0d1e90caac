"""Symmetries of the equation as more data: reflections, quarter turns, translations of a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.batch import Batch
from sciml.surrogates.symmetry.element import Element
from sciml.surrogates.symmetry.symmetries import Symmetries, space_of


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Each batch, as it is drawn, under one random element of a group of symmetries.

    Inputs, targets, static fields and the spacing go together, as
    :class:`~sciml.surrogates.symmetry.symmetries.Symmetries` says.

    Whether the equation, its coefficients and its boundaries have the symmetry is for the user to
    know: an advection velocity that is a parameter, gravity, or a forcing that depends on x have
    not. Parameters are not transformed. On a periodic axis a reflection is x → L − x.

    The model is then symmetric about as well as it is trained; with ``symmetrize`` it is so exactly
    (:class:`~sciml.surrogates.symmetry.symmetrization.Symmetrization`).

    Args:
        symmetries, vectors, pseudoscalars, scalars: of those symmetries.

    Raises:
        InputError: unknown names, of fields too; fields off a grid, a grid of another dimension, axes
            that differ.

    Reflections and exchanges need no periodic axes: an axis with two ends is reversed. Mark an axis
    ``boundary = "periodic"`` only if it is: models then pad around it, and are blind to walls there.

    Source: Brandstetter, Welling, Worrall, ICML 2022, arXiv 2202.07643.
    """

    symmetries: Sequence[str] = ()
    vectors: Sequence[Mapping[str, str]] = ()
    pseudoscalars: Sequence[str] = ()
    scalars: Sequence[str] = ()
    group: Symmetries = field(init=False, repr=False)

    def __post_init__(self) -> None:
        group = Symmetries(self.symmetries, self.vectors, self.pseudoscalars, self.scalars)
        object.__setattr__(self, "group", group)
        for name in ("symmetries", "vectors", "pseudoscalars", "scalars"):
            object.__setattr__(self, name, getattr(group, name))

    def told(self, model: nn.Module) -> Augmentation:
        """With a law for each field of a surrogate on a grid: see :meth:`Symmetries.told_by`.

        Raises:
            InputError: a field in doubt, or a contradiction.
        """
        group = self.group.told_by(model)
        return Augmentation(group.symmetries, group.vectors, group.pseudoscalars, group.scalars)

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> Batch:
        if "spacing" not in batch.geometry:
            raise InputError(
                f"augment: fields on a domain of kind '{batch.kind}'; expected a grid, the only one "
                "whose points have these symmetries"
            )
        return self.apply(self.draw(batch), batch)

    def draw(self, batch: Batch) -> Element:
        """A random element that fits the grid of the batch; from torch's global generator."""
        group, periodic = self.group, batch.geometry["periodic"].tolist()
        d = len(periodic)
        shape = space_of(batch, d)
        group.require_grid(shape, periodic, batch.geometry["spacing"])
        together = (batch.inputs, batch.targets, batch.static, _spanning(batch.forcing, d))
        group.require_fields(together, d)
        order = tuple(torch.randperm(d).tolist()) if group.swaps else tuple(range(d))
        signs = tuple((1 - 2 * torch.randint(0, 2, (d,))).tolist()) if group.flips else (1,) * d
        shifts = tuple(
            int(torch.randint(0, n, ())) if n > 1 else 0 for n in group.shifts(shape, periodic)
        )
        return Element(order, signs, shifts)

    def apply(self, element: Element, batch: Batch) -> Batch:
        """The batch under one element."""
        return self.group.batch(element, batch, batch.geometry["periodic"].tolist())


def _spanning(fields: Mapping[str, Tensor], ndim: int) -> dict[str, Tensor]:
    """Those that lie on the grid: numbers that vary in time stay as they are."""
    return {name: values for name, values in fields.items() if values.ndim == 2 + ndim}
