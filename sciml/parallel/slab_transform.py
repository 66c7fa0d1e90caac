"""Truncated real FFTs of one field, through buffers that are made once.

Modes that are not kept are neither sent nor transformed where that can be spared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sciml.parallel.line_fft import lines_of
from sciml.parallel.transpose import Spans, Transpose


class LineTransform:
    """n points ↔ modes 0, …, m.

    Args:
        points: n.
        keep: m.
        library: whose FFT.
    """

    def __init__(self, points: int, keep: int, library: str) -> None:
        self._kept, self._scale = keep + 1, 1.0 / points
        # Beyond the kept modes this one stays zero for good.
        padded = np.zeros(points // 2 + 1, complex)
        self._lines = lines_of(library)(padded, np.empty_like(padded), points, keep + 1)

    def forward(self, u: np.ndarray, out: np.ndarray) -> None:
        self._lines.to_modes(u)
        np.multiply(self._lines.spectrum[: self._kept], self._scale, out=out)

    def inverse(self, c: np.ndarray, out: np.ndarray) -> None:
        self._lines.padded[: self._kept] = c
        self._lines.to_points(out)


class SlabTransform:
    """Slabs of points along the first axis ↔ modes, cut along the last; two or three dimensions.

    From modes to points: along the first axis; between the ranks; then, in two dimensions, all rows
    along the last axis, and in three one plane after the other along both its axes, since a plane
    fits the cache. From points to modes the same way back.

    Args:
        comm: an mpi4py communicator.
        points: of the whole grid along each axis.
        keep: largest |m| kept along each axis.
        rows: first and one past the last row of points of each rank.
        columns: first and one past the last mode along the last axis of each rank.
        library: whose FFT.
    """

    def __init__(
        self,
        comm: Any,
        points: Sequence[int],
        keep: Sequence[int],
        rows: Spans,
        columns: Spans,
        library: str,
    ) -> None:
        self._keep, self._scale = keep, 1.0 / math.prod(points)
        kept, half = keep[-1] + 1, points[-1] // 2 + 1
        start, stop = rows[comm.rank]
        flat = len(points) == 2
        # Beyond the kept columns, what the inverse reads stays zero for good.
        lines = stop - start if flat else points[1]
        padded, spectrum = np.zeros((lines, half), complex), np.empty((lines, half), complex)
        fft = lines_of(library)
        self._lines = fft(padded, spectrum, points[-1], kept)
        self._plane_given, self._plane_taken = padded[:, :kept], spectrum[:, :kept]
        if flat:
            given, taken = self._plane_given, self._plane_taken
        else:
            given = taken = np.empty((stop - start, 2 * keep[1] + 1, kept), complex)
        self._given, self._taken = given, taken
        self._to_points, self._to_modes = (
            (self._lines.to_points, self._lines.to_modes)
            if flat
            else (self._planes_to_points, self._planes_to_modes)
        )
        self._given_columns, self._taken_columns = given, taken
        self._scatter = self._collect = None
        if comm.size > 1:
            width = columns[comm.rank][1] - columns[comm.rank][0]
            whole = np.empty((points[0], *given.shape[1:-1], width), complex)
            self._given_columns = self._taken_columns = whole
            by_rows = (padded, spectrum) if flat else (given, taken)
            self._scatter = Transpose(comm, by_rows[0], whole, rows, columns).to_rows
            self._collect = Transpose(comm, by_rows[1], whole, rows, columns).to_columns
        self._columns_to_points = fft.columns(self._given_columns, inverse=True)
        self._columns_to_modes = fft.columns(self._taken_columns, inverse=False)
        if not flat:
            self._plane_to_points = fft.columns(self._plane_given, inverse=True)
            self._plane_to_modes = fft.columns(self._plane_taken, inverse=False)

    def inverse(self, c: np.ndarray, out: np.ndarray) -> None:
        _pad(c, self._given_columns, self._keep[0])
        self._columns_to_points()
        if self._scatter is not None:
            self._scatter()
        self._to_points(out)

    def forward(self, u: np.ndarray, out: np.ndarray) -> None:
        self._to_modes(u)
        if self._collect is not None:
            self._collect()
        self._columns_to_modes()
        _truncate(self._taken_columns, out, self._keep[0], self._scale)

    def _planes_to_points(self, out: np.ndarray) -> None:
        for given, values in zip(self._given, out, strict=True):
            _pad(given, self._plane_given, self._keep[1])
            self._plane_to_points()
            self._lines.to_points(values)

    def _planes_to_modes(self, u: np.ndarray) -> None:
        for taken, values in zip(self._taken, u, strict=True):
            self._lines.to_modes(values)
            self._plane_to_modes()
            _truncate(self._plane_taken, taken, self._keep[1])


def _pad(compact: np.ndarray, padded: np.ndarray, m: int) -> None:
    """Put modes 0, …, m, −m, …, −1 to their places along the first axis."""
    n = len(padded)
    padded[: m + 1] = compact[: m + 1]
    padded[m + 1 : n - m] = 0.0
    padded[n - m :] = compact[m + 1 :]


def _truncate(padded: np.ndarray, compact: np.ndarray, m: int, scale: float = 1.0) -> None:
    """The reverse of :func:`_pad`, times ``scale``."""
    # Seen as twice as many reals, which are multiplied once each instead of twice.
    padded, compact = padded.view(float), compact.view(float)
    np.multiply(padded[: m + 1], scale, out=compact[: m + 1])
    np.multiply(padded[len(padded) - m :], scale, out=compact[m + 1 :])
