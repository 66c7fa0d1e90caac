"""Sums over all points of a distributed field."""

from __future__ import annotations

from typing import Any

import numpy as np


def inner(a: np.ndarray, b: np.ndarray) -> float:
    """Re Σ conj(a) b over the points of this rank.

    Not by BLAS: its threads, one a core and rank unless the environment says otherwise, take longer
    to agree than the sum takes, and add in an order that depends on their number.
    """
    return float(np.einsum("i,i->", _reals(a), _reals(b)))


def _reals(array: np.ndarray) -> np.ndarray:
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(float) if flat.dtype == complex else flat


class GlobalSum:
    """Global dot products and sums of fields of which each rank holds a block.

    The same on every rank of one run, bit by bit, so that ranks never disagree on when to stop; on
    another number of ranks the order of additions differs, and with it the last digits.

    Args:
        comm: an mpi4py communicator.
    """

    def __init__(self, comm: Any) -> None:
        self._comm = comm
        self._mine = np.zeros(1)
        self._all = np.zeros(comm.size)

    def dot(self, a: np.ndarray, b: np.ndarray) -> float:
        """Σ a·b over the points of all ranks."""
        return self(inner(a, b))

    def __call__(self, value: float) -> float:
        """Σ of one number from each rank."""
        if self._comm.size == 1:
            return float(value)
        # MPI may add in another order on another rank; gathered numbers are added alike on all.
        self._mine[0] = value
        self._comm.Allgather(self._mine, self._all)
        return float(self._all.sum())
