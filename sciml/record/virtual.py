"""Many simulations on one domain as one dataset, without copying them."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from sciml.domain.names import SAMPLE, TIME
from sciml.record.file import ARRIVAL, SEGMENT
from sciml.record.index import VIRTUAL, Entry
from sciml.samples.program_warnings import ATTRIBUTE as WARNINGS
from sciml.samples.program_warnings import COORDINATE, findings, to_attribute

_DIGEST = "recording_digest"


def obstacle(folder: Path, entries: Mapping[int, Entry]) -> str | None:
    """Why these simulations make no single dataset; ``None`` if they do."""
    several = list(entries.values())
    if not several:
        return "it holds no simulation"
    for what, values in (
        ("domains", {e.domain for e in several}),
        ("fields", {str(e.fields) + str(sorted(e.dtypes.items())) for e in several}),
        ("parameters", {tuple(sorted(e.parameters)) for e in several}),
        ("static fields", {tuple(sorted(e.static)) for e in several}),
    ):
        if len(values) > 1:
            return f"its simulations have {len(values)} different {what}"
    return None if _times(folder, several) is not None else "its simulations differ in their times"


def digest(entries: Mapping[int, Entry]) -> str:
    """Changes with any file."""
    text = " ".join(f"{e.file}:{e.crc}:{e.bytes}" for e in entries.values())
    return f"{len(entries)}:{zlib.crc32(text.encode()):08x}"


def current(folder: Path, entries: Mapping[int, Entry]) -> bool:
    """Whether the virtual dataset is there and speaks of these very files."""
    try:
        with h5py.File(folder / VIRTUAL, "r") as file:
            return file.attrs.get(_DIGEST) == digest(entries)
    except OSError:
        return False


def write(folder: Path, entries: Mapping[int, Entry], path: Path | None = None) -> Path | None:
    """Write ``recording.nc``: dimensions ``(sample, time, …)`` over all files, NaN where a
    simulation ended earlier.

    Args:
        folder: of the recording.
        entries: of its index.
        path: another place for the file; sources are then named by absolute paths.

    Returns:
        The path, ``None`` where the simulations make no single dataset (an old one is removed).

    HDF5 opens the sources when they are read, relative to the folder of the file, and reads fill
    values where one is missing: open it through :func:`sciml.record.open_recording`, which checks.
    """
    final = path or folder / VIRTUAL
    if obstacle(folder, entries) is not None:
        final.unlink(missing_ok=True)
        return None
    several = list(entries.values())
    aside = final.with_name(f".{final.name}.{os.getpid()}.part")
    try:
        # Times stay numbers, with the units that they have there.
        with xr.open_dataset(
            folder / several[0].file, engine="h5netcdf", decode_times=False
        ) as one:
            frame = _frame(one, several, _times(folder, several))
            notes = {str(n): (v.dims, dict(v.attrs)) for n, v in one.variables.items()}
            frame.attrs[_DIGEST] = digest(entries)
            frame.to_netcdf(aside, engine="h5netcdf")
        names = [f["name"] for f in several[0].fields]
        with h5py.File(aside, "r+") as file:
            sources = [str(folder.resolve() / e.file) if path else e.file for e in several]
            coordinates = " ".join([*several[0].parameters, ARRIVAL, SEGMENT])
            for name in (*names, *several[0].static, ARRIVAL, SEGMENT):
                _map(file, folder, several, sources, name, *notes[name])
                if name in names:
                    file[name].attrs["coordinates"] = coordinates
        os.replace(aside, final)
    finally:
        aside.unlink(missing_ok=True)
    return final


def _frame(one: xr.Dataset, several: Sequence[Entry], times: np.ndarray) -> xr.Dataset:
    """All that is small: coordinates, parameters, attributes."""
    names = [f["name"] for f in several[0].fields]
    drop = [*names, *several[0].static, *several[0].parameters, ARRIVAL, SEGMENT]
    frame = one.drop_vars(drop).drop_dims(TIME).load()
    frame = frame.assign_coords(
        {
            SAMPLE: (SAMPLE, [e.simulation for e in several], {"long_name": "simulation"}),
            TIME: (TIME, times, dict(one[TIME].attrs)),
        }
    )
    for name in several[0].parameters:
        values = [float(e.parameters[name]) for e in several]
        frame = frame.assign_coords({name: (SAMPLE, values, dict(one[name].attrs))})
    for name in ("role", "seed"):
        values = [e.about.get(name) for e in several]
        if name not in frame.variables and all(v is not None for v in values):
            frame = frame.assign_coords({name: (SAMPLE, values)})
    frame.attrs = {"Conventions": one.attrs.get("Conventions", "CF-1.11")}
    if found := findings({e.simulation: e.warned for e in several}):
        frame.attrs[WARNINGS] = to_attribute(found)
        kinds = [", ".join(w.kind for w in e.warned) for e in several]
        notes = {"long_name": "what the solver warned of"}
        frame = frame.assign_coords({COORDINATE: (SAMPLE, kinds, notes)})
    for variable in frame.variables.values():
        variable.encoding = {}
    frame.encoding = {}
    return frame


def _map(
    file: h5py.File,
    folder: Path,
    several: Sequence[Entry],
    sources: Sequence[str],
    name: str,
    dims: tuple[str, ...],
    notes: Mapping[str, Any],
) -> None:
    """One variable of all files as one virtual variable."""
    moving = dims[:1] == (TIME,)
    with h5py.File(folder / several[0].file, "r") as first:
        dtype, tail = first[name].dtype, first[name].shape[1 if moving else 0 :]
    longest = max(e.steps for e in several)
    layout = h5py.VirtualLayout((len(several), *((longest,) if moving else ()), *tail), dtype)
    for row, (entry, source) in enumerate(zip(several, sources, strict=True)):
        shape = ((entry.steps,) if moving else ()) + tail
        where = (row, slice(0, entry.steps)) if moving else row
        layout[where] = h5py.VirtualSource(source, name, shape=shape)
    floating = dtype.kind == "f"
    variable = file.create_virtual_dataset(name, layout, fillvalue=np.nan if floating else -1)
    for axis, dim in enumerate((SAMPLE, *dims)):
        if dim not in file:
            file[dim] = np.arange(variable.shape[axis])
            file[dim].make_scale(dim)
        variable.dims[axis].attach_scale(file[dim])
    variable.attrs.update(notes)
    if floating:
        variable.attrs["_FillValue"] = np.full(1, np.nan, dtype)


def _times(folder: Path, several: Sequence[Entry]) -> np.ndarray | None:
    """Times of the longest simulation if those of all others are the first of them."""
    found, units = [], set()
    for entry in several:
        with h5py.File(folder / entry.file, "r") as file:
            found.append(file[TIME][:])
            units.add(tuple(str(file[TIME].attrs.get(key)) for key in ("units", "calendar")))
    if len(units) > 1:
        return None
    longest = max(found, key=len)
    same = all(np.allclose(t, longest[: len(t)], rtol=1e-9, atol=0) for t in found)
    return longest if same else None
