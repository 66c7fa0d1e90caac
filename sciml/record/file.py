"""One simulation as one netCDF file that grows frame by frame."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sciml.domain.cf import Variable
from sciml.domain.names import TIME
from sciml.domain.netcdf import ROW, lay_out
from sciml.errors import InputError
from sciml.samples import Frame, Simulation
from sciml.samples.warned import ATTRIBUTE, Warned, to_attribute

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
        attrs: of the dataset.
        ordered: also keep, for every frame, its place in the order of arrival (``arrival``, −1
            where no frame came) and the stretch of frames that windows may join (``segment``).

    Raises:
        InputError: a name that recordings use for themselves.
        DomainError: a name used twice.
        OSError: it cannot be written.
    """

    def __init__(
        self,
        path: Path,
        simulation: Simulation,
        first: Frame,
        *,
        units: Mapping[str, str] | None = None,
        attrs: Mapping[str, Any] | None = None,
        ordered: bool = False,
    ) -> None:
        self.path, self.aside = path, path.with_name(path.name + ".part")
        self._names = [field.name for field in simulation.fields]
        self._ordered = ordered
        # Time, arrival and segment by place: a few bytes a frame, written at the end.
        self._rows: dict[int, tuple[float, int, int]] = {}
        arrays = {name: np.asarray(first.fields[name]) for name in self._names}
        self._dtypes = {name: array.dtype for name, array in arrays.items()}
        time = {"long_name": TIME, "units": simulation.time_units}
        if simulation.calendar:
            time["calendar"] = simulation.calendar
        units = dict.fromkeys(simulation.parameters, "1") | dict(units or {})
        parameters = {
            name: Variable((), np.asarray(value), {"units": units[name], "long_name": name})
            for name, value in simulation.parameters.items()
        }
        static = {name: np.asarray(values) for name, values in simulation.static.items()}
        file = lay_out(
            self.aside,
            simulation.domain,
            simulation.fields,
            self._dtypes | {name: values.dtype for name, values in static.items()},
            times=None,
            time=time,
            static=simulation.static_fields,
            beside=parameters | (_places(simulation) if ordered else {}),
            attrs=attrs,
        )
        for name, values in static.items():
            file.variables[name][...] = values.astype(file.variables[name].dtype)
        file.close()
        self._file: h5py.File | None = h5py.File(self.aside, "r+")
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
        if self._ordered:
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


def _places(simulation: Simulation) -> dict[str, Variable]:
    """Where a frame stands in the order of arrival; empty yet."""
    named = [field.name for field in (*simulation.fields, *simulation.static_fields)]
    if taken := {ARRIVAL, SEGMENT} & {*named, *simulation.parameters}:
        raise InputError(
            f"a field or parameter is called '{min(taken)}', which a recording uses for itself; "
            "rename it"
        )
    return {
        ARRIVAL: Variable((TIME,), np.empty(0, np.int64), {"long_name": "order of arrival"}),
        SEGMENT: Variable(
            (TIME,), np.empty(0, np.int32), {"long_name": "stretch that windows may join"}
        ),
    }
