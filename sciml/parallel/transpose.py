"""A distributed array handed over from one cut to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Spans = Sequence[tuple[int, int]]


class Transpose:
    """Moves complex arrays between a cut along the first axis and one along the last.

    Cut along the first axis, a rank holds ``(rows, …, n)`` in ``by_rows``; cut along the last, it
    holds ``(m, …, columns)`` in ``by_columns``. Both arrays are made by the caller and stay where
    they are: MPI gets datatypes of their parts, made once, and no copy is packed here.

    Args:
        comm: an mpi4py communicator.
        by_rows: complex128, C-contiguous, the columns of all ranks along its last axis; what lies
            beyond them is left alone.
        by_columns: complex128, C-contiguous, the rows of all ranks along its first axis.
        rows: first and one past the last row of each rank.
        columns: first and one past the last column of each rank.
    """

    def __init__(
        self, comm: Any, by_rows: np.ndarray, by_columns: np.ndarray, rows: Spans, columns: Spans
    ) -> None:
        self._comm = comm
        inner = [(0, n) for n in by_rows.shape[1:-1]]
        mine, width = (0, by_rows.shape[0]), (0, by_columns.shape[-1])
        self._rows = [by_rows, [_part(by_rows, (mine, *inner, part)) for part in columns]]
        self._columns = [by_columns, [_part(by_columns, (part, *inner, width)) for part in rows]]

    def to_rows(self) -> None:
        """Fill ``by_rows`` from ``by_columns`` of all ranks. Every rank calls it."""
        self._comm.Alltoallw(self._columns, self._rows)

    def to_columns(self) -> None:
        """Fill ``by_columns`` from ``by_rows`` of all ranks. Every rank calls it."""
        self._comm.Alltoallw(self._rows, self._columns)


def _part(array: np.ndarray, spans: Spans) -> Any:
    """MPI's name for a box of a contiguous array."""
    from mpi4py import MPI

    shape = [stop - start for start, stop in spans]
    starts = [start for start, _ in spans]
    return MPI.C_DOUBLE_COMPLEX.Create_subarray(array.shape, shape, starts).Commit()
