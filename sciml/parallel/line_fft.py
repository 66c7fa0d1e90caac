"""FFTs of all lines of an array at once, through memory that is made once: numpy's, or FFTW's.

Both leave their results unscaled, and treat each line alone: how many lines lie beside it does not
change its bits. numpy writes into arrays that are given; scipy allocates its results, is no faster, and
costs a rank 30 MB to import.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sciml.errors import InputError

#: What transforms: of FFTW, two thirds of the time at 256², a third at 64², a fifth for one line.
LIBRARIES = ("numpy", "fftw")

#: Bytes that numpy's arrays are aligned to at least, and all that FFTW's vectors ask for.
_ALIGNMENT = 16


class Lines(ABC):
    """Transforms along the last axis, with real lines of ``points`` on one side.

    Args:
        padded: modes 0, …, points // 2 of each line, ``(…, points // 2 + 1)``; what
            :meth:`to_points` reads.
        spectrum: where :meth:`to_modes` writes, of the same shape.
        points: of a line.
        kept: modes that are given to ``padded``; those beyond are zero, and are left so.
    """

    def __init__(self, padded: np.ndarray, spectrum: np.ndarray, points: int, kept: int) -> None:
        self.padded, self.spectrum, self.points, self.kept = padded, spectrum, points, kept

    @abstractmethod
    def to_points(self, out: np.ndarray) -> None:
        """``out``, ``(…, points)``, from ``padded``, whose kept modes may be lost."""

    @abstractmethod
    def to_modes(self, u: np.ndarray) -> None:
        """``spectrum`` from ``u``, ``(…, points)``, which is left as it is."""

    @staticmethod
    @abstractmethod
    def columns(array: np.ndarray, *, inverse: bool) -> Callable[[], Any]:
        """A function that transforms ``array``, complex, along its first axis and in place."""


class NumpyLines(Lines):
    """By ``numpy.fft``."""

    def to_points(self, out: np.ndarray) -> None:
        np.fft.irfft(self.padded, self.points, norm="forward", out=out)

    def to_modes(self, u: np.ndarray) -> None:
        np.fft.rfft(u, out=self.spectrum)

    @staticmethod
    def columns(array: np.ndarray, *, inverse: bool) -> Callable[[], Any]:
        if inverse:
            return lambda: np.fft.ifft(array, axis=0, norm="forward", out=array)
        return lambda: np.fft.fft(array, axis=0, out=array)


class FftwLines(Lines):
    """By FFTW, with plans that depend on shapes alone, and not on timings.

    Raises:
        InputError: pyfftw is not installed.
    """

    def __init__(self, padded: np.ndarray, spectrum: np.ndarray, points: int, kept: int) -> None:
        super().__init__(padded, spectrum, points, kept)
        plan = _planner()
        # Planned for the alignment that all arrays have: made for a better one, it refuses others.
        self._real = _aligned((*padded.shape[:-1], points))
        self._inverse = plan(
            padded, self._real, axes=(-1,), direction="FFTW_BACKWARD",
            flags=("FFTW_ESTIMATE", "FFTW_DESTROY_INPUT"),
        )  # fmt: skip
        self._forward = plan(self._real, spectrum, axes=(-1,), flags=("FFTW_ESTIMATE",))

    def to_points(self, out: np.ndarray) -> None:
        if _put(self._inverse, self.padded, out):
            self._inverse.execute()
        else:
            _put(self._inverse, self.padded, self._real)
            self._inverse.execute()
            out[...] = self._real
        # FFTW is half as fast again where it must not overwrite what it reads.
        self.padded[..., self.kept :] = 0.0

    def to_modes(self, u: np.ndarray) -> None:
        if not _put(self._forward, u, self.spectrum):
            self._real[...] = u
            _put(self._forward, self._real, self.spectrum)
        self._forward.execute()

    @staticmethod
    def columns(array: np.ndarray, *, inverse: bool) -> Callable[[], Any]:
        direction = "FFTW_BACKWARD" if inverse else "FFTW_FORWARD"
        plan = _planner()
        return plan(array, array, axes=(0,), direction=direction, flags=("FFTW_ESTIMATE",)).execute


def lines_of(library: str) -> type[Lines]:
    """The class of one of :data:`LIBRARIES`."""
    return {"numpy": NumpyLines, "fftw": FftwLines}[library]


def _planner() -> Callable[..., Any]:
    try:
        # Half a second and 90 MB: only where it is asked for.
        from pyfftw import FFTW
    except ImportError as error:
        raise InputError(
            "FFTW is asked for and pyfftw is not installed; pip install pyfftw, or leave it at numpy"
        ) from error
    return FFTW


def _put(plan: Any, given: np.ndarray, result: np.ndarray) -> bool:
    """Whether the plan takes these arrays: laid out, and aligned, as those that it was made for."""
    try:
        plan.update_arrays(given, result)
    except ValueError:
        return False
    return True


def _aligned(shape: Sequence[int]) -> np.ndarray:
    """Of float64, at an address that is divisible by ``_ALIGNMENT`` and by nothing larger."""
    size, step = int(np.prod(shape)), 2 * _ALIGNMENT
    memory = np.zeros(8 * size + 2 * step, np.uint8)
    start = -memory.__array_interface__["data"][0] % step + _ALIGNMENT
    return memory[start : start + 8 * size].view(float).reshape(shape)
