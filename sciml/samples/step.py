"""What lies between two frames: so much of a unit of time, or months of the calendar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciml.domain.time_units import MONTH, UNKNOWN, in_seconds, of_step, ratio
from sciml.errors import InputError
from sciml.samples.calendar import Calendar

#: Share of the usual step by which one may differ from it: months do by a tenth, a gap by all of it.
UNEVEN = 0.5
#: Share by which steps may differ and still count as one and the same.
EXACT = 1e-6
#: Place of monthly dates: the middle of their month, or period, or the start of the day of that.
MIDDLE, WHOLE_MIDDLE = "middle", "day of the middle"
#: The day of each month that is its last.
LAST = 31


@dataclass(frozen=True, slots=True)
class Step:
    """Time from one frame to the next.

    Args:
        value: in ``units``; of months a whole number.
        units: of time; kept as a symbol of :mod:`sciml.domain.time_units`. ``"1"``: numbers without
            units; ``None``: nobody said. Dates and durations are in ``"s"``, or in ``"month"`` where
            they go by the calendar.
        day: of calendar steps: the day of the month at which dates lie (31 for the last one), or
            ``"middle"``; ``None``: that of the date that is gone on from.
        dates: whether it was measured on dates or durations.

    >>> print(Step(6, "hours"))
    6 h
    """

    value: float
    units: str | None = UNKNOWN
    day: int | str | None = None
    dates: bool = False

    def __post_init__(self) -> None:
        units = self.units if self.units is None else of_step(self.units)
        object.__setattr__(self, "units", units)
        object.__setattr__(self, "value", float(self.value))

    @classmethod
    def of(cls, given: Step | float | None) -> Step | None:
        """A number is a step of which nobody said the unit."""
        return given if given is None or isinstance(given, Step) else cls(given, None)

    def __str__(self) -> str:
        if self.dates and self.units == "s":  # dates say how many they are
            for units in ("d", "h"):
                count = self.value / in_seconds(units)
                if count.is_integer():
                    return f"{count:g} {units}"
        units = "" if self.units in (None, UNKNOWN) else f" {self.units}"
        return f"{self.value:g}{units}{'s' if self.units == MONTH and self.value != 1 else ''}"

    def to(self, units: str) -> float | None:
        """The same in other units; ``None`` where they are none of the same kind."""
        factor = None if self.units is None else ratio(self.units, units)
        return None if factor is None else self.value * factor


def usual(steps: np.ndarray) -> Any:
    """The median, as one of the steps."""
    return np.sort(steps)[(len(steps) - 1) // 2]


def step_between(numbers: np.ndarray, times: np.ndarray, units: str) -> Step | None:
    """From one sent frame to the next, by the ``numbers`` and ``times`` of some; ``None`` of fewer than
    two."""
    if len(numbers) < 2:
        return None
    return Step(
        float(np.median(np.diff(times) / np.diff(numbers))), units, dates=" since " in units
    )


def even(steps: np.ndarray) -> np.ndarray:
    """Which steps are no gaps."""
    middle = usual(steps)
    return np.abs(steps - middle) <= UNEVEN * abs(middle)


def calendar_step(dates: Calendar) -> Step | None:
    """The step of dates that go by months, quarters, years; ``None`` where they do not.

    They do where all lie at the same day of their months, of which the last one is such a day, or all
    at the middle of their periods. Where they lie elsewhere, at least four that are a whole number of
    months apart, unevenly, count too (satellites' monthly means).
    """
    months = dates.months
    if months is None or len(months) < 2:
        return None
    steps = np.diff(months)
    if (steps < 1).any():
        return None
    count = int(usual(steps))
    offsets = dates.ticks - np.array([dates.start(int(m)) for m in months], np.int64)
    day = _day(dates, months, offsets)
    if day is not None:
        return Step(count, MONTH, day, dates=True)
    seconds = np.diff(dates.ticks)
    if np.ptp(seconds) <= EXACT * usual(seconds):
        return None
    for middle in (MIDDLE, WHOLE_MIDDLE):
        if all(
            _middle(dates, int(m), count, middle) == t
            for m, t in zip(months, dates.ticks, strict=True)
        ):
            return Step(count, MONTH, middle, dates=True)
    if len(months) > 3 and (steps == count).all() and even(seconds).all():
        return Step(count, MONTH, dates=True)
    return None


def _day(dates: Calendar, months: np.ndarray, offsets: np.ndarray) -> int | None:
    """The one day of the month, and time of the day, that all dates have."""
    length = 86400 * dates.per_second
    days, hours = offsets // length + 1, offsets % length
    if (hours != hours[0]).any():
        return None
    lengths = np.array([dates.start(int(m) + 1) - dates.start(int(m)) for m in months]) // length
    if (days == lengths).all():
        return LAST
    return int(days.max()) if (days == np.minimum(days.max(), lengths)).all() else None


def _middle(dates: Calendar, month: int, count: int, which: str) -> int:
    """Tick of the middle of the period of ``count`` months whose middle is in ``month``."""
    begin = month - count // 2
    start = dates.start(begin)
    middle = (start + dates.start(begin + count)) // 2
    if which == MIDDLE:
        return middle
    day = 86400 * dates.per_second
    return dates.start(month) + (middle - dates.start(month)) // day * day


def go_ahead(
    dates: Calendar, places: Sequence[int], counts: Sequence[int], step: Step
) -> np.ndarray:
    """Dates ``counts`` steps after those at ``places``, one each."""
    months = step.to(MONTH)
    if months is not None and dates.months is not None:
        if not months.is_integer():
            raise InputError(f"a step of {step} is no whole number of months; it gives no dates")
        return _by_months(dates, places, counts, Step(months, MONTH, step.day))
    seconds = in_seconds(step.units)
    if seconds is None:
        raise InputError(f"a step of {step} cannot be taken from dates or durations")
    exact = step.value * seconds * dates.per_second
    # Finer ticks where a step is no whole number of them; of a billionth of a second at most.
    finer = 1
    while finer * dates.per_second < 10**9 and abs(exact * finer - round(exact * finer)) > 1e-6:
        finer *= 1000
    ticks = [
        int(dates.ticks[i]) * finer + n * round(exact * finer)
        for i, n in zip(places, counts, strict=True)
    ]
    return dates.dates(ticks, finer)


def _by_months(
    dates: Calendar, places: Sequence[int], counts: Sequence[int], step: Step
) -> np.ndarray:
    length = 86400 * dates.per_second
    months = dates.months.tolist()
    known = {m % 12: i for i, m in enumerate(months)}
    ticks = []
    for place, count in zip(places, counts, strict=True):
        month = months[place] + count * round(step.value)
        start = dates.start(month)
        own = int(dates.ticks[place])
        if not count:
            ticks.append(own)
            continue
        if step.day in (MIDDLE, WHOLE_MIDDLE):
            at = _middle(dates, months[place], round(step.value), step.day)
            if at == own:
                ticks.append(_middle(dates, month, round(step.value), step.day))
                continue
        offset = own - dates.start(months[place])
        day = step.day
        if (
            not isinstance(day, int)
            or min(day, _days(dates, months[place])) != offset // length + 1
        ):
            # Elsewhere than in training: the same month of another year says where, else the date.
            alike = known.get(month % 12) if day is None else None
            if alike is not None:
                offset = int(dates.ticks[alike]) - dates.start(months[alike])
            day = offset // length + 1
        ticks.append(start + (min(day, _days(dates, month)) - 1) * length + offset % length)
    return dates.dates(ticks)


def _days(dates: Calendar, month: int) -> int:
    return (dates.start(month + 1) - dates.start(month)) // (86400 * dates.per_second)
