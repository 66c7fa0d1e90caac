"""One simulation as one netCDF file that grows frame by frame."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sciml.domain.cf import Variable
from sciml.domain.names import TIME, require_names
from sciml.domain.netcdf import ROW, lay_out
from sciml.errors import InputError
from sciml.record.index import ATTRIBUTE as INDEXED
from sciml.record.index import Entry, checksum
from sciml.samples import Frame, Simulation
from sciml.samples.program_warnings import ATTRIBUTE, Warned, of_attribute, to_attribute

ARRIVAL, SEGMENT = "arrival", "segment"


class SimulationFile:
    """A netCDF4-compatible file with a dimension ``time`` that grows; written aside, then renamed.

    Frames go to disk through HDF5's chunk cache (1 MB a field), so memory does not grow with the
    simulation. The layout is that of :func:`sciml.domain.netcdf.lay_out`.

    Args:
        path: of the finished file; ``<path>.part`` until then.
        simulation: domain, fields, parameters and static fields.
        first: a frame, which gives the dtypes; it is not written.
        units: of the parameters.
        about: what the study knows of it: ``role``, ``seed``, ….

    Attributes:
        entry: its line of an index, as far as it is known before the file is whole; the file bears it.

    Every frame has its place in the order of arrival there (``arrival``, −1 where no frame came) and the
    stretch of frames that windows may join (``segment``).

    Raises:
        DomainError: a name used twice, or one that a recording uses itself.
        OSError: it cannot be written.
    """

    def __init__(
        self,
        path: Path,
        simulation: Simulation,
        first: Frame,
        *,
        units: Mapping[str, str] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        about = dict(about or {})
        self.path, self.aside = path, path.with_name(path.name + ".part")
        self._names = [field.name for field in simulation.fields]
        # Time, arrival and segment by place: a few bytes a frame, written at the end.
        self._rows: dict[int, tuple[float, int, int]] = {}
        self._dtypes = {name: np.asarray(first.fields[name]).dtype for name in self._names}
        static = {name: np.asarray(array) for name, array in simulation.static.items()}
        require_names(self._names, static, simulation.parameters, simulation.domain.kind)
        self.entry = Entry.of(
            simulation,
            path.name,
            {name: dtype.str for name, dtype in self._dtypes.items()},
            units or {},
            about,
        )
        beside = {
            name: Variable(
                (), np.float64(value), {"units": self.entry.units[name], "long_name": name}
            )
            for name, value in simulation.parameters.items()
        }
        beside |= {
            ARRIVAL: Variable((TIME,), np.empty(0, np.int64), {"long_name": "order of arrival"}),
            SEGMENT: Variable(
                (TIME,), np.empty(0, np.int32), {"long_name": "stretch that windows may join"}
            ),
        }
        file = lay_out(
            self.aside,
            simulation.domain,
            simulation.fields,
            self._dtypes | {name: array.dtype for name, array in static.items()},
            times=None,
            time={
                "long_name": "time",
                "units": simulation.time_units,
                "calendar": simulation.calendar or None,
            },
            static=simulation.static_fields,
            beside=beside,
            attrs={
                "simulation": simulation.id,
                **{n: v for n, v in about.items() if n in ("role", "seed", "initial")},
                INDEXED: self.entry.to_json(),
            },
        )
        with file:
            for name, array in static.items():
                file.variables[name][...] = array.astype(file.variables[name].dtype)
        self._file: h5py.File | None = h5py.File(self.aside, "r+", locking=False)
        self._sets = {name: self._file[name] for name in self._names}
        self._capacity = 0

    def add(self, index: int, frame: Frame, arrival: int = 0, segment: int = 0) -> None:
        """Write a frame at a place along ``time``; places left out stay empty (NaN).

        Raises:
            InputError: a field of another dtype than that of the first frame.
        """
        for name in self._names:
            if np.asarray(frame.fields[name]).dtype != self._dtypes[name]:
                raise InputError(
                    f"simulation {frame.simulation}: field '{name}' is "
                    f"{frame.fields[name].dtype} in step {frame.step}; its file holds "
                    f"{self._dtypes[name]}"
                )
        if index >= self._capacity:
            self._resize(max(index + 1, self._capacity + ROW))
        for name, values in self._sets.items():
            values[index] = frame.fields[name]
        self._rows[index] = (frame.time, arrival, segment)

    def close(self, warned: Sequence[Warned] = ()) -> None:
        """Give the file its name, with what the program of the simulation warned of."""
        length = max(self._rows, default=-1) + 1
        self._resize(length)
        places = sorted(self._rows)
        columns = np.array([self._rows[place] for place in places], np.float64).reshape(-1, 3).T
        # A coordinate without holes, which indexing by time needs; the fields keep theirs.
        self._write_row(TIME, np.interp(np.arange(length), places, columns[0]))
        for name, column, empty in ((ARRIVAL, columns[1], -1), (SEGMENT, columns[2], 0)):
            row = np.full(length, empty)
            row[places] = column
            self._write_row(name, row)
        if warned:
            self._file.attrs[ATTRIBUTE] = to_attribute(warned)
        self._close()
        os.replace(self.aside, self.path)

    def discard(self) -> None:
        """Remove what was written so far."""
        self._close()
        self.aside.unlink(missing_ok=True)

    def _resize(self, length: int) -> None:
        for values in self._sets.values():
            values.resize(length, axis=0)
        self._capacity = length

    def _write_row(self, name: str, row: np.ndarray) -> None:
        self._file[name].resize(len(row), axis=0)
        self._file[name][:] = row

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._sets = None, {}


def entry_of(path: Path) -> Entry:
    """The line of an index for a file that is whole, from the file itself.

    Raises:
        InputError: it is none of a recording.
    """
    return measured(path.parent, entry_in(path))


def entry_in(path: Path) -> Entry:
    """The same without a look at all of the file: size, time and checksum are not there."""
    with h5py.File(path, "r") as file:
        if INDEXED not in file.attrs:
            raise InputError(f"{path} is no file of a recording; expected the attribute {INDEXED}")
        entry = Entry(**json.loads(file.attrs[INDEXED]))
        warned = of_attribute(file.attrs.get(ATTRIBUTE, ""))
        arrivals = file[ARRIVAL][:]
    there = {
        "frames": int((arrivals >= 0).sum()),
        "steps": len(arrivals),
        "last": int(arrivals.max(initial=-1)),
    }
    return replace(entry, **there).with_warnings(warned)


def measured(folder: Path, entry: Entry) -> Entry:
    """The line with size, time and checksum of its file."""
    path = folder / entry.file
    status = path.stat()
    return replace(entry, bytes=status.st_size, mtime=status.st_mtime_ns, crc=checksum(path))
