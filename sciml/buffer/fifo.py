"""First in, first out: each sample once, in the order of arrival."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import final

from sciml.buffer.core import Buffer, HeldSample


@final
class FIFO(Buffer):
    """Each sample is drawn exactly once, in the order of arrival.

    Fails to train well where arrival is ordered in time: a batch then holds neighboring states of
    few simulations. Good for replaying in a fixed order, and as the baseline.
    """

    kind = "fifo"

    def __init__(self, capacity: int, watermark: int = 1, seed: int = 0) -> None:
        super().__init__(capacity, watermark, seed)
        self._queue: deque[HeldSample] = deque()

    def _has_room(self) -> bool:
        return len(self._queue) < self.capacity

    def _add(self, entry: HeldSample) -> None:
        self._queue.append(entry)

    def _draw(self, n: int) -> list[HeldSample]:
        self._evicted += n
        return [self._queue.popleft() for _ in range(n)]

    def _size(self) -> int:
        return len(self._queue)

    def _unseen(self) -> int:
        return len(self._queue)

    def _entries(self) -> Iterable[HeldSample]:
        return self._queue

    def _restore(self, entries: list[HeldSample]) -> None:
        self._queue = deque(entries)
