"""Between two levels of a multigrid hierarchy: interpolation that follows the operator."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from sciml.parallel.compact import Compact, Offset, forward, moved
from sciml.parallel.halo import Halo
from sciml.parallel.hierarchy import PRECISION, GridLevel
from sciml.parallel.stencil import Index


class Interpolation:
    """Prolongation P, restriction Pᵀ and the coarse operator Pᵀ A P.

    A fine point on the line between two coarse ones takes its value from them so that A u = 0 there
    with the couplings across the line added to those along it; a point amid four (eight) coarse
    ones so that A u = 0 with the values found so far. Where the coefficient jumps, a coarse point on
    the far side of a jump weighs as little as it should, and constants stay what they are.

    Args:
        comm: an mpi4py communicator, of the ranks that share the levels.
        fine, coarse: two levels; the points of the coarse one lie on every second fine one.
        factors: 2 where an axis is coarsened, 1 where not.
        halo: of the fine level.

    Source: R. E. Alcouffe, A. Brandt, J. E. Dendy and J. W. Painter, SIAM J. Sci. Stat. Comput. 2
    (1981) 430; J. E. Dendy, J. Comput. Phys. 48 (1982) 366.
    """

    def __init__(
        self, comm: Any, fine: GridLevel, coarse: GridLevel, factors: Sequence[int], halo: Halo
    ) -> None:
        ndim = len(factors)
        self._factors, self._halo = tuple(factors), halo
        self.coarse = Halo(comm, coarse, corners=True)
        w, block = halo.width, halo.block
        #: Where in a padded fine array the points of the coarse block lie.
        self._under: Index = tuple(
            slice(f * c - o + w, f * (c + n - 1) - o + w + 1, f)
            for f, c, n, o in zip(
                factors,
                self.coarse.block.offset,
                self.coarse.block.shape,
                block.offset,
                strict=True,
            )
        )
        self._inner: Index = tuple(slice(w, w + n) for n in self.coarse.block.shape)
        steps = [(-1, 0, 1) if f == 2 else (0,) for f in factors]
        self._around: list[Offset] = [r for r in product(*steps) if any(r)]
        self._around.sort(key=lambda r: sum(map(abs, r)))
        self._weights: dict[Offset, np.ndarray] = {r: self.coarse.allocate() for r in self._around}
        self._classes = [self._class(odd) for odd in product(*[(0, 1)[:f] for f in factors])]
        # Padded like the block, so that it can be read at the same places.
        self._edges = []
        for axis in range(ndim):
            at = np.arange(block.offset[axis] - w, block.stop[axis] + w)
            self._edges.append(fine.edge(axis)[np.clip(at, 0, fine.shape[axis] - 1)])
        shape = self.coarse.block.shape
        self._sum, self._term = np.zeros((2, *shape), PRECISION)
        self._cast: dict[Offset, tuple[np.ndarray, np.ndarray]] = {}

    def update(self, fine: Compact) -> Compact:
        """Weights for an operator on the fine level; returns the coarse operator."""
        full = self._halo.allocate()
        self._halo.owned(full)[...] = fine.diagonal
        self._halo.exchange(full)
        excess = self._halo.allocate()
        self._halo.owned(excess)[...] = fine.diagonal + sum(c for _, c in fine.rows())
        self._halo.exchange(excess)
        for r in self._around:
            self._weights[r][self._inner] = self._weight(fine, full, excess, r)
            self.coarse.exchange(self._weights[r])
            weight = self._weights[r].astype(PRECISION)
            self._cast[r] = weight, weight[self._inner]
        couplings = {}
        for o in forward(len(self._factors)):
            c = self._product(fine, full, o)
            if c is not None:
                couplings[o] = self.coarse.allocate()
                self.coarse.owned(couplings[o])[...] = c
                self.coarse.exchange(couplings[o])
        diagonal = self._product(fine, full, (0,) * len(self._factors))
        return Compact(self.coarse, couplings, diagonal)

    def restrict(self, fine: np.ndarray, coarse: np.ndarray) -> None:
        """coarse = Pᵀ fine on the block; ``fine`` is padded and its halo filled, ``coarse`` padded."""
        total, term = self._sum, self._term
        total[...] = fine[self._under]
        for r, (_, weight) in self._cast.items():
            np.multiply(weight, fine[moved(self._under, r)], out=term)
            np.add(total, term, out=total)
        coarse[self._inner] = total

    def prolong(self, coarse: np.ndarray, fine: np.ndarray) -> None:
        """fine += P coarse on the block; both are padded, and the halo of ``coarse`` is filled."""
        for at, sources in self._classes:
            target = fine[at]
            for source, r in sources:
                if any(r):
                    target += self._cast[r][0][source] * coarse[source]
                else:
                    target += coarse[source]

    def _class(self, odd: Offset) -> tuple[Index, list[tuple[Index, Offset]]]:
        """The fine points beside (1) or on (0) a coarse one along each axis; where each of their coarse
        neighbors lies, with the way from there."""
        at, low = [], []
        for axis, (f, beside) in enumerate(zip(self._factors, odd, strict=True)):
            w, o, n = self._halo.width, self._halo.block.offset[axis], self._halo.block.shape[axis]
            # Coarse numbers K with o ≤ f K + beside < o + n.
            first, stop = -((beside - o) // f), -((beside - o - n) // f)
            at.append(slice(f * first + beside - o + w, f * (stop - 1) + beside - o + w + 1, f))
            shift = w - self.coarse.block.offset[axis]
            low.append(slice(first + shift, stop + shift))
        sources = []
        for corner in product(*[(0, 1)[: beside + 1] for beside in odd]):
            # From the coarse point on the low side the way is forward, from the other backward.
            way = tuple(b - 2 * c for b, c in zip(odd, corner, strict=True))
            sources.append((moved(low, corner), way))
        return tuple(at), sources

    def _weight(self, fine: Compact, full: np.ndarray, excess: np.ndarray, r: Offset) -> np.ndarray:
        """What the points r away from each coarse point take from it."""
        at = moved(self._under, r)
        axes = [axis for axis, step in enumerate(r) if step]
        towards = tuple(-step for step in r)
        above, along = np.zeros((2, *self._sum.shape))
        for o in product((-1, 0, 1), repeat=len(r)):
            kept = tuple(o[axis] if axis in axes else 0 for axis in range(len(r)))
            if not any(kept):
                continue
            c = fine.row(at, o)
            if c is None:
                continue
            along -= c
            if all(k in (0, t) for k, t in zip(kept, towards, strict=True)):
                rest = tuple(a + b for a, b in zip(r, kept, strict=True))
                above -= c * self._weights[rest][self._inner] if any(rest) else c
        if len(axes) == len(r):
            # Nothing is added up; a difference of large numbers is avoided.
            along = full[at]
        else:
            edge: np.ndarray | bool = False
            for axis in axes:
                line = self._edges[axis][at[axis]]
                edge = edge | line.reshape([-1 if a == axis else 1 for a in range(len(r))])
            along += edge * excess[at]
        return np.divide(above, along, out=np.zeros_like(above), where=along > 0.0)

    def _product(self, fine: Compact, full: np.ndarray, o: Offset) -> np.ndarray | None:
        """(Pᵀ A P)_{I, I+o} = Σ_p Σ_q P_{2I+p, I} A_{2I+p, 2I+p+q} P_{2I+p+q, I+o}."""
        total = None
        nothing = (0,) * len(o)
        there = moved(self._inner, o)
        for p in (nothing, *self._around):
            at = moved(self._under, p)
            part = None
            for r in (nothing, *self._around):
                q = tuple(
                    f * oi + ri - pi for f, oi, ri, pi in zip(self._factors, o, r, p, strict=True)
                )
                if max(map(abs, q)) > 1:
                    continue
                a = full[at] if q == nothing else fine.row(at, q)
                if a is None:
                    continue
                term = a * self._weights[r][there] if any(r) else a
                part = term if part is None else part + term
            if part is not None:
                term = part * self._weights[p][self._inner] if any(p) else part
                total = term if total is None else total + term
        return total
