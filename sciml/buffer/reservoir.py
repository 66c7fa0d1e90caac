"""The training reservoir: samples repeat while no new ones come, and none goes undrawn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

from sciml.buffer.core import Buffer, HeldSample, swap_remove, take
from sciml.errors import InputError


@final
class Reservoir(Buffer):
    """Draws uniformly from all samples held, which stay and may be drawn again.

    A new sample displaces a random *seen* one (drawn at least ``draws`` times) when the reservoir is
    full, and waits only when all that are held are *unseen*. So every sample is drawn at least that
    often, the trainer never waits once the watermark is reached, and the bias of time-ordered
    arrival is gone. When reception is over, what is seen leaves as it is drawn, until nothing is
    left. Within a batch no sample comes twice.

    With one draw this is the published algorithm. More draws hold fast solvers back: a run of N
    samples then has at least N · draws / batch gradient steps on any machine, which a schedule of
    fixed length can rely on.

    Args:
        capacity, watermark, seed: as for every buffer.
        draws: how often a sample must be drawn before it may leave.

    Raises:
        InputError: draws < 1, or sizes that cannot work.

    Fails: with solvers much slower than the trainer, samples repeat often enough to overfit; watch
    ``repeats`` in :meth:`stats`, raise the capacity or run more solvers.

    Source: Meyer et al., *High Throughput Training of Deep Surrogates from Large Ensemble Runs*,
    SC23, arXiv 2309.16743, Algorithm 1.
    """

    kind = "reservoir"

    def __init__(self, capacity: int, watermark: int = 1, seed: int = 0, *, draws: int = 1) -> None:
        super().__init__(capacity, watermark, seed)
        if draws < 1:
            raise InputError(f"buffer: draws={draws}; expected 1 or more")
        self.draws = draws
        self._old: list[HeldSample] = []
        self._new: list[HeldSample] = []

    def _has_room(self) -> bool:
        return len(self._new) < self.capacity

    def _add(self, entry: HeldSample) -> None:
        if self._size() == self.capacity:
            swap_remove(self._old, self._random.randrange(len(self._old)))
            self._evicted += 1
        self._new.append(entry)

    def _draw(self, n: int) -> list[HeldSample]:
        seen = len(self._old)
        indices = self._random.sample(range(self._size()), n)
        old = [i for i in indices if i < seen]
        new = take(self._new, (i - seen for i in indices if i >= seen))
        due = [entry for entry in new if entry.drawn + 1 >= self.draws]
        self._new.extend(entry for entry in new if entry.drawn + 1 < self.draws)
        if self._closed:
            self._evicted += len(old) + len(due)
            return take(self._old, old) + new
        entries = [self._old[i] for i in old] + new
        self._old.extend(due)
        return entries

    def _size(self) -> int:
        return len(self._old) + len(self._new)

    def _unseen(self) -> int:
        return len(self._new)

    def _entries(self) -> Iterable[HeldSample]:
        return self._old + self._new

    def _restore(self, entries: list[HeldSample]) -> None:
        self._old = [entry for entry in entries if entry.drawn >= self.draws]
        self._new = [entry for entry in entries if entry.drawn < self.draws]
