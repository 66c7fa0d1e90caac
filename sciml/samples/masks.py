"""Points at which a field has no values at any time in any sample: land in an ocean, solid in a flow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import numpy as np

from sciml.errors import InputError

#: By field, where it has values: bool ``point_shape``. Fields that have them everywhere are not there.
Mask = Mapping[str, np.ndarray]


@final
class Masks:
    """The masks of a dataset, gathered frame by frame.

    NaN that come and go are no mask: nothing says what a field is there at other times.
    """

    def __init__(self) -> None:
        self._missing: dict[str, np.ndarray | None] = {}
        self._places: dict[str, str] = {}

    def look(self, what: str, name: str, array: np.ndarray, place: str) -> None:
        """Take one frame of a field, or a static field, into account.

        Args:
            what: in words: ``field``.
            name: of the field.
            array: its values.
            place: in words: ``sample 0, frame 2``.

        Raises:
            InputError: NaN at other points than before.
        """
        missing = np.isnan(array) if array.dtype.kind == "f" else None
        if missing is not None and not missing.any():
            missing = None
        if name not in self._missing:
            self._missing[name], self._places[name] = missing, place
            return
        before = self._missing[name]
        if missing is None and before is None:
            return
        if missing is None or before is None or not np.array_equal(missing, before):
            here, there = (0 if m is None else int(m.sum()) for m in (missing, before))
            first = self._places[name]
            if not here:
                here, there, place, first = there, here, first, place
            others = f"{there} or others" if there else "none"
            raise InputError(
                f"{what} '{name}' has {here} NaN in {place}, in {first} {others}; expected numbers, or "
                "NaN at the same points always, such as land: fill them (ds.fillna, "
                "ds.interpolate_na) or select a part without"
            )

    @property
    def found(self) -> dict[str, np.ndarray]:
        """By field, where it has values."""
        return {name: ~missing for name, missing in self._missing.items() if missing is not None}


def words(mask: np.ndarray) -> str:
    """``2055 of 7776 points``."""
    return f"{mask.size - int(mask.sum())} of {mask.size} points"


def difference(trained: Mask, given: Mask, names: tuple[str, ...]) -> str | None:
    """In words, by which field and where two masks differ first; ``None`` if they do not."""
    for name in names:
        one, other = trained.get(name), given.get(name)
        if one is None and other is None:
            continue
        shape = (one if other is None else other).shape
        one = np.full(shape, True) if one is None else one
        other = np.full(shape, True) if other is None else other
        if one.shape != other.shape:
            return f"'{name}' is NaN at {words(other)}, and was at {words(one)}"
        apart = one != other
        if apart.any():
            where = tuple(map(int, np.argwhere(apart)[0]))
            has, had = ("values", "none") if other[where] else ("NaN", "values")
            return f"'{name}' has {has} at {int(apart.sum())} points, the first {where}, that had {had}"
    return None
