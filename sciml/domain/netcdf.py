"""A netCDF file that is laid out before its values come: for runs that are written while they go on.

Without xarray, which a solver rank does not load; what xarray holds is laid out the same by
:func:`sciml.domain.dataset.to_dataset`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sciml.domain.cf import CONVENTIONS, Variable, describe, dims_of, notes_of
from sciml.domain.field import Field
from sciml.domain.names import SAMPLE, TIME
from sciml.domain.wire import Domain
from sciml.errors import DomainError

#: Bytes of a chunk: a training sample is read alone, so a chunk should not hold much beside it.
CHUNK = 1 << 18
#: Bytes of a single frame in one chunk; a larger one is cut along its slowest axis.
LARGEST = 1 << 24
#: Entries in a chunk of what has one value a frame; a file grows by as many frames at a time.
ROW = 1024


def lay_out(
    path: Path,
    domain: Domain,
    fields: Sequence[Field],
    dtypes: Mapping[str, Any],
    *,
    times: int | None,
    time: Mapping[str, Any] | None,
    samples: int | None = None,
    static: Sequence[Field] = (),
    beside: Mapping[str, Variable] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> Any:
    """A new file that holds the domain, and room for the fields.

    ``file.variables[name][step] = values`` writes one frame of a field.

    Args:
        path: of the file.
        domain: where the fields live, of any kind; :func:`sciml.domain.cf.describe` says how.
        fields: that change in time: ``([sample,] [time,] *field.shape(domain))``.
        dtypes: of fields and static fields, by name.
        times: how many there will be; ``None``: the file grows.
        time: attributes of the times, ``units`` above all; ``None``: there is one state, without time.
        samples: of how many simulations on the domain fields and static fields are; ``None``: of one,
            without an axis.
        static: fields that do not change in time.
        beside: coordinates with their values: parameters, and what has one value a frame.
        attrs: of the file.

    Returns:
        An open :class:`h5netcdf.File`; the caller closes it.

    Raises:
        DomainError: a field that has no place on the domain, more groups of nodes than a file marks, a
            name used twice.
        OSError: it cannot be written.
    """
    import h5netcdf

    described = describe(domain, (*fields, *static))
    each: dict[str, int | None] = {} if samples is None else {SAMPLE: samples}
    dims = each | ({} if time is None else {TIME: times})
    beside, head = dict(beside or {}), tuple(dims)
    refuse_repeats(
        described,
        beside,
        head[-1:] if time is not None else (),
        (f.name for f in (*fields, *static)),
    )
    shapes = {f.name: (dims_of(domain, f), f.shape(domain)) for f in (*fields, *static)}
    for names, shape in (*((v.dims, v.values.shape) for v in described.values()), *shapes.values()):
        dims |= dict(zip(names, shape, strict=True))
    # Nobody else knows of it yet. A lock would outlive its closing while a process that another thread
    # starts still has the descriptor, and whoever opens it next would be refused.
    file = h5netcdf.File(path, "w", locking=False)
    try:
        file.dimensions = dims
        if time is not None:
            file.create_variable(TIME, (TIME,), "f8", chunks=(ROW,) if times is None else None)
            file.variables[TIME].attrs.update({"axis": "T", **plain(time)})
        for name, variable in (described | beside).items():
            _write(file, name, variable)
        # As xarray has it: what lies beside a field is a coordinate of it.
        lies = {n: set(v.dims) for n, v in described.items() if v.coordinate and n not in dims}
        lies |= {n: set(v.dims) for n, v in beside.items()}
        alone = set(lies)
        for field in (*fields, *static):
            where, shape = shapes[field.name]
            dtype, chunks = np.dtype(dtypes[field.name]), None
            dtype = np.dtype("i1") if dtype.kind == "b" else dtype  # netCDF knows no yes and no
            lead = head if field in fields else tuple(each)
            if lead:
                many = _chunks(shape, dtype.itemsize, dims[lead[-1]])
                chunks = None if many is None else (*(1 for _ in lead[1:]), *many)
            where = (*lead, *where)
            # HDF5 reads zeros where nothing was written; NaN is told from data.
            fill = np.nan if dtype.kind == "f" else None
            made = file.create_variable(field.name, where, dtype, fillvalue=fill, chunks=chunks)
            made.attrs.update(plain(notes_of(domain, field)))
            if spans := [n for n, over in lies.items() if over <= set(where)]:
                made.attrs["coordinates"] = " ".join(spans)
            alone -= set(spans)
        file.attrs.update({"Conventions": CONVENTIONS, **plain(attrs or {})})
        if alone:
            file.attrs["coordinates"] = " ".join(n for n in lies if n in alone)
    except BaseException:
        file.close()
        path.unlink(missing_ok=True)
        raise
    return file


def refuse_repeats(*groups: Iterable[str]) -> None:
    """Raises :class:`DomainError` where two variables of one file would go by one name."""
    seen: set[str] = set()
    for name in (name for group in groups for name in group):
        if name in seen:
            raise DomainError(
                f"name '{name}' is used twice; fields, static fields, parameters and coordinates "
                "share one dataset, rename one"
            )
        seen.add(name)


def _write(file: Any, name: str, variable: Variable) -> None:
    import h5py

    values, chunks = np.asarray(variable.values), None
    dtype = values.dtype
    if dtype.kind == "U":
        dtype, values = h5py.string_dtype(), values.astype(object)
    if TIME in variable.dims and file.dimensions[TIME].isunlimited():
        chunks = (ROW, *values.shape[1:])
    made = file.create_variable(name, variable.dims, dtype, fillvalue=variable.fill, chunks=chunks)
    if values.size:
        made[...] = values
    made.attrs.update(plain(variable.attrs))


def _chunks(shape: tuple[int, ...], itemsize: int, times: int | None) -> tuple[int, ...] | None:
    """Whole frames in a chunk; parts of one along its slowest axis only where it is huge."""
    if times is not None and 0 in shape:
        return None
    frame = int(np.prod(shape, dtype=np.int64)) * itemsize
    if frame > LARGEST:
        return (1, max(1, shape[0] * LARGEST // frame), *shape[1:])
    together = min(max(1, CHUNK // max(frame, 1)), ROW)
    return (min(together, times or together), *(max(n, 1) for n in shape))


def plain(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as netCDF holds them: numbers, strings and flat lists; JSON for the rest."""
    held: dict[str, Any] = {}
    for name, value in attrs.items():
        if value is None:
            continue
        if isinstance(value, bool | np.bool_):
            held[name] = int(value)
        elif isinstance(value, str | int | float | np.number | np.ndarray):
            held[name] = value
        elif _flat(value):
            held[name] = list(value)
        else:
            held[name] = json.dumps(value, default=str)
    return held


def _flat(value: Any) -> bool:
    """Whether a sequence holds numbers alone, or strings alone."""
    if not isinstance(value, list | tuple) or not value:
        return False
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
    return numbers or all(isinstance(v, str) for v in value)
