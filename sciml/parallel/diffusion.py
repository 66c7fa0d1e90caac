"""Diffusion with a variable coefficient, by finite volumes on distributed blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from sciml.domain import Grid
from sciml.errors import InputError
from sciml.parallel.decomposition import Decomposition
from sciml.parallel.halo import Halo
from sciml.parallel.hierarchy import WIDTH
from sciml.parallel.stencil import Index, free_points, shifted


class Diffusion:
    """A u = −∇·(a ∇u) + c u at free points, times their part of a cell.

    Each point of the grid is the center of a cell; the flux through the face between two points is
    2 a_i a_j / (a_i + a_j) · (u_i − u_j) / h, which is exact for layers with jumps at the faces, or
    for a that is constant in each cell. Points on a ``dirichlet`` boundary are held: their cells
    have no equation. Cells on a ``neumann`` boundary are halved (quartered at corners), no flux
    crosses it, and A stays symmetric; :attr:`volume` is that part, 1 inside. The error is of second
    order in h where a is smooth, of first order where a jumps elsewhere than at faces.

    Args:
        comm: an mpi4py communicator.
        cut: the grid and its blocks, at least 2 points along each axis.

    Raises:
        InputError: from :meth:`update`, a coefficient that is not positive.

    Source: S. V. Patankar, Numerical Heat Transfer and Fluid Flow, Hemisphere 1980, sec. 4.2-3.
    """

    def __init__(self, comm: Any, cut: Decomposition) -> None:
        if cut.width != WIDTH:
            raise InputError(f"diffusion: a decomposition of width {cut.width}; expected {WIDTH}")
        self.halo = Halo(comm, cut)
        # Of the coefficient, whose faces a preconditioner reads around the corner too.
        self._corners = Halo(comm, cut, corners=True)
        block, grid = self.halo.block, cut.grid
        self.inner = free_points(grid, block, WIDTH)
        self.shape = tuple(s.stop - s.start for s in self.inner)
        ndim, self._points = len(self.shape), grid.shape
        self._coefficient = self.halo.allocate()
        self.faces = [self.halo.allocate() for _ in range(ndim)]
        self.volume = np.ones(self.shape)
        self._weights = []
        whole = [_parts(grid, axis) for axis in range(ndim)]
        for axis in range(ndim):
            mine = whole[axis][self._numbers(axis)[self.inner[axis]]]
            self.volume *= mine.reshape([-1 if a == axis else 1 for a in range(ndim)])
            weight: Any = grid.spacing[axis] ** -2.0
            for other in range(ndim):
                if other != axis:
                    part = whole[other][self._numbers(other)]
                    weight = weight * part.reshape([-1 if a == other else 1 for a in range(ndim)])
            self._weights.append(weight)
        self.reaction = np.zeros(self.shape)
        self._reacts = False
        self._u = self.halo.allocate()
        self._sides = [self._faces_of(axis) for axis in range(ndim)]

    def update(self, coefficient: np.ndarray, reaction: np.ndarray | float = 0.0) -> None:
        """Take a > 0 on the block, and c ≥ 0 on the free points; every rank calls it."""
        if not (np.isfinite(coefficient).all() and coefficient.min() > 0.0):
            raise InputError(
                f"diffusion: a coefficient between {coefficient.min():g} and {coefficient.max():g}; "
                "expected positive finite values"
            )
        a = self._coefficient
        self.halo.owned(a)[...] = coefficient
        self._corners.exchange(a)
        for axis, (k, weight) in enumerate(zip(self.faces, self._weights, strict=True)):
            line, face = np.moveaxis(a, axis, 0), np.moveaxis(k, axis, 0)
            low, high = line[:-1], line[1:]
            # Outside of the grid a is 0, and no flux leaves it.
            np.divide(2.0 * low * high, low + high, out=face[:-1], where=low + high > 0.0)
            np.multiply(k, weight, out=k)
        np.multiply(reaction, self.volume, out=self.reaction)
        self._reacts = bool(np.any(self.reaction))

    def apply(self, p: np.ndarray, out: np.ndarray) -> None:
        """out = A p on the free points, where p is zero on a boundary that is held."""
        self._u[self.inner] = p
        self.on(self._u, out)

    def on(self, u: np.ndarray, out: np.ndarray) -> None:
        """out = A u on the free points, with the boundary values of ``u``, padded."""
        self.halo.exchange(u)
        if self._reacts:
            np.multiply(self.reaction, u[self.inner], out=out)
        else:
            out[...] = 0.0
        for axis, (low, high, flux, into, onward) in enumerate(self._sides):
            np.subtract(u[low], u[high], out=flux)
            np.multiply(flux, self.faces[axis][low], out=flux)
            np.add(out, onward, out=out)
            np.subtract(out, into, out=out)

    def _faces_of(self, axis: int) -> tuple[Index, Index, np.ndarray, np.ndarray, np.ndarray]:
        """Points below and above each face of the free points, the fluxes there; views of those that
        come in from below and go on above."""
        low = shifted(self.inner, axis, -1)
        low = (*low[:axis], slice(low[axis].start, low[axis].stop + 1), *low[axis + 1 :])
        flux = np.zeros([n + (a == axis) for a, n in enumerate(self.shape)])
        along = np.moveaxis(flux, axis, 0)
        into, onward = (np.moveaxis(along[s], 0, axis) for s in (slice(0, -1), slice(1, None)))
        return low, shifted(low, axis, 1), flux, into, onward

    def _numbers(self, axis: int) -> np.ndarray:
        """Numbers in the grid of the padded block's points along an axis, kept within it."""
        block = self.halo.block
        at = np.arange(block.offset[axis] - WIDTH, block.stop[axis] + WIDTH)
        return np.clip(at, 0, self._points[axis] - 1)


def _parts(grid: Grid, axis: int) -> np.ndarray:
    """Part of a cell that the points of an axis stand for: ½ on a Neumann boundary."""
    part = np.ones(grid.shape[axis])
    if grid.boundary[axis] == "neumann":
        part[0] = part[-1] = 0.5
    return part
