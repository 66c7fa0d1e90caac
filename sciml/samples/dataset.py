"""Simulations and samples out of an xarray dataset: ours, or anyone's own netCDF.

Works on xarray objects through their methods alone; importing it does not import xarray.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sciml.domain import Particles
from sciml.domain.inference import TURN, ascending, closes, domain_of, fields_of
from sciml.domain.layout import layout_of, times_of, variable
from sciml.domain.levels import apart
from sciml.domain.names import LATTICE
from sciml.errors import InputError
from sciml.samples.arrays import OnDemand, OnGrid, array_of
from sciml.samples.ends import Ends
from sciml.samples.fills import require_decoded
from sciml.samples.frame import Frame, Simulation
from sciml.samples.masks import Masks, words
from sciml.samples.sample import Sample
from sciml.samples.splits import splits_of
from sciml.samples.task import Task
from sciml.samples.times import Times, in_order, require_times
from sciml.samples.windower import windows_of

if TYPE_CHECKING:
    import xarray as xr

log = logging.getLogger("sciml.samples")

Frames = list[tuple[Simulation, list[Frame]]]


def samples_of(ds: xr.Dataset, task: Task, split: str | None = "train") -> list[Sample]:
    """Every window of every simulation, in order of simulation and time.

    Args:
        ds: a dataset.
        task: the window.
        split: where the dataset says one, only what is ``train``, ``validation`` or ``test`` of it;
            ``None``: all of it.

    Raises:
        InputError: the task names what the dataset does not have, or wants more frames than any
            simulation holds; NaN inside a simulation; times that the task cannot do with.
    """
    ds, task, _ = levels_apart(ds, task)
    names = task.moving
    layout = layout_of(ds, names)
    for remark in require_times(task, ds, layout):
        log.info("%s", remark)
    ds = in_order(ds, layout)
    splits = splits_of(ds, layout, names) if split is not None else None
    if splits is not None and not splits.has(split):
        raise InputError(f"{splits.source} says '{split}' of nothing; expected some, or split=None")
    simulations = simulations_of(
        ds,
        task.parameters,
        fields=names,
        static=task.static,
        without=None if splits is None else splits.but(split),
    )
    if splits is not None:
        simulations = [piece for _, piece in splits.divided(simulations)]
    samples = [s for one, frames in simulations for s in windows_of(one, frames, task)]
    if not samples:
        longest = max((len(frames) for _, frames in simulations), default=0)
        raise InputError(
            f"no window of the task (lead={task.lead}, history={task.history}, "
            f"unroll={task.unroll}) fits into {longest} frames; shorten it or give more frames"
        )
    return samples


def levels_apart(ds: xr.Dataset, task: Task) -> tuple[xr.Dataset, Task, dict[str, tuple[str, ...]]]:
    """Data and task with levels as the task says, and what its names stand for.

    Raises:
        InputError: levels of which it has to be said what they are; said so where there are none.
    """
    names = (*task.moving, *task.static)
    found, meant = apart(ds, names, task.levels)
    if task.levels == "channels" and found is ds:
        spans = dict.fromkeys(str(d) for n in names if n in ds.variables for d in ds[n].dims)
        raise InputError(
            f"levels='channels', and none of {', '.join(names)} has a vertical axis among "
            f"{', '.join(spans)}; leave it away, or set ds[dim].attrs['axis'] = 'Z'"
        )
    return found, task.of_fields(meant), meant


def simulations_of(
    ds: xr.Dataset,
    parameters: Sequence[str] = (),
    *,
    fields: Sequence[str] | None = None,
    static: Sequence[str] = (),
    without: np.ndarray | None = None,
    say: Callable[[str], None] = lambda line: None,
    warn: Callable[[str], None] = lambda line: None,
    on_demand: bool = False,
) -> Frames:
    """Each entry of the dimension ``sample`` as a simulation with its frames.

    Arrays are views of what one read of a simulation gave, in standard order of dimensions, with
    their dtype kept. Frames that are NaN throughout, the fill of simulations that ended earlier,
    are left out. Axes that descend are turned. Times ascend: data that come newest first are put in
    order. Frames behind a gap in time are of another segment. Points
    that are NaN in all frames are the mask of their field.

    Args:
        ds: a dataset; without a sample dimension it is one simulation, without time one frame each.
        parameters: names of scalar variables, for all samples or one a sample.
        fields: names of the fields; by default all that :func:`fields_of` finds.
        static: names of variables that do not change in time, on the axes of the fields or some of
            them; repeated over time they count once.
        without: frames that are not to be looked at, bool ``(samples, times)`` or ``(samples, 1)``, such
            as those for testing; a simulation of which nothing is left is not in the list.
        say: takes a line on what was taken for granted.
        warn: takes a line on what may be a mistake: frames without a value between others.
        on_demand: frames are looked at, and read again whenever they are asked for.

    Raises:
        InputError: a name that is not there, a parameter that is no scalar, values that are no real
            numbers, numbers that stand for no value, NaN at points that have values at other times or
            in other samples, NaN in a parameter, infinite values; a static variable that changes, or
            does not lie on the grid; a periodic axis that holds its first point again at its end.
    """
    for name in (*parameters, *static, *(fields or ())):
        variable(ds, name)
    found = fields_of(ds, fields)
    names = [field.name for field in found]
    for name in (*parameters, *static, *names):
        _require_real(ds[name])
    layout = layout_of(ds, fields)
    domain = domain_of(ds, names)
    if isinstance(domain, Particles) and any(domain.periodic) and LATTICE not in names:
        _require_one_cell(ds)
    ds, _ = ascending(in_order(ds, layout))
    for dim in layout.space:
        if domain.kind == "grid" and closes(ds, dim):
            say(f"'{dim}' closes at {TURN:g} degrees: it is periodic")
    # Beside fields on nodes there may be static ones in cells or on edges.
    wide = layout if domain.kind == "grid" else layout_of(ds, [*names, *static])
    lie = OnGrid(ds, wide, say)
    spans = {n: set(ds[n].dims) for n in static}
    known = fields_of(
        ds,
        [
            name
            for name, dims in spans.items()
            if set(wide.space) <= dims or wide.place_of(dims) in ("cell", "edge")
        ],
    )
    ends = Ends(ds, layout, domain)
    times, numbers = Times.of(ds, layout), times_of(ds, layout)
    segments, (units, calendar) = times.segments.tolist(), times.in_file
    masks = Masks()
    simulations: Frames = []
    empty: list[tuple[int, int]] = []
    behind = 0
    for index in range(ds.sizes[layout.sample] if layout.sample else 1):
        if without is not None and without[index].all():
            continue
        one = ds.isel({layout.sample: index}) if layout.sample else ds
        kept = np.full(len(numbers), True)
        if without is not None:
            kept &= ~without[index]
        simulation = Simulation(
            index,
            domain,
            found,
            {name: parameter_of(one, name) for name in parameters},
            {name: lie.static(one, name, index, kept) for name in static},
            time_units=units,
            calendar=calendar,
            static_fields=known,
        )
        arrays = {name: array_of(one, name, layout) for name in names}
        moving = {name for name in names if layout.time in one[name].dims}
        ends.look({n: (a, kept if n in moving else None) for n, a in arrays.items()})
        frames = []
        for step, time in enumerate(numbers):
            if not kept[step]:
                continue
            frame = {n: a[step] if n in moving else a for n, a in arrays.items()}
            if _filled(frame, moving or set(names), index, step):
                held = OnDemand(one, names, layout, step) if on_demand else frame
                frames.append(Frame(index, step, float(time), held, segment=segments[step]))
                for name, array in frame.items():
                    require_decoded(ds[name], array, f"sample {index}, frame {step}")
                    masks.look("field", name, array, f"sample {index}, frame {step}")
            else:
                empty.append((index, step))
        ended = frames[-1].step if frames else -1
        behind += len(empty)
        empty = [(i, step) for i, step in empty if i != index or step < ended]
        behind -= len(empty)
        if frames:
            _complete(simulation)
            for name, array in simulation.static.items():
                require_decoded(ds[name], np.asarray(array), f"sample {index}")
                masks.look("static field", name, array, f"sample {index}")
        simulations.append((simulation, frames))
    ends.require_once()
    if empty:
        (sample, step), total = empty[0], len(numbers) * len(simulations)
        warn(
            f"{len(empty)} of {total} frames are NaN throughout, with values before and behind them, "
            f"first frame {step} of sample {sample}: they are left out, and no window goes across"
        )
    if behind:
        say(f"{behind} frames behind the ends of simulations are NaN throughout: left out")
    for name, mask in masks.found.items():
        say(f"'{name}' has no values at {words(mask)}, at any time: they are left out")
    if not masks.found:
        return simulations
    return [(replace(one, masks=masks.found), frames) for one, frames in simulations]


def _require_real(array: xr.DataArray) -> None:
    name, dtype = array.name, array.dtype
    if dtype.kind in "fiub":
        return
    if dtype.kind == "c":
        raise InputError(
            f"'{name}' is {dtype}; expected real numbers: make two fields of it, "
            f"ds.assign({name}_re=ds['{name}'].real, {name}_im=ds['{name}'].imag)"
        )
    raise InputError(f"'{name}' is of type {dtype}; expected numbers: ds['{name}'].astype(float)")


def parameter_of(ds: xr.Dataset, name: str) -> float:
    """The value of a parameter in one simulation.

    Raises:
        InputError: it spans something.
    """
    array = ds[name]
    if array.ndim:
        raise InputError(
            f"parameter '{name}' spans {tuple(array.dims)} within one simulation; expected a "
            "scalar, or one value a sample; what varies in time and is known ahead is 'forcing', a "
            "field that does not change in time is 'static'"
        )
    return float(array.values)


def _filled(frame: dict[str, np.ndarray], moving: set[str], sample: int, step: int) -> bool:
    """Whether a frame holds values; False for the fill behind the end of a shorter simulation, which is
    in all fields that move."""
    empty = []
    for name, array in frame.items():
        if array.dtype.kind != "f" or np.isfinite(array).all():
            continue
        if np.isinf(array).any():
            raise InputError(
                f"field '{name}' has {_words(array)} in sample {sample}, frame {step}; "
                "expected numbers; fill them (ds.fillna, ds.interpolate_na) or select a part "
                "without"
            )
        if np.isnan(array).all():
            empty.append(name)
    held = [n for n, a in frame.items() if n in moving and a.dtype.kind == "f" and n not in empty]
    if empty and held:
        raise InputError(
            f"field '{empty[0]}' is NaN throughout sample {sample}, frame {step}, where '{held[0]}' has "
            "values; expected numbers in both: fill them (ds.fillna) or leave that part out, with "
            "ds.isel(sample=...) or ds.isel(time=...)"
        )
    return not empty


def _complete(simulation: Simulation) -> None:
    """Refuse static fields and parameters that are not numbers throughout."""
    for what, values in (("static field", simulation.static), ("parameter", simulation.parameters)):
        for name, value in values.items():
            array = np.asarray(value)
            if array.dtype.kind != "f" or np.isfinite(array).all():
                continue
            # Static fields may have points without values, as fields do.
            if array.ndim == 0 or np.isinf(array).any() or np.isnan(array).all():
                raise InputError(
                    f"{what} '{name}' has {_words(array)} in sample {simulation.id}; expected numbers; "
                    "fill them (ds.fillna) or leave the sample out"
                )


def _words(array: np.ndarray) -> str:
    infinite = int(np.isinf(array).sum())
    return f"{infinite} infinite values" if infinite else f"{int(np.isnan(array).sum())} NaN"


def _require_one_cell(ds: xr.Dataset) -> None:
    """Raises :class:`InputError` where cells of particles change and nobody looks."""
    if LATTICE not in ds.data_vars:
        return
    cells = ds[LATTICE].values.reshape(-1, ds[LATTICE].shape[-1])
    if (cells != cells[0]).any():
        raise InputError(
            f"the cell of the particles changes, and the task does not see '{LATTICE}'; expected it "
            "among the inputs"
        )
