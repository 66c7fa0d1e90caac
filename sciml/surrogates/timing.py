"""Times of the datasets that are predicted from: which they are, how far apart, and what comes next."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.domain.layout import Layout, axis_of, layout_of, times_of
from sciml.domain.names import TIME
from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from sciml.surrogates.surrogate import Surrogate

#: Relative difference of time steps above which a dataset is taken for another one.
STEP_TOLERANCE = 0.01


def timed(surrogate: Surrogate, ds: xr.Dataset, *, always: bool = False) -> tuple[xr.Dataset, bool]:
    """``ds`` with an axis of time where its time is a scalar, and whether it was: the model may see the
    time, and outputs have another.

    Args:
        always: without any time, too; it then begins at 0.
    """
    task = surrogate.task
    if not (task.inputs or task.time) or not hasattr(ds, "data_vars"):
        return ds, False
    if any(axis_of(ds, d) == "T" for d in ds.dims):
        return ds, False
    known = [n for n in ds.coords if not ds[n].ndim and n not in task.parameters]
    found = [n for n in known if axis_of(ds, n) == "T"]
    names = [n for n in task.inputs if n in ds.variables]
    if len(found) > 1:  # forecasts have the time of their start besides
        found = [TIME] if TIME in found else []
    if not (found or always):
        return ds, False
    time, coordinate = TIME, (TIME, [0.0])
    if found:
        [time] = found
        coordinate = (time, np.atleast_1d(ds[time].values), ds[time].attrs)
    sample = layout_of(ds, names).sample if names else None
    moving = {}
    for name in names:
        array = ds[name].variable
        place = int(sample is not None and array.dims[0] == sample)
        dims = list(array.sizes.items())
        moving[name] = array.set_dims(dict([*dims[:place], (time, 1), *dims[place:]]))
    return ds.drop_vars(found).assign_coords({time: coordinate}).assign(moving), bool(found)


def target_time(ds: xr.Dataset) -> str:
    """The dimension of the times at which a task without history wants its targets."""
    found = [str(d) for d in ds.dims if axis_of(ds, d) == "T"]
    if len(found) != 1:
        raise InputError(
            f"dataset has no dimension '{TIME}'; the surrogate sees the time of its target: "
            "add one with ds.assign_coords(time=('time', [...]))"
        )
    return found[0]


def times(ds: xr.Dataset, layout: Layout) -> np.ndarray:
    """Values of the time coordinate as they are: numbers, dates, or counts where there is none."""
    if layout.time is None:
        return np.zeros(1)
    if layout.time not in ds.coords:
        return np.arange(ds.sizes[layout.time])
    return ds.coords[layout.time].values


def time_step(surrogate: Surrogate, ds: xr.Dataset, layout: Layout) -> Any:
    """Interval of the dataset in the kind of its coordinate, checked against the training's.

    Raises:
        InputError: another interval than the surrogate was trained with.
    """
    own, numbers, dt = times(ds, layout), times_of(ds, layout), surrogate.dt
    if len(own) < 2:
        if dt is None:
            return 1
        if own.dtype == object:  # cftime's dates
            return timedelta(seconds=dt)
        return np.timedelta64(round(dt * 1e9), "ns") if own.dtype.kind in "mM" else dt
    step = float(np.median(np.diff(numbers)))
    stepping = surrogate.task.lead > 0 and surrogate.task.history > 0
    if stepping and dt is not None and abs(step - dt) > STEP_TOLERANCE * abs(dt):
        counted, remedy = "", "interpolate with ds.interp"
        if layout.time not in ds.coords:
            counted = f" (it has no coordinate '{layout.time}', so times are counted)"
            remedy = f"ds.assign_coords({layout.time}=...)"
        raise InputError(
            f"dataset has a time step of {step:g}{counted}; the surrogate was trained with {dt:g}: "
            f"{remedy}, or give single times, ds.isel({layout.time}=[-1])"
        )
    return own[-1] - own[-2]


def stamp(times: np.ndarray, index: int, step: Any) -> Any:
    beyond = index - (len(times) - 1)
    return times[index] if beyond <= 0 else times[-1] + beyond * step
