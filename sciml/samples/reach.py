"""How far the fields of each simulation have gone, and whose are far outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciml.samples.frame import Frame

#: Others that a verdict needs: of two simulations that differ, nobody knows which one is wrong.
OTHERS = 3
#: A field may go so many times as far as the others, and by so many times their spread (in logarithms).
BEYOND, FENCE = 1e3, 3.0
#: Least distance that counts, as a part of the common level; below, rounding would decide.
LEAST = 1e-3
#: Simulations that have ended and are remembered; with fewer, verdicts follow chance.
REMEMBERED = 100
#: What lies so many times as far as usual cannot be trained on: gradients of a squared error go with the
#: square of it and Adam squares them again, which at 1e36 is the end of float32.
TRAINABLE = 1e9


@dataclass(frozen=True, slots=True)
class Far:
    """A simulation that is far outside of the others.

    Args:
        field: of which that is so.
        value: the farthest one.
        usual: how far others go from their common ``level``.
        others: their number; 0: the level and deviation of what was seen before.
    """

    field: str
    value: float
    level: float
    usual: float
    others: int = 0

    @property
    def times(self) -> float:
        """Distance from the level in units of the usual one."""
        return abs(self.value - self.level) / self.usual

    @property
    def trainable(self) -> bool:
        return self.times <= TRAINABLE

    def line(self, simulation: int) -> str:
        """What is said of a simulation that is there, whole."""
        then = "scaled by the others" if self.trainable else "left out"
        return f"simulation {simulation} is far outside, and {then}: {self}"

    def __str__(self) -> str:
        near = "" if abs(self.level) <= self.usual else f"{self.level:.3g} ± "
        whose = f"{self.others} others" if self.others else "what training began with"
        return f"'{self.field}' reaches {self.value:.3g}, {whose} {near}{self.usual:.2g}"


@dataclass(slots=True)
class _Reached:
    """Least and largest value of each field of a simulation, and when it grew."""

    low: np.ndarray
    high: np.ndarray
    last: int = -1
    grown: int = -1
    closed: bool = False
    aside: bool = False
    #: Whether it grew since the last verdict on it.
    asked: bool = False


class Reach:
    """Who is far outside of what other simulations have reached.

    In simulation j a field lies within [lⱼ, hⱼ]. The common level is L = median (lⱼ + hⱼ) / 2, from
    which it goes rⱼ = max(hⱼ − L, L − lⱼ), at least 10⁻³ |L|. With q₁ and q₃ the quartiles of r over the
    others, simulation i is far outside if

        rᵢ > 10³ · q₃ · (q₃ / q₁)³.

    That is Tukey's fence for far-out values (Exploratory Data Analysis, 1977), q₃ + 3 (q₃ − q₁), of
    log r, and three decades above it:

    * amplitudes over three decades are never far, whichever simulations came first, since q₃ is at least
      the least of them; where the others differ by much, much more is allowed;
    * one of three others, and a quarter of more, may itself be bad: quartiles do not move with it;
    * units and offsets do not matter, but that of 280 K ± 0.1 K nothing is far within 280 K;
    * the others are those that have ended or come to the step at which i reached rᵢ, so that fields
      which grow in all simulations, be it from 1e-8, are no reason, nor is being ahead of the others;
    * fields that are zero in the others, or were in a quarter of them, give no scale: no verdict.

    With less than three others there is no verdict; it is made up for when they come. It fails for a
    simulation that legitimately does what others never did, such as one that becomes unstable from 1e-12
    while the others stay there; so none should lose its data by a verdict alone.

    Args:
        fields: that are looked at.
    """

    def __init__(self, fields: Iterable[str]) -> None:
        self.fields = tuple(dict.fromkeys(fields))
        self._reached: dict[int, _Reached] = {}

    def add(self, frame: Frame) -> None:
        """Take a frame into account."""
        arrays = [np.asarray(frame.fields[name]) for name in self.fields]
        # Not those of NaN: points that have no values.
        low = np.array([np.fmin.reduce(a, axis=None) for a in arrays], np.float64)
        high = np.array([np.fmax.reduce(a, axis=None) for a in arrays], np.float64)
        reached = self._reached.get(frame.simulation)
        if reached is None:
            reached = self._reached[frame.simulation] = _Reached(low, high)
        elif not ((low < reached.low).any() or (high > reached.high).any()):
            reached.last = max(reached.last, frame.step)
            return
        np.minimum(reached.low, low, out=reached.low)
        np.maximum(reached.high, high, out=reached.high)
        reached.last = max(reached.last, frame.step)
        reached.grown, reached.asked = frame.step, True

    def found(self, *, behind: bool = False) -> list[tuple[int, Far]]:
        """Simulations that have turned out to be far, each once, unless they go on growing.

        Args:
            behind: compare with those that have not come so far, too.
        """
        found = []
        for number, reached in self._reached.items():
            if reached.aside or not (reached.asked or (behind and not reached.closed)):
                continue
            others = self._others(number, behind=behind)
            if len(others) >= OTHERS:
                reached.asked = False
                if far := self._judged(reached, others):
                    found.append((number, far))
        return found

    def far(self, simulation: int) -> Far | None:
        """The verdict on a simulation as it is now; ``None``: not far, or nobody to compare with."""
        reached, others = self._reached.get(simulation), self._others(simulation)
        if reached is None or len(others) < OTHERS:
            return None
        return self._judged(reached, others)

    def beyond(self, simulation: int, scale: Callable[[str], tuple[float, float]]) -> Far | None:
        """A field that cannot be trained on, by the mean and deviation that scale it."""
        reached = self._reached[simulation]
        for name, low, high in zip(self.fields, reached.low, reached.high, strict=True):
            mean, deviation = scale(name)
            value = float(high if high - mean > mean - low else low)
            if abs(value - mean) > TRAINABLE * deviation:
                return Far(name, value, mean, deviation)
        return None

    def farthest(self, simulations: Iterable[int]) -> tuple[int, Far] | None:
        """The simulation that goes on with the largest values, for what is usual. It is no verdict,
        where one has to be picked."""
        found = []
        names = [n for n, r in self._reached.items() if not r.aside]
        sizes = [np.maximum(abs(self._reached[n].low), abs(self._reached[n].high)) for n in names]
        usual = np.maximum(np.median(sizes, axis=0), np.finfo(np.float64).tiny) if names else 0.0
        for number, size in zip(names, sizes, strict=True):
            reached = self._reached[number]
            if number in simulations and not reached.closed:
                worst = int(np.argmax(size / usual))
                above = reached.high[worst] >= -reached.low[worst]
                value = float((reached.high if above else reached.low)[worst])
                far = Far(self.fields[worst], value, 0.0, float(usual[worst]), len(names) - 1)
                found.append((far.times, number, far))
        return max(found, key=lambda entry: entry[0])[1:] if found else None

    def settled(self, simulation: int) -> bool:
        """Whether there is a verdict on all that came of it."""
        reached = self._reached.get(simulation)
        return reached is None or not reached.asked

    def set_aside(self, simulation: int) -> None:
        """It is held back, and no measure for others."""
        self._reached[simulation].aside = True

    def close(self, simulation: int) -> None:
        """It has ended well: a measure for all others, whatever step they are at. Only the last hundred
        that have a verdict are remembered."""
        reached = self._reached.pop(simulation, None)
        if reached is None:
            return
        reached.closed, reached.aside = True, False
        self._reached[simulation] = reached  # behind those that closed before
        closed = [n for n, r in self._reached.items() if r.closed and not r.asked]
        for number in closed[:-REMEMBERED]:
            del self._reached[number]

    def remove(self, simulation: int) -> None:
        """It has ended badly."""
        self._reached.pop(simulation, None)

    def closed(self, simulation: int) -> bool:
        return simulation in self._reached and self._reached[simulation].closed

    def state_dict(self) -> list[list[Any]]:
        """Numbers and lists only."""
        return [
            [n, r.low.tolist(), r.high.tolist(), r.last, r.grown, r.closed, r.aside, r.asked]
            for n, r in self._reached.items()
        ]

    def load_state_dict(self, state: Iterable[Sequence[Any]]) -> None:
        self._reached = {
            number: _Reached(np.array(low), np.array(high), *rest)
            for number, low, high, *rest in state
        }

    def _others(self, simulation: int, *, behind: bool = False) -> list[_Reached]:
        reached = self._reached.get(simulation)
        if reached is None:
            return []
        return [
            other
            for number, other in self._reached.items()
            if number != simulation
            and not other.aside
            and (behind or other.closed or other.last >= reached.grown)
        ]

    def _judged(self, reached: _Reached, others: Sequence[_Reached]) -> Far | None:
        low, high = (np.array([getattr(o, side) for o in others]) for side in ("low", "high"))
        level = np.median((low + high) / 2, axis=0)
        # (other, field), each field in order
        gone = np.sort(np.maximum(high - level, level - low), axis=0)
        gone = np.maximum(gone, LEAST * np.abs(level))
        first, third = gone[(len(gone) - 1) // 4], gone[3 * (len(gone) - 1) // 4]
        own = np.maximum(reached.high - level, level - reached.low)
        # In logarithms nothing overflows; a field without a scale gives NaN, which is not beyond it.
        with np.errstate(divide="ignore", invalid="ignore"):
            q1, q3 = np.log10(first), np.log10(third)
            excess = np.log10(own) - (q3 + FENCE * (q3 - q1) + np.log10(BEYOND))
        excess = np.where(third > 0, excess, -np.inf)
        if not (excess > 0).any():
            return None
        worst = int(np.nanargmax(excess))
        above = reached.high[worst] - level[worst] >= level[worst] - reached.low[worst]
        value = (reached.high if above else reached.low)[worst]
        return Far(
            self.fields[worst], float(value), float(level[worst]), float(third[worst]), len(others)
        )


def those_far(frames: Iterable[Frame], fields: Iterable[str]) -> dict[int, Far]:
    """Simulations that are far outside of the others, by all frames of all of them.

    They are named; those that are trainable are trained on, scaled by the others, and the rest is left
    out.
    """
    reach = Reach(fields)
    for frame in frames:
        reach.add(frame)
    for state in reach._reached.values():
        state.closed = True
    return dict(reach.found())
