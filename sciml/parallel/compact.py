"""Symmetric operators that couple a point with its 3^d − 1 nearest neighbors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from sciml.parallel.halo import Halo
from sciml.parallel.stencil import Index

Offset = tuple[int, ...]


def forward(ndim: int) -> list[Offset]:
    """One of each pair of opposite neighbors: those whose first non-zero step is forward."""
    return [o for o in product((-1, 0, 1), repeat=ndim) if o > (0,) * ndim]


def moved(index: Sequence[slice], by: Sequence[int]) -> Index:
    """A box of points, ``by`` points further along each axis."""
    return tuple(slice(s.start + b, s.stop + b, s.step) for s, b in zip(index, by, strict=True))


class Compact:
    """(A u)_i = d_i u_i + Σ_o (c_o,i u_{i+o} + c_o,{i−o} u_{i−o}) over forward offsets o.

    Rows and columns of points that are held at zero are zero, and so is all that lies outside of
    the grid.

    Args:
        halo: of the level, with corners.
        couplings: offset → padded array of c_o; offsets without couplings may be left out.
        diagonal: d on the block.
    """

    def __init__(
        self, halo: Halo, couplings: dict[Offset, np.ndarray], diagonal: np.ndarray
    ) -> None:
        self.halo = halo
        self.couplings = couplings
        self.diagonal = diagonal
        w, shape = halo.width, halo.block.shape
        self.inner: Index = tuple(slice(w, w + n) for n in shape)
        self._reads = [(moved(self.inner, o), c) for o, c in self.rows()]

    def cast(self, halo: Halo) -> Compact:
        """The same operator in the precision of another halo of the same level."""
        couplings = {o: c.astype(halo.dtype) for o, c in self.couplings.items()}
        return Compact(halo, couplings, self.diagonal.astype(halo.dtype))

    def row(self, at: Index, offset: Offset) -> np.ndarray | None:
        """Couplings of the points of a padded box ``at`` with those ``offset`` away; ``None``: 0."""
        if offset > (0,) * len(offset):
            c = self.couplings.get(offset)
            return None if c is None else c[at]
        c = self.couplings.get(tuple(-o for o in offset))
        return None if c is None else c[moved(at, offset)]

    def rows(self) -> list[tuple[Offset, np.ndarray]]:
        """Offsets and couplings of the points of the block."""
        offsets = [s for o in self.couplings for s in (o, tuple(-i for i in o))]
        return [(o, self.row(self.inner, o)) for o in offsets]

    def subtract(self, u: np.ndarray, out: np.ndarray, work: np.ndarray) -> None:
        """out −= A u on the block; ``u`` is padded and its halo filled, ``work`` is scratch."""
        np.multiply(self.diagonal, u[self.inner], out=work)
        np.subtract(out, work, out=out)
        for at, c in self._reads:
            np.multiply(c, u[at], out=work)
            np.subtract(out, work, out=out)

    def bound(self) -> float:
        """Largest Σ_j |A_ij| / A_ii of this rank: no eigenvalue of D⁻¹A exceeds that of all."""
        total = np.abs(self.diagonal)
        for _, c in self.rows():
            total += np.abs(c)
        free = self.diagonal > 0.0
        return float(np.max(total[free] / self.diagonal[free], initial=0.0))

    def dense(self) -> np.ndarray:
        """The whole matrix; one rank only. Rows of held points have 1 on the diagonal."""
        number = self.halo.allocate().astype(int)
        size = self.diagonal.size
        self.halo.owned(number)[...] = np.arange(size).reshape(self.diagonal.shape)
        self.halo.exchange(number)
        matrix = np.zeros((size, size))
        np.fill_diagonal(matrix, np.where(self.diagonal == 0.0, 1.0, self.diagonal))
        mine = number[self.inner].ravel()
        for offset, c in self.rows():
            # What lies outside has number 0, and couplings that are zero.
            np.add.at(matrix, (mine, number[moved(self.inner, offset)].ravel()), c.ravel())
        return matrix
