"""Truncated real FFTs of one field, through buffers that are made once.

Modes that are not kept are neither sent nor transformed where that can be spared. numpy's FFT writes
where it is told to; scipy's allocates its results, is no faster, and costs a rank 30 MB to import.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sciml.parallel.transpose import Spans, Transpose


class LineTransform:
    """n points ↔ modes 0, …, m.

    Args:
        points: n.
        keep: m.
    """

    def __init__(self, points: int, keep: int) -> None:
        self._points, self._kept = points, keep + 1
        # Beyond the kept modes this one stays zero for good.
        self._padded = np.zeros(points // 2 + 1, complex)
        self._spectrum = np.empty_like(self._padded)

    def forward(self, u: np.ndarray, out: np.ndarray) -> None:
        np.fft.rfft(u, norm="forward", out=self._spectrum)
        out[...] = self._spectrum[: self._kept]

    def inverse(self, c: np.ndarray, out: np.ndarray) -> None:
        self._padded[: self._kept] = c
        np.fft.irfft(self._padded, self._points, norm="forward", out=out)


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
    """

    def __init__(
        self, comm: Any, points: Sequence[int], keep: Sequence[int], rows: Spans, columns: Spans
    ) -> None:
        self._points, self._keep = points[-1], keep
        kept, half = keep[-1] + 1, points[-1] // 2 + 1
        start, stop = rows[comm.rank]
        flat = len(points) == 2
        # Beyond the kept columns, what the inverse reads stays zero for good.
        lines = stop - start if flat else points[1]
        self._padded = np.zeros((lines, half), complex)
        self._spectrum = np.empty((lines, half), complex)
        if flat:
            given, taken = self._padded[:, :kept], self._spectrum[:, :kept]
        else:
            given = taken = np.empty((stop - start, 2 * keep[1] + 1, kept), complex)
        self._given, self._taken = given, taken
        self._to_points, self._to_modes = (
            (self._rows_to_points, self._rows_to_modes)
            if flat
            else (self._planes_to_points, self._planes_to_modes)
        )
        self._given_columns, self._taken_columns = given, taken
        self._scatter = self._collect = None
        if comm.size > 1:
            width = columns[comm.rank][1] - columns[comm.rank][0]
            whole = np.empty((points[0], *given.shape[1:-1], width), complex)
            self._given_columns = self._taken_columns = whole
            by_rows = (self._padded, self._spectrum) if flat else (given, taken)
            self._scatter = Transpose(comm, by_rows[0], whole, rows, columns).to_rows
            self._collect = Transpose(comm, by_rows[1], whole, rows, columns).to_columns

    def inverse(self, c: np.ndarray, out: np.ndarray) -> None:
        columns = self._given_columns
        _pad(c, columns, self._keep[0])
        np.fft.ifft(columns, axis=0, norm="forward", out=columns)
        if self._scatter is not None:
            self._scatter()
        self._to_points(out)

    def forward(self, u: np.ndarray, out: np.ndarray) -> None:
        self._to_modes(u)
        if self._collect is not None:
            self._collect()
        columns = self._taken_columns
        np.fft.fft(columns, axis=0, norm="forward", out=columns)
        _truncate(columns, out, self._keep[0])

    def _rows_to_points(self, out: np.ndarray) -> None:
        np.fft.irfft(self._padded, self._points, norm="forward", out=out)

    def _rows_to_modes(self, u: np.ndarray) -> None:
        np.fft.rfft(u, norm="forward", out=self._spectrum)

    def _planes_to_points(self, out: np.ndarray) -> None:
        columns = self._padded[:, : self._keep[-1] + 1]
        for given, values in zip(self._given, out, strict=True):
            _pad(given, columns, self._keep[1])
            np.fft.ifft(columns, axis=0, norm="forward", out=columns)
            np.fft.irfft(self._padded, self._points, norm="forward", out=values)

    def _planes_to_modes(self, u: np.ndarray) -> None:
        columns = self._spectrum[:, : self._keep[-1] + 1]
        for taken, values in zip(self._taken, u, strict=True):
            np.fft.rfft(values, norm="forward", out=self._spectrum)
            np.fft.fft(columns, axis=0, norm="forward", out=columns)
            _truncate(columns, taken, self._keep[1])


def _pad(compact: np.ndarray, padded: np.ndarray, m: int) -> None:
    """Modes 0, …, m, −m, …, −1 to their places among all of the first axis."""
    n = len(padded)
    padded[: m + 1] = compact[: m + 1]
    padded[m + 1 : n - m] = 0.0
    padded[n - m :] = compact[m + 1 :]


def _truncate(padded: np.ndarray, compact: np.ndarray, m: int) -> None:
    """The reverse of :func:`_pad`."""
    compact[: m + 1] = padded[: m + 1]
    compact[m + 1 :] = padded[len(padded) - m :]
