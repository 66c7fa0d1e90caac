"""The step of a multigrid hierarchy to where every rank holds the whole grid."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from sciml.parallel.compact import Compact
from sciml.parallel.gather import Gather
from sciml.parallel.halo import Halo
from sciml.parallel.hierarchy import GridLevel

#: Stands for a communicator of one rank.
ALONE = SimpleNamespace(rank=0, size=1)


class Agglomeration:
    """Takes a level that is spread over the ranks to the whole grid on each.

    Small grids are cheaper to work on everywhere than to talk about. The methods are those of
    :class:`Interpolation`.

    Args:
        comm: an mpi4py communicator.
        halo: of the level that is spread.
        whole: the same level on one rank.
    """

    def __init__(self, comm: Any, halo: Halo, whole: GridLevel) -> None:
        self._halo = halo
        self._gather = Gather(comm, halo.block, whole.shape)
        self.coarse = Halo(ALONE, whole, corners=True)

    def update(self, fine: Compact) -> Compact:
        """The same operator, whole."""
        couplings = {}
        for offset, c in fine.couplings.items():
            couplings[offset] = self.coarse.allocate()
            self.restrict(c, couplings[offset])
            self.coarse.exchange(couplings[offset])
        return Compact(self.coarse, couplings, self._gather.everywhere(fine.diagonal))

    def restrict(self, fine: np.ndarray, coarse: np.ndarray) -> None:
        """The whole field from its blocks; both are padded."""
        self.coarse.owned(coarse)[...] = self._gather.everywhere(self._halo.owned(fine))

    def prolong(self, coarse: np.ndarray, fine: np.ndarray) -> None:
        """fine += its block of the whole field; both are padded."""
        block = self._halo.owned(fine)
        np.add(block, self.coarse.owned(coarse)[self._halo.block.slices], out=block)
