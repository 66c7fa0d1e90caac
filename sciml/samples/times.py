"""The times of a dataset: their unit or calendar, their order, the step, and the gaps between them.

A window joins frames by their number, and a surrogate goes ahead by one step of all times: so times are
put in ascending order, and a series with gaps is several segments, which no window goes across.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from sciml.domain.layout import Layout, is_date
from sciml.domain.time_units import MONTH, UNKNOWN, of_step
from sciml.errors import InputError
from sciml.samples.calendar import Calendar, calendar_of
from sciml.samples.step import Step, calendar_step, even, usual
from sciml.samples.task import Task

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, eq=False)
class Times:
    """Times of the frames of a dataset, as they come.

    Args:
        name: of the coordinate; ``None`` where frames are counted.
        values: numbers, dates, durations or counts, ``(time,)``; of a single state its number alone.
        units: of numbers, as :func:`sciml.domain.time_units.of_step` gives them; ``"s"`` of the rest.
        said: units and calendar that the coordinate states.
    """

    name: str | None
    values: np.ndarray
    units: str
    said: tuple[str, str] = (UNKNOWN, "")

    @classmethod
    def of(cls, ds: xr.Dataset, layout: Layout) -> Times:
        """Those of a dataset.

        Raises:
            InputError: text, or numbers that are dates in disguise; a time that is missing.
        """
        name = layout.time
        if name is None:
            return cls(None, np.zeros(1), UNKNOWN)
        if name not in ds.coords:
            return cls(None, np.arange(ds.sizes[name]), UNKNOWN)
        coordinate = ds.coords[name]
        values = coordinate.values
        if is_date(coordinate):
            times = cls(name, values, "s")
            _ = times.calendar  # refuses what is missing
            return times
        units, calendar = (str(coordinate.attrs.get(key, "")) for key in ("units", "calendar"))
        _require_numbers(name, values, units)
        return cls(name, values, of_step(units), (units, calendar))

    @cached_property
    def calendar(self) -> Calendar | None:
        """Dates or durations; ``None`` for numbers."""
        return calendar_of(self.values)

    @property
    def dates(self) -> bool:
        """Whether they belong to a calendar, unlike durations and numbers."""
        return self.calendar is not None and self.calendar.months is not None

    @property
    def in_file(self) -> tuple[str, str]:
        """Units and calendar of the numbers that :func:`sciml.domain.layout.times_of` makes of them:
        dates become seconds since the first one."""
        if not self.dates:
            return ("s", "") if self.calendar is not None else self.said
        first = self.values[0]
        if isinstance(first, np.datetime64):
            day, _, hour = str(first).partition("T")
            whole, _, part = hour.partition(".")
            part = part.rstrip("0")
            return f"seconds since {day} {whole}{'.' if part else ''}{part}", ""
        return f"seconds since {first.isoformat(sep=' ')}", first.calendar

    @cached_property
    def order(self) -> np.ndarray:
        """Places of the times, the earliest first."""
        return np.argsort(self._ordinals, kind="stable")

    @property
    def ascending(self) -> bool:
        return bool((np.diff(self.order) > 0).all())

    @cached_property
    def step(self) -> Step | None:
        """From one time to the next, but for gaps; ``None`` for a single one. Of ascending times."""
        if len(self.values) < 2:
            return None
        if self.calendar is not None and (step := calendar_step(self.calendar)) is not None:
            return step
        steps = np.diff(self._ordinals)
        if self.calendar is not None:
            return Step(float(usual(steps)) / self.calendar.per_second, self.units, dates=True)
        # The mean of what is no gap has the most digits.
        return Step(float(steps[even(steps)].mean()), self.units)

    @cached_property
    def segments(self) -> np.ndarray:
        """Number of the segment of each time, from 0: another one begins behind each gap. Of ascending
        times.

        A step is a gap where it differs from the usual one by more than half of it; of months and years,
        where it is another number of them.
        """
        if len(self.values) < 2:
            return np.zeros(len(self.values), np.int64)
        step = self.step
        if step.units == MONTH and self.dates:
            whole = np.diff(self.calendar.months) == round(step.value)
        else:
            whole = even(np.diff(self._ordinals))
        return np.concatenate([[0], np.cumsum(~whole)])

    def twice(self) -> str | None:
        """A time that comes more than once."""
        again = np.flatnonzero(np.diff(self._ordinals[self.order]) == 0)
        return None if not len(again) else str(self.values[self.order[again[0]]])

    def gap(self) -> str:
        """The first gap, in words."""
        at = int(np.argmax(np.diff(self.segments) > 0))
        a, b = self.values[at : at + 2]
        words = f"{a:g} to {b:g}" if self.calendar is None else f"{a} to {b}"
        return f"'{self.name}' goes from {words}, where steps are {self.step} elsewhere"

    @cached_property
    def _ordinals(self) -> np.ndarray:
        if self.calendar is not None:
            return self.calendar.ticks
        return self.values if self.values.dtype.kind == "f" else self.values.astype(np.int64)


def in_order(ds: xr.Dataset, layout: Layout) -> xr.Dataset:
    """``ds`` with its times ascending; newest-first data would teach dynamics that run backwards.

    Raises:
        InputError: as :meth:`Times.of`.
    """
    times = Times.of(ds, layout)
    return ds if times.ascending else ds.isel({layout.time: times.order})


def require_times(task: Task, ds: xr.Dataset, layout: Layout) -> list[str]:
    """Refuse times that would make something else of a task than it says.

    Returns:
        What is worth a line of log: times that are put in order, gaps.
    """
    times = Times.of(ds, layout)
    if task.time and times.dates:
        raise InputError(
            f"'{layout.time}' holds dates, and the task sees the time, which has to be a number; "
            "expected one since a date of your choice: "
            f"ds.assign_coords({layout.time}=(ds.{layout.time} - np.datetime64('2000-01-01')) / "
            "np.timedelta64(1, 'h'))"
        )
    if not task.marches:
        return []
    if (twice := times.twice()) is not None:
        dates = [
            n for n, c in ds.variables.items() if c.dims == (layout.time,) and n != layout.time
        ]
        dates = [n for n in dates if is_date(ds[n])]
        raise InputError(
            f"'{layout.time}' has {twice} twice; expected every time once: "
            + (
                f"ds.assign_coords({layout.time}=ds.{dates[0]}), which are dates"
                if dates
                else f"ds.drop_duplicates('{layout.time}'), or make a dimension 'sample' of what repeats"
            )
        )
    remarks = []
    if not times.ascending:
        remarks.append(f"'{times.name}' does not ascend; frames are put in order of time")
        times = Times.of(in_order(ds, layout), layout)
    if task.even and times.segments[-1:].any():
        count, among = int(times.segments[-1]) + 1, len(times.values)
        if 2 * (count - 1) > among - 1:
            raise InputError(
                f"'{times.name}' has no step of its own: {count - 1} of the {among - 1} from one time "
                f"to the next differ from {times.step} by more than half; expected even ones, and a few "
                f"gaps at most: interpolate onto even times, ds.interp({times.name}=...)"
            )
        remarks.append(
            f"{times.gap()}: {count} segments of {among} times; no window goes across a gap"
        )
    return remarks


def _require_numbers(name: str, values: np.ndarray, units: str) -> None:
    kind = values.dtype.kind
    if kind in "USO" or "%Y" in units:
        first = str(values.flat[0]) if values.size else ""
        how = ", format='%Y%m%d'" if "%Y" in units else ""
        raise InputError(
            f"'{name}' holds {'dates as numbers' if kind not in 'USO' else 'text'} ('{first}', …); "
            "expected dates: import pandas as pd; "
            f"ds.assign_coords({name}=pd.to_datetime(ds.{name}.values{how}))"
        )
    if kind not in "fiu":
        raise InputError(f"'{name}' is of type {values.dtype}; expected numbers or dates")
    if not np.isfinite(values).all():
        raise InputError(
            f"'{name}' has a time that is {values[~np.isfinite(values)][0]}; expected numbers throughout"
        )
    form = _form(values) if units in ("", UNKNOWN) else None
    if form is not None:
        raise InputError(
            f"'{name}' looks like dates as numbers ({values[0]:.0f}, {values[1]:.0f}, …); expected "
            "dates: import pandas as pd; "
            f"ds.assign_coords({name}=pd.to_datetime(ds.{name}.values.astype(int).astype(str), "
            f"format='{form}')), or numbers with an attribute units"
        )


def _form(values: np.ndarray) -> str | None:
    """``"%Y%m%d"`` or ``"%Y%m"`` where whole numbers can only be such: steps jump where months, or
    years, end."""
    if len(values) < 3 or (values != np.round(values)).any() or values.min() < 100001:
        return None
    whole = values.astype(np.int64)
    steps = np.diff(np.sort(whole))
    if (steps == steps[0]).all():
        return None
    if whole.min() >= 10000101 and whole.max() <= 99991231:
        months, days = whole // 100 % 100, whole % 100
        if ((months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)).all():
            return "%Y%m%d"
    if whole.max() <= 999912:
        months = whole % 100
        if ((months >= 1) & (months <= 12)).all():
            return "%Y%m"
    return None
