"""Points of a box, or a region in it, in space, time and parameters: inside, at the start, on sides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, log2

import numpy as np

from sciml.errors import InputError, require_known
from sciml.training.region import Region

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


def _halton(columns: int, n: int, rng: np.random.Generator) -> np.ndarray:
    from scipy.stats.qmc import Halton

    return Halton(columns, scramble=True, seed=rng).random(n)


def _hammersley(columns: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Halton points with the first column evenly spaced, moved together at random; in no order, as some
    may be left away."""
    line = ((np.arange(n) + rng.random()) / n)[:, None]
    rest = [_halton(columns - 1, n, rng)] if columns > 1 else []
    return rng.permutation(np.concatenate([line, *rest], axis=1))


SAMPLERS = {
    "sobol": _sobol,
    "latin-hypercube": _latin_hypercube,
    "halton": _halton,
    "hammersley": _hammersley,
    "uniform": _uniform,
}
#: Of points in a box, the least part that may lie in a region: below it takes too many draws.
LEAST = 1e-3


@dataclass(frozen=True, slots=True)
class BoxPoints:
    """Points ``(n, d)``, a column each for axes, time and parameters: a sampler of
    :class:`~sciml.training.collocation_source.CollocationSource`.

    Gives ``{"interior": …}``, and where so many are asked for ``"initial"`` (the first time),
    ``"boundary"`` and ``"flux"`` (sides of axes that are not periodic, each as often as the others, or
    the boundary of the region; the latter with the normal in further columns), and ``"seam"`` (the low
    sides of periodic axes, in turn).

    Args:
        sides: (low, high) of each axis, in the order of a grid's dimensions.
        time: first and last; ``None``: a steady problem.
        parameters: each from the unit interval to its values.
        periodic: axes without sides.
        initial, boundary, flux, seam: how many.
        sampler: ``sobol``, ``halton`` (both scrambled), ``hammersley``, ``latin-hypercube`` or
            ``uniform``.
        region: where in the box points lie; ``None``: everywhere.

    Raises:
        InputError: an unknown sampler; points at the start without time, on sides that are not there; a
            region that is less than a thousandth of the box.
    """

    sides: Mapping[str, tuple[float, float]]
    time: tuple[float, float] | None = None
    parameters: Mapping[str, Span] = field(default_factory=dict)
    periodic: tuple[str, ...] = ()
    initial: int = 0
    boundary: int = 0
    sampler: str = "sobol"
    flux: int = 0
    seam: int = 0
    region: Region | None = None

    def __post_init__(self) -> None:
        require_known("unknown sampler", self.sampler, SAMPLERS)
        if self.initial and self.time is None:
            raise InputError(f"collocation: initial={self.initial} points, and no time; give time")
        for name in ("boundary", "flux"):
            if getattr(self, name) and not self._walls and self.region is None:
                raise InputError(
                    f"collocation: {name}={getattr(self, name)} points, and all axes are periodic: "
                    "leave them away"
                )
        if self.seam and not self.periodic:
            raise InputError(f"collocation: seam={self.seam} points, and no axis is periodic")
        if self.region is not None and self.periodic:
            raise InputError(
                f"collocation: a geometry, and {', '.join(self.periodic)} periodic; expected sides"
            )

    @property
    def time_column(self) -> int | None:
        """Where time is among the columns."""
        return None if self.time is None else len(self.sides)

    @property
    def _walls(self) -> tuple[str, ...]:
        return tuple(axis for axis in self.sides if axis not in self.periodic)

    def __call__(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        found = {"interior": self._drawn(rng, n)}
        if self.initial:
            found["initial"] = self._drawn(rng, self.initial)
            found["initial"][:, len(self.sides)] = self.time[0]
        if self.boundary:
            found["boundary"] = self._on_walls(rng, self.boundary)
        if self.flux:
            points = self._on_walls(rng, self.flux)
            found["flux"] = np.concatenate([points, self._normals(points)], axis=1)
        if self.seam:
            lows = [
                (k, low) for k, (a, (low, _)) in enumerate(self.sides.items()) if a in self.periodic
            ]
            found["seam"] = self._in_turn(rng, self.seam, lows)
        return found

    @property
    def _faces(self) -> list[tuple[int, int]]:
        """Columns of axes with sides, and which side."""
        return [(k, side) for k, a in enumerate(self.sides) if a in self._walls for side in (0, 1)]

    def _on_walls(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Points on the boundary."""
        if self.region is not None:
            points = self._in_box(rng, n)
            points[:, : len(self.sides)] = self.region.boundary(rng, n)
            return points
        ends = [*self.sides.values()]
        return self._in_turn(rng, n, [(column, ends[column][side]) for column, side in self._faces])

    def _in_turn(
        self, rng: np.random.Generator, n: int, faces: Sequence[tuple[int, float]]
    ) -> np.ndarray:
        """Points on faces, one after the other, each given by a column and the number that it holds."""
        points = np.empty((n, len(self.sides) + (self.time is not None) + len(self.parameters)))
        for turn, (column, value) in enumerate(faces[:n]):
            rows = points[turn :: len(faces)]
            # A draw for each: every second point of a Sobol sequence has one half of some column.
            rows[:] = self._in_box(rng, len(rows))
            rows[:, column] = value
        return points

    def _normals(self, points: np.ndarray) -> np.ndarray:
        """Of :meth:`_on_walls`."""
        if self.region is not None:
            return self.region.normals(points[:, : len(self.sides)])
        normals = np.zeros((len(points), len(self.sides)))
        for turn, (column, side) in enumerate(self._faces):
            normals[turn :: len(self._faces), column] = 2 * side - 1
        return normals

    def _drawn(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Points inside."""
        if self.region is None:
            return self._in_box(rng, n)
        many = n
        while many * LEAST <= n:
            many *= 2
            points = self._in_box(rng, many)
            points = points[self.region.inside(points[:, : len(self.sides)])]
            if len(points) >= n:
                return points[:n]
        raise InputError(
            f"collocation: fewer than {n} of {many} points of the box lie in the geometry; expected a "
            "domain that is not much larger"
        )

    def _in_box(self, rng: np.random.Generator, n: int) -> np.ndarray:
        lines = [*self.sides.values(), *([] if self.time is None else [self.time])]
        points = SAMPLERS[self.sampler](len(lines) + len(self.parameters), n, rng)
        for column, (low, high) in enumerate(lines):
            points[:, column] = low + (high - low) * points[:, column]
        for column, span in enumerate(self.parameters.values(), start=len(lines)):
            points[:, column] = span(points[:, column])
        return points
