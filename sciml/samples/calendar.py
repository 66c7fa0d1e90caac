"""Dates as whole ticks, and months among them: numpy's ``datetime64`` of any unit, cftime's calendars.

A tick is the unit of ``datetime64``, or a microsecond of cftime. Ticks are whole numbers, so that
nothing is rounded, and Python's where they are added up, so that nothing overflows: ``datetime64[ns]``
itself ends in the year 2262.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Protocol

import numpy as np

from sciml.errors import InputError

#: Ticks of each unit of numpy in a second, coarsest first.
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
#: Seconds.
_DAY = 86400
#: Ticks that int64 holds; later dates come in a coarser unit.
_LIMIT = 2**63 - 1


class Calendar(Protocol):
    """What dates and durations have in common here.

    Attributes:
        ticks: of the values, int64, from any origin.
        per_second: ticks in a second.
        months: of each value since any one, int64; ``None`` for durations, which have none.
    """

    ticks: np.ndarray
    per_second: int
    months: np.ndarray | None

    def start(self, month: int) -> int:
        """Tick at which a month begins."""

    def dates(self, ticks: Sequence[int], finer: int = 1) -> np.ndarray:
        """Values from ticks, each of which is ``1 / finer`` of those of :attr:`ticks`."""


class Numpy:
    """``datetime64`` or ``timedelta64``.

    Raises:
        InputError: a value that is no time (NaT).
    """

    def __init__(self, values: np.ndarray) -> None:
        self._kind = values.dtype.kind
        unit = np.datetime_data(values.dtype)[0]
        if unit not in _PER_SECOND or np.datetime_data(values.dtype)[1] != 1:
            unit = "s"  # of days, weeks, months: xarray keeps none of them
            values = values.astype(f"{self._kind}8[s]")
        if np.isnat(values).any():
            raise InputError(
                f"a time is missing (NaT, at {int(np.argmax(np.isnat(values)))}); expected dates "
                "throughout: leave those frames out with ds.isel(time=...)"
            )
        self.ticks = values.astype(np.int64)
        self.per_second = _PER_SECOND[unit]
        dates = self._kind == "M"
        self.months = values.astype("M8[M]").astype(np.int64) if dates else None

    def start(self, month: int) -> int:
        days = np.datetime64(month, "M").astype("M8[D]").astype(np.int64)
        return int(days) * _DAY * self.per_second

    def dates(self, ticks: Sequence[int], finer: int = 1) -> np.ndarray:
        """In the unit of the values; in a finer one if need be, in a coarser one where it ends."""
        scale = self.per_second * finer
        exact = next(u for u, n in _PER_SECOND.items() if n >= self.per_second and n % scale == 0)
        for unit in [u for u in reversed(_PER_SECOND) if _PER_SECOND[u] <= _PER_SECOND[exact]]:
            # Rounded where the unit is coarser.
            whole = [(2 * t * _PER_SECOND[unit] + scale) // (2 * scale) for t in ticks]
            if all(abs(t) <= _LIMIT for t in whole):
                return np.array(whole, np.int64).astype(f"{self._kind}8[{unit}]")
        raise InputError(f"times up to {max(map(abs, ticks))} / {scale} s from 1970 have no dates")


class Cftime:
    """Objects of cftime, with a calendar of their own (``noleap``, ``360_day``, …)."""

    def __init__(self, values: np.ndarray) -> None:
        first = values[0]
        self._first = first.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        self.per_second = 10**6
        self.ticks = np.array([_microseconds(v - self._first) for v in values], np.int64)
        self.months: np.ndarray | None = np.array([12 * v.year + v.month - 1 for v in values])

    def start(self, month: int) -> int:
        year, month = divmod(month, 12)
        return _microseconds(self._first.replace(year=year, month=month + 1) - self._first)

    def dates(self, ticks: Sequence[int], finer: int = 1) -> np.ndarray:
        found = [self._first + timedelta(microseconds=round(t / finer)) for t in ticks]
        out = np.empty(len(found), dtype=object)
        out[:] = found
        return out


def calendar_of(values: np.ndarray) -> Calendar | None:
    """For dates and durations; ``None`` for numbers."""
    if values.dtype.kind in "mM":
        return Numpy(values)
    if values.dtype == object and len(values) and hasattr(values[0], "calendar"):
        return Cftime(values)
    return None


def _microseconds(span: Any) -> int:
    return (span.days * _DAY + span.seconds) * 10**6 + span.microseconds
