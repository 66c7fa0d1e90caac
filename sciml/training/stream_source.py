"""Batches drawn from a buffer that a stream fills meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sciml.buffer import Buffer
from sciml.samples import Task
from sciml.surrogates.batch import Batch
from sciml.surrogates.collation import collate
from sciml.surrogates.structure import Structure


class StreamSource:
    """Draws ``batch_size`` samples from a buffer for every step.

    Args:
        buffer: filled by another thread.
        task: the one that cut its samples.
        batch_size: samples a batch; the last ones may be smaller.
        structures: what the model wants derived; see :class:`~sciml.surrogates.traits.Traits`.
    """

    def __init__(
        self, buffer: Buffer, task: Task, batch_size: int, structures: Sequence[Structure] = ()
    ) -> None:
        self.buffer = buffer
        self.task = task
        self._structures = structures
        self.batch_size = batch_size
        self.drawn = 0

    def next_batch(self) -> Batch | None:
        samples = self.buffer.get_batch(self.batch_size)
        if not samples:
            return None
        self.drawn += len(samples)
        return collate(samples, self.task, self._structures)

    def ready(self) -> bool:
        """Wait for a batch, without drawing it; whether there is one."""
        return self.buffer.ready(self.batch_size)

    def state_dict(self) -> dict[str, Any]:
        return {"drawn": self.drawn, "buffer": self.buffer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the count. The buffer needs the samples behind its keys, which only the owner of
        the stream can give: restore it with ``buffer.load_state_dict(state["buffer"], resolve)``."""
        self.drawn = int(state["drawn"])
