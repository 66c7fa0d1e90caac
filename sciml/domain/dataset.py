"""Fields as an xarray dataset that any netCDF reader understands, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from sciml.domain.cf import CONVENTIONS, describe, dims_of, notes_of
from sciml.domain.field import Field
from sciml.domain.inference import domain_of, fields_of
from sciml.domain.layout import Layout, layout_of
from sciml.domain.names import SAMPLE, TIME
from sciml.domain.netcdf import plain, refuse_repeats
from sciml.domain.wire import Domain
from sciml.errors import DomainError, nearest

__all__ = ["Layout", "domain_of", "fields_of", "layout_of", "to_dataset"]


def to_dataset(
    domain: Domain,
    fields: Sequence[Field],
    values: Mapping[str, Any],
    times: Any,
    *,
    parameters: Mapping[str, Any] | None = None,
    attrs: Mapping[str, Any] | None = None,
    static: Mapping[str, Any] | None = None,
    static_fields: Sequence[Field] = (),
    time_units: str = "1",
) -> xr.Dataset:
    """A dataset of fields with all that says where they live.

    Dimensions: ``(sample, time, z, y, x)``, ``(sample, time, node)`` or ``(sample, time, particle,
    space)``; ``sample`` and ``time`` only where there are any.

    Args:
        domain: where the fields live; the same for all samples.
        fields: what the values are; fields without values are left out.
        values: arrays by field name, ``([sample,] time, *field.shape(domain))``; dask
            arrays stay lazy. All have the axis ``sample`` or none.
        times: ``(time,)``, in ``time_units``; ``None`` for a single state without time.
        parameters: by name, a scalar or one value a sample; a pair ``(value, units)`` to say units.
        attrs: of the dataset; booleans and nested values are turned into what netCDF can hold.
        static: arrays by name that do not change in time, ``([sample,] *field.shape(domain))``.
        static_fields: what those are; of which nothing is said are numbers on points.
        time_units: UDUNITS string. A word such as ``"seconds"`` makes xarray decode durations when
            it opens the file; ``"s"`` does not.

    Raises:
        DomainError: shapes that do not fit, unknown names, names used twice.

    The result opens with plain ``xr.open_dataset`` after ``ds.to_netcdf(path, engine="h5netcdf")``,
    and :func:`domain_of` gives back an equal domain.
    """
    parameters, static = dict(parameters or {}), dict(static or {})
    lead = () if times is None else (len(np.atleast_1d(times)),)
    samples = _samples(domain, fields, values, lead)
    coords: dict[str, Any] = {}
    data: dict[str, Any] = {}
    there = [f for f in fields if f.name in values] + [f for f in static_fields if f.name in static]
    for name, made in describe(domain, there).items():
        encoding = {} if made.fill is None else {"_FillValue": made.fill}
        entry = (made.dims, made.values, made.attrs, encoding)
        (coords if made.coordinate else data)[name] = entry
    if times is not None:
        times = np.atleast_1d(np.asarray(times))
        coords[TIME] = (TIME, times, {"axis": "T", "long_name": "time", "units": time_units})
    if samples is not None:
        coords[SAMPLE] = (SAMPLE, np.arange(samples), {"long_name": "simulation"})
    refuse_repeats(coords, data, values, parameters, static)
    head = (() if samples is None else (SAMPLE,)) + (() if times is None else (TIME,))
    known = {field.name: field for field in fields}
    for name, array in values.items():
        field = known[name]
        data[name] = ((*head, *dims_of(domain, field)), array, notes_of(domain, field))
    known = {field.name: field for field in static_fields}
    for name, array in static.items():
        field = known.get(name) or Field(name)
        dims = _static_dims(domain, field, np.shape(array), samples)
        data[name] = (dims, array, notes_of(domain, field))
    for name, value in parameters.items():
        coords[name] = _parameter(name, value, samples)
    return xr.Dataset(data, coords, {"Conventions": CONVENTIONS, **plain(attrs or {})})


def _samples(
    domain: Domain, fields: Sequence[Field], values: Mapping[str, Any], lead: tuple[int, ...]
) -> int | None:
    """Number of samples that all arrays agree on, ``None`` if they have no such axis."""
    known = {field.name: field for field in fields}
    counts: dict[str, int | None] = {}
    for name, array in values.items():
        if name not in known:
            raise DomainError(f"values of unknown field '{name}'; {nearest(name, known)}")
        expected = (*lead, *known[name].shape(domain))
        shape = tuple(np.shape(array))
        if shape == expected:
            counts[name] = None
        elif shape[1:] == expected and len(shape) == len(expected) + 1:
            counts[name] = shape[0]
        else:
            raise DomainError(
                f"field '{name}' of shape {shape}; expected {expected}, or (samples, "
                f"{str(expected)[1:]}"
            )
    if len(set(counts.values())) > 1:
        raise DomainError(f"fields differ in their number of samples: {counts}; None has no axis")
    return next(iter(counts.values()), None)


def _static_dims(
    domain: Domain, field: Field, shape: tuple[int, ...], samples: int | None
) -> tuple[str, ...]:
    expected, dims = field.shape(domain), dims_of(domain, field)
    if shape == expected:
        return dims
    if samples is not None and shape == (samples, *expected):
        return (SAMPLE, *dims)
    raise DomainError(
        f"static field '{field.name}' of shape {shape}; expected {expected}, one for all "
        "samples or one each"
    )


def _parameter(name: str, value: Any, samples: int | None) -> tuple[Any, ...]:
    units = "1"
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], str):
        value, units = value
    array = np.asarray(value)
    dims = () if array.ndim == 0 else (SAMPLE,)
    if array.shape != (() if array.ndim == 0 else (samples,)):
        raise DomainError(
            f"parameter '{name}' of shape {array.shape}; expected a scalar"
            + (f" or one value for each of {samples} samples" if samples is not None else "")
        )
    return dims, array, {"units": units, "long_name": name}
