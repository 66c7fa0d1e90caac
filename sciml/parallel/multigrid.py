"""Geometric multigrid for elliptic equations with coefficients that jump."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sciml.errors import InputError
from sciml.parallel.agglomeration import ALONE, Agglomeration
from sciml.parallel.chebyshev import Chebyshev
from sciml.parallel.compact import Compact, Offset
from sciml.parallel.decomposition import Decomposition
from sciml.parallel.halo import Halo
from sciml.parallel.hierarchy import PRECISION, WIDTH, GridLevel
from sciml.parallel.interpolation import Interpolation
from sciml.parallel.stencil import free_points, shifted

#: Grids of at most so many points are worked on by every rank alone, and solved at once.
REDUNDANT, DIRECT = 64 * 64, 100
#: Largest grid that is solved at once where it cannot be coarsened any more.
LARGEST_DIRECT = 1500


class Multigrid:
    """V-cycles for −∇·(a ∇u) + c u = f on a uniform grid, as a preconditioner M ≈ A⁻¹.

    M is symmetric and positive definite: the smoother (Chebyshev) is the same before and after the
    coarser levels, restriction is the transpose of prolongation, and coarse operators are Galerkin
    products. Interpolation follows the operator, so that jumps of a, wherever they lie, hardly
    slow it down. Any number of points along an axis will do; an axis that is periodic is coarsened
    as long as it holds an even number.

    Levels are spread over the ranks as the finest grid is; the ones of at most 64² points are
    gathered, and every rank goes on alone. M is the same on any number of ranks, to the last bit.

    Args:
        comm: an mpi4py communicator.
        cut: the grid, in 1 to 3 dimensions, and its blocks of at least 2 points along each axis.
        degree: of the smoother, 1 or more.

    Raises:
        InputError: blocks are too small; a periodic axis with an odd number of many points.

    Source: U. Trottenberg, C. W. Oosterlee and A. Schüller, Multigrid, Academic Press 2001, ch. 7.
    """

    def __init__(self, comm: Any, cut: Decomposition, *, degree: int = 3) -> None:
        if any(n < WIDTH for block in cut.blocks for n in block.shape):
            raise InputError(
                f"multigrid: a block of less than {WIDTH} points along an axis; use fewer ranks, or "
                f"a decomposition of width {WIDTH}"
            )
        level = GridLevel.finest(cut)
        self._held = [level.held(axis) for axis in range(len(level.shape))]
        self.inner = free_points(cut.grid, cut.block(comm.rank), WIDTH)
        self._periodic = level.periodic
        self._links: list[Interpolation | Agglomeration] = []
        # Coefficients are worked out in double precision, cycles run in single.
        self._halo = halo = Halo(comm, level, corners=True)
        self._halos: list[Halo] = []
        self._smoothers: list[Chebyshev | None] = []
        while True:
            self._halos.append(Halo(comm, level, corners=True, dtype=PRECISION))
            factors, coarse = level.factors(), None
            last = level.size <= DIRECT or max(factors) == 1
            if last and level.ranks == 1:
                break
            if level.ranks == 1 or not (last or level.size <= REDUNDANT):
                coarse = level.coarser(factors)
            if coarse is None:
                level = level.whole()
                self._links.append(Agglomeration(comm, halo, level))
                self._smoothers.append(None)
                comm = ALONE
            else:
                self._links.append(Interpolation(comm, level, coarse, factors, halo))
                self._smoothers.append(Chebyshev(comm, self._halos[-1], degree))
                level = coarse
            halo = self._links[-1].coarse
        if level.size > LARGEST_DIRECT:
            raise InputError(
                f"multigrid: a grid of {' × '.join(map(str, cut.grid.shape))} points ends at "
                f"{' × '.join(map(str, level.shape))}, too many to solve at once; take even numbers "
                "of points along periodic axes"
            )
        self._x, self._r, self._d = ([h.allocate() for h in self._halos] for _ in range(3))

    def update(self, faces: Sequence[np.ndarray], reaction: np.ndarray | float = 0.0) -> None:
        """Take new coefficients: A u = Σ_faces k (u_i − u_j) + c u_i at points that are free.

        Args:
            faces: for each axis a padded array (two layers of halo, filled) of k ≥ 0 between each
                point and the next one along it, a/h² for instance; 0 where there is no next one.
            reaction: c ≥ 0 on the free points.

        Raises:
            InputError: no unique solution: no wall, and no reaction anywhere.
        """
        operator = self._finest(faces, reaction)
        for smoother, link in zip(self._smoothers, self._links, strict=True):
            if smoother is not None:
                smoother.update(operator)
            operator = link.update(operator)
        matrix = operator.dense()
        if matrix.sum() < 1e-12 * np.trace(matrix):
            raise InputError(
                "multigrid: no wall and no reaction, so that solutions differ by any constant; hold "
                "a boundary, or add a reaction"
            )
        self._inverse = np.linalg.inv(matrix).astype(PRECISION)

    def __call__(self, r: np.ndarray, out: np.ndarray) -> None:
        """out = M r, one V-cycle from zero, on the free points."""
        self._r[0][self.inner] = r
        self._cycle(0)
        out[...] = self._x[0][self.inner]

    def _cycle(self, k: int) -> None:
        """x = M r on level k; r is used up."""
        x, r, d, halo = self._x[k], self._r[k], self._d[k], self._halos[k]
        if k == len(self._links):
            own = halo.owned(x)
            own[...] = (self._inverse @ halo.owned(r).ravel()).reshape(own.shape)
            return
        smoother, link = self._smoothers[k], self._links[k]
        x[...] = 0.0
        if smoother is None:
            link.restrict(r, self._r[k + 1])
            self._cycle(k + 1)
            link.prolong(self._x[k + 1], x)
            return
        smoother.smooth(x, r, d, residual=True)
        halo.exchange(r)
        link.restrict(r, self._r[k + 1])
        self._cycle(k + 1)
        self._halos[k + 1].exchange(self._x[k + 1])
        d[...] = 0.0
        link.prolong(self._x[k + 1], d)
        smoother.correct(x, r, d)
        smoother.smooth(x, r, d, residual=False)

    def _finest(self, faces: Sequence[np.ndarray], reaction: np.ndarray | float) -> Compact:
        """The operator on the finest level."""
        halo = self._halo
        w, ndim = halo.width, len(faces)
        inner = tuple(slice(w, w + n) for n in halo.block.shape)
        diagonal = np.zeros(halo.block.shape)
        couplings: dict[Offset, np.ndarray] = {}
        free = self._free()
        for axis, k in enumerate(faces):
            one = tuple(int(a == axis) for a in range(ndim))
            diagonal += k[inner]
            diagonal += k[shifted(inner, axis, -1)]
            couplings[one] = np.where(free & np.roll(free, -1, axis), -k, 0.0)
        at = tuple(slice(s.start - w, s.stop - w) for s in self.inner)
        diagonal[at] += reaction
        diagonal *= free[inner]
        return Compact(halo, couplings, diagonal)

    def _free(self) -> np.ndarray:
        """Points of the padded block that are in the grid and on no wall."""
        w, block = self._halo.width, self._halo.block
        free: np.ndarray | bool = True
        for axis, (held, periodic) in enumerate(zip(self._held, self._periodic, strict=True)):
            at = np.arange(block.offset[axis] - w, block.stop[axis] + w)
            there = (at >= 0) & (at < len(held)) | periodic
            line = there & ~held[at % len(held)]
            free = free & line.reshape([-1 if a == axis else 1 for a in range(len(self._held))])
        return free
