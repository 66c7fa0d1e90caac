"""How far predictions are from the truth: of fields a snapshot at a time, of kinds and energies in all.

Which of them a target is judged by is a matter of its role: see :mod:`sciml.surrogates.kits`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sciml.surrogates.batch import Batch
from sciml.training.losses import NOTHING, entropies

#: Relative rounding of what is not float64: a field that varies by less is constant.
ROUNDING = {torch.float64: 1e-13}
#: That of all other dtypes: of float32, which the data are in, mostly.
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
    output: Tensor, target: Tensor, batch: Batch, weights: Tensor | None = None, name: str = ""
) -> Measured:
    """Compare predictions with the truth; in float64, in which squares of 1e±25 are numbers.

    Shapes: ``(B, U, *space)``, or concatenated points ``(N, U[, space])``.

    Args:
        weights: of points, as in :func:`sciml.training.losses.norms`.
        name: of the field, by which the batch knows where its rows are.
    """
    truth = _double(target)
    error = _double(output) - truth
    weights = None if weights is None else _double(weights)
    over = _Rows(batch.rows(name, truth), batch.size)
    mean = over.mean(truth, weights)
    single = over.rows is None and truth[0, 0].numel() == 1
    return Measured(
        error=over.mean_square(error, weights),
        size=over.mean_square(truth, weights),
        variance=over.mean_square(truth - over.at_points(mean, truth), weights),
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

    def take(self, name: str, output: Tensor, batch: Batch) -> None:
        """Compare an output with the target of that name."""
        self.add(measure(output, batch.targets[name], batch, batch.weights.get(name), name))

    def one_step(self) -> dict[str, float | None]:
        """Figures one step ahead, and how many snapshots are not in them."""
        found = {"one_step": self.relative_l2(), "vrmse": self.vrmse()}
        for key in ("without_norm", "without_variance"):
            if count := getattr(self, key):
                found |= {key: count, "snapshots": self.snapshots}
        return found

    def rolled_out(self) -> dict[str, float | None]:
        """Figures of a rollout."""
        return {
            "rollout": self.relative_l2(),
            "rollout_last": self.relative_l2(-1),
            "vrmse_rollout": self.vrmse(),
            "vrmse_rollout_last": self.vrmse(-1),
        }

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


@dataclass(slots=True)
class Absolute:
    """Mean |û − u| and √ mean (û − u)², over all components of all points, in the units of the field."""

    sums: np.ndarray = field(default_factory=lambda: np.zeros(3))
    keys = ("mae", "rmse")

    def take(self, name: str, output: Tensor, batch: Batch) -> None:
        """Compare an output with the target of that name."""
        error = self._error(_double(output) - _double(batch.targets[name]), batch)
        weights = batch.weights.get(name)
        one = torch.ones_like(error) if weights is None else _double(weights).expand_as(error)
        parts = one, one * error.abs(), one * error.square()
        self.sums += np.array([float(part.sum()) for part in parts])

    def one_step(self) -> dict[str, float | None]:
        """Both figures, one step ahead."""
        count, absolute, squares = self.sums
        found = (absolute / count, (squares / count) ** 0.5) if count else (None, None)
        return dict(zip(self.keys, map(float, found) if count else found, strict=True))

    def rolled_out(self) -> dict[str, float | None]:
        """None of a rollout."""
        return {}

    def _error(self, error: Tensor, batch: Batch) -> Tensor:
        return error


@dataclass(slots=True)
class PerParticle(Absolute):
    """The same of (û − u) / n, n the particles of a sample: of energies."""

    keys = ("mae_per_particle", "rmse_per_particle")

    def _error(self, error: Tensor, batch: Batch) -> Tensor:
        return error / torch.diff(batch.geometry["ptr"]).to(error)[:, None]


@dataclass(slots=True)
class Kinds:
    """Of fields of kinds: the part that is met by the most likely one, and the mean of −ln p."""

    sums: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def take(self, name: str, output: Tensor, batch: Batch) -> None:
        """Compare an output, a number a kind in axis 2, with the target."""
        target, weights = batch.targets[name], batch.weights.get(name)
        met = (output.argmax(2) == target).double()
        one = torch.ones_like(met) if weights is None else weights.to(met).expand_as(met)
        surprise = entropies(output, target).double()
        self.sums += np.array([float(p.sum()) for p in (one, one * met, one * surprise)])

    def one_step(self) -> dict[str, float | None]:
        """Both figures, one step ahead."""
        count, met, surprise = self.sums
        if not count:
            return {}
        return {"accuracy": float(met / count), "cross_entropy": float(surprise / count)}

    def rolled_out(self) -> dict[str, float | None]:
        """The part at all steps of a rollout."""
        return {"accuracy_rollout": self.one_step().get("accuracy")}


Metric = Tally | Absolute | Kinds

#: By the name that a kit has for it.
METRICS: dict[str, type[Metric]] = {
    "fields": Tally,
    "kinds": Kinds,
    "absolute": Absolute,
    "a_particle": PerParticle,
}


def mean_of(values: Sequence[float | None]) -> float | None:
    """Of those that are there."""
    there = [v for v in values if v is not None]
    return float(np.mean(there)) if there else None


@dataclass(frozen=True, slots=True)
class _Rows:
    """The sample of each row, of values that lie one sample after the other; how many there are."""

    rows: Tensor | None
    size: int

    def mean(self, values: Tensor, weights: Tensor | None) -> Tensor:
        """Over the points of each sample at each time: ``(B, U)``, of vectors ``(B, U, space)``."""
        if self.rows is None and values.ndim == 2:
            return values
        one = torch.ones_like(values) if weights is None else weights.expand_as(values)
        if self.rows is None:
            return (values * one).flatten(2).sum(2) / one.flatten(2).sum(2)
        total = values.new_zeros(self.size, *values.shape[1:])
        sums = total.index_add(0, self.rows, values * one)
        return sums / total.index_add(0, self.rows, one)

    def mean_square(self, values: Tensor, weights: Tensor | None) -> np.ndarray:
        """``(B, U)``; of vectors the sum over their components."""
        found = self.mean(values.square(), weights)
        return _numbers(found.sum(2) if found.ndim > 2 else found)

    def at_points(self, mean: Tensor, like: Tensor) -> Tensor:
        """The mean of a sample at each of its points."""
        if self.rows is None:
            return mean.reshape(*mean.shape, *(1,) * (like.ndim - 2))
        return mean[self.rows]


def _double(values: Tensor) -> Tensor:
    if values.device.type == "mps":  # has no float64
        values = values.cpu()
    return values.double()


def _numbers(values: Tensor) -> np.ndarray:
    return values.cpu().numpy()
