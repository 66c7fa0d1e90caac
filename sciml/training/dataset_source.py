"""Batches from a fixed set of samples, epoch after epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sciml.errors import InputError
from sciml.samples import Sample, Task
from sciml.surrogates.batch import Batch, collate


class DatasetSource:
    """Every sample once an epoch, in an order of its own each time.

    The order of an epoch follows from ``(seed, epoch)`` alone, so a resumed run draws the very
    batches that an uninterrupted one would have drawn.

    Args:
        samples: anything with a length and an index; read when drawn.
        task: the one that cut them.
        batch_size: samples a batch; the last one of an epoch may be smaller.
        epochs: passes over the samples; ``None``: without end.
        seed: of the order.
        shuffle: ``False`` keeps the order of ``samples``.

    Raises:
        InputError: no samples, or a batch size below 1.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        task: Task,
        batch_size: int,
        epochs: int | None = None,
        seed: int = 0,
        shuffle: bool = True,
    ) -> None:
        if len(samples) == 0:
            raise InputError("dataset source: no samples; expected at least one")
        if batch_size < 1:
            raise InputError(f"dataset source: batch_size={batch_size}; expected at least 1")
        self.samples = samples
        self.task = task
        self.batch_size = min(batch_size, len(samples))
        self.epochs = epochs
        self.seed = seed
        self.shuffle = shuffle
        self._epoch = 0
        self._position = 0
        self._order = self._draw_order()

    @property
    def epoch_steps(self) -> int:
        """Batches in one epoch."""
        return -(-len(self.samples) // self.batch_size)

    def next_batch(self) -> Batch | None:
        if self._position >= len(self.samples):
            self._epoch += 1
            self._position = 0
            self._order = self._draw_order()
        if self.epochs is not None and self._epoch >= self.epochs:
            return None
        chosen = self._order[self._position : self._position + self.batch_size]
        self._position += len(chosen)
        return collate([self.samples[int(i)] for i in chosen], self.task)

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._epoch, self._position = int(state["epoch"]), int(state["position"])
        self._order = self._draw_order()

    def _draw_order(self) -> np.ndarray:
        if not self.shuffle:
            return np.arange(len(self.samples))
        return np.random.default_rng((self.seed, self._epoch)).permutation(len(self.samples))
