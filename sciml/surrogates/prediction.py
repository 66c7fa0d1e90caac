"""Predictions of a surrogate with xarray in and out; the caller's dataset keeps its looks."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.domain import Domain, Field, Grid
from sciml.domain.cf import dims_of
from sciml.domain.inference import domain_of
from sciml.domain.layout import PARTICLE_NAMES, Layout, point_dim
from sciml.errors import InputError, ScimlError
from sciml.samples import Task
from sciml.samples.times import Times, in_order, require_times
from sciml.surrogates.arrangement import Arrangement
from sciml.surrogates.clock import Clock, timed
from sciml.surrogates.compatibility import layout_for, warn_of_other_points
from sciml.surrogates.findings import Findings
from sciml.surrogates.forcing import KnownForcing
from sciml.surrogates.outputs import Asked, elsewhere, evaluated
from sciml.surrogates.query import Query
from sciml.surrogates.scope import Scope
from sciml.surrogates.threads import threads_for, values_of

if TYPE_CHECKING:
    import xarray as xr

    from sciml.surrogates.physical_model import PhysicalModel


def predict(
    surrogate: PhysicalModel,
    ds: xr.Dataset,
    *,
    batch_size: int,
    at: Mapping[str, Any] | None = None,
    forcing: xr.Dataset | None = None,
) -> xr.Dataset:
    """See :meth:`Surrogate.predict`."""
    _require_whole("predict", batch_size=batch_size)
    task = replace(surrogate.task, unroll=1)
    asked = _asked(surrogate, ds, forcing)
    if at is None:
        warn_of_other_points(surrogate, asked.ds)
    query = None if at is None else _query(surrogate, asked.ds, asked.layout, at)
    findings = Findings(surrogate)
    with threads_for(
        _values(surrogate, asked.ds, asked.layout, min(batch_size, len(asked.origins)))
    ):
        [values] = evaluated(surrogate, task, [asked], 1, batch_size, findings, query)
    _warn("predict", findings)
    return _answer(surrogate, asked, values, at, query)


def predict_each(
    surrogate: PhysicalModel, several: Sequence[xr.Dataset], *, batch_size: int
) -> list[xr.Dataset]:
    """Predictions of datasets that differ in where they live; molecules share batches."""
    _require_whole("predict", batch_size=batch_size)
    task, asked = replace(surrogate.task, unroll=1), []
    for number, ds in enumerate(several):
        try:
            asked.append(_asked(surrogate, ds, None))
        except ScimlError as error:
            raise InputError(f"dataset {number} of {len(several)}: {error}") from error
    findings = Findings(surrogate)
    frames = min(batch_size, sum(len(one.origins) * one.samples for one in asked))
    with threads_for(max(_values(surrogate, one.ds, one.layout, frames) for one in asked)):
        found = evaluated(surrogate, task, asked, 1, batch_size, findings)
    _warn("predict", findings)
    return [_answer(surrogate, one, values) for one, values in zip(asked, found, strict=True)]


def _asked(surrogate: PhysicalModel, ds: xr.Dataset, forcing: xr.Dataset | None) -> Asked:
    """All times of a dataset from which something can be predicted.

    Raises:
        InputError: as :meth:`Surrogate.predict`.
    """
    task = surrogate.task
    arrangement, ds, alone, layout, order, clock = _seen(surrogate, ds)
    first = 0 if task.history == 0 else (task.history - 1) * max(task.lead, 1)
    origins = list(range(first, len(clock)))
    if not origins:
        raise _too_few(clock, task)
    known = KnownForcing(surrogate, ds, layout, clock, forcing)
    ahead = _ahead(task)
    reached = [i for i in origins if known.there(i, ahead) and i <= known.last]
    if not reached:
        raise InputError(f"predict: {known.lack(origins[0], [ahead])}")
    origins = [i for i in reached if clock.joined(task.input_steps(i))]
    if not origins:
        raise InputError(
            f"{clock.gap()}; no {task.history} frames that the surrogate sees lie between two gaps"
        )
    return Asked(arrangement, ds, alone, layout, order, clock, known, origins)


def _ahead(task: Task) -> int:
    """Frames from those that are seen to those that are predicted."""
    return task.lead if task.history else 0


def _answer(
    surrogate: PhysicalModel,
    asked: Asked,
    values: dict[str, np.ndarray],
    at: Mapping[str, Any] | None = None,
    query: Query | None = None,
) -> xr.Dataset:
    """Predictions as the caller's dataset looks."""
    layout, origins = asked.layout, asked.origins
    stamps = asked.clock.labels(origins, [_ahead(surrogate.task)] * len(origins))
    values = {n: v[:, :, 0] for n, v in values.items()}
    out = _dataset(surrogate, asked.ds, layout, stamps, values, query)
    if not surrogate.task.lead and point_dim(asked.ds) in PARTICLE_NAMES:
        # Within one frame positions are those that forces are of, and they move with them.
        when = {layout.time: origins} if layout.time else {}
        out = out.assign({n: asked.ds[n].isel(when).variable for n in surrogate.task.inputs})
    if (np.diff(asked.order) < 0).any():
        out = out.isel({layout.time: np.argsort(asked.order[origins])})
    out = out.isel({layout.time: 0}) if asked.alone else out
    return asked.arrangement.restored(out, () if at is None else tuple(at))


def rollout(
    surrogate: PhysicalModel,
    ds: xr.Dataset,
    steps: int,
    *,
    batch_size: int,
    forcing: xr.Dataset | None = None,
) -> xr.Dataset:
    """See :meth:`Surrogate.rollout`."""
    task = surrogate.task
    _require_whole("rollout", steps=steps, batch_size=batch_size)
    if not task.autoregressive:
        raise InputError(
            f"rollout: outputs {', '.join(task.targets)} cannot be fed back as inputs "
            f"{', '.join(task.inputs) or '(none)'} with lead={task.lead}; use predict"
        )
    arrangement, ds, _, layout, order, clock = _seen(surrogate, ds, always=True)
    needed = (task.history - 1) * task.lead + 1
    if len(clock) < needed:
        raise _too_few(clock, task)
    known = KnownForcing(surrogate, ds, layout, clock, forcing)
    last = known.last
    ahead = [k * task.lead for k in range(1, steps + 1)]
    if not all(known.there(last, n) for n in ahead):
        raise InputError(f"rollout: {known.lack(last, ahead)}")
    if not clock.joined(task.input_steps(last)):
        raise InputError(
            f"{clock.gap()}, and the surrogate sees {task.history} frames: give times from before the "
            f"gap, or {needed} behind it"
        )
    stamps = clock.labels([last] * steps, ahead)
    findings = Findings(surrogate)
    with threads_for(_values(surrogate, ds, layout, 1)):
        asked = Asked(arrangement, ds, False, layout, order, clock, known, [last])
        [values] = evaluated(surrogate, task, [asked], steps, batch_size, findings)
    _warn("rollout", findings)
    out = _dataset(surrogate, ds, layout, stamps, {n: v[:, 0] for n, v in values.items()})
    newest_first = len(order) > 1 and (np.diff(order) < 0).all()
    out = out.isel({layout.time: slice(None, None, -1)}) if newest_first else out
    return arrangement.restored(out)


def _seen(
    surrogate: PhysicalModel, ds: xr.Dataset, *, always: bool = False
) -> tuple[Arrangement, xr.Dataset, bool, Layout, np.ndarray, Clock]:
    """A caller's dataset as the surrogate sees it, the earliest time first; whether its time was a
    scalar, its layout, where each of its times was, and its clock."""
    arrangement = Arrangement(surrogate, ds)
    ds, alone = timed(surrogate, arrangement.ds, always=always)
    layout = layout_for(surrogate, ds)
    require_times(surrogate.task, ds, layout)
    order = Times.of(ds, layout).order
    ds = in_order(ds, layout)
    return arrangement, ds, alone, layout, order, Clock(surrogate, ds, layout)


def _too_few(clock: Clock, task: Task) -> InputError:
    return InputError(
        f"dataset has {len(clock)} times; the surrogate sees {task.history} of them, "
        f"{task.lead} apart: give at least {(task.history - 1) * task.lead + 1}"
    )


def _warn(what: str, findings: Findings) -> None:
    """One warning a call."""
    if found := findings.words():
        warnings.warn(f"{what}: {'; '.join(found)}", stacklevel=4)


def _require_whole(what: str, **given: Any) -> None:
    for name, value in given.items():
        if not isinstance(value, Integral) or value < 1:
            raise InputError(f"{what}: {name}={value!r}; expected a whole number, at least 1")


def _values(surrogate: PhysicalModel, ds: xr.Dataset, layout: Layout, samples: int) -> int:
    """Values of a layer for so many samples at once."""
    points = prod(ds.sizes[dim] for dim in layout.space)
    if not layout.space:
        points = elsewhere(surrogate, ds).size
    return values_of(surrogate, points, samples)


def _query(
    surrogate: PhysicalModel, ds: xr.Dataset, layout: Layout, at: Mapping[str, Any]
) -> Query:
    names = surrogate.task.inputs or surrogate.task.static
    domain = domain_of(ds, names) if layout.space else surrogate.domain
    if not isinstance(domain, Grid):
        kind = "no domain" if domain is None else f"a {domain.kind}"
        raise InputError(f"predict: at on {kind}; expected a grid")
    return Query.of(at, _closed(domain, surrogate.domain), layout.space or domain.dims)


def _closed(given: Grid, trained: Grid | Scope | None) -> Grid:
    """``given``, with the last interval of axes that were periodic in training: a file of foreign origin
    does not say that they are."""
    if not isinstance(trained, Grid):
        return given
    extent, boundary = list(given.extent), list(given.boundary)
    for axis, ((a, b), kind) in enumerate(zip(trained.extent, trained.boundary, strict=True)):
        if kind == "periodic" != boundary[axis]:
            low = given.extent[axis][0]
            extent[axis], boundary[axis] = (low, low + b - a), kind
    return replace(given, extent=tuple(extent), boundary=tuple(boundary))


def _dataset(
    surrogate: PhysicalModel,
    ds: xr.Dataset,
    layout: Layout,
    stamps: Sequence[Any],
    values: dict[str, np.ndarray],
    query: Query | None = None,
) -> xr.Dataset:
    """``values`` ``(sample, time, …)`` dressed like ``ds``: all that does not move in time stays."""
    import xarray as xr

    known = {f.name: f for f in surrogate.fields}
    moving = {str(n) for n, v in ds.variables.items() if layout.time in v.dims}
    drop = moving | set(surrogate.task.inputs) | set(surrogate.task.targets)
    out = ds.drop_vars([n for n in ds.variables if n in drop])
    if query is not None:
        out = query.dress(out)
    elif not layout.space:
        out = _without_other_points(out, elsewhere(surrogate, ds))
    if layout.time is not None:
        notes = dict(ds[layout.time].attrs) if layout.time in ds.coords else {}
        # Bounds of times belong to the times that came.
        notes = {k: v for k, v in notes.items() if k not in ("bounds", "climatology")}
        time = xr.Variable(layout.time, np.asarray(stamps), notes)
        if layout.time in ds.coords:
            kept = ds[layout.time].encoding
            time.encoding = {k: v for k, v in kept.items() if k not in ("bounds", "climatology")}
        out = out.assign_coords({layout.time: time})
    for name, array in values.items():
        field = known.get(name, Field(name))
        dims, coords = _dims(surrogate, ds, layout, field)
        full = tuple(d for d in (layout.sample, layout.time) if d) + dims
        if not layout.sample:
            array = array[0]
        if not layout.time:
            array = array[:, 0] if layout.sample else array[0]
        out = out.assign_coords({k: v for k, v in coords.items() if k not in out.coords})
        data = xr.DataArray(array, dims=full, attrs=_notes(ds, field))
        out[name] = data.transpose(*_order(ds, surrogate.task, name, full))
    return out


def _without_other_points(ds: xr.Dataset, domain: Domain) -> xr.Dataset:
    """``ds`` without what lives on other points than those that the outputs come at."""
    from sciml.domain.dataset import to_dataset

    bare = to_dataset(domain, (), {}, None)
    for dim in domain.dims:
        if dim not in ds.dims:
            continue
        same = dim not in bare.sizes or ds.sizes[dim] == bare.sizes[dim]
        if same and dim in ds.coords and dim in bare.coords:
            places = ds[dim].values
            near = 1e-3 * domain.spacing[domain.dims.index(dim)] if domain.kind == "grid" else 0.0
            same = places.dtype.kind in "fiu" and np.allclose(places, bare[dim], rtol=0, atol=near)
        if not same:
            ds = ds.drop_dims(dim)
    return ds


def _dims(
    surrogate: PhysicalModel, ds: xr.Dataset, layout: Layout, field: Field
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Dimensions of one frame of a field, and coordinates that the dataset lacks."""
    if field.on == "point" and not layout.space:
        from sciml.domain.dataset import to_dataset

        where = elsewhere(surrogate, ds)
        return where.dims, dict(to_dataset(where, (), {}, None).coords)
    if field.on in ("cell", "edge"):
        return dims_of(domain_of(ds), field), {}
    dims = layout.space if field.on == "point" else ()
    if not field.components:
        return dims, {}
    named = [d for d in layout.components if ds.sizes[d] == field.components]
    return (*dims, *(named or dims_of(domain_of(ds), field))[-1:]), {}


def _notes(ds: xr.Dataset, field: Field) -> dict[str, Any]:
    if field.name in ds.variables:
        return dict(ds[field.name].attrs)
    return field.attrs


def _order(ds: xr.Dataset, task: Task, name: str, dims: tuple[str, ...]) -> tuple[str, ...]:
    """Dimensions in the order that the caller's variables have."""
    like = name if name in ds.variables else next(iter(task.inputs), None)
    theirs = [str(d) for d in ds[like].dims] if like is not None else []
    if set(dims) <= set(theirs):
        return tuple(d for d in theirs if d in dims)
    return dims
