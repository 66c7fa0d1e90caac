"""Blocks of all ranks put together as one array."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from sciml.domain import Block
from sciml.domain.block import tiles
from sciml.errors import DomainError


class Gather:
    """Brings a distributed field to rank 0, or to all ranks; axes behind those of the block go along.

    Args:
        comm: an mpi4py communicator.
        block: what this rank holds.
        shape: of the global field.

    Raises:
        DomainError: the blocks of all ranks do not tile ``shape``.
    """

    def __init__(self, comm: Any, block: Block, shape: Sequence[int]) -> None:
        self._comm = comm
        self._shape = tuple(shape)
        mine = (block.offset, block.shape)
        pairs = [mine] if comm.size == 1 else comm.allgather(mine)
        self.blocks: tuple[Block, ...] = tuple(Block(*pair) for pair in pairs)
        if not tiles(self.blocks, self._shape):
            raise DomainError(f"the blocks of {comm.size} ranks do not tile a field {self._shape}")
        self._sizes = [b.size for b in self.blocks]

    def __call__(self, array: np.ndarray) -> np.ndarray | None:
        """The global array on rank 0, ``None`` elsewhere. Every rank calls it."""
        comm = self._comm
        mine = np.ascontiguousarray(array)
        if comm.size == 1:
            return mine.copy() if mine is array else mine
        if comm.rank:
            comm.Gatherv(mine, None)
            return None
        flat, counts = self._room(mine)
        comm.Gatherv(mine, (flat, counts))
        return self._put_together(flat)

    def everywhere(self, array: np.ndarray) -> np.ndarray:
        """The global array on every rank. Every rank calls it."""
        mine = np.ascontiguousarray(array)
        if self._comm.size == 1:
            return mine.copy() if mine is array else mine
        flat, counts = self._room(mine)
        self._comm.Allgatherv(mine, (flat, counts))
        return self._put_together(flat)

    def _room(self, mine: np.ndarray) -> tuple[np.ndarray, list[int]]:
        """Where the blocks of all ranks go in turn, and how many numbers each has."""
        trailing = mine.shape[len(self._shape) :]
        flat = np.empty((prod(self._shape), *trailing), mine.dtype)
        return flat, [size * prod(trailing) for size in self._sizes]

    def _put_together(self, flat: np.ndarray) -> np.ndarray:
        """Blocks one after the other → the global array."""
        whole = np.empty((*self._shape, *flat.shape[1:]), flat.dtype)
        start = 0
        for block, size in zip(self.blocks, self._sizes, strict=True):
            values = flat[start : start + size]
            whole[block.slices] = values.reshape(*block.shape, *flat.shape[1:])
            start += size
        return whole
