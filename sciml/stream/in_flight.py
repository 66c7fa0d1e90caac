"""What is under way from a rank: queued, sent, and not yet durable."""

from __future__ import annotations

import time as clock
from collections import deque
from collections.abc import Callable
from typing import Any

from sciml.stream import message as m
from sciml.stream.intervals import Intervals
from sciml.stream.parcel import Parcel

#: Several steps ride in one message up to this size, bytes, …
BATCH = 4 << 20
#: … but only while the solver calls ``send`` faster than this, seconds, …
BATCH_PACE = 0.02
#: … and none waits longer than this, seconds.
BATCH_AGE = 0.05


class InFlight:
    """Parcels in order, and the credit by which they may leave.

    Args:
        parts: blocks of this rank's size that make up a whole field, at least as many as ranks.
        forget: called with each parcel that nobody needs any more.
    """

    def __init__(self, parts: int, forget: Callable[[Parcel], None]) -> None:
        self._parts, self._forget = parts, forget
        self._queue: deque[Parcel] = deque()  # not sent since the last hello
        self._flight: deque[Parcel] = deque()  # sent, not durable
        self._queued = 0
        self._sent = self._credit = 0
        self.window = 0
        self._last_add = self._oldest = 0.0
        self._hurried = False

    @property
    def queued(self) -> bool:
        return bool(self._queue)

    @property
    def empty(self) -> bool:
        """Whether all is durable."""
        return not self._queue and not self._flight

    def add(self, parcel: Parcel) -> None:
        now = clock.monotonic()
        self._hurried, self._last_add = now - self._last_add < BATCH_PACE, now
        if not self._queue:
            self._oldest = now
        self._queue.append(parcel)
        self._queued += parcel.nbytes

    @property
    def may_wait(self) -> bool:
        """Whether what is queued may wait, to share a message with the next ``send``.

        It stays well below the window even on the rank with the largest block: else that rank could
        run out of credit while another one, waiting for it, holds back the blocks that it needs.
        """
        return (
            self._hurried
            and self._queued < BATCH
            and self._queued * self._parts < self.window // 4
            and clock.monotonic() - self._oldest < BATCH_AGE
        )

    def leave(self) -> list[Parcel]:
        """The parcels of the next message, which count as sent; none without credit.

        Those with slots and those without do not share a message.
        """
        batch: list[Parcel] = []
        size = blocks = 0
        under_way = self._sent - (self._credit - self.window)
        while self._queue and (size < BATCH or not batch):
            parcel = self._queue[0]
            if under_way + size + parcel.nbytes > self.window and under_way + size > 0:
                break
            if batch and (batch[0].span is None) != (parcel.span is None):
                break
            # Steps of a few bytes: the trainer refuses a message of more blocks than this.
            blocks += len(parcel.headers)
            if batch and blocks > m.BLOCKS_LIMIT:
                break
            size += parcel.nbytes
            batch.append(self._queue.popleft())
        self._sent += size
        self._queued -= size
        self._flight.extend(batch)
        return batch

    def welcome(self, held: Intervals, message: dict[str, Any]) -> None:
        """Count anew; what is not in ``held`` is to be sent again."""
        self.window, self._credit = m.whole(message, "window"), m.whole(message, "credit")
        self._sent = 0
        waiting = [*self._flight, *self._queue]
        self._flight.clear()
        self._queue = deque()
        for parcel in waiting:
            if parcel.step in held:
                self._forget(parcel)
            else:
                self._queue.append(parcel)
        self._queued = sum(parcel.nbytes for parcel in self._queue)

    def acknowledge(self, message: dict[str, Any]) -> None:
        self.window, self._credit = m.whole(message, "window"), m.whole(message, "credit")
        durable = m.whole(message, "durable")
        while self._flight and self._flight[0].sequence <= durable:
            self._forget(self._flight.popleft())

    def clear(self) -> None:
        for parcel in (*self._queue, *self._flight):
            self._forget(parcel)
        self._queue.clear()
        self._flight.clear()
        self._queued = 0
