"""Values beyond a physical boundary, from those inside of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sciml.domain import Grid
from sciml.errors import InputError
from sciml.parallel.halo import Halo

#: What lies beyond: the last value again, or the mirror image.
KINDS = ("open", "wall")


class Ghosts:
    """Fills the halo beyond the boundaries of a grid of cells that end there.

    ``open`` repeats the outermost cell, so that waves leave with little reflection. ``wall`` mirrors
    the cells inside, and turns the sign of the velocity across the wall.

    Args:
        halo: of each field of a padded array (fields, …).
        grid: periodic axes are left alone.
        kind: ``open`` or ``wall``.
        across: for each axis, which field changes its sign in the mirror; ``None`` for none.

    Raises:
        InputError: unknown kind.
    """

    def __init__(
        self, halo: Halo, grid: Grid, kind: str, across: Sequence[int | None] = (None, None, None)
    ) -> None:
        if kind not in KINDS:
            raise InputError(f"boundary {kind!r}; expected one of {', '.join(KINDS)}")
        self._copies: list[tuple[tuple[slice, ...], tuple[slice, ...], int | None]] = []
        w, block = halo.width, halo.block
        for axis, (n, size, boundary) in enumerate(
            zip(block.shape, grid.shape, grid.boundary, strict=True)
        ):
            if boundary == "periodic":
                continue
            mirror = across[axis] if kind == "wall" else None
            sides = []
            if block.offset[axis] == 0:
                inside = slice(2 * w - 1, w - 1, -1) if kind == "wall" else slice(w, w + 1)
                sides.append((slice(0, w), inside))
            if block.stop[axis] == size:
                last = slice(w + n - 1, w + n)
                inside = slice(w + n - 1, n - 1, -1) if kind == "wall" else last
                sides.append((slice(w + n, 2 * w + n), inside))
            for beyond, inside in sides:
                at = lambda part, a=axis: (slice(None),) * (a + 1) + (part,)  # noqa: E731
                self._copies.append((at(beyond), at(inside), mirror))

    def fill(self, padded: np.ndarray) -> None:
        """Fill the halo of ``padded``, (fields, …); after the exchange with the neighbors."""
        for beyond, inside, mirror in self._copies:
            padded[beyond] = padded[inside]
            if mirror is not None:
                np.negative(padded[mirror][beyond[1:]], out=padded[mirror][beyond[1:]])
