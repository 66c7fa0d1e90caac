"""Times of the datasets that are predicted from: which they are, how far apart, and what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sciml.domain.layout import Layout, axis_of, layout_of, times_of
from sciml.domain.names import TIME
from sciml.domain.time_units import MONTH, UNKNOWN, in_seconds, ratio
from sciml.errors import InputError
from sciml.samples import Sample
from sciml.samples.step import Step, go_ahead
from sciml.samples.times import Times

if TYPE_CHECKING:
    import xarray as xr

    from sciml.surrogates.physical_model import PhysicalModel

#: Relative difference of time steps above which a dataset is taken for another one.
STEP_TOLERANCE = 0.01


def timed(
    surrogate: PhysicalModel, ds: xr.Dataset, *, always: bool = False
) -> tuple[xr.Dataset, bool]:
    """``ds`` with an axis of time, and whether its time was a scalar: the model may see the time, and
    outputs have another.

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
    units = None if surrogate.step is None else surrogate.step.units
    time, coordinate = TIME, (TIME, [0.0], {} if units in (None, UNKNOWN) else {"units": units})
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


class Clock:
    """When predictions of a dataset are: their labels, and the times that the model sees.

    Args:
        surrogate: knows the step of its training.
        ds: with times that ascend.
        layout: of ``ds``.

    Raises:
        InputError: another step than that of the training, or one that cannot be compared with it.
    """

    def __init__(self, surrogate: PhysicalModel, ds: xr.Dataset, layout: Layout) -> None:
        self.times = Times.of(ds, layout)
        self._numbers = times_of(ds, layout)
        self._step = time_step(surrogate, ds, layout)
        trained = surrogate.step
        self._segments = self.times.segments
        if not surrogate.task.even:
            self._segments = np.zeros_like(self._segments)
        known = trained is not None and UNKNOWN not in (trained.units or UNKNOWN, self.times.units)
        factor = ratio(self.times.units, trained.units) if known else 1.0
        if factor is None and surrogate.task.time:
            raise InputError(
                f"'{layout.time}' is in {self.times.units}, and the surrogate saw times in "
                f"{trained.units}: convert them"
            )
        self._factor = 1.0 if factor is None else factor

    def __len__(self) -> int:
        return len(self.times.values)

    def joined(self, places: Sequence[int]) -> bool:
        """Whether no gap lies between frames."""
        return len({int(self._segments[i]) for i in places}) < 2

    def gap(self) -> str:
        """The first gap, in words."""
        return self.times.gap()

    def labels(self, origins: Sequence[int], ahead: Sequence[int]) -> np.ndarray:
        """Times ``ahead`` frames after those at ``origins``, as the dataset has them: those of its
        frames as far as it has them before the next gap."""
        pairs = [self._reached(i, n) for i, n in zip(origins, ahead, strict=True)]
        places, counts = [i for i, _ in pairs], [n for _, n in pairs]
        if self.times.calendar is not None:
            return go_ahead(self.times.calendar, places, counts, self._step)
        values = self.times.values[places]
        if not any(counts):
            return values
        found = values + np.array(counts) * self._step.value
        whole = values.dtype.kind in "iu" and float(self._step.value).is_integer()
        return found.astype(values.dtype) if whole or values.dtype.kind == "f" else found

    def words(self, window: Sample, target: int | None = None) -> str:
        """Time of a target of a window, or of its origin, for messages; nothing where there is none."""
        if self.times.name is None:
            return ""
        ahead = 0 if target is None else window.targets[target].step - window.origin
        [label] = self.labels([window.origin], [ahead])
        return f"{label:g}" if self.times.calendar is None else str(label)

    def seen(self, origin: int, ahead: int) -> float:
        """The number that a model sees of a time, in the unit of its training."""
        place, count = self._reached(origin, ahead)
        return float(self._numbers[place] + count * self._step.value) * self._factor

    def _reached(self, origin: int, ahead: int) -> tuple[int, int]:
        """The frame there is, and how many steps are left to go."""
        there = origin + ahead
        if there < len(self) and self._segments[there] == self._segments[origin]:
            return there, 0
        last = np.flatnonzero(self._segments == self._segments[origin])[-1]
        return int(last), there - int(last)


def time_step(surrogate: PhysicalModel, ds: xr.Dataset, layout: Layout) -> Step:
    """Interval of the dataset, checked against that of the training, or the latter where it has none."""
    times, trained = Times.of(ds, layout), surrogate.step
    own = times.step
    if trained is None:
        if own is None and times.calendar is not None and surrogate.task.marches:
            raise InputError(
                f"'{layout.time}' holds one date, and the surrogate does not know how far it goes: give "
                "two times or more, or say so: surrogate.dt = sciml.surrogates.Step(6, 'h')"
            )
        return own or Step(1.0, times.units)
    if not surrogate.task.marches:
        return own or trained
    _require_same_kind(trained, times, layout)
    if own is None:
        return trained if times.calendar is not None else _as_number(trained, times, layout)
    if _are_months(trained, own, times):
        return trained
    if _differs(trained, own, times):
        counted, remedy = "", "interpolate with ds.interp"
        if times.name is None:
            counted = f" (it has no coordinate '{layout.time}', so times are counted)"
            remedy = f"ds.assign_coords({layout.time}=...)"
        raise InputError(
            f"dataset has a time step of {own}{counted}; the surrogate was trained with {trained}: "
            f"{remedy}, or give single times, ds.isel({layout.time}=[-1])"
        )
    return trained if times.dates and own.units == MONTH and trained.units is not None else own


def _require_same_kind(trained: Step, times: Times, layout: Layout) -> None:
    """Numbers without units say nothing to dates, nor dates to them."""
    name = times.name or layout.time
    if (
        trained.dates
        and times.calendar is None
        and times.units == UNKNOWN
        and times.name is not None
    ):
        raise InputError(
            f"'{name}' holds numbers without units, and the surrogate was trained on dates, with a step "
            f"of {trained}; expected dates, or units: ds['{name}'].attrs['units'] = 'h'"
        )
    if times.calendar is None or trained.units not in (None, UNKNOWN):
        return
    if trained.units is None and times.step is not None:
        return  # of which nobody said the unit: seconds, if they agree
    raise InputError(
        f"'{name}' holds {'dates' if times.dates else 'durations'}, and the surrogate was trained on "
        f"numbers without units, with a step of {trained}; say what they are: surrogate.dt = "
        f"sciml.surrogates.Step({trained.value:g}, 's'), or 'h', 'd', 'month'"
    )


def _as_number(trained: Step, times: Times, layout: Layout) -> Step:
    """The step of the training in the unit of a single number."""
    if times.units == UNKNOWN or trained.units in (None, UNKNOWN):
        return trained
    value = trained.to(times.units)
    if value is None:
        raise InputError(
            f"'{layout.time}' is in {times.units}; the surrogate was trained with a step of {trained}: "
            "convert one of them"
        )
    return Step(value, times.units)


def _differs(trained: Step, own: Step, times: Times) -> bool:
    """Whether the steps of a dataset are others than that of the training."""
    monthly = own.units == MONTH and times.dates
    if trained.units is None or UNKNOWN in (trained.units, own.units):
        found = [own.value]
    elif (value := own.to(trained.units)) is not None:
        found = [value]
    elif monthly and (length := in_seconds(trained.units)) is not None:
        found = (
            np.diff(times.calendar.ticks) / times.calendar.per_second / length
        )  # of 31 days, perhaps
    else:
        return True
    return bool(
        (np.abs(np.array(found) - trained.value) > STEP_TOLERANCE * abs(trained.value)).any()
    )


def _are_months(trained: Step, own: Step, times: Times) -> bool:
    """Whether dates evenly apart are months of a surrogate that goes by them: the middles of April, May
    and June are 30.5 days apart."""
    if trained.units != MONTH or own.units == MONTH or times.calendar is None:
        return False
    calendar = times.calendar
    if calendar.months is None or not (np.diff(calendar.months) == trained.value).all():
        return False
    starts = np.array([[calendar.start(int(m) + k) for k in (0, 1)] for m in calendar.months])
    off = np.abs(calendar.ticks - starts.mean(axis=1)) / calendar.per_second
    return bool((off < in_seconds("d")).all())
