"""A grid cut into one block for each rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from sciml.domain import Block, Grid
from sciml.errors import InputError


@dataclass(frozen=True)
class Decomposition:
    """Cartesian blocks of a grid over any number of ranks.

    The ranks form a box ``dims`` with ``prod(dims) = ranks``; of all such boxes the one with the
    smallest cut surface is taken, and of equals the one that cuts the slowest axes, whose faces lie
    together in memory. Along an axis of n points, n mod d blocks hold one point more. Ranks are
    numbered in C order (last axis fastest).

    Args:
        grid: what is cut.
        ranks: number of blocks.
        width: least number of points along each axis of a block; the width of the halo.
        axes: those that may be cut; all by default.

    Raises:
        InputError: no box of ranks leaves every block ``width`` points along each axis.
    """

    grid: Grid
    ranks: int
    width: int = 1
    axes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.ranks < 1 or self.width < 1:
            raise InputError(f"{self.ranks} ranks, halo width {self.width}; expected 1 or more")
        _ = self.dims

    @cached_property
    def dims(self) -> tuple[int, ...]:
        """Blocks along each axis."""
        best = self._best_box(self.ranks)
        if best is None:
            fewer = next(n for n in range(self.ranks - 1, 0, -1) if self._best_box(n))
            shape = " × ".join(map(str, self.grid.shape))
            raise InputError(
                f"a grid of {shape} points cannot be cut into {self.ranks} blocks of at least "
                f"{self.width} along each axis; use {fewer} ranks or a finer grid"
            )
        return best

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The block of each rank, in order of rank."""
        return tuple(self.block(rank) for rank in range(self.ranks))

    def place(self, rank: int) -> tuple[int, ...]:
        """Position of a rank in the box ``dims``."""
        place = []
        for d in reversed(self.dims):
            rank, i = divmod(rank, d)
            place.append(i)
        return tuple(reversed(place))

    def block(self, rank: int) -> Block:
        """What a rank holds."""
        spans = [
            span(n, d, i)
            for n, d, i in zip(self.grid.shape, self.dims, self.place(rank), strict=True)
        ]
        return Block(tuple(a for a, _ in spans), tuple(b - a for a, b in spans))

    def neighbor(self, rank: int, axis: int, side: int) -> int | None:
        """The rank next to ``rank`` on the low (−1) or high (+1) side of ``axis``.

        ``None`` at a physical boundary; the rank itself where a periodic axis is not cut.
        """
        place = list(self.place(rank))
        place[axis] += side
        if self.grid.boundary[axis] == "periodic":
            place[axis] %= self.dims[axis]
        elif not 0 <= place[axis] < self.dims[axis]:
            return None
        number = 0
        for i, d in zip(place, self.dims, strict=True):
            number = number * d + i
        return number

    def _best_box(self, ranks: int) -> tuple[int, ...] | None:
        grid = self.grid
        boxes = [
            box
            for box in _boxes(ranks, grid.ndim)
            if all(n // d >= self.width for n, d in zip(grid.shape, box, strict=True))
            and all(d == 1 or self.axes is None or axis in self.axes for axis, d in enumerate(box))
        ]
        return min(
            boxes, key=lambda box: (_cut_surface(grid, box), *(-d for d in box)), default=None
        )


def span(points: int, parts: int, i: int) -> tuple[int, int]:
    """First and one past the last point of part ``i``; sizes differ by one at most."""
    size, left = divmod(points, parts)
    start = i * size + min(i, left)
    return start, start + size + (i < left)


def _boxes(ranks: int, ndim: int) -> Iterator[tuple[int, ...]]:
    """All boxes of whole sides with ``ranks`` cells."""
    if ndim == 1:
        yield (ranks,)
        return
    for d in range(1, ranks + 1):
        if ranks % d == 0:
            for rest in _boxes(ranks // d, ndim - 1):
                yield (d, *rest)


def _cut_surface(grid: Grid, box: Sequence[int]) -> int:
    """Points on all faces where two blocks meet."""
    return sum(
        (grid.size // n) * (d - (boundary != "periodic") if d > 1 else 0)
        for n, d, boundary in zip(grid.shape, box, grid.boundary, strict=True)
    )
