"""The engine that all buffers share: one lock, two conditions, the counts."""

from __future__ import annotations

import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from sciml.errors import InputError, ScimlError
from sciml.samples import Sample

#: Draws over which staleness is averaged; fewer follow changes faster and waver more.
MEMORY = 1000


class Stopped(ScimlError, RuntimeError):
    """The buffer takes no more samples: it was stopped, or closed before."""


@dataclass(slots=True)
class HeldSample:
    """A held sample: how often it was drawn, and how many samples had come before it."""

    sample: Sample
    born: int
    drawn: int = 0


class Buffer(ABC):
    """Holds samples between the producers that bring them and the trainer that draws them.

    Any number of threads may put; one draws. What each kind does differently: which samples a draw
    takes and which leave.

    No deadlock: a producer waits only while ``capacity`` samples are held that it may not displace,
    a reader only while fewer than ``max(watermark, n)`` are held and more can come; both numbers
    are at most ``capacity``, so the two never wait for each other. When reception is over
    (:meth:`close`), the reader no longer waits for the watermark.

    Args:
        capacity: most samples held at any time.
        watermark: samples that must be held before any is drawn, while more can come.
        seed: of the draws.

    Raises:
        InputError: capacity < 1, or a watermark outside 1 … capacity.
    """

    kind: ClassVar[str]

    def __init__(self, capacity: int, watermark: int = 1, seed: int = 0) -> None:
        if capacity < 1 or not 1 <= watermark <= capacity:
            raise InputError(
                f"buffer: capacity={capacity}, watermark={watermark}; expected "
                "1 ≤ watermark ≤ capacity; raise the capacity or lower the watermark"
            )
        self.capacity = capacity
        self.watermark = watermark
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._ready = threading.Condition(self._lock)
        self._closed = False
        self._stopped = False
        self._waiting = 0  # producers that are inside put
        self._put = 0
        self._drawn = 0
        self._distinct = 0  # samples drawn at least once
        self._evicted = 0
        self._removed = 0
        # Draws of simulations that are not known to be sound yet.
        self._watched: dict[int, int] = {}
        self._staleness = 0.0

    def put(self, sample: Sample) -> None:
        """Add a sample; blocks while the buffer is full.

        Raises:
            Stopped: the buffer was stopped, or was closed before this call.
        """
        with self._lock:
            if self._closed:
                raise Stopped(f"sample {sample.key} came after the buffer was closed")
            self._waiting += 1
            try:
                while not self._stopped and not self._has_room():
                    self._room.wait()
            finally:
                # Before notifying: a reader may be waiting for the last producer to leave.
                self._waiting -= 1
                self._ready.notify_all()
            if self._stopped:
                raise Stopped("the buffer was stopped")
            self._add(HeldSample(sample, self._put))
            self._put += 1

    def get_batch(self, n: int) -> list[Sample]:
        """Draw ``n`` samples; waits for ``max(watermark, n)`` to be held.

        After :meth:`close` nothing is waited for: the last batch may be shorter, and ``[]`` says
        that the buffer is exhausted (or was stopped).

        Raises:
            InputError: n < 1 or n > capacity.
        """
        if not 1 <= n <= self.capacity:
            raise InputError(
                f"buffer: batch of {n} samples out of a capacity of {self.capacity}; expected "
                "1 ≤ batch ≤ capacity; raise buffer.capacity or lower training.batch_size"
            )
        with self._lock:
            self._await(n)
            if self._stopped:
                return []
            entries = self._draw(min(n, self._size()))
            for entry in entries:
                self._count(entry)
            self._room.notify_all()
            return [entry.sample for entry in entries]

    def ready(self, n: int) -> bool:
        """Wait as :meth:`get_batch` does, and draw nothing; whether it would give samples."""
        with self._lock:
            self._await(n)
            return not self._stopped and self._size() > 0

    def remove(self, simulation: int) -> list[tuple[int, int]]:
        """Take out the samples of a simulation; gives their keys.

        They count as *removed*: what was put = what is held + evicted + removed.
        """
        with self._lock:
            entries = list(self._entries())
            gone = [entry.sample.key for entry in entries if entry.sample.key[0] == simulation]
            if gone:
                self._restore([e for e in entries if e.sample.key[0] != simulation])
                self._removed += len(gone)
                self._room.notify_all()
            return gone

    def watch(self, simulation: int) -> None:
        """Count the draws of a simulation from now on, until :meth:`unwatch`."""
        with self._lock:
            self._watched.setdefault(simulation, 0)

    def drawn_of(self, simulation: int) -> int:
        """How many were counted so far."""
        with self._lock:
            return self._watched.get(simulation, 0)

    def unwatch(self, simulation: int) -> int:
        """How many draws were counted."""
        with self._lock:
            return self._watched.pop(simulation, 0)

    def close(self) -> None:
        """Reception is over: what is held is drawn until nothing is left."""
        with self._lock:
            self._closed = True
            self._ready.notify_all()
            self._room.notify_all()

    def stop(self) -> None:
        """Wake everyone and give nothing more: :meth:`put` raises, :meth:`get_batch` gives ``[]``.

        What is held stays, so that :meth:`state_dict` still gives the whole state.
        """
        with self._lock:
            self._stopped = True
            self._ready.notify_all()
            self._room.notify_all()

    def __len__(self) -> int:
        with self._lock:
            return self._size()

    def samples(self) -> list[Sample]:
        """The samples held, whose frames a checkpoint needs; nothing is drawn."""
        with self._lock:
            return [entry.sample for entry in self._entries()]

    def stats(self) -> dict[str, Any]:
        """What the buffer did so far.

        ``distinct``: how many different samples were drawn.
        ``repeats``: how often a sample that was drawn at all has been drawn, on average.
        ``staleness``: how many samples came after a drawn one until it was drawn, averaged over
        about the last thousand draws.
        ``removed``: samples that left because of their simulation, drawn or not.
        ``ratio``: samples put per sample drawn; below 1 the trainer is faster than the solvers.
        """
        with self._lock:
            size, unseen = self._size(), self._unseen()
            return {
                "kind": self.kind,
                "size": size,
                "seen": size - unseen,
                "unseen": unseen,
                "capacity": self.capacity,
                "watermark": self.watermark,
                "put": self._put,
                "drawn": self._drawn,
                "distinct": self._distinct,
                "evicted": self._evicted,
                "removed": self._removed,
                "repeats": self._drawn / self._distinct if self._distinct else 0.0,
                "staleness": self._staleness,
                "ratio": self._put / self._drawn if self._drawn else 0.0,
                "closed": self._closed,
            }

    def state_dict(self) -> dict[str, Any]:
        """Keys instead of samples, counts and the state of the draws: numbers and lists only."""
        with self._lock:
            version, words, gauss = self._random.getstate()
            return {
                "kind": self.kind,
                "random": [version, list(words), gauss],
                "entries": [[*e.sample.key, e.born, e.drawn] for e in self._entries()],
                "counts": [self._put, self._drawn, self._distinct, self._evicted, self._removed],
                "watched": [list(entry) for entry in self._watched.items()],
                "staleness": self._staleness,
                "closed": self._closed,
            }

    def load_state_dict(
        self, state: Mapping[str, Any], resolve: Callable[[tuple[int, int]], Sample]
    ) -> None:
        """Continue where :meth:`state_dict` was taken: the same draws follow.

        Args:
            state: from :meth:`state_dict`, perhaps through JSON or msgpack.
            resolve: gives the sample of a key.

        Raises:
            InputError: another kind of buffer, or more samples than fit.
        """
        if state["kind"] != self.kind:
            raise InputError(
                f"buffer: the checkpoint holds a {state['kind']} buffer, the study asks for "
                f"{self.kind}; resume with buffer.kind={state['kind']}"
            )
        if len(state["entries"]) > self.capacity:
            raise InputError(
                f"buffer: the checkpoint holds {len(state['entries'])} samples, more than "
                f"capacity={self.capacity}; resume with a capacity at least as large"
            )
        entries = [
            HeldSample(resolve((simulation, origin)), born, drawn)
            for simulation, origin, born, drawn in state["entries"]
        ]
        version, words, gauss = state["random"]
        with self._lock:
            self._random.setstate((version, tuple(words), gauss))
            self._put, self._drawn, self._distinct, self._evicted, self._removed = state["counts"]
            self._watched = dict(state["watched"])
            self._staleness = state["staleness"]
            self._closed = state["closed"]
            self._restore(entries)
            self._ready.notify_all()
            self._room.notify_all()

    def _await(self, n: int) -> None:
        need = max(self.watermark, n)
        # Producers that were inside put when the buffer was closed are still let in.
        while not (self._stopped or self._size() >= need or (self._closed and not self._waiting)):
            self._ready.wait()

    def _count(self, entry: HeldSample) -> None:
        number = entry.sample.key[0]
        if number in self._watched:
            self._watched[number] += 1
        age = self._put - 1 - entry.born
        self._drawn += 1
        self._distinct += entry.drawn == 0
        self._staleness += (age - self._staleness) / min(self._drawn, MEMORY)
        entry.drawn += 1

    # What a kind defines. All are called with the lock held; draws and evictions take O(1) each.

    @abstractmethod
    def _has_room(self) -> bool:
        """Whether a sample can be added without losing one that was never drawn."""

    @abstractmethod
    def _add(self, entry: HeldSample) -> None:
        """Take an entry in; if full, one that was drawn leaves and is counted as evicted."""

    @abstractmethod
    def _draw(self, n: int) -> list[HeldSample]:
        """``n`` different entries, n ≤ size; those that leave are counted as evicted."""

    @abstractmethod
    def _size(self) -> int:
        """Number of entries held."""

    @abstractmethod
    def _unseen(self) -> int:
        """Number of entries held that may not leave yet: not drawn, or not often enough."""

    @abstractmethod
    def _entries(self) -> Iterable[HeldSample]:
        """All entries, in an order from which :meth:`_restore` gives the same draws."""

    @abstractmethod
    def _restore(self, entries: list[HeldSample]) -> None:
        """Hold exactly these entries, in the order of :meth:`_entries`."""


def swap_remove(entries: list[HeldSample], index: int) -> HeldSample:
    """Take an entry out of an unordered list in O(1): the last one moves into its place."""
    entries[index], entries[-1] = entries[-1], entries[index]
    return entries.pop()


def take(entries: list[HeldSample], indices: Iterable[int]) -> list[HeldSample]:
    """Take out the entries at different indices, given in order of ascending index."""
    # From the back: the entry that moves into a gap is never one that is still to be taken.
    return [swap_remove(entries, index) for index in sorted(indices, reverse=True)][::-1]
