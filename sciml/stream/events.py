"""Events from the server for the trainer, in order, and the queue that holds them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sciml.samples import Frame, Simulation


@dataclass(frozen=True, slots=True)
class Opened:
    """An attempt of a simulation is connected on all its ranks.

    ``continues`` is True only if its frames may join those of the attempt before in one window.
    """

    simulation: Simulation
    attempt: int
    continues: bool


@dataclass(frozen=True, slots=True)
class Arrived:
    """A frame: complete, validated, in the spool; each (simulation, step) once."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing more comes of a simulation, and all its frames were given before this event.

    ``abandoned``: it did not end by itself; the study goes on without it.
    """

    simulation_id: int
    abandoned: bool = False


@dataclass(frozen=True, slots=True)
class Quarantined:
    """The simulation sent something that cannot be used; nothing of it comes any more."""

    simulation_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Control:
    """What the supervisor says, given only when it changed."""

    message: dict[str, Any]


Event = Opened | Arrived | Closed | Quarantined | Control


@dataclass(frozen=True, slots=True)
class Deferred:
    """An :class:`Arrived` whose frame still lies in the spool; read when its turn comes."""

    read: Callable[[], Frame]


class EventQueue:
    """Events in order; counts the bytes of the frames it holds.

    ``put`` never waits: the socket thread must not. The bound on memory is kept by the server,
    which gives no credit while :attr:`full`.

    Args:
        limit: bytes of frames from which the queue is full.
        on_drain: called by the consumer's thread when a queue that was full is half empty.
        on_settled: called with the event given before, when the consumer asks for the next one: it
            is done with it.
    """

    def __init__(
        self,
        limit: int,
        on_drain: Callable[[], None],
        on_settled: Callable[[Event], None],
    ) -> None:
        self.limit = limit
        self.bytes = 0
        self._items: deque[tuple[Event | Deferred, int]] = deque()
        self._on_drain, self._on_settled = on_drain, on_settled
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        self._starved = False
        self._closed = False
        self._given: Event | None = None

    @property
    def full(self) -> bool:
        """Whether credit must wait; the consumer is then asked to report when it is half empty."""
        with self._lock:
            self._starved = self.bytes >= self.limit
            return self._starved

    def put_frames(self, frames: Sequence[Frame]) -> None:
        """Several at once, behind which :meth:`wake` is to be called."""
        with self._lock:
            for frame in frames:
                nbytes = frame.nbytes
                self._items.append((Arrived(frame), nbytes))
                self.bytes += nbytes

    def wake(self) -> None:
        """Wake the consumer if there is something for it.

        Once for many messages: at every change of threads one of them waits for the interpreter.
        """
        with self._lock:
            if self._items:
                self._ready.notify()

    def put(self, event: Event | Deferred) -> None:
        with self._lock:
            if isinstance(event, Control):
                # Only the newest counts, and it must not overtake what came before it.
                self._items = deque(i for i in self._items if not isinstance(i[0], Control))
            self._items.append((event, 0))
            self._ready.notify()

    def get(self, timeout: float | None = None) -> Event | None:
        """The next event; ``None`` after ``timeout`` seconds without one, or when closed.

        Asking for the next event says that the one before has been dealt with: its frame then
        counts as *entered* in the ledger.
        """
        self.settle()
        with self._lock:
            if not self._items:
                self._ready.wait_for(lambda: self._items or self._closed, timeout)
                if not self._items:
                    return None
            item, nbytes = self._items.popleft()
            self.bytes -= nbytes
            drained = self._starved and self.bytes <= self.limit // 2
            if drained:
                self._starved = False
        if drained:
            self._on_drain()
        event = Arrived(item.read()) if isinstance(item, Deferred) else item
        self._given = event
        return event

    def settle(self) -> None:
        """The event given last has been dealt with, and no other is asked for yet."""
        given, self._given = self._given, None
        if given is not None:
            self._on_settled(given)

    def close(self) -> None:
        """Wakes whoever waits; what is queued can still be taken."""
        with self._lock:
            self._closed = True
            self._ready.notify_all()

    def __len__(self) -> int:
        return len(self._items)
