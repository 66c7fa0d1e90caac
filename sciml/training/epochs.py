"""The order in which samples are drawn, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


class Epochs:
    """Every number below ``count`` once an epoch, in batches.

    Args:
        count: of samples.
        batch_size: of them at a time; the last batch of an epoch may be smaller.
        epochs: passes; ``None``: without end.
        seed: of the order, which follows from ``(seed, epoch)`` alone.
        shuffle: ``False``: from 0 on.
    """

    def __init__(
        self, count: int, batch_size: int, epochs: int | None, seed: int, shuffle: bool
    ) -> None:
        self.count = count
        self.batch_size = min(batch_size, count)
        self.epochs = epochs
        self.seed = seed
        self.shuffle = shuffle
        self._epoch = 0
        self._position = 0
        self._order = self._draw_order()

    @property
    def steps(self) -> int:
        """Batches in one epoch."""
        return -(-self.count // self.batch_size)

    def draw(self) -> np.ndarray | None:
        """Numbers of the next batch; ``None`` after the last epoch."""
        if self._position >= self.count:
            self._epoch += 1
            self._position = 0
            self._order = self._draw_order()
        if self.epochs is not None and self._epoch >= self.epochs:
            return None
        chosen = self._order[self._position : self._position + self.batch_size]
        self._position += len(chosen)
        return chosen

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._epoch, self._position = int(state["epoch"]), int(state["position"])
        self._order = self._draw_order()

    def _draw_order(self) -> np.ndarray:
        if not self.shuffle:
            return np.arange(self.count)
        return np.random.default_rng((self.seed, self._epoch)).permutation(self.count)


class InEpochs:
    """What sources that go by epochs have in common."""

    _order: Epochs

    @property
    def epoch_steps(self) -> int:
        """Batches in one epoch."""
        return self._order.steps

    def state_dict(self) -> dict[str, Any]:
        return self._order.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._order.load_state_dict(state)
