"""What should be said of a prediction: inputs far from the training, outputs that are not finite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from sciml.samples import Sample
from sciml.surrogates.batch import Batch
from sciml.surrogates.bounds import FIELD, FORCING, Bounds, values_of

if TYPE_CHECKING:
    from sciml.surrogates.physical_model import PhysicalModel

#: Share of the range of a parameter, or of times, by which one may lie outside of it.
BEYOND = 0.1
#: Deviations from the mean by which a field may be off, where it is outside of its range.
DEVIATIONS = 10.0
#: What is measured in deviations.
FIELDS = (FIELD, FORCING)


@dataclass(slots=True)
class _Worst:
    """The value that is farthest off, and in which samples there are such."""

    far: float = 0.0
    value: float = 0.0
    where: str = ""
    samples: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Left:
    """Where an output of one sample left the range of the training."""

    step: int
    when: str
    far: float


class Findings:
    """Gathers over one call what is to be said of it.

    * A parameter, or a time that the model sees, outside of what it was trained on by more than a tenth
      of that range (of its size, where it was one and the same).
    * A field outside of its range by more than a tenth of it, and ten deviations from its mean.
    * An output that is not finite: the first step at which it is.
    * An output of a field that the model sees as well, as far off as that of a sample that began within
      its range: a rollout that blows up, or drifts away, is told long before it is not finite.

    Args:
        surrogate: whose bounds and scaling count.
    """

    def __init__(self, surrogate: PhysicalModel) -> None:
        self._bounds = getattr(surrogate, "bounds", None) or Bounds(surrogate.task)
        self._normalizer = getattr(surrogate, "normalizer", None)
        self._worst: dict[tuple[str, str], _Worst] = {}
        self._broken: dict[str, dict[int, tuple[int, str]]] = {}
        self._left: dict[str, dict[int, _Left]] = {}
        self._masks = getattr(surrogate, "masks", None) or {}
        self._limits = {key: self._limits_of(*key) for key in self._bounds.keys}

    def saw(self, sample: int, window: Sample, when: Callable[[], str] = lambda: "") -> None:
        """Look at what a model is about to see.

        Args:
            sample: number that it has for the caller.
            window: its frames.
            when: gives the time of the newest one in words.
        """
        keys = [key for key, limits in self._limits.items() if limits is not None]
        for key, values in zip(keys, values_of(keys, window), strict=True):
            middle, unit, low, high = self._limits[key]
            least, most = float(np.min(values)), float(np.max(values))
            if low <= least and most <= high:
                continue
            value = most if most - high > low - least else least
            outside = max(value - high, low - value)
            far = abs(value - middle) / unit if key[0] in FIELDS else outside / unit
            if far <= (DEVIATIONS if key[0] in FIELDS else BEYOND):
                continue
            worst = self._worst.setdefault(key, _Worst())
            worst.samples.add(sample)
            if far > worst.far:
                time = when() if key[0] in FIELDS else ""
                worst.where = f"sample {sample}" + (f", time {time}" if time else "")
                worst.far, worst.value = far, value

    def gave(
        self,
        sample: int,
        name: str,
        output: np.ndarray,
        when: Callable[[int], str] = lambda step: "",
    ) -> None:
        """Look at what came out.

        Args:
            sample: number that it has for the caller.
            name: of the target.
            output: ``(steps, …)``.
            when: gives the time of a step in words.
        """
        self._follow(sample, name, output, when)
        if np.isfinite(output).all():
            return
        whole = np.isfinite(output.reshape(len(output), -1)).all(axis=1)
        first = int(np.argmin(whole))
        known = self._broken.setdefault(name, {})
        if sample not in known or first < known[sample][0]:
            known[sample] = (first, when(first))

    def _follow(
        self, sample: int, name: str, output: np.ndarray, when: Callable[[int], str]
    ) -> None:
        limits = self._limits.get((FIELD, name))
        worst = self._worst.get((FIELD, name))
        if limits is None or (worst is not None and sample in worst.samples):
            return
        middle, unit, low, high = limits
        mask = self._masks.get(name)
        if mask is not None and mask.shape == output.shape[1:]:
            output = output[:, mask]
        flat = output.reshape(len(output), -1).astype(np.float64)
        outside = np.isfinite(flat) & ((flat < low) | (flat > high))
        far = np.where(outside, np.abs(flat - middle), 0.0).max(axis=1, initial=0.0) / unit
        off = far > DEVIATIONS
        if not off.any():
            return
        first, known = int(np.argmax(off)), self._left.setdefault(name, {})
        before = known.get(sample)
        if before is None or first < before.step:
            known[sample] = _Left(first, when(first), float(far.max()))
        elif far.max() > before.far:
            known[sample] = replace(before, far=float(far.max()))

    def _within(self, name: str, out: Tensor) -> bool:
        limits = self._limits.get((FIELD, name))
        return limits is None or (limits[2] <= float(out.min()) and float(out.max()) <= limits[3])

    def looked(
        self, windows: Sequence[Sample], batch: Batch, outputs: Mapping[str, Tensor]
    ) -> None:
        """Look at a batch of windows and what came out: :meth:`saw` and :meth:`gave` of each, with the
        numbers and times of their simulations."""
        for window in windows:
            self.saw(window.simulation.id, window, lambda w=window: f"{w.inputs[-1].time:g}")
        for name, out in outputs.items():
            if out.isfinite().all() and self._within(name, out):
                continue
            array = out.float().cpu().numpy()
            rows = batch.rows(name, out)
            owner = None if rows is None else rows.cpu().numpy()
            for place, window in enumerate(windows):
                one = array[place] if owner is None else array[owner == place].swapaxes(0, 1)
                times = [frame.time for frame in window.targets]
                self.gave(window.simulation.id, name, one, lambda k, times=times: f"{times[k]:g}")

    def words(self) -> list[str]:
        """A line each of what was found."""
        return [
            *(self._off(key, worst) for key, worst in self._worst.items()),
            *(self._away(name, found) for name, found in self._left.items()),
            *(_broken(name, found) for name, found in self._broken.items()),
        ]

    def _limits_of(self, kind: str, name: str) -> tuple[float, float, float, float] | None:
        """Middle and unit in which distances count, and what may be."""
        bounds = self._bounds.of(kind, name)
        if bounds is None:
            return None
        low, high = bounds
        if kind in FIELDS:
            if self._normalizer is None:
                return None
            units, margin = self._normalizer.units([(FIELD, name)]), BEYOND * (high - low)
            if units is None:
                return None
            return units.mean[0], units.std[0], low - margin, high + margin
        return (low, (high - low) or abs(low) or 1.0, low, high)

    def _off(self, key: tuple[str, str], worst: _Worst) -> str:
        kind, name = key
        low, high = self._bounds.of(*key)
        trained = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        if kind in FIELDS:
            return (
                f"'{name}' is {worst.value:g} ({worst.where}), {worst.far:.0f} deviations from the mean "
                f"of what it was trained on, {trained}{_more(worst.samples)}"
            )
        what = "the time" if kind == name else f"parameter '{name}'"
        ranges = "times its size" if low == high else "of that range"
        return (
            f"{what} is {worst.value:g} ({worst.where}); trained on {trained}: {worst.far:.2g} {ranges} "
            f"outside{_more(worst.samples)}"
        )

    def _away(self, name: str, found: Mapping[int, _Left]) -> str:
        low, high = self._bounds.of(FIELD, name)
        sample, left = min(found.items(), key=lambda item: (item[1].step, item[0]))
        when = f", time {left.when}" if left.when else ""
        most = max(one.far for one in found.values())
        return (
            f"'{name}' comes out more than {DEVIATIONS:g} deviations from the mean of what it was "
            f"trained on, {low:g} to {high:g}, from step {left.step + 1} on (sample {sample}{when}), "
            f"{most:.2g} at most{_more(found)}"
        )


def _broken(name: str, found: Mapping[int, tuple[int, str]]) -> str:
    sample, (step, label) = min(found.items(), key=lambda item: (item[1][0], item[0]))
    when = f", time {label}" if label else ""
    return f"'{name}' is not finite from step {step + 1} on (sample {sample}{when}){_more(found)}"


def _more(samples: set[int] | Mapping[int, object]) -> str:
    others = len(samples) - 1
    return f", and in {others} other sample{'s' if others > 1 else ''}" if others else ""
