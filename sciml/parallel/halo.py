"""Layers of neighboring points around a block, filled from the ranks that own them."""

from __future__ import annotations

from typing import Any

import numpy as np

from sciml.errors import InputError
from sciml.parallel.decomposition import Decomposition


class Halo:
    """Fills the outer ``width`` layers of a padded array with the values of the neighbors.

    A padded array has ``n + 2·width`` points along each axis of a block of n. At a physical
    boundary its outer layers are left alone: the program fills them, or never reads them. Messages
    are non-blocking, through contiguous buffers that are made once; an axis that is periodic and
    not cut is copied without MPI.

    Args:
        comm: an mpi4py communicator of ``decomposition.ranks`` ranks.
        decomposition: who owns what.
        corners: whether corners are filled too. Axes then go one after the other, each with the
            halo of those before it; without, all faces travel at once and corners hold no values.
        dtype: of the arrays.

    Raises:
        InputError: the communicator has another size than the decomposition.

    >>> # u = halo.allocate(); halo.owned(u)[:] = …; halo.exchange(u)
    """

    def __init__(
        self, comm: Any, decomposition: Decomposition, *, corners: bool = False, dtype: Any = float
    ) -> None:
        if comm.size != decomposition.ranks:
            raise InputError(
                f"halo: {comm.size} ranks for a grid cut into {decomposition.ranks} blocks"
            )
        self.width = decomposition.width
        self.block = decomposition.block(comm.rank)
        self.dtype = np.dtype(dtype)
        self._stages: list[_Stage] = []
        #: Axes whose halo is this rank's own other end: periodic and not cut.
        self.wrapped = tuple(
            decomposition.neighbor(comm.rank, axis, 1) == comm.rank
            for axis in range(len(self.block.shape))
        )
        axes = range(len(self.block.shape))
        groups = [[axis] for axis in axes] if corners else [list(axes)]
        done: set[int] = set()
        for group in groups:
            stage = _Stage()
            for axis in group:
                self._plan(comm, decomposition, axis, done, stage)
            self._stages.append(stage)
            done.update(group if corners else ())

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a padded array."""
        return tuple(n + 2 * self.width for n in self.block.shape)

    def allocate(self) -> np.ndarray:
        """A padded array of zeros."""
        return np.zeros(self.shape, self.dtype)

    def owned(self, array: np.ndarray) -> np.ndarray:
        """View of the points that this rank owns."""
        return array[tuple(slice(self.width, self.width + n) for n in self.block.shape)]

    def exchange(self, array: np.ndarray, *, wrap: bool = True) -> None:
        """Fill the halo of ``array``, shape :attr:`shape`. Every rank calls it, in the same order.

        Args:
            wrap: along axes that are :attr:`wrapped`, too; without, what is beyond those is left to
                the caller.
        """
        for stage in self._stages:
            if stage.requests:
                for index, buffer in stage.outgoing:
                    buffer[...] = array[index]
                stage.start(stage.requests)
            if wrap:
                for into, source in stage.copies:
                    array[into] = array[source]
            if stage.requests:
                stage.wait(stage.requests)
                for index, buffer in stage.incoming:
                    array[index] = buffer

    def _plan(
        self, comm: Any, decomposition: Decomposition, axis: int, done: set[int], stage: _Stage
    ) -> None:
        """Add the two faces of one axis to a stage."""
        w, n = self.width, self.block.shape[axis]
        layers = {  # side: (what that side gives, where its halo lies)
            -1: (slice(w, 2 * w), slice(0, w)),
            +1: (slice(n, n + w), slice(n + w, n + 2 * w)),
        }
        for side in (-1, +1):
            other = decomposition.neighbor(comm.rank, axis, side)
            if other is None:
                continue
            mine = self._face(axis, layers[side][0], done)
            ghost = self._face(axis, layers[side][1], done)
            if other == comm.rank:
                stage.copies.append((ghost, self._face(axis, layers[-side][0], done)))
                continue
            stage.add(comm, other, axis, side, (mine, ghost), self._face_shape(mine), self.dtype)

    def _face(self, axis: int, layer: slice, done: set[int]) -> tuple[slice, ...]:
        w = self.width
        return tuple(
            layer if a == axis else slice(0, n + 2 * w) if a in done else slice(w, w + n)
            for a, n in enumerate(self.block.shape)
        )

    @staticmethod
    def _face_shape(face: tuple[slice, ...]) -> tuple[int, ...]:
        return tuple(s.stop - s.start for s in face)


class _Stage:
    """Messages that travel together."""

    def __init__(self) -> None:
        self.copies: list[tuple[tuple[slice, ...], tuple[slice, ...]]] = []
        self.outgoing: list[tuple[tuple[slice, ...], np.ndarray]] = []
        self.incoming: list[tuple[tuple[slice, ...], np.ndarray]] = []
        self.requests: list[Any] = []

    def add(
        self,
        comm: Any,
        other: int,
        axis: int,
        side: int,
        faces: tuple[tuple[slice, ...], tuple[slice, ...]],
        shape: tuple[int, ...],
        dtype: np.dtype,
    ) -> None:
        from mpi4py import MPI

        send, receive = np.empty(shape, dtype), np.empty(shape, dtype)
        # The tag says which way a message goes: on an axis cut in two, both sides are the same rank.
        low, high = 2 * axis, 2 * axis + 1
        self.outgoing.append((faces[0], send))
        self.incoming.append((faces[1], receive))
        self.requests.append(comm.Recv_init(receive, other, high if side < 0 else low))
        self.requests.append(comm.Send_init(send, other, low if side < 0 else high))
        self.start, self.wait = MPI.Prequest.Startall, MPI.Request.Waitall
