"""Direct solution of systems that couple neighboring points, by elimination of rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from sciml.errors import InputError, ScimlError
from sciml.parallel.compact import Compact
from sciml.parallel.decomposition import Decomposition


class RowElimination:
    """Solves A x = b for symmetric operators on five or nine points.

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
        cut: the grid, without Dirichlet boundaries, cut along its first axis alone.

    Raises:
        InputError: another cut, a periodic axis, or points that are held.
        ScimlError: from :meth:`update`, the system is singular.

    Source: G. H. Golub and C. F. Van Loan, Matrix Computations, 4th ed., 2013, sec. 4.5.
    """

    def __init__(self, comm: Any, cut: Decomposition) -> None:
        kinds = set(cut.grid.boundary)
        if len(cut.dims) != 2 or cut.dims[1] != 1 or kinds & {"periodic", "dirichlet"}:
            raise InputError(
                f"row elimination: blocks {cut.dims} with {', '.join(cut.grid.boundary)} boundaries; "
                "expected a cut along the first of two axes, and no periodic or held ones"
            )
        self._comm = comm
        self._rows, self._n = cut.block(comm.rank).shape
        last = comm.rank == comm.size - 1
        # The last rank works its way up to the rank above, the others down to their own last row.
        self._order = list(range(self._rows - (not last)))
        if last and comm.size > 1:
            self._order.reverse()
        self._fills = 0 < comm.rank < comm.size - 1
        self._inverse = np.empty((len(self._order), self._n, self._n))
        self._fill = np.empty_like(self._inverse) if self._fills else None
        self._reduced = np.zeros((0, 0))

    def update(self, operator: Compact) -> None:
        """Take an operator; every rank calls it."""
        row, columns = operator.inner
        # Couplings with the next row, from the one before the block on: aslant to either side, straight.
        onward = (slice(row.start - 1, row.stop), columns)
        zeros = np.zeros((self._rows + 1, self._n))
        self._across = np.stack(
            [zeros if c is None else c for c in (operator.row(onward, (1, s)) for s in (-1, 0, 1))],
            axis=1,
        )
        along = operator.row(operator.inner, (0, 1))
        self._along, self._diagonal = along[:, :-1], operator.diagonal
        try:
            self._eliminate()
        except np.linalg.LinAlgError as error:
            raise ScimlError(
                "row elimination: the system is singular; an eigenvalue is hit to the last digit"
            ) from error

    def solve(self, b: np.ndarray) -> np.ndarray:
        """x with A x = b; both on the block. Every rank calls it."""
        comm, order, x = self._comm, self._order, np.zeros(b.shape)
        right = np.zeros((2, self._n))  # for the last row of the rank above, and of this one
        g = np.zeros((len(order), self._n))
        for i, row in enumerate(order):
            g[i] = b[row]
            if i:
                g[i] -= self._forth(i, self._inverse[i - 1] @ g[i - 1])
            if self._fill is not None:
                right[0] -= self._fill[i].T @ g[i]
        onward = self._forth(len(order), self._inverse[-1] @ g[-1]) if order else 0.0
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
            x[order[i]] = self._inverse[i] @ (g[i] - self._back(i + 1, after))
            if self._fill is not None:
                x[order[i]] -= self._fill[i] @ before
            after = x[order[i]]
        return x

    def _eliminate(self) -> None:
        """Inverses of the rows in their turn, and the system of last rows."""
        comm, order, n = self._comm, self._order, self._n
        # What this rank adds: to the last row above, to its own, and between the two.
        corner, own, between = parts = np.zeros((3, n, n))
        # Rows of this rank's first row, columns of the last one above.
        fill = self._times(self._across[0], np.eye(n), transposed=True)
        for i, row in enumerate(order):
            block = self._block(row)
            if i:
                block -= self._between(i, self._inverse[i - 1])
            self._inverse[i] = np.linalg.inv(block)
            if self._fill is not None:
                self._fill[i] = self._inverse[i] @ fill
                corner -= fill.T @ self._fill[i]
                fill = -self._forth(i + 1, self._fill[i])
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

    def _forth(self, i: int, x: np.ndarray) -> np.ndarray:
        """What the row eliminated before the i-th does to the i-th, or the last."""
        return self._times(self._link(i), x, transposed=not self._up)

    def _back(self, i: int, x: np.ndarray) -> np.ndarray:
        """The transpose of :meth:`_forth`."""
        return self._times(self._link(i), x, transposed=self._up)

    def _between(self, i: int, inverse: np.ndarray) -> np.ndarray:
        """E S⁻¹ Eᵀ, what the i-th row takes over from the one before it."""
        return self._forth(i, self._forth(i, inverse).T).T

    def _link(self, i: int) -> np.ndarray:
        return self._across[self._rows - i if self._up else i]

    @property
    def _up(self) -> bool:
        return self._comm.size > 1 and self._comm.rank == self._comm.size - 1

    @staticmethod
    def _times(link: np.ndarray, x: np.ndarray, *, transposed: bool) -> np.ndarray:
        """E x with E_{i, i+s} = link[1 + s, i], from a row to the next, or Eᵀ x."""
        west, straight, east = link.reshape(3, -1, *[1] * (x.ndim - 1))
        out = straight * x
        if transposed:
            out[:-1] += west[1:] * x[1:]
            out[1:] += east[:-1] * x[:-1]
        else:
            out[1:] += west[1:] * x[:-1]
            out[:-1] += east[:-1] * x[1:]
        return out
