"""Points of a box in space, time and parameters: inside, at the start, on its sides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil, log2

import numpy as np

from sciml.errors import InputError, nearest

#: From the unit interval to values.
Span = Callable[[np.ndarray], np.ndarray]


def _sobol(columns: int, n: int, rng: np.random.Generator) -> np.ndarray:
    from scipy.stats.qmc import Sobol

    # A whole power of two, cut: scipy warns about any other length, and the sequence is the same.
    return Sobol(columns, scramble=True, seed=rng).random_base2(ceil(log2(n)))[:n]


def _latin_hypercube(columns: int, n: int, rng: np.random.Generator) -> np.ndarray:
    from scipy.stats.qmc import LatinHypercube

    return LatinHypercube(columns, seed=rng).random(n)


def _uniform(columns: int, n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.random((n, columns))


SAMPLERS = {"sobol": _sobol, "latin-hypercube": _latin_hypercube, "uniform": _uniform}


@dataclass(frozen=True, slots=True)
class BoxPoints:
    """Points ``(n, d)``, a column each for axes, time and parameters: a sampler of
    :class:`~sciml.training.collocation_source.CollocationSource`.

    Gives ``{"interior": …}``, and ``"initial"`` (the first time) and ``"boundary"`` (the sides of axes
    that are not periodic, each as often as the others) where so many are asked for.

    Args:
        sides: (low, high) of each axis, in the order of a grid's dimensions.
        time: first and last; ``None``: a steady problem.
        parameters: each from the unit interval to its values.
        periodic: axes without sides.
        initial, boundary: how many.
        sampler: ``sobol`` (scrambled), ``latin-hypercube`` or ``uniform``.

    Raises:
        InputError: an unknown sampler; points at the start without time, on sides that are not there.
    """

    sides: Mapping[str, tuple[float, float]]
    time: tuple[float, float] | None = None
    parameters: Mapping[str, Span] = field(default_factory=dict)
    periodic: tuple[str, ...] = ()
    initial: int = 0
    boundary: int = 0
    sampler: str = "sobol"

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise InputError(f"unknown sampler '{self.sampler}'; {nearest(self.sampler, SAMPLERS)}")
        if self.initial and self.time is None:
            raise InputError(f"collocation: initial={self.initial} points, and no time; give time")
        if self.boundary and not self._walls:
            raise InputError(
                f"collocation: boundary={self.boundary} points, and all axes are periodic: "
                "leave them away"
            )

    @property
    def _walls(self) -> tuple[str, ...]:
        return tuple(axis for axis in self.sides if axis not in self.periodic)

    def __call__(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        found = {"interior": self._drawn(rng, n)}
        if self.initial:
            found["initial"] = self._drawn(rng, self.initial)
            found["initial"][:, len(self.sides)] = self.time[0]
        if self.boundary:
            points = found["boundary"] = self._drawn(rng, self.boundary)
            faces = [(axis, side) for axis in self._walls for side in (0, 1)]
            names = list(self.sides)
            for k, (axis, side) in enumerate(faces):
                points[k :: len(faces), names.index(axis)] = self.sides[axis][side]
        return found

    def _drawn(self, rng: np.random.Generator, n: int) -> np.ndarray:
        lines = [*self.sides.values(), *([] if self.time is None else [self.time])]
        points = SAMPLERS[self.sampler](len(lines) + len(self.parameters), n, rng)
        for column, (low, high) in enumerate(lines):
            points[:, column] = low + (high - low) * points[:, column]
        for column, span in enumerate(self.parameters.values(), start=len(lines)):
            points[:, column] = span(points[:, column])
        return points
