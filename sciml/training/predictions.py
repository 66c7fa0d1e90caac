"""What a surrogate gives on held-out simulations, beside the truth, as netCDF."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.domain.cf import describe
from sciml.domain.inference import domain_of, fields_of
from sciml.domain.layout import Layout, layout_of
from sciml.domain.names import SAMPLE, TIME, TRUTH
from sciml.samples import Frame, Simulation, Task
from sciml.samples.times import Times
from sciml.surrogates.scope import widened

if TYPE_CHECKING:
    import xarray as xr

    from sciml.surrogates import Surrogate

#: Part of the deviation of a field that steps of float32 may be; where they are more, float64 is kept.
RESOLVED = 1e-3
#: Attribute of the file that says, as JSON, what the predictions are.
ABOUT = "prediction"


def write_predictions(
    surrogate: Surrogate,
    truths: Iterable[tuple[int, xr.Dataset]],
    path: Path,
    *,
    steps: int,
    weighting: str | None = None,
) -> None:
    """Predictions of held-out simulations, in float32, with the truth beside them.

    What can be fed back is rolled out from the first frames; anything else is predicted from each
    frame. ``u`` is the surrogate's, with the frame that a rollout started from in front; every field of
    the solver's that varies in time is there as ``u_true``, but for forcing.

    One file where all simulations lie on one domain at the same times: dims ``(sample, time, …)``,
    ``sample`` the numbers of the simulations. Else a file a simulation, ``predictions-00003.nc``.

    Args:
        surrogate: in physical units.
        truths: number and frames of each simulation.
        path: of the one file.
        steps: leads of a rollout; as many as there are, at most.
        weighting: of points in errors, noted for whoever draws them.
    """
    for stale in (path, *path.parent.glob(f"{path.stem}-*.nc")):
        stale.unlink(missing_ok=True)
    numbers, there = [], []
    for number, truth in truths:
        numbers.append(number)
        there.append(truth)
    if there and all(_stand_together(there[0], ds) for ds in there):
        there = [_together(there, numbers)]
    for number, truth in zip(numbers, there, strict=False):  # one dataset of them all, or each
        found = predicted(surrogate, truth, steps)
        if found is None:
            continue
        about = {
            **json.loads(found.attrs[ABOUT]),
            **({"weighting": weighting} if weighting else {}),
        }
        one = path if len(there) == 1 else path.with_stem(f"{path.stem}-{number:05d}")
        _write(found.assign_attrs({ABOUT: json.dumps(about)}), one)


def predicted(surrogate: Surrogate, truth: xr.Dataset, steps: int) -> xr.Dataset | None:
    """Predictions beside the truth; ``None`` where no window of the task fits into it, or its species
    were not trained on."""
    task, domain = surrogate.task, domain_of(truth)
    if surrogate.unknown(domain):
        return None
    with warnings.catch_warnings(), widened(surrogate, domain):
        warnings.simplefilter("ignore", UserWarning)  # a validation has said it, in its findings
        found = (_rolled_out if task.autoregressive else _at_each_time)(surrogate, truth, steps)
    if found is None:
        return None
    kind = "rollout" if task.autoregressive else "map"
    about = {"kind": kind, "targets": task.targets, "inputs": task.inputs, "static": task.static}
    return found.assign_attrs({ABOUT: json.dumps(about)})


def dataset_of(
    simulation: Simulation, frames: Sequence[Frame], units: Mapping[str, str] | None = None
) -> xr.Dataset:
    """A simulation as its file would open, ``(time, …)``; ``units`` are those of its parameters."""
    import xarray as xr

    from sciml.domain.dataset import to_dataset

    ds = to_dataset(
        simulation.domain,
        simulation.fields,
        {f.name: np.stack([one.fields[f.name] for one in frames]) for f in simulation.fields},
        np.array([frame.time for frame in frames]),
        parameters={n: (v, (units or {}).get(n, "1")) for n, v in simulation.parameters.items()},
        static=simulation.static,
        static_fields=simulation.static_fields,
        attrs={"simulation": simulation.id},
        time_units=simulation.time_units,
    )
    if simulation.calendar:
        ds[TIME].attrs["calendar"] = simulation.calendar
    return xr.decode_cf(ds, decode_timedelta=False)


def _stand_together(one: xr.Dataset, other: xr.Dataset) -> bool:
    """Whether two simulations have one domain, and the same times: a file has one axis of each."""
    time = layout_of(one).time
    same_times = time is None or (
        time in other.sizes and np.array_equal(one[time].values, other[time].values)
    )
    return one.sizes == other.sizes and same_times and domain_of(one) == domain_of(other)


def _together(truths: Sequence[xr.Dataset], numbers: Sequence[int]) -> xr.Dataset:
    import xarray as xr

    first = truths[0]
    # What says where values lie is that of all of them.
    told = describe(domain_of(first), fields_of(first))
    return xr.concat(
        truths,
        xr.DataArray(numbers, dims=SAMPLE, name=SAMPLE, attrs={"long_name": "simulation"}),
        data_vars=[str(name) for name in first.data_vars if name not in told],
        coords="different",
        compat="equals",
        join="override",
        combine_attrs="drop_conflicts",
    )


def _rolled_out(surrogate: Surrogate, truth: xr.Dataset, steps: int) -> xr.Dataset | None:
    task = surrogate.task
    first = (task.history - 1) * task.lead
    layout = layout_of(truth, task.targets)
    truth = _unbroken(truth, task, layout)
    if truth is None:
        return None
    length = min(steps, (truth.sizes[layout.time] - 1 - first) // task.lead)
    if length < 1:
        return None
    # Several times say their step, which is that of this simulation and not of all.
    usual, surrogate.dt = surrogate.step, None if first else surrogate.step
    try:
        begin = truth.isel({layout.time: slice(0, first + 1)})
        ahead = {"forcing": truth[list(task.forcing)]} if task.forcing else {}
        guess = surrogate.rollout(begin, length, **ahead)
    finally:
        surrogate.dt = usual
    leads = slice(first, first + length * task.lead + 1, task.lead)
    return _beside(truth.isel({layout.time: leads}), guess, task, layout, start=1)


def _at_each_time(surrogate: Surrogate, truth: xr.Dataset, steps: int) -> xr.Dataset | None:
    task = surrogate.task
    layout = layout_of(truth, task.targets)
    if layout.time is None:
        return _beside(truth, surrogate.predict(truth), task, layout)
    truth = _unbroken(truth, task, layout)
    if truth is None:
        return None
    ahead = task.lead if task.history else 0
    first = max(task.history - 1, 0) * max(task.lead, 1) + ahead
    length = truth.sizes[layout.time] - first
    if length < 1:
        return None
    given = truth
    if ahead and not task.forcing:  # nothing is known of what comes behind the last frame
        given = truth.isel({layout.time: slice(0, -ahead)})
    guess = surrogate.predict(given).isel({layout.time: slice(0, length)})
    return _beside(truth.isel({layout.time: slice(first, None)}), guess, task, layout)


def _unbroken(truth: xr.Dataset, task: Task, layout: Layout) -> xr.Dataset | None:
    """The first stretch without a gap into which a window fits."""
    if not task.even:
        return truth
    segments = Times.of(truth, layout).segments
    fitting = np.flatnonzero(np.bincount(segments) > task.history * task.lead)
    return truth.isel({layout.time: segments == fitting[0]}) if len(fitting) else None


def _beside(
    truth: xr.Dataset, guess: xr.Dataset, task: Task, layout: Layout, start: int = 0
) -> xr.Dataset:
    """Truth as ``<name>_true``; in front of each prediction so many frames that it started from."""
    import xarray as xr

    still = {*task.static, *task.forcing}
    moving = [n for n in _moving(truth, layout) if n not in still]
    out = truth.drop_vars(moving)
    for name in moving:
        true = truth[name]
        long_name = true.attrs.get("long_name", name)
        if name in task.targets:
            ahead = guess[name]
            if start:
                ahead = ahead.isel({layout.time: slice(-(true.sizes[layout.time] - start), None)})
                front = true.isel({layout.time: slice(0, start)})
                ahead = xr.concat([front, ahead], layout.time, join="override")
            # One prediction for all samples, where they differ in nothing that the surrogate sees.
            ahead = ahead.expand_dims([d for d in true.dims if d not in ahead.dims])
            ahead = ahead.broadcast_like(true, exclude=[layout.time]).transpose(*true.dims)
            if layout.time in true.coords:
                ahead = ahead.assign_coords({layout.time: true[layout.time]})
            out[name] = ahead.assign_attrs({**true.attrs, "long_name": f"{long_name}, surrogate"})
        out[f"{name}{TRUTH}"] = true.assign_attrs(long_name=f"{long_name}, solver")
    return out


def _moving(truth: xr.Dataset, layout: Layout) -> Iterator[str]:
    """Fields of a dataset that change in time, or all where there is none."""
    for field in fields_of(truth):
        if layout.time is None or layout.time in truth[field.name].dims:
            yield field.name


def _write(ds: xr.Dataset, path: Path) -> None:
    aside = path.with_suffix(".part")
    # Without the chunks of the files that the truth was read from, which grew frame by frame.
    ds = ds.drop_encoding()
    for name, array in ds.data_vars.items():
        # Numbers one a frame, such as total energies, cost nothing.
        spans = array.ndim > sum(dim in array.dims for dim in (SAMPLE, TIME))
        if array.dtype == np.float64 and spans and _fits(array.values):
            ds[name] = array.astype(np.float32, keep_attrs=True)
    ds.to_netcdf(aside, engine="h5netcdf")
    os.replace(aside, path)


def _fits(values: np.ndarray[Any, Any]) -> bool:
    """Whether float32 has numbers of that size, and tells them apart: to 1e-3 of their deviation."""
    known = values[np.isfinite(values)]
    if not known.size or np.ptp(known) == 0.0:
        return True
    largest, limits = np.abs(known).max(), np.finfo(np.float32)
    return bool(largest <= limits.max and largest * limits.eps <= RESOLVED * known.std())
