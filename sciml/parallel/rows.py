"""The points of a mesh, graph or set of particles, shared out to the ranks."""

from __future__ import annotations

from typing import Any

import numpy as np

from sciml.domain import Block, Domain
from sciml.errors import InputError
from sciml.parallel.decomposition import span
from sciml.parallel.gather import Gather


class Rows:
    """Gives each rank a run of points, as many as others have or one more.

    For programs in which **every rank holds the whole state** and computes the rows that are its own:
    the forces on its particles, the entries of a matrix product at its nodes. Each row is added up by
    one rank, in one order, so fields are bitwise the same on any number of ranks. It pays where a row is
    much work against a number that all must get.

    Args:
        comm: an mpi4py communicator.
        domain: one without axes.

    Attributes:
        block: of this rank.
        own: its rows, as an index.

    Raises:
        InputError: more ranks than points, or a domain with axes.
    """

    def __init__(self, comm: Any, domain: Domain) -> None:
        n = domain.size
        if domain.kind == "grid":
            raise InputError("Rows of a grid; expected Decomposition, which cuts it along its axes")
        if comm.size > n:
            raise InputError(
                f"{comm.size} ranks for {n} points ({domain.kind}); use {n} ranks or fewer"
            )
        first, last = span(n, comm.size, comm.rank)
        self.block = Block((first,), (last - first,))
        self.own = slice(first, last)
        self._gather = Gather(comm, self.block, (n,))

    def whole(self, mine: np.ndarray) -> np.ndarray:
        """Values at all points from those of each rank, ``(own points, …)``; every rank calls it."""
        return self._gather.everywhere(mine)
