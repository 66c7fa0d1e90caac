"""Axes that are marked periodic and whose fields do not close: walls that a model would not see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np

from sciml.samples.frame import Frame, Simulation

#: A jump, or a kink, at the seam is reported if it is so many times the largest inside.
TIMES = 3.0
#: Points below which there is no inside to compare with.
FEWEST = 8
#: Simulations, and frames of each, that are looked at, evenly spread.
SIMULATIONS, FRAMES = 16, 8


def seams(
    simulations: Iterable[tuple[Simulation, Iterable[Frame]]], names: Sequence[str] = ()
) -> list[str]:
    """A line for each periodic axis at whose seam a field jumps or bends.

    Looked at are the first and second differences of each field along each periodic axis of its grid:
    their mean squares over frames and all other points, at the seam and at each place inside. On a
    ring no place is special. Between walls values differ (jump) or slopes do (kink: zero at both).

    Fields that are as rough inside as at the seam, or that end flat and alike at both walls, are not
    told from those on a ring.

    Args:
        simulations: with frames; :func:`spread` chooses some, all are looked at.
        names: of the axes, slowest first; those of the grid by default.
    """
    squares: dict[tuple[int, str], list[np.ndarray]] = {}
    axes: Sequence[str] = names
    for simulation, frames in simulations:
        grid = simulation.domain
        if grid.kind != "grid":
            return []
        axes = axes or grid.dims
        for frame in frames:
            for name, values in frame.fields.items():
                for axis, kind in enumerate(grid.boundary):
                    if kind == "periodic" and values.shape == grid.shape and values.size:
                        squares.setdefault((axis, name), []).append(_squares(values, axis))
    return _lines(squares, axes)


def spread(items: Sequence[Any], most: int) -> list[Any]:
    """At most so many of them, evenly, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, most).round().astype(int)]


def _squares(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean squares of first and second differences at each place along an axis, ``(2, n)``: of the first
    at n − 1 from the last point to the first one, of the second at 0 and n − 1."""
    values = np.moveaxis(np.asarray(values, np.float64), axis, -1).reshape(-1, values.shape[axis])
    first = np.roll(values, -1, -1) - values
    second = first - np.roll(first, 1, -1)
    with np.errstate(all="ignore"):
        there = np.isfinite(second)  # beside land there is nothing to compare
        count = np.maximum(there.sum(0), 1)
        return np.stack(
            [np.square(np.where(there, d, 0.0)).sum(0) / count for d in (first, second)]
        )


def _lines(places: Mapping[tuple[int, str], list[np.ndarray]], axes: Sequence[str]) -> list[str]:
    worst: dict[int, tuple[float, str, str]] = {}
    for (axis, name), squares in places.items():
        if squares[0].shape[1] < FEWEST:
            continue
        first, second = np.mean(squares, axis=0)
        jump = _ratio(first[-1], first[:-1].max())
        kink = _ratio(max(second[0], second[-1]), second[1:-1].max())
        times, what = (jump, "jumps") if jump > TIMES else (kink, "has a kink")
        if times > max(TIMES, worst.get(axis, (0.0,))[0]):
            worst[axis] = (times, name, what)
    return [
        f"axis '{axes[axis]}' is marked periodic, yet '{name}' {what} from its last point to its first, "
        f"{times:.0f} times what it does inside: models pad around a periodic axis and are blind to "
        "walls there; leave the mark away unless it is a ring (flips and square need none)"
        for axis, (times, name, what) in sorted(worst.items())
    ]


def _ratio(seam: float, inside: float) -> float:
    return sqrt(seam / inside) if 0 < seam < np.inf and inside > 0 else 0.0
