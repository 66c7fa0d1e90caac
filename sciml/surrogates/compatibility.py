"""Whether a dataset is one that a surrogate can be used on: variables, place, points, steps, units."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sciml.domain import Domain
from sciml.domain.grid import Grid, box_difference
from sciml.domain.inference import domain_of
from sciml.domain.layout import Layout, axis_of, layout_of, other_places, variable
from sciml.domain.names import TIME
from sciml.errors import InputError, nearest
from sciml.samples import Simulation
from sciml.samples.masks import difference
from sciml.surrogates.clock import target_time, time_step
from sciml.surrogates.registry import ANY_RESOLUTION
from sciml.surrogates.scope import UNKNOWN
from sciml.surrogates.traits import traits_of

if TYPE_CHECKING:
    import xarray as xr

    from sciml.surrogates.physical_model import PhysicalModel


def require_match(surrogate: PhysicalModel, ds: xr.Dataset) -> None:
    """Refuse data that a surrogate was not made for.

    Raises:
        InputError: as :meth:`Surrogate.predict`.
    """
    time_step(surrogate, ds, layout_for(surrogate, ds))


def layout_for(surrogate: PhysicalModel, ds: xr.Dataset) -> Layout:
    """Layout of the dataset, after a look at all that the surrogate wants of it; other units than those
    of the training are warned of."""
    task = surrogate.task
    if not hasattr(ds, "data_vars"):
        name = next(iter(task.inputs), "name")
        remedy = f"an array becomes one by array.to_dataset(name='{name}')"
        raise InputError(f"got a {type(ds).__name__}; expected a dataset: {remedy}")
    for name in (*task.inputs, *task.static, *task.parameters):
        if name not in ds.variables:
            known = [str(v) for v in ds.variables if v not in ds.dims]
            raise InputError(
                f"dataset has no variable '{name}', which the surrogate sees; "
                f"{nearest(name, known) if known else 'it has none'}"
            )
    _compare_units(surrogate, ds)
    if task.history == 0 and not task.static:
        # Nothing spans space: the sample is whatever the parameters span.
        spans = {d for n in task.parameters for d in variable(ds, n).dims}
        time = TIME if TIME in ds.dims else layout_of(ds, task.parameters).time
        if task.time and time is None:
            time = target_time(ds)
        return Layout(sample=next((str(d) for d in spans if d != time), None), time=time)
    names = task.inputs or task.static
    layout = layout_of(ds, names)
    if layout.sample is None:
        # Fields may be the same in all samples, which then differ in the rest.
        rest = (*task.static, *(task.parameters if task.history == 0 else ()))
        known = {*layout.dims, *other_places(ds)}
        spans = dict.fromkeys(d for n in rest for d in ds[n].dims if d not in known)
        sample = next((str(d) for d in spans if axis_of(ds, str(d)) is None), None)
        layout = replace(layout, sample=sample)
    if task.time and task.history == 0 and layout.time is None:
        # Static fields have no time; that of the targets is what the dataset spans.
        layout = replace(layout, time=target_time(ds))
    given = domain_of(ds, names)
    _same_kind(surrogate, given, layout, ds)
    _resolution(surrogate, given)
    return layout


def warn_of_other_points(surrogate: PhysicalModel, ds: xr.Dataset) -> None:
    """Where nothing that a surrogate sees spans space, it answers on its own points: a dataset with
    others is warned of, unless it holds the truth beside which the answer is to stand.
    """
    task, grid = surrogate.task, surrogate.domain
    if task.history or task.static or not isinstance(grid, Grid):
        return
    if any(name in ds.data_vars for name in task.targets):
        return
    for axis, (dim, points) in enumerate(zip(grid.dims, grid.shape, strict=True)):
        if dim not in ds.dims or dim not in ds.coords:
            continue
        given, near = np.sort(ds[dim].values), 1e-3 * abs(grid.spacing[axis])
        if len(given) != points or not np.allclose(given, grid.coordinates(axis), atol=near):
            warnings.warn(
                f"predict: dataset has {len(given)} points along {dim} that are not the {points} of "
                f"the surrogate, which sees no field and answers on its own: ask for others by "
                f"at={{'{dim}': ds.{dim}}}",
                stacklevel=4,
            )


def require_masks(surrogate: PhysicalModel, simulation: Simulation, names: Sequence[str]) -> None:
    """That fields lack values where they did in training, and there alone."""
    if apart := difference(surrogate.masks, simulation.masks, tuple(names)):
        raise InputError(
            f"{apart} in training; expected the mask of the training: fill them (ds.fillna), or leave "
            "out what is not there, ds.where"
        )


def _compare_units(surrogate: PhysicalModel, ds: xr.Dataset) -> None:
    for field in surrogate.fields:
        if field.name not in surrogate.task.inputs or field.name not in ds.variables:
            continue
        units = " ".join(str(ds[field.name].attrs.get("units", "")).split())
        if field.units not in UNKNOWN and units not in UNKNOWN and units != field.units:
            warnings.warn(
                f"'{field.name}' is in {units}; the surrogate was trained on {field.units}: convert it, "
                f"or, where both mean the same, set ds['{field.name}'].attrs['units'] = "
                f"'{field.units}'",
                stacklevel=7,
            )


def _same_kind(surrogate: PhysicalModel, given: Domain, layout: Layout, ds: xr.Dataset) -> None:
    trained = surrogate.domain
    if trained is None:
        return
    if trained.kind != given.kind:
        raise InputError(f"dataset lives on a {given.kind}; the surrogate on a {trained.kind}")
    if not isinstance(trained, Grid):
        trained.require(given)
        for doubt in trained.doubts(given, traits_of(surrogate.model).groups):
            warnings.warn(doubt, stacklevel=7)
        return
    if trained.ndim != given.ndim:
        more = given.ndim > trained.ndim
        raise InputError(
            f"dataset has {given.ndim} axes in space, {', '.join(layout.space)} of {given.shape}; the "
            f"surrogate was trained on {trained.ndim}: {trained.shape}"
            + (f"; select one entry of an axis, ds.isel({layout.space[0]}=0)" if more else "")
        )
    axis = box_difference(trained, given)
    if axis is not None:
        (a, b), (c, d), dim = trained.extent[axis], given.extent[axis], layout.space[axis]
        counted = (
            "" if dim in ds.coords else f" (it has no coordinate '{dim}', so points are counted)"
        )
        remedy = f"ds.assign_coords({dim}=...)" if counted else "select or interpolate"
        if _turned_round(trained, given, axis):
            remedy = (
                f"turn it, ds.assign_coords({dim}=(ds.{dim} - {a:g}) % 360 + {a:g}).sortby('{dim}')"
            )
        elif _cyclic(trained, given, axis):
            remedy = f"leave out the cyclic point, ds.isel({dim}=slice(0, -1))"
        raise InputError(
            f"dataset spans [{c:g}, {d:g}] along axis {dim}{counted}; the surrogate was trained on "
            f"[{a:g}, {b:g}]. Resolution may differ, the box may not: {remedy}, or set "
            "surrogate.domain = None to go on regardless"
        )


def _turned_round(trained: Grid, given: Grid, axis: int) -> bool:
    """Whether two grids go around the globe from different longitudes."""
    shift = (trained.extent[axis][0] - given.extent[axis][0]) / given.spacing[axis]
    return abs(shift - round(shift)) < 0.01 and all(
        grid.boundary[axis] == "periodic" and grid.meanings and "longitude" in grid.meanings[axis]
        for grid in (trained, given)
    )


def _cyclic(trained: Grid, given: Grid, axis: int) -> bool:
    """Whether a periodic axis comes with its first point again at its end."""
    if trained.boundary[axis] != "periodic" or given.shape[axis] < 3:
        return False
    last = 1 if given.boundary[axis] == "periodic" else 0
    (low, high), width = given.extent[axis], given.spacing[axis]
    shorter = replace(
        given,
        shape=(*given.shape[:axis], given.shape[axis] - 1, *given.shape[axis + 1 :]),
        extent=(*given.extent[:axis], (low, high - last * width), *given.extent[axis + 1 :]),
        boundary=trained.boundary,
    )
    return box_difference(trained, shorter) != axis


def _resolution(surrogate: PhysicalModel, given: Domain) -> None:
    trained, model = surrogate.domain, surrogate.model
    if not isinstance(trained, Grid) or given.shape == trained.shape:
        return
    if traits_of(model).any_resolution is False:
        raise InputError(
            f"dataset has {given.shape} points; {type(model).__name__} knows the {trained.shape} that "
            f"it was trained on alone: interpolate with ds.interp, or train one of the models that "
            f"take any resolution: {', '.join(ANY_RESOLUTION)}; unet, cnn and vit do with "
            "operator: true. Set surrogate.domain = None to go on regardless"
        )
