"""One run of the program as a part of a dataset: run, reduced to what is kept, checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as entry
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5netcdf
import numpy as np

from sciml.domain import Block, Field
from sciml.domain.inference import domain_of
from sciml.domain.names import TIME
from sciml.ensemble.job import Job, run_job
from sciml.ensemble.launcher import BAD_INPUT
from sciml.errors import DomainError, InputError
from sciml.record.file import SimulationFile, entry_in
from sciml.samples import Frame, Simulation
from sciml.samples.program_warnings import ATTRIBUTE, of_attribute
from sciml.stream.policy import SendPolicy

if TYPE_CHECKING:
    import xarray as xr

#: About so many bytes of a field are read and written at a time.
SLAB = 1 << 20
#: What a part says of its program: the attributes of the file that this wrote.
PROGRAM = "program"


@dataclass(frozen=True, slots=True)
class PartJob(Job):
    """A run that writes a part.

    Args:
        raw: what the program writes; removed when the part is made of it.
        part: path of the part.
        states: how many states the part holds.
        last: whether only the last state of the run is kept.
        fields: those kept, in order.
        static: fields that do not change in time.
        parameters: names of the parameters.
        about: what is known of the run: ``role``, ``seed``, ….
        coarsen: every so many points along each axis are kept.
        dtype: of the fields in the part; ``None``: as the program writes them.
    """

    raw: str
    part: str
    states: int
    last: bool
    fields: Sequence[Field]
    static: Sequence[Field]
    coarsen: int
    dtype: str | None
    parameters: Sequence[str] = ()
    about: Mapping[str, Any] = entry(default_factory=dict)


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
            outcome |= {"warned": bool(entry_in(part).warned)}
        except InputError as error:
            # The same run would give the same data.
            outcome |= {"code": BAD_INPUT, "stderr": str(error)}
    raw.unlink(missing_ok=True)
    return outcome


def reduce(job: PartJob) -> None:
    """Write the part: chosen fields and states, coarsened, in the form of a recording.

    Raises:
        InputError: the program wrote no file, another number of states than it was asked for, or
            values that are not finite.
    """
    import xarray as xr

    if not Path(job.raw).is_file():
        raise InputError("the program ended well but wrote nothing to its --out")
    try:
        with xr.open_dataset(job.raw, engine="h5netcdf", decode_times=False) as ds:
            _write(job, ds)
    except OSError as error:
        raise InputError(f"{job.raw} cannot be made a part: {error}") from error


def _write(job: PartJob, ds: xr.Dataset) -> None:
    names, static = ([f.name for f in some] for some in (job.fields, job.static))
    for name in (*names, *static):
        if name not in ds.variables:
            raise InputError(f"the program wrote no '{name}'; it says that it does")
    times = ds[TIME].values
    steps = range(len(times))[-1:] if job.last else range(len(times))
    if len(steps) != job.states:
        raise InputError(f"the program wrote {len(times)} states; expected {job.states}")
    whole = Simulation(
        job.simulation,
        domain_of(ds, names),
        tuple(job.fields),
        {name: float(ds[name]) for name in job.parameters},
        {name: ds[name].values for name in static},
        time_units=str(ds[TIME].attrs.get("units", "1")),
        static_fields=tuple(job.static),
    )
    policy = SendPolicy(coarsen=job.coarsen, dtype=job.dtype)
    on = {field.name: field.on for field in job.fields}
    try:
        with np.errstate(over="ignore"):
            sent = policy.simulation(whole)
    except DomainError as error:
        raise InputError(str(error)) from error
    for name, values in sent.static.items():
        _check_finite(name, values)
    block = Block((0,) * len(whole.domain.point_shape), whole.domain.point_shape)
    about = {**job.about, PROGRAM: {k: _plain(v) for k, v in ds.attrs.items() if k != ATTRIBUTE}}
    units = {name: str(ds[name].attrs.get("units", "1")) for name in job.parameters}
    file = None
    for place, step in enumerate(steps):
        values = {name: ds.variables[name][{TIME: step}].values for name in names}
        values = policy.take(whole.fields, values, block)
        with np.errstate(over="ignore"):  # a narrower type may not hold them, which is looked at
            values = {name: policy.cast(on[name], array) for name, array in values.items()}
        for name, array in values.items():
            _check_finite(name, array, step)
        frame = Frame(job.simulation, place, float(times[step]), values)
        if file is None:
            file = SimulationFile(Path(job.part), sent, frame, units=units, about=about)
        file.add(place, frame, arrival=place)
    file.close(of_attribute(ds.attrs.get(ATTRIBUTE, "")))


def verify(job: PartJob) -> str | None:
    """What is wrong with a part; ``None`` if it is whole. Reads all of it."""
    try:
        with h5netcdf.File(job.part, "r") as part:
            if len(part.dimensions[TIME]) != job.states:
                return f"it holds {len(part.dimensions[TIME])} states, expected {job.states}"
            for field in (*job.fields, *job.static):
                for place, values in slabs(part.variables[field.name]):
                    _check_finite(field.name, values, place.start)
    except (OSError, KeyError, InputError) as error:
        return str(error)
    return None


def slabs(variable: Any) -> Iterator[tuple[slice, np.ndarray]]:
    """A variable in slices along its first axis of about :data:`SLAB` bytes."""
    row = int(np.prod(variable.shape[1:], dtype=np.int64)) * variable.dtype.itemsize
    rows = max(1, SLAB // max(1, row))
    for start in range(0, variable.shape[0], rows):
        place = slice(start, min(start + rows, variable.shape[0]))
        yield place, variable[place]


def _plain(value: Any) -> Any:
    """An attribute as JSON has it."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _check_finite(name: str, values: np.ndarray, step: int = 0) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        where = tuple(np.argwhere(~np.isfinite(values))[0])
        raise InputError(
            f"{name} is {values[where]} in state {step}, at index {tuple(map(int, where))}"
        )
