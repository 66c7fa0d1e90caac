"""The training reservoir: samples repeat while no new ones come, and none goes undrawn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

from sciml.buffer.core import Buffer, Entry, swap_remove, take


@final
class Reservoir(Buffer):
    """Draws uniformly from all samples held, which stay and may be drawn again.

    A new sample displaces a random *seen* one (drawn at least once) when the reservoir is full, and
    waits only when all that are held are *unseen*. So every sample is drawn at least once, the
    trainer never waits once the watermark is reached, and the bias of time-ordered arrival is gone.
    When reception is over, what is drawn leaves, until nothing is left.

    Within a batch no sample comes twice.

    Fails: with solvers much slower than the trainer, samples repeat often enough to overfit; watch
    ``repeats`` in :meth:`stats`, raise the capacity or run more solvers.

    Source: Meyer et al., *High Throughput Training of Deep Surrogates from Large Ensemble Runs*,
    SC23, arXiv 2309.16743, Algorithm 1.
    """

    kind = "reservoir"

    def __init__(self, capacity: int, watermark: int = 1, seed: int = 0) -> None:
        super().__init__(capacity, watermark, seed)
        self._old: list[Entry] = []
        self._new: list[Entry] = []

    def _has_room(self) -> bool:
        return len(self._new) < self.capacity

    def _add(self, entry: Entry) -> None:
        if self._size() == self.capacity:
            swap_remove(self._old, self._random.randrange(len(self._old)))
            self._evicted += 1
        self._new.append(entry)

    def _draw(self, n: int) -> list[Entry]:
        seen = len(self._old)
        indices = self._random.sample(range(self._size()), n)
        old = [i for i in indices if i < seen]
        new = take(self._new, (i - seen for i in indices if i >= seen))
        if self._closed:
            self._evicted += n
            entries = take(self._old, old) + new
        else:
            entries = [self._old[i] for i in old] + new
            self._old.extend(new)
        return entries

    def _size(self) -> int:
        return len(self._old) + len(self._new)

    def _unseen(self) -> int:
        return len(self._new)

    def _entries(self) -> Iterable[Entry]:
        return self._old + self._new

    def _restore(self, entries: list[Entry]) -> None:
        self._old = [entry for entry in entries if entry.drawn]
        self._new = [entry for entry in entries if not entry.drawn]
