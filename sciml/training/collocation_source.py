"""Points where a residual is asked for, drawn afresh at every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from sciml.surrogates.batch import Batch

Sampler = Callable[[np.random.Generator, int], Mapping[str, np.ndarray]]


class CollocationSource:
    """``n`` points from ``sampler(rng, n)``, a dict of arrays, as the inputs of a batch.

    The inputs require gradients, since residuals differentiate with respect to them. The points of
    draw k follow from ``(seed, k)`` alone.

    Args:
        sampler: ``sampler(rng, n) -> {"interior": (n, d), "boundary": (m, d), …}``.
        n: points a draw.
        seed: of the draws.
        draws: number of draws; ``None``: without end.
        every: draws with the same points; 0: the same always.
    """

    def __init__(
        self, sampler: Sampler, n: int, seed: int = 0, draws: int | None = None, every: int = 1
    ) -> None:
        self.sampler = sampler
        self.batch_size = n
        self.seed = seed
        self.draws = draws
        self.every = every
        self._drawn = 0

    def peek(self) -> Batch:
        """The batch that comes next; it still does."""
        drawn = self._drawn
        batch = self._batch()
        self._drawn = drawn
        return batch

    def next_batch(self) -> Batch | None:
        if self.draws is not None and self._drawn >= self.draws:
            return None
        return self._batch()

    def _batch(self) -> Batch:
        number = self._drawn // self.every if self.every else 0
        points = self.sampler(np.random.default_rng((self.seed, number)), self.batch_size)
        self._drawn += 1
        dtype = torch.get_default_dtype()
        inputs = {
            name: torch.as_tensor(np.asarray(values), dtype=dtype).requires_grad_()
            for name, values in points.items()
        }
        return Batch(inputs=inputs, size=self.batch_size, kind="points")

    def state_dict(self) -> dict[str, Any]:
        return {"drawn": self._drawn}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._drawn = int(state["drawn"])
