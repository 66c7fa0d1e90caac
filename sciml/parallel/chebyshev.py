"""Smoothing by Chebyshev polynomials."""

from __future__ import annotations

from typing import Any

import numpy as np

from sciml.parallel.compact import Compact
from sciml.parallel.halo import Halo

#: The smoother damps eigenvalues of D⁻¹A from bound / REACH to the bound; the rest is left to the
#: coarser level.
REACH = 6.0


class Chebyshev:
    """x += p(D⁻¹A) D⁻¹ r; the polynomial p damps the upper spectrum best.

    The upper end is the bound of Gershgorin's circles, so nothing has to be estimated; degree 1 is
    damped Jacobi. The smoother is symmetric in the energy of A.

    Args:
        comm: an mpi4py communicator.
        halo: of the level, in the precision of the smoother.
        degree: 1 or more.

    Source: M. Adams, M. Brezina, J. Hu and R. Tuminaro, J. Comput. Phys. 188 (2003) 593.
    """

    def __init__(self, comm: Any, halo: Halo, degree: int) -> None:
        self._comm, self._halo, self._degree = comm, halo, degree
        self._work, self._inverse = np.zeros((2, *halo.block.shape), halo.dtype)
        self._operator: Compact | None = None

    def update(self, operator: Compact) -> None:
        """Take an operator."""
        bound = operator.bound()
        if self._comm.size > 1:
            bound = max(self._comm.allgather(bound))
        self._operator = operator.cast(self._halo)
        self._center, self._radius = (bound + bound / REACH) / 2.0, (bound - bound / REACH) / 2.0
        self._inverse[...] = 0.0
        free = operator.diagonal > 0.0
        self._inverse[free] = 1.0 / (self._center * operator.diagonal[free])

    def smooth(self, x: np.ndarray, r: np.ndarray, d: np.ndarray, *, residual: bool) -> None:
        """x += p(D⁻¹A) D⁻¹ r on the block; with ``residual`` r −= A of that.

        Args:
            x, r: padded; their halos are not used.
            d: padded scratch.
            residual: whether r is to follow x to the end.
        """
        halo, work = self._halo, self._work
        own_x, own_r, own_d = halo.owned(x), halo.owned(r), halo.owned(d)
        slope = self._center / self._radius
        rho = 1.0 / slope
        np.multiply(self._inverse, own_r, out=own_d)
        for k in range(self._degree):
            np.add(own_x, own_d, out=own_x)
            if k + 1 == self._degree and not residual:
                return
            halo.exchange(d)
            self._operator.subtract(d, own_r, work)
            if k + 1 < self._degree:
                rho, previous = 1.0 / (2.0 * slope - rho), rho
                np.multiply(own_d, rho * previous, out=own_d)
                np.multiply(self._inverse, own_r, out=work)
                np.multiply(work, 2.0 * rho * slope, out=work)
                np.add(own_d, work, out=own_d)

    def correct(self, x: np.ndarray, r: np.ndarray, d: np.ndarray) -> None:
        """x += d and r −= A d."""
        own_x = self._halo.owned(x)
        np.add(own_x, self._halo.owned(d), out=own_x)
        self._halo.exchange(d)
        self._operator.subtract(d, self._halo.owned(r), self._work)
