"""Buffers that give each sample once: first in, first out, or random out."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, MutableSequence
from typing import final

from sciml.buffer.core import Buffer, HeldSample, swap_remove


class _Once(Buffer):
    """Each sample leaves with its only draw; which one is drawn, a kind says."""

    def __init__(self, capacity: int, watermark: int = 1, seed: int = 0) -> None:
        super().__init__(capacity, watermark, seed)
        self._held: MutableSequence[HeldSample] = self._container()

    #: What holds the samples.
    _container: type[MutableSequence[HeldSample]] = list

    @abstractmethod
    def _take_one(self) -> HeldSample:
        """The sample that is drawn, which leaves."""

    def _has_room(self) -> bool:
        return len(self._held) < self.capacity

    def _add(self, entry: HeldSample) -> None:
        self._held.append(entry)

    def _draw(self, n: int) -> list[HeldSample]:
        self._evicted += n
        return [self._take_one() for _ in range(n)]

    def _size(self) -> int:
        return len(self._held)

    def _unseen(self) -> int:
        return len(self._held)

    def _entries(self) -> Iterable[HeldSample]:
        return self._held

    def _restore(self, entries: list[HeldSample]) -> None:
        self._held = self._container(entries)


@final
class FIFO(_Once):
    """Each sample is drawn exactly once, in the order of arrival.

    Fails to train well where arrival is ordered in time: a batch then holds neighboring states of
    few simulations. Good for replaying in a fixed order, and as the baseline.
    """

    kind = "fifo"
    _container = deque

    def _take_one(self) -> HeldSample:
        return self._held.popleft()


@final
class FIRO(_Once):
    """Each sample is drawn exactly once, uniformly from those held.

    The watermark keeps enough of them to mix: a draw never leaves fewer than ``watermark − n``
    while more can come. Each sample trains once, so the trainer waits whenever the solvers are
    slower than it is.
    """

    kind = "firo"

    def _take_one(self) -> HeldSample:
        return swap_remove(self._held, self._random.randrange(len(self._held)))
