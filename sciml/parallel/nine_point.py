"""Helmholtz' operator on nine points, with a phase error of fourth order."""

from __future__ import annotations

from typing import Any

import numpy as np

from sciml.errors import InputError
from sciml.parallel.compact import Compact
from sciml.parallel.decomposition import Decomposition
from sciml.parallel.halo import Halo
from sciml.parallel.hierarchy import WIDTH


class NinePoint:
    """A u = −∇²u − q u between reflecting walls, times parts of cells.

    With δ² the second difference along an axis, and q on the points::

        −(δx² + δy² + (hx² + hy²)/12 δx²δy²) u − ½ (M q + q M) u,   M = 1 + hx²/12 δx² + hy²/12 δy²

    Waves in an even medium are late by about k (kh)⁴ / 480 radians a unit length, where five points
    leave k (kh)² / 24. The mean of M q and q M keeps A symmetric; where q varies it leaves an error of
    second order, h²/12 ∇q·∇u, which is small if q varies little over a wavelength. Neumann walls
    mirror u and q: q should have no slope there.

    Args:
        comm: an mpi4py communicator.
        cut: a two-dimensional grid with Neumann boundaries, and its blocks of at least 2 × 2 points.

    Raises:
        InputError: another grid.

    Source: I. Harari and E. Turkel, J. Comput. Phys. 119 (1995) 252.
    """

    def __init__(self, comm: Any, cut: Decomposition) -> None:
        grid = cut.grid
        if grid.boundary != ("neumann", "neumann") or cut.width != WIDTH:
            raise InputError(
                f"nine points: boundaries {', '.join(grid.boundary)}, width {cut.width}; expected two "
                f"axes with neumann boundaries and a decomposition of width {WIDTH}"
            )
        self.halo = Halo(comm, cut, corners=True)
        block, (hy, hx) = self.halo.block, grid.spacing
        parts, links = [], []
        for axis in (0, 1):
            n = grid.shape[axis]
            at = np.arange(block.offset[axis] - WIDTH, block.stop[axis] + WIDTH)
            inside = (at >= 0) & (at < n)
            parts.append(np.where(inside, np.where((at == 0) | (at == n - 1), 0.5, 1.0), 0.0))
            # Whether a point has a next one along the axis.
            links.append(np.where(inside & (at < n - 1), 1.0, 0.0))
        (wy, wx), (ly, lx) = parts, links
        mixed = (hx * hx + hy * hy) / 12.0 / (hx * hx * hy * hy)
        # −∇²: couplings along x, along y and along both diagonals, then the sum that makes rows of 0.
        x, y = np.outer(wy, lx) / hx**2, np.outer(ly, wx) / hy**2
        up, down = np.outer(ly, lx), np.outer(ly, np.roll(lx, 1))
        # δx²δy² is a product: each of its points couples with two along x, two along y, four aslant.
        sx, sy = lx + np.roll(lx, 1), ly + np.roll(ly, 1)
        self._stiffness = {
            (0, 1): -x + mixed * np.outer(sy, lx),
            (1, 0): -y + mixed * np.outer(ly, sx),
            (1, 1): -mixed * up,
            (1, -1): -mixed * down,
        }
        own = tuple(slice(WIDTH, WIDTH + n) for n in block.shape)
        self._own = own
        around = x + np.roll(x, 1, 1) + y + np.roll(y, 1, 0) - mixed * np.outer(sy, sx)
        self._diagonal = around[own]
        self._mass = {(0, 1): x * hx**2 / 12.0, (1, 0): y * hy**2 / 12.0}
        parts_of_cells = np.outer(wy, wx)
        beside = sum(m + np.roll(m, 1, o.index(1)) for o, m in self._mass.items())
        self._mass_diagonal = (parts_of_cells - beside)[own]
        #: Part of a cell that each point of the block stands for.
        self.volume = parts_of_cells[own]
        self._q = self.halo.allocate()

    def operator(self, q: np.ndarray) -> Compact:
        """A for values of q on the block; every rank calls it."""
        self.halo.owned(self._q)[...] = q
        self.halo.exchange(self._q)
        couplings = dict(self._stiffness)
        for offset, mass in self._mass.items():
            other = np.roll(self._q, -1, offset.index(1))
            couplings[offset] = couplings[offset] - 0.5 * mass * (self._q + other)
        return Compact(self.halo, couplings, self._diagonal - self._mass_diagonal * q)

    def weighted(self, f: np.ndarray) -> np.ndarray:
        """M f on the block, the right-hand side for a source f; every rank calls it."""
        padded = self.halo.allocate()
        self.halo.owned(padded)[...] = f
        self.halo.exchange(padded)
        out, work = np.zeros((2, *f.shape))
        Compact(self.halo, dict(self._mass), self._mass_diagonal).subtract(padded, out, work)
        return -out
