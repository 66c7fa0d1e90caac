"""One run of the program as a part of a dataset: run, reduced to what is kept, checked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5netcdf
import numpy as np

from sciml.domain import Grid
from sciml.domain.names import TIME
from sciml.ensemble.job import Job, run_job
from sciml.ensemble.launcher import BAD_INPUT
from sciml.errors import DomainError, InputError
from sciml.samples.warned import ATTRIBUTE, Warned, of_attribute
from sciml.stream.policy import SendPolicy

#: About so many bytes of a field are read and written at a time.
SLAB = 1 << 20


@dataclass(frozen=True, slots=True)
class PartJob(Job):
    """A run that writes a part.

    Args:
        raw: what the program writes; removed when the part is made of it.
        part: path of the part.
        states: how many states the part holds.
        last: whether only the last state of the run is kept.
        fields: names of the fields kept, in order.
        static: names of the fields that do not change in time.
        coarsen: every so many points along each axis are kept.
        dtype: of the fields in the part; ``None``: as the program writes them.
    """

    raw: str
    part: str
    states: int
    last: bool
    fields: Sequence[str]
    static: Sequence[str]
    coarsen: int
    dtype: str | None


def run_part(job: PartJob) -> dict[str, Any]:
    """Run the program and make the part of what it wrote; runs in a dask worker.

    dask runs a task again when its worker died: what that one left is written anew.
    """
    raw, part = Path(job.raw), Path(job.part)
    for left in (raw, part):
        left.unlink(missing_ok=True)
    outcome = run_job(job)
    if outcome["code"] == 0:
        try:
            reduce(job)
            outcome |= {"warned": bool(warned_in(part))}
        except InputError as error:
            # The same run would give the same data.
            outcome |= {"code": BAD_INPUT, "stderr": str(error)}
    raw.unlink(missing_ok=True)
    return outcome


def reduce(job: PartJob) -> None:
    """Write the part: chosen fields and states, coarsened, with a checksum on every chunk.

    Raises:
        InputError: the program wrote no file, another number of states than it was asked for, or
            values that are not finite.
    """
    if not Path(job.raw).is_file():
        raise InputError("the program ended well but wrote nothing to its --out")
    aside = Path(f"{job.part}.aside")
    try:
        with h5netcdf.File(job.raw, "r") as raw, h5netcdf.File(aside, "w") as part:
            _copy(job, raw, part)
        os.replace(aside, job.part)
    except OSError as error:
        raise InputError(f"{job.raw} cannot be made a part: {error}") from error
    finally:
        aside.unlink(missing_ok=True)


def warned_in(part: Path) -> list[Warned]:
    """What the program of a part warned of."""
    with h5netcdf.File(part, "r") as file:
        return of_attribute(file.attrs.get(ATTRIBUTE, ""))


def verify(job: PartJob) -> str | None:
    """What is wrong with a part; ``None`` if it is whole. Reads all of it."""
    try:
        with h5netcdf.File(job.part, "r") as part:
            if len(part.dimensions[TIME]) != job.states:
                return f"it holds {len(part.dimensions[TIME])} states, expected {job.states}"
            for name in (*job.fields, *job.static):
                for _, values in slabs(part.variables[name]):
                    _check_finite(name, values)
    except (OSError, KeyError, InputError) as error:
        return str(error)
    return None


def slabs(variable: Any) -> Iterator[tuple[slice, np.ndarray]]:
    """A variable in slices along its first axis of about :data:`SLAB` bytes."""
    rows = rows_of(variable.shape[1:], variable.dtype.itemsize)
    for start in range(0, variable.shape[0], rows):
        place = slice(start, min(start + rows, variable.shape[0]))
        yield place, variable[place]


def rows_of(shape: Sequence[int], itemsize: int) -> int:
    """How many arrays of that shape make a slab, and a chunk of a file."""
    return max(1, SLAB // max(1, int(np.prod(shape, dtype=np.int64)) * itemsize))


def even(n: int, most: int) -> int:
    """Length of the chunks of ``n`` rows, ``most`` at most, that leaves least of the last one empty.

    >>> even(101, 64)
    51
    """
    return -(-n // -(-n // most))


def _copy(job: PartJob, raw: Any, part: Any) -> None:
    times = raw.variables[TIME][:]
    chosen = slice(len(times) - 1, None) if job.last else slice(None)
    if len(times[chosen]) != job.states:
        raise InputError(f"the program wrote {len(times)} states; expected {job.states}")
    names = (*job.fields, *job.static)
    for name in names:
        if name not in raw.variables:
            raise InputError(f"the program wrote no '{name}'; it says that it does")
    axes = tuple(
        dim
        for dim in raw.dimensions
        if dim != TIME and any(dim in raw.variables[name].dimensions for name in names)
    )
    keep = {dim: slice(None, None, job.coarsen) for dim in axes}
    part.dimensions = {
        TIME: job.states,
        **{dim: len(range(len(raw.dimensions[dim]))[keep[dim]]) for dim in axes},
    }
    part.attrs.update(dict(raw.attrs))
    for name, variable in raw.variables.items():
        if name == TIME or name in axes or not variable.dimensions:
            data = variable[chosen] if name == TIME else variable[keep.get(name, ())]
            made = part.create_variable(name, variable.dimensions, data=data)
            made.attrs.update(_plain(variable))
    _coarsen_attributes(job, raw, part, axes)
    for name in names:
        variable = raw.variables[name]
        dims = tuple(variable.dimensions)
        shape = tuple(len(part.dimensions[dim]) for dim in dims)
        dtype = np.dtype(job.dtype or variable.dtype)
        rows = even(shape[0], rows_of(shape[1:], dtype.itemsize))
        made = part.create_variable(name, dims, dtype, chunks=(rows, *shape[1:]), fletcher32=True)
        made.attrs.update(_plain(variable))
        points = tuple(keep[dim] for dim in dims if dim != TIME)
        if TIME not in dims:
            made[...] = _cast(name, variable[...], dtype)[points]
            continue
        for place, values in slabs(variable):
            values = _cast(name, values, dtype, place.start)
            if job.last:
                made[0] = values[-1][points]  # of the last slab, in the end
            else:
                made[place] = values[(slice(None), *points)]


def _coarsen_attributes(job: PartJob, raw: Any, part: Any, axes: Sequence[str]) -> None:
    """Extent and boundary of the axes, as a coarsened grid has them."""
    if job.coarsen == 1:
        return
    marks = [dict(raw.variables[dim].attrs) for dim in axes]
    grid = Grid(
        tuple(len(raw.dimensions[dim]) for dim in axes),
        tuple(tuple(mark["extent"]) for mark in marks),
        tuple(str(mark["boundary"]) for mark in marks),
    )
    try:
        kept = SendPolicy(coarsen=job.coarsen).domain(grid)
    except DomainError as error:
        raise InputError(str(error)) from error
    for axis, dim in enumerate(axes):
        part.variables[dim].attrs["extent"] = np.array(kept.extent[axis])
        part.variables[dim].attrs["boundary"] = kept.boundary[axis]


def _plain(variable: Any) -> dict[str, Any]:
    """Attributes that say something of the values, not of how they are stored."""
    return {k: v for k, v in variable.attrs.items() if k not in ("_FillValue", "coordinates")}


def _cast(name: str, values: np.ndarray, dtype: np.dtype, first: int = 0) -> np.ndarray:
    """Values as they are kept, which must be finite: a narrower type may not hold them."""
    with np.errstate(over="ignore"):
        cast = values.astype(dtype)
    _check_finite(name, cast, first)
    return cast


def _check_finite(name: str, values: np.ndarray, first: int = 0) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        where = np.argwhere(~np.isfinite(values))[0]
        raise InputError(
            f"{name} is {values[tuple(where)]} in state {first + int(where[0])}, at index "
            f"{tuple(map(int, where[1:]))}"
        )
