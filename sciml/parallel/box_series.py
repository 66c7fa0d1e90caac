"""Series of sines, cosines and waves on a box, at the points of a grid.

The points of a uniform grid are fractions j / q of the box. There, mode m of a periodic axis looks
like mode m mod q: modes beyond what the grid resolves are added to those that they look like, and a
fast Fourier transform of the length of the grid sums the series exactly, whatever its number of modes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import pi, sqrt

import numpy as np

from sciml.domain import Block, Grid


@dataclass(frozen=True)
class SeriesAxis:
    """Functions along one side of a box.

    Args:
        kind: ``periodic`` and ``open`` (waves), ``neumann`` (cosines) or ``dirichlet`` (sines).
        modes: largest mode.
        side: of the box.
        period: sides after which waves repeat.
    """

    kind: str
    modes: int
    side: float = 1.0
    period: int = 1

    @property
    def waves(self) -> bool:
        return self.kind in ("periodic", "open")

    @property
    def length(self) -> float:
        """What the functions are orthogonal on."""
        return self.side * self.period

    @cached_property
    def numbers(self) -> np.ndarray:
        """The modes m, in the order of coefficients."""
        first = -self.modes if self.waves else int(self.kind == "dirichlet")
        return np.arange(first, self.modes + 1)

    @property
    def wave_numbers(self) -> np.ndarray:
        """κ of each mode."""
        return (2.0 if self.waves else 1.0) * pi / self.length * self.numbers

    def with_modes(self, modes: int) -> SeriesAxis:
        """The same with another number of modes."""
        return replace(self, modes=modes)


def evaluate(
    amplitudes: np.ndarray, axes: Sequence[SeriesAxis], grid: Grid, block: Block | None = None
) -> np.ndarray:
    """Σ_m a_m Π φ_m at the points of a block; bitwise the same whatever the block.

    φ is √2 sin(πm s), √2 cos(πm s) or, for m = 0, 1, with s the fraction of the box; along all axes
    of waves together, cos θ − sin θ with θ = 2π Σ m s.

    Args:
        amplitudes: real, one for each mode, in the order of ``axes[i].numbers``.
        axes: as many as the grid has.
        grid: where.
        block: the whole grid without one.

    Returns:
        Values, shape ``block.shape``.
    """
    slices = block.slices if block is not None else (slice(None),) * grid.ndim
    points = [range(n)[part] for n, part in zip(grid.shape, slices, strict=True)]
    # Intervals of the grid along one side of the box.
    intervals = [
        n if kind == "periodic" else n - 1
        for n, kind in zip(grid.shape, grid.boundary, strict=True)
    ]
    values, waves = amplitudes, []
    for i, axis in enumerate(axes):
        if axis.waves:
            waves.append(i)
        else:
            values = _between_walls(values, i, axis, intervals[i], points[i])
    if not waves:
        return np.ascontiguousarray(values)
    mirrored = np.flip(values, waves)
    spectrum = np.empty(values.shape, complex)
    # cos θ − sin θ for each mode, in terms of exp(iθ) and exp(−iθ).
    spectrum.real, spectrum.imag = 0.5 * (values + mirrored), 0.5 * (values - mirrored)
    lengths = {i: intervals[i] * axes[i].period for i in waves}
    for i in reversed(waves):
        spectrum = _folded(spectrum, i, -axes[i].modes, lengths[i])
        if i == waves[-1]:
            # The rest is the conjugate of this.
            spectrum = np.ascontiguousarray(_cut(spectrum, i, slice(lengths[i] // 2 + 1)))
    for i in waves[:-1]:
        spectrum = np.fft.ifft(spectrum, axis=i, norm="forward")
        spectrum = _at(spectrum, i, points[i], lengths[i])
    last = waves[-1]
    values = np.fft.irfft(spectrum, lengths[last], axis=last, norm="forward")
    return np.ascontiguousarray(_at(values, last, points[last], lengths[last]))


def _between_walls(
    values: np.ndarray, at: int, axis: SeriesAxis, intervals: int, points: range
) -> np.ndarray:
    """Cosines or sines along one axis, as waves on a box twice as long."""
    odd = axis.kind == "dirichlet"
    length = 2 * intervals
    if not odd:
        values = values.copy()
        constant = _cut(values, at, slice(0, 1))
        constant *= sqrt(0.5)  # 1, not √2
    spectrum = _folded(values, at, int(odd), length)
    # Modes beyond the middle look like −m: the same cosine, the negative sine.
    half = _cut(spectrum, at, slice(intervals + 1)).copy()
    beyond = np.flip(_cut(spectrum, at, slice(intervals + 1, None)), at)
    inner = _cut(half, at, slice(1, intervals))
    inner += -beyond if odd else beyond
    # √2 cos θ = (exp(iθ) + exp(−iθ)) / √2, and √2 at both ends, where the two are one.
    half *= sqrt(0.5)
    for end in (0, intervals):
        edge = _cut(half, at, slice(end, end + 1))
        edge *= 0.0 if odd else 2.0
    out = np.fft.irfft(-1j * half if odd else half, length, axis=at, norm="forward")
    if odd:
        # Without rounding errors on the walls.
        for wall in (0, intervals):
            edge = _cut(out, at, slice(wall, wall + 1))
            edge[...] = 0.0
    return _at(out, at, points, length)


def _folded(values: np.ndarray, at: int, first: int, length: int) -> np.ndarray:
    """Coefficients of modes ``first``, ``first + 1``, … added up at their places modulo ``length``."""
    shape = list(values.shape)
    shape[at] = length
    out = np.zeros(shape, values.dtype)
    start, count = 0, values.shape[at]
    while start < count:
        place = (first + start) % length
        run = min(length - place, count - start)
        into = _cut(out, at, slice(place, place + run))
        into += _cut(values, at, slice(start, start + run))
        start += run
    return out


def _at(values: np.ndarray, axis: int, points: range, length: int) -> np.ndarray:
    """The wanted points of one axis; behind the last one the first comes again."""
    if points.stop <= length:
        return _cut(values, axis, slice(points.start, points.stop))
    return np.take(values, [j % length for j in points], axis)


def _cut(values: np.ndarray, axis: int, part: slice) -> np.ndarray:
    return values[(*(slice(None),) * axis, part)]
