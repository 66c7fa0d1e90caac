"""What each running simulation gave to scaling and bounds, to take it out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from sciml.samples import Sample
from sciml.surrogates.bounds import joined
from sciml.surrogates.normalizer import merge
from sciml.surrogates.statistics import Statistics

#: A scaling that changes by less than this factor is left as the model has learned with it.
MATTERS = 2.0


@dataclass(slots=True)
class _Share:
    bounds: np.ndarray
    moments: np.ndarray


class Shares:
    """Statistics of a stream, by simulation while it may turn out bad.

    Moments of a simulation can be merged into those of others and not be subtracted again: beside 1e30
    nothing is left of them. So each has its own until :meth:`close`, which merges them: memory for the
    simulations that run.

    Once scaling and basis are :meth:`fix`\\ ed, taking out what decided them (by a factor of two) leaves
    the model with numbers that mean nothing: they are measured anew by :meth:`renew`, from what is left,
    or, where nothing is, from the samples that come until :meth:`fix` is called again.

    Args:
        statistics: of the surrogate, that no one else updates.
        state: from :meth:`state_dict`, with the surrogate's weights of the same moment.
    """

    def __init__(self, statistics: Statistics, state: Mapping[str, Any] | None = None) -> None:
        self.statistics = statistics
        surrogate = statistics.surrogate
        self._normalizer, self._bounds = surrogate.normalizer, surrogate.bounds
        self._whole = _Share(self._bounds.both, self._normalizer.moments)
        self._shares: dict[int, _Share] = {}
        #: Whether what was taken out is part of the scaling that is fixed.
        self.stale = False
        self._scales: dict[str, tuple[float, float]] = {}
        if state is not None:
            self._whole = self._share(state["whole"])
            self._shares = {number: self._share(share) for number, *share in state["shares"]}
            self.stale = state["stale"]

    def update(self, samples: Sequence[Sample]) -> None:
        """Take samples into account."""
        bounds, moments = self.statistics.update(samples)
        for k, sample in enumerate(samples):
            share = self._shares.setdefault(sample.key[0], self._nothing())
            share.bounds = joined(share.bounds, bounds[k])
            if moments:
                share.moments = merge(share.moments, moments[k])

    def close(self, simulation: int) -> None:
        """It has ended well: its share is one with those of all others."""
        share = self._shares.pop(simulation, None)
        self._normalizer.close(simulation)
        if share is not None:
            self._whole = _joined(self._whole, share)

    def widen(self, samples: Sequence[Sample]) -> None:
        """Take samples into account for the bounds alone."""
        for bounds in self._bounds.update(samples):
            self._whole.bounds = joined(self._whole.bounds, bounds)

    def remove(self, simulation: int, *, trained: bool = False) -> None:
        """Take its share out; ``trained``: it is trained on all the same, and its bounds stay."""
        self.statistics.forget(simulation)
        self._normalizer.forget(simulation)
        share = self._shares.pop(simulation, None)
        if share is None:
            return
        if trained:
            self._whole.bounds = joined(self._whole.bounds, share.bounds)
        left = reduce(_joined, self._shares.values(), self._whole)
        self._bounds.both = left.bounds
        if not self._normalizer.fixed:
            self._normalizer.moments = left.moments
        elif share.moments[:, 0].any():
            self.stale = True

    def fix(self, samples: Sequence[Sample]) -> bool:
        """Stop measuring; of ``samples`` where nothing else was measured. False if there are none."""
        if not self._normalizer.fixed and not self._normalizer.moments[:, 0].any():
            self._normalizer.update(samples)
            if not samples:
                return False
        self.statistics.fix()
        self._scales = {}
        return True

    def scale(self, name: str) -> tuple[float, float]:
        """Mean and deviation by which a field is scaled, once fixed; before, and of one that was
        constant, the deviation is infinite."""
        if not self._normalizer.fixed:
            return 0.0, np.inf
        if name not in self._scales:  # from the device, once
            row = self._normalizer.keys.index(("field", name))
            count, mean, squares, resolution = map(float, self._normalizer.moments[row])
            deviation = (squares / count) ** 0.5
            constant = deviation <= resolution * abs(mean)
            self._scales[name] = mean, np.inf if constant else deviation
        return self._scales[name]

    def renew(self, samples: Callable[[], Sequence[Sample]]) -> bool:
        """Scale anew where that is due, between two steps of the training.

        Args:
            samples: that can be trained on now; those that came after :meth:`fix` were not measured.

        Returns:
            Whether the scaling changed; then :meth:`fix` is to be called again.
        """
        if not self.stale:
            return False
        self.stale = False
        left = reduce(_joined, self._shares.values(), self._whole).moments
        before = self._normalizer.moments
        fields = np.array([kind in ("field", "increment") for kind, _ in self._normalizer.keys])
        if left[:, 0].any() and not _differ(before[fields], left[fields]):
            return False
        found = samples()
        self.statistics.reopen(found)
        if left[:, 0].any():
            # Parameters and times are what they were: one may be constant in what is left.
            self._normalizer.moments = np.where(fields[:, None], left, before)
            return True
        self._normalizer.moments = left
        for sample, moments in zip(found, self._normalizer.update(found), strict=True):
            share = self._shares.setdefault(sample.key[0], self._nothing())
            share.moments = merge(share.moments, moments)
        return True

    def state_dict(self) -> dict[str, Any]:
        """Numbers and lists only."""
        return {
            "whole": [self._whole.bounds.tolist(), self._whole.moments.tolist()],
            "shares": [
                [number, share.bounds.tolist(), share.moments.tolist()]
                for number, share in self._shares.items()
            ],
            "stale": self.stale,
        }

    def _nothing(self) -> _Share:
        return _Share(self._bounds.nothing, self._normalizer.nothing)

    def _share(self, lists: Iterable[Any]) -> _Share:
        bounds, moments = (np.array(values, np.float64) for values in lists)
        nothing = self._nothing()
        return _Share(bounds.reshape(nothing.bounds.shape), moments.reshape(nothing.moments.shape))


def _joined(a: _Share, b: _Share) -> _Share:
    return _Share(joined(a.bounds, b.bounds), merge(a.moments, b.moments))


def _differ(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether data look otherwise, scaled by these moments in place of those."""
    deviation = [np.sqrt(m[:, 2] / np.maximum(m[:, 0], 1.0)) for m in (a, b)]
    less, more = np.minimum(*deviation), np.maximum(*deviation)
    shifted = np.abs(a[:, 1] - b[:, 1]) > MATTERS * less
    return bool(((more > MATTERS * less) | (shifted & (more > 0))).any())
