"""Grids of a multigrid hierarchy, each with every second point of the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from sciml.domain import Block
from sciml.parallel.decomposition import Decomposition

#: Layers of halo: the product of three operators reaches two points beyond a block.
WIDTH = 2
#: Of the cycles. As a preconditioner single precision does as well, in half of the time.
PRECISION = np.dtype(np.float32)


@dataclass(frozen=True)
class GridLevel:
    """One grid of the hierarchy and who holds which part of it; a :class:`Halo` can be made of it.

    A coarse point I lies on the fine point 2 I along every axis that is coarsened, so whoever holds
    one holds the other. A grid need not have 2^k + 1 points: where the last fine point has an odd
    number, nothing coarse lies beyond it.

    Args:
        shape: points along each axis, walls included.
        periodic: whether an axis closes on itself.
        walls: whether the first and the last point of an axis are held at zero.
        spacing: mean distance of points along each axis.
        blocks: of each rank.
        cut: the decomposition of the finest grid, which says who neighbors whom; ``None`` where
            every rank holds the whole grid.
    """

    shape: tuple[int, ...]
    periodic: tuple[bool, ...]
    walls: tuple[tuple[bool, bool], ...]
    spacing: tuple[float, ...]
    blocks: tuple[Block, ...]
    cut: Decomposition | None
    width: int = WIDTH

    @classmethod
    def finest(cls, cut: Decomposition) -> GridLevel:
        """The grid of the problem."""
        grid = cut.grid
        held = tuple((kind == "dirichlet",) * 2 for kind in grid.boundary)
        periodic = tuple(kind == "periodic" for kind in grid.boundary)
        return cls(grid.shape, periodic, held, grid.spacing, cut.blocks, cut)

    @property
    def ranks(self) -> int:
        return len(self.blocks)

    def block(self, rank: int) -> Block:
        """What a rank holds."""
        return self.blocks[rank]

    def neighbor(self, rank: int, axis: int, side: int) -> int | None:
        """See :meth:`Decomposition.neighbor`."""
        if self.cut is not None:
            return self.cut.neighbor(rank, axis, side)
        return rank if self.periodic[axis] else None

    @property
    def size(self) -> int:
        """Points of all ranks."""
        return prod(self.shape)

    def factors(self) -> tuple[int, ...]:
        """2 where an axis is coarsened next, 1 where not.

        An axis along which points lie more than twice as far apart as along another waits: its
        neighbors are coupled too weakly for a smoother that treats points one by one.
        """
        can = [
            n % 2 == 0 and n >= 8 if periodic else n >= 4
            for n, periodic in zip(self.shape, self.periodic, strict=True)
        ]
        # An axis of few points is left to the others; one that is periodic and odd holds them up.
        nearest = min(
            (h for h, n, go in zip(self.spacing, self.shape, can, strict=True) if go or n >= 8),
            default=0.0,
        )
        return tuple(
            2 if go and h < 2.0 * nearest else 1 for h, go in zip(self.spacing, can, strict=True)
        )

    def coarser(self, factors: Sequence[int]) -> GridLevel | None:
        """The next grid; ``None`` if a block would be smaller than its halo."""
        shape = tuple(-(-n // f) for n, f in zip(self.shape, factors, strict=True))
        walls = tuple(
            (low, high and (f == 1 or n % 2 == 1))
            for (low, high), n, f in zip(self.walls, self.shape, factors, strict=True)
        )
        spacing = tuple(h * f for h, f in zip(self.spacing, factors, strict=True))
        blocks = []
        for block in self.blocks:
            start = [-(-o // f) for o, f in zip(block.offset, factors, strict=True)]
            stop = [-(-s // f) for s, f in zip(block.stop, factors, strict=True)]
            if any(b - a < WIDTH for a, b in zip(start, stop, strict=True)):
                return None
            blocks.append(Block(tuple(start), tuple(np.subtract(stop, start))))
        return GridLevel(shape, self.periodic, walls, spacing, tuple(blocks), self.cut)

    def whole(self) -> GridLevel:
        """The same grid, all of it on every rank."""
        block = Block((0,) * len(self.shape), self.shape)
        return GridLevel(self.shape, self.periodic, self.walls, self.spacing, (block,), None)

    def held(self, axis: int) -> np.ndarray:
        """Whether the points of an axis are on a wall; shape ``(shape[axis],)``."""
        held = np.zeros(self.shape[axis], bool)
        held[0], held[-1] = held[0] | self.walls[axis][0], held[-1] | self.walls[axis][1]
        return held

    def edge(self, axis: int) -> np.ndarray:
        """Whether the neighbor of a point along the axis is a wall, or missing."""
        if self.periodic[axis]:
            return np.zeros(self.shape[axis], bool)
        held = np.pad(self.held(axis), 1)
        held[-1] = True
        return held[:-2] | held[2:]
