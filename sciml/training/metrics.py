"""How far predictions are from the truth, a snapshot at a time: relative L2 and VRMSE of each field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sciml.surrogates.batch import Batch
from sciml.training.losses import NOTHING

#: Relative rounding of what is not float64: a field that varies by less is constant.
ROUNDING = {torch.float64: 1e-13}
USUAL_ROUNDING = 1.2e-7


@dataclass(frozen=True, slots=True)
class Measured:
    """Of some snapshots (samples times steps) of one field: means over their points, ``(B, U)``.

    Args:
        error: (û − u)².
        size: u².
        variance: (u − ū)², ū the mean over the points of the snapshot, of each component of a vector.
        mean: ū, of fields of numbers.
        rounding: relative, of the truth.
        alone: whether a snapshot is one number, which has no variance over points.
    """

    error: np.ndarray
    size: np.ndarray
    variance: np.ndarray
    mean: np.ndarray
    rounding: float
    alone: bool


def measure(
    output: Tensor, target: Tensor, batch: Batch, weights: Tensor | None = None
) -> Measured:
    """Compare predictions with the truth; in float64, in which squares of 1e±25 are numbers.

    Shapes: ``(B, U, *space)``, or concatenated points ``(N, U[, space])``.

    Args:
        weights: of points, as in :func:`sciml.training.losses.norms`.
    """
    truth = _double(target)
    error = _double(output) - truth
    weights = None if weights is None else _double(weights)
    mean = _mean(truth, batch, weights)
    single = _owner(truth, batch) is None and truth[0, 0].numel() == 1
    return Measured(
        error=_mean_square(error, batch, weights),
        size=_mean_square(truth, batch, weights),
        variance=_mean_square(truth - _at_points(mean, truth, batch), batch, weights),
        mean=_numbers(mean.flatten(1).mean(1, keepdim=True) if mean.ndim > 2 else mean),
        rounding=ROUNDING.get(target.dtype, USUAL_ROUNDING),
        alone=single,
    )


@dataclass(slots=True)
class Tally:
    """Figures of one field, from all that was measured.

    * relative L2: mean over snapshots of ‖û − u‖ / ‖u‖. An offset makes it small: of a temperature of
      280 ± 5 K it is 0.02 for a prediction that knows nothing.
    * VRMSE: mean over snapshots of √(⟨(û − u)²⟩ / ⟨(u − ū)²⟩), ⟨·⟩ and ū means over the points of the
      snapshot. The mean of the snapshot scores 1. Of numbers without points (one a sample), ⟨(u − ū)²⟩
      is over all snapshots.

    Snapshots that cannot be divided by are left out, and counted: of relative L2 those whose norm is
    below 1e-6 of the root mean square of all, of VRMSE those whose deviation is, or is what their dtype
    rounds off. Units do not matter in any of this.

    Source of VRMSE: Ohana et al., The Well, NeurIPS 2024, arXiv 2412.00568 (there with a small number
    added to the variance, in the units of the field).
    """

    parts: list[Measured] = field(default_factory=list)

    def add(self, part: Measured) -> None:
        self.parts.append(part)

    def relative_l2(self, step: int | None = None) -> float | None:
        """Mean over snapshots, or over those of one step; ``None`` where all are left out."""
        return self._mean(self._size, self._normed, step)

    def vrmse(self, step: int | None = None) -> float | None:
        """Likewise."""
        return self._mean(self._variance, self._varied, step)

    def norm_over(self, other: Tally) -> float | None:
        """Mean of ‖u‖ of these snapshots over ‖u‖ of those of another tally."""
        kept = other._normed
        if not kept.any():
            return None
        return float(np.sqrt(self._size[kept] / other._size[kept]).mean())

    @property
    def snapshots(self) -> int:
        return self._size.size

    @property
    def without_norm(self) -> int:
        return int((~self._normed).sum())

    @property
    def without_variance(self) -> int:
        return int((~self._varied).sum())

    @property
    def _size(self) -> np.ndarray:
        return np.concatenate([p.size for p in self.parts])

    @property
    def _variance(self) -> np.ndarray:
        found = np.concatenate([p.variance for p in self.parts])
        if self.parts[0].alone:
            found = np.full_like(found, np.var(np.concatenate([p.mean for p in self.parts])))
        return found

    @property
    def _normed(self) -> np.ndarray:
        size = self._size
        return size > NOTHING**2 * size.mean()

    @property
    def _varied(self) -> np.ndarray:
        variance, rounding = self._variance, self.parts[0].rounding
        return (variance > NOTHING**2 * variance.mean()) & (variance > rounding**2 * self._size)

    def _mean(self, squares: np.ndarray, kept: np.ndarray, step: int | None) -> float | None:
        error = np.concatenate([p.error for p in self.parts])
        if step is not None:
            error, squares, kept = error[:, step], squares[:, step], kept[:, step]
        if not kept.any():
            return None
        return float(np.sqrt(error[kept] / squares[kept]).mean())


def mean_of(values: Sequence[float | None]) -> float | None:
    """Of those that are there."""
    there = [v for v in values if v is not None]
    return float(np.mean(there)) if there else None


def _mean(values: Tensor, batch: Batch, weights: Tensor | None) -> Tensor:
    """Over the points of each sample at each time: ``(B, U)``, of vectors ``(B, U, space)``."""
    owner = _owner(values, batch)
    if owner is None and values.ndim == 2:
        return values
    one = torch.ones_like(values) if weights is None else weights.expand_as(values)
    if owner is None:
        return (values * one).flatten(2).sum(2) / one.flatten(2).sum(2)
    total = values.new_zeros(batch.size, *values.shape[1:])
    return total.index_add(0, owner, values * one) / total.index_add(0, owner, one)


def _mean_square(values: Tensor, batch: Batch, weights: Tensor | None) -> np.ndarray:
    """``(B, U)``; of vectors the sum over their components."""
    found = _mean(values.square(), batch, weights)
    return _numbers(found.sum(2) if found.ndim > 2 else found)


def _at_points(mean: Tensor, like: Tensor, batch: Batch) -> Tensor:
    """The mean of a sample at each of its points."""
    owner = _owner(like, batch)
    return mean.reshape(*mean.shape, *(1,) * (like.ndim - 2)) if owner is None else mean[owner]


def _owner(values: Tensor, batch: Batch) -> Tensor | None:
    """The sample of each point, of values that lie one sample after the other."""
    owner = batch.geometry.get("owner")
    return None if owner is None or len(values) != len(owner) else owner.to(values.device)


def _double(values: Tensor) -> Tensor:
    if values.device.type == "mps":  # has no float64
        values = values.cpu()
    return values.double()


def _numbers(values: Tensor) -> np.ndarray:
    return values.cpu().numpy()
