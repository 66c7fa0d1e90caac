"""Direct solution of five-point systems by elimination of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sciml.errors import InputError, ScimlError
from sciml.parallel.decomposition import Decomposition
from sciml.parallel.levels import WIDTH
from sciml.parallel.stencil import free_points


class RowElimination:
    """Solves Σ_faces k (u_i − u_j) + c u_i = b_i on a two-dimensional grid, for c of any sign.

    Block Gaussian elimination, a row of points at a time: nothing has to converge, so that indefinite
    systems (Helmholtz) are as good as others. Each rank eliminates its rows but the last one; what is
    left couples the last rows of all ranks and is solved on every rank. The first and the last rank
    need one dense inverse a row, those in between three times that work, since what they eliminate
    fills in towards both sides: 2 ranks take half of the time, 4 three quarters of it.

    A row of n points costs about 2 n³ operations and 8 n² bytes: n = 100 takes 20 ms a factorization
    of the square grid, n = 256 half a second. Pivots are sought within rows only: where a strip of
    rows resonates by itself digits are lost, and :meth:`solve` should be repeated for the residual.

    Args:
        comm: an mpi4py communicator.
        cut: the grid, cut along its first axis alone.

    Raises:
        InputError: another cut, or a periodic axis.
        ScimlError: from :meth:`update`, the system is singular.

    Source: G. H. Golub and C. F. Van Loan, Matrix Computations, 4th ed., 2013, sec. 4.5.
    """

    def __init__(self, comm: Any, cut: Decomposition) -> None:
        if len(cut.dims) != 2 or cut.dims[1] != 1 or "periodic" in cut.grid.boundary:
            raise InputError(
                f"row elimination: blocks {cut.dims} with {', '.join(cut.grid.boundary)} boundaries; "
                "expected a cut along the first of two axes, and no periodic one"
            )
        self._comm = comm
        self._inner = free_points(cut.grid, cut.block(comm.rank), WIDTH)
        self._rows, self._n = (s.stop - s.start for s in self._inner)
        if self._rows < 1:
            raise InputError(
                f"row elimination: {comm.size} ranks leave one without rows; use fewer"
            )
        last = comm.rank == comm.size - 1
        # The last rank works its way up to the rank above, the others down to their own last row.
        self._order = list(range(self._rows - (not last)))
        if last and comm.size > 1:
            self._order.reverse()
        self._fills = 0 < comm.rank < comm.size - 1
        self._inverse = np.empty((len(self._order), self._n, self._n))
        self._fill = np.empty_like(self._inverse) if self._fills else None
        self._reduced = np.zeros((0, 0))

    def update(self, faces: Sequence[np.ndarray], reaction: np.ndarray) -> None:
        """Take an operator; every rank calls it.

        Args:
            faces: as for :meth:`Multigrid.update <sciml.parallel.Multigrid.update>`.
            reaction: c on the free points.
        """
        rows, columns = self._inner
        above = slice(rows.start - 1, rows.stop)
        self._across = -faces[0][above, columns]
        along = -faces[1][rows, columns.start - 1 : columns.stop]
        self._along = along[:, 1:-1]
        self._diagonal = reaction - self._across[1:] - self._across[:-1]
        self._diagonal -= along[:, 1:] + along[:, :-1]
        try:
            self._eliminate()
        except np.linalg.LinAlgError as error:
            raise ScimlError(
                "row elimination: the system is singular; an eigenvalue is hit to the last digit"
            ) from error

    def solve(self, b: np.ndarray) -> np.ndarray:
        """x with A x = b; both on the free points of the block. Every rank calls it."""
        comm, order, x = self._comm, self._order, np.zeros(b.shape)
        right = np.zeros((2, self._n))  # for the last row of the rank above, and of this one
        g = np.zeros((len(order), self._n))
        for i, row in enumerate(order):
            g[i] = b[row]
            if i:
                g[i] -= self._coupling(i) * (self._inverse[i - 1] @ g[i - 1])
            if self._fill is not None:
                right[0] -= self._fill[i].T @ g[i]
        onward = self._coupling(len(order)) * (self._inverse[-1] @ g[-1]) if order else 0.0
        if comm.rank < comm.size - 1:
            right[1] = b[-1] - onward
        elif comm.size > 1:
            right[0] = -onward
        before = after = np.zeros(self._n)
        if comm.size > 1:
            everything = np.zeros((comm.size, *right.shape))
            comm.Allgather(right, everything)
            borders = self._reduced @ (everything[:-1, 1] + everything[1:, 0]).ravel()
            borders = borders.reshape(comm.size - 1, self._n)
            if comm.rank:
                before = borders[comm.rank - 1]
            if comm.rank < comm.size - 1:
                x[-1] = after = borders[comm.rank]
            else:
                after = before
        for i in reversed(range(len(order))):
            x[order[i]] = self._inverse[i] @ (g[i] - self._coupling(i + 1) * after)
            if self._fill is not None:
                x[order[i]] -= self._fill[i] @ before
            after = x[order[i]]
        return x

    def _eliminate(self) -> None:
        """Inverses of the rows as they are when it is their turn, and the system of last rows."""
        comm, order, n = self._comm, self._order, self._n
        # What this rank adds: to the last row above, to its own, and between the two.
        corner, own, between = parts = np.zeros((3, n, n))
        fill = np.diag(self._across[0])
        for i, row in enumerate(order):
            block = self._block(row)
            if i:
                block -= self._between(i, self._inverse[i - 1])
            self._inverse[i] = np.linalg.inv(block)
            if self._fill is not None:
                self._fill[i] = self._inverse[i] @ fill
                corner -= fill.T @ self._fill[i]
                fill = -self._coupling(i + 1)[:, None] * self._fill[i]
        if comm.size == 1:
            return
        through = self._between(len(order), self._inverse[-1]) if order else 0.0
        if comm.rank < comm.size - 1:
            own += self._block(self._rows - 1) - through
            if comm.rank:
                between += fill
        else:
            corner -= through
        everything = np.zeros((comm.size, *parts.shape))
        comm.Allgather(parts, everything)
        borders = comm.size - 1
        matrix = np.zeros((borders, n, borders, n))
        for k in range(borders):
            matrix[k, :, k] = everything[k, 1] + everything[k + 1, 0]
            if k:
                matrix[k, :, k - 1] = everything[k, 2]
                matrix[k - 1, :, k] = everything[k, 2].T
        self._reduced = np.linalg.inv(matrix.reshape(borders * n, borders * n))

    def _block(self, row: int) -> np.ndarray:
        """The couplings within a row."""
        block = np.diag(self._diagonal[row])
        i = np.arange(self._n - 1)
        block[i, i + 1] = block[i + 1, i] = self._along[row]
        return block

    def _coupling(self, i: int) -> np.ndarray:
        """From the row eliminated before the i-th to the i-th, or to the one that is left."""
        up = self._comm.size > 1 and self._comm.rank == self._comm.size - 1
        return self._across[self._rows - i if up else i]

    def _between(self, i: int, inverse: np.ndarray) -> np.ndarray:
        """E S⁻¹ E, what the i-th row takes over from the one before it."""
        e = self._coupling(i)
        return e[:, None] * inverse * e
