"""First in, random out: each sample once, in random order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

from sciml.buffer.core import Buffer, HeldSample, swap_remove


@final
class FIRO(Buffer):
    """Each sample is drawn exactly once, uniformly from those held.

    The watermark keeps enough of them to mix: a draw never leaves fewer than ``watermark − n``
    while more can come. Each sample trains once, so the trainer waits whenever the solvers are
    slower than it is.
    """

    kind = "firo"

    def __init__(self, capacity: int, watermark: int = 1, seed: int = 0) -> None:
        super().__init__(capacity, watermark, seed)
        self._held: list[HeldSample] = []

    def _has_room(self) -> bool:
        return len(self._held) < self.capacity

    def _add(self, entry: HeldSample) -> None:
        self._held.append(entry)

    def _draw(self, n: int) -> list[HeldSample]:
        self._evicted += n
        return [swap_remove(self._held, self._random.randrange(len(self._held))) for _ in range(n)]

    def _size(self) -> int:
        return len(self._held)

    def _unseen(self) -> int:
        return len(self._held)

    def _entries(self) -> Iterable[HeldSample]:
        return self._held

    def _restore(self, entries: list[HeldSample]) -> None:
        self._held = entries
