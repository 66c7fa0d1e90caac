"""What the times of a dataset must be like for a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sciml.domain.layout import Layout, is_date, times_of
from sciml.errors import InputError
from sciml.samples.task import Task

if TYPE_CHECKING:
    import xarray as xr

#: Share of the usual step by which one may differ from it: months do by a tenth, a gap by all of it.
UNEVEN = 0.5


def require_times(task: Task, ds: xr.Dataset, layout: Layout) -> None:
    """Refuse times that would make something else of a task than it says.

    Raises:
        InputError: dates where the task sees the time; a gap that windows of the task would go across.
    """
    _require_numbers(task, ds, layout)
    _require_even(task, ds, layout)


def _require_numbers(task: Task, ds: xr.Dataset, layout: Layout) -> None:
    """Dates are counted from the first one, so that a part of a dataset would have other times than
    the whole."""
    time = layout.time
    if task.time and time in ds.coords and ds[time].dtype.kind != "m" and is_date(ds[time]):
        raise InputError(
            f"'{time}' holds dates, and the task sees the time, which has to be a number; expected one "
            f"since a date of your choice: ds.assign_coords({time}=(ds.{time} - "
            "np.datetime64('2000-01-01')) / np.timedelta64(1, 'h'))"
        )


def _require_even(task: Task, ds: xr.Dataset, layout: Layout) -> None:
    """A window joins frames by their number, and a surrogate goes ahead by one step of all times."""
    times = times_of(ds, layout)
    if len(times) < 3 or task.lead == 0 or task.history == 0 or task.time:
        return
    steps = np.diff(times)
    usual = np.median(steps)
    off = np.abs(steps - usual) > UNEVEN * abs(usual)
    if off.any():
        at = int(np.argmax(off))
        raise InputError(
            f"'{layout.time}' goes from {times[at]:g} to {times[at + 1]:g}, where steps are {usual:g} "
            f"elsewhere; expected even ones: take a part, ds.isel({layout.time}=slice(...)), or "
            "interpolate, ds.interp"
        )
