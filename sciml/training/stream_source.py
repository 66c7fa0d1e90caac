"""Batches drawn from a buffer that a stream fills meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sciml.buffer import Buffer
from sciml.samples import Task
from sciml.surrogates.batch import Batch
from sciml.surrogates.collation import collate
from sciml.surrogates.structure import BadFrame, Structure


class StreamSource:
    """Draws ``batch_size`` samples from a buffer for every step.

    Args:
        buffer: filled by another thread.
        task: the one that cut its samples.
        batch_size: samples a batch; the last ones may be smaller.
        structures: what the model wants derived; see :class:`~sciml.surrogates.traits.Traits`.
        refuse: takes a simulation with a frame of which that cannot be made, and why; the batch goes
            without its samples. ``None``: such a frame is an error.
    """

    def __init__(
        self,
        buffer: Buffer,
        task: Task,
        batch_size: int,
        structures: Sequence[Structure] = (),
        refuse: Callable[[int, str], None] | None = None,
    ) -> None:
        self.buffer = buffer
        self.task = task
        self._structures, self._refuse = structures, refuse
        self.batch_size = batch_size
        self.drawn = 0

    def next_batch(self) -> Batch | None:
        while samples := self.buffer.get_batch(self.batch_size):
            self.drawn += len(samples)
            while samples:
                try:
                    return collate(samples, self.task, self._structures)
                except BadFrame as error:
                    if self._refuse is None:
                        raise
                    self._refuse(error.simulation, error.reason)
                    samples = [s for s in samples if s.simulation.id != error.simulation]
        return None

    def ready(self) -> bool:
        """Wait for a batch, without drawing it; whether there is one."""
        return self.buffer.ready(self.batch_size)

    def state_dict(self) -> dict[str, Any]:
        return {"drawn": self.drawn, "buffer": self.buffer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the count. The buffer needs the samples behind its keys, which only the owner of
        the stream can give: restore it with ``buffer.load_state_dict(state["buffer"], resolve)``."""
        self.drawn = int(state["drawn"])
