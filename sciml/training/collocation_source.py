"""Points where a residual is asked for, drawn afresh at every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from typing import Any

import numpy as np
import torch

from sciml.errors import InputError
from sciml.surrogates.batch import Batch
from sciml.training.adaptive import Adaptive

Sampler = Callable[[np.random.Generator, int], Mapping[str, np.ndarray]]


class CollocationSource:
    """``n`` points from ``sampler(rng, n)``, a dict of arrays, as the inputs of a batch.

    The inputs require gradients, since residuals differentiate with respect to them. The points of
    draw k follow from ``(seed, k)`` alone, unless they adapt.

    Args:
        sampler: ``sampler(rng, n) -> {"interior": (n, d), "boundary": (m, d), …}``.
        n: points a draw.
        seed: of the draws.
        draws: number of draws; ``None``: without end.
        every: draws with the same points; 0: the same always.
        curriculum: draws in which the span of time grows to the whole; 0: it is whole at once.
        stages: equal parts by which it grows.
        adaptive: points inside go where the residual is large: see
            :class:`~sciml.training.adaptive.Adaptive`, which the loop carries out.

    Raises:
        InputError: a curriculum of a sampler without time.
    """

    def __init__(
        self,
        sampler: Sampler,
        n: int,
        seed: int = 0,
        draws: int | None = None,
        every: int = 1,
        curriculum: int = 0,
        stages: int = 10,
        adaptive: Adaptive | None = None,
    ) -> None:
        if curriculum and getattr(sampler, "time_column", None) is None:
            raise InputError(f"collocation: curriculum={curriculum}, and no time; give time")
        if stages < 1:
            raise InputError(f"collocation: stages={stages}; expected 1 or more")
        self.sampler = sampler
        self.batch_size = n
        self.seed = seed
        self.draws = draws
        self.every = every
        self.curriculum, self.stages = curriculum, stages
        self.adaptive = adaptive
        self._drawn = 0
        #: What the sampler gave last, by what it was asked for.
        self._last: tuple[Any, dict[str, np.ndarray]] = (None, {})
        #: Points inside that were chosen, and the draw before which they were.
        self._chosen: np.ndarray | None = None
        self._chosen_at = 0

    def require_whole(self, draws: int) -> None:
        """That the span of time has grown to the whole before the last of so many draws.

        Raises:
            InputError: it has not.
        """
        if draws * self.stages <= self.curriculum * (self.stages - 1):
            raise InputError(
                f"collocation: curriculum={self.curriculum} draws, and there are {draws} in all phases "
                "(one with lbfgs, and one each time that it draws anew): the last times would never be "
                "seen; expected fewer"
            )

    def peek(self) -> Batch:
        """The batch that comes next, of the whole span of time; it still does."""
        drawn, curriculum = self._drawn, self.curriculum
        self.curriculum = 0
        batch = self._batch()
        self._drawn, self.curriculum = drawn, curriculum
        return batch

    def next_batch(self) -> Batch | None:
        if self.draws is not None and self._drawn >= self.draws:
            return None
        return self._batch()

    @property
    def due(self) -> bool:
        """Whether points inside are to be chosen anew before the next draw."""
        if self.adaptive is None or self._chosen_at == self._drawn:
            return False
        # A phase may ask for another number of points.
        other = not self.adaptive.add and self._chosen is not None
        return self._drawn % self.adaptive.every == 0 or (
            other and len(self._chosen) != self.batch_size
        )

    def adapt(self, squares: Callable[[np.ndarray], np.ndarray]) -> None:
        """Choose points inside by the squares of their residuals, ``(n,)`` of points ``(n, d)``."""
        how, rng = self.adaptive, np.random.default_rng((self.seed, self._drawn, 1))
        n = how.add or self.batch_size
        candidates = self._points(rng, how.candidates * n)["interior"]
        chosen = candidates[how.chosen(squares(candidates), n, rng)]
        if how.add:
            kept = self._chosen
            if kept is None:
                kept = self._points(np.random.default_rng((self.seed, 0)), self.batch_size)[
                    "interior"
                ]
            chosen = np.concatenate([kept, chosen])
        self._chosen, self._chosen_at = chosen, self._drawn

    def _points(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        points = dict(self.sampler(rng, n))
        if self._drawn < self.curriculum:
            column, part = self.sampler.time_column, self._part
            first = self.sampler.time[0]
            for values in points.values():
                values[:, column] = first + part * (values[:, column] - first)
        return points

    @property
    def _part(self) -> float:
        """Of the span of time, what is drawn from."""
        return min(1.0, ceil((self._drawn + 1) * self.stages / self.curriculum) / self.stages)

    def _batch(self) -> Batch:
        number = self._drawn // self.every if self.every else 0
        asked = (number, self.batch_size, self._drawn < self.curriculum and self._part)
        if self._last[0] != asked:
            rng = np.random.default_rng((self.seed, number))
            self._last = (asked, self._points(rng, self.batch_size))
        points = dict(self._last[1])
        if self._chosen is not None:
            points["interior"] = self._chosen
        elif self.adaptive is not None and self.adaptive.add:
            first = self._points(np.random.default_rng((self.seed, 0)), self.batch_size)
            points["interior"] = first["interior"]
        self._drawn += 1
        dtype = torch.get_default_dtype()
        inputs = {
            name: torch.as_tensor(np.asarray(values), dtype=dtype).requires_grad_()
            for name, values in points.items()
        }
        return Batch(inputs=inputs, size=self.batch_size, kind="points")

    def state_dict(self) -> dict[str, Any]:
        chosen = {"chosen": self._chosen, "chosen_at": self._chosen_at}
        return {"drawn": self._drawn, **(chosen if self.adaptive is not None else {})}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._drawn = int(state["drawn"])
        self._chosen, self._chosen_at = state.get("chosen"), state.get("chosen_at", 0)
