"""A run written to one netCDF file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from sciml.domain import Block, Domain, Field, Grid
from sciml.domain.names import TIME
from sciml.domain.time_units import canonical
from sciml.errors import InputError
from sciml.parallel import Gather
from sciml.samples.warned import ATTRIBUTE, Warned, to_attribute
from sciml.solver.declare import EVERY
from sciml.solver.program import Program, options_of

_CHUNK_BYTES = 1 << 20


class FileSink:
    """Gathers states to rank 0, which writes them to ``out``.

    The file is HDF5 as netCDF4 lays it out: dimensions ``(time, z, y, x)``, CF attributes, each
    parameter as a scalar coordinate and an attribute; options, seed and version as attributes. It
    is written aside (``.name.part``) and gets its name when it is complete.

    Args:
        program: what runs.
        given: its parameters and options; ``given.out`` is the path, ``given.every`` the stride, unless
            the program has an option of that name itself.
        domain: a grid.
        block: what this rank holds.
        comm: an mpi4py communicator.
        state: the initial state; static fields are taken from it.

    Raises:
        InputError: the domain is no grid.
    """

    def __init__(
        self,
        program: type[Program],
        given: SimpleNamespace,
        domain: Domain,
        block: Block,
        comm: Any,
        state: Mapping[str, np.ndarray],
    ) -> None:
        if not isinstance(domain, Grid):
            raise InputError(
                f"--out: {program.name} runs on a {domain.kind}; only fields on grids are written"
            )
        self.every = given.every if EVERY in options_of(program) else 1
        self._fields = program.fields
        self._gather = Gather(comm, block, domain.shape)
        self._out = Path(given.out)
        self._aside = self._out.with_name(f".{self._out.name}.part")
        self._file = None
        self._lead = comm.rank == 0
        if self._lead:
            self._file = self._create(program, given, domain, state)
        for field in program.static:
            whole = self._gather(state[field.name])
            if self._file is not None:
                self._file.variables[field.name][...] = whole

    def take(self, step: int, time: float, state: Mapping[str, np.ndarray]) -> None:
        """Write one state; ``step`` counts those written."""
        for field in self._fields:
            values = self._gather(state[field.name]) if field.on == "point" else state[field.name]
            if self._file is not None:
                self._file.variables[field.name][step] = values
        if self._file is not None:
            self._file.variables[TIME][step] = time

    def close(self, warned: Sequence[Warned] = ()) -> None:
        """Give the complete file its name, with what the program warned of as an attribute.

        Raises:
            InputError: a file of that name came into being meanwhile; what was written stays aside.
        """
        if self._file is None:
            return
        if warned:
            self._file.attrs[ATTRIBUTE] = to_attribute(warned)
        self._file.close()
        self._file = None
        try:
            # A link never replaces a file, a rename does; some file systems know no links.
            os.link(self._aside, self._out)
            self._aside.unlink()
        except FileExistsError as error:
            raise InputError(
                f"--out {self._out} appeared during the run; see {self._aside}"
            ) from error
        except OSError:
            self._aside.replace(self._out)

    def discard(self) -> None:
        """Remove what was written of a run that failed."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._aside.unlink(missing_ok=True)

    def _create(
        self,
        program: type[Program],
        given: SimpleNamespace,
        grid: Grid,
        state: Mapping[str, np.ndarray],
    ) -> Any:
        import h5netcdf

        try:
            file = h5netcdf.File(self._aside, "w")
        except OSError as error:
            raise InputError(f"--out {self._out} cannot be written: {error}") from error
        times = given.steps // self.every + 1
        file.dimensions = {TIME: times, **dict(zip(grid.dims, grid.shape, strict=True))}
        file.create_variable(TIME, (TIME,), "f8")
        file.variables[TIME].attrs.update(
            {
                "axis": "T",
                "long_name": "number of the sample" if program.steady else "time",
                "units": "1" if program.steady else canonical(program.time_units),
            }
        )
        for axis, dim in enumerate(grid.dims):
            variable = file.create_variable(dim, (dim,), data=grid.coordinates(axis))
            variable.attrs.update(
                {
                    "axis": dim.upper(),
                    "units": grid.units,
                    "long_name": dim,
                    "boundary": grid.boundary[axis],
                    "extent": np.array(grid.extent[axis]),
                }
            )
        for parameter in program.parameters:
            variable = file.create_variable(
                parameter.name, (), data=np.float64(getattr(given, parameter.name))
            )
            words = parameter.help or parameter.name
            variable.attrs.update({"units": parameter.units, "long_name": words})
        for field in program.fields:
            self._declare(file, program, field, grid, state, times)
        for field in program.static:
            self._declare(file, program, field, grid, state, None)
        file.attrs.update(_attributes(program, given))
        return file

    def _declare(
        self,
        file: Any,
        program: type[Program],
        field: Field,
        grid: Grid,
        state: Mapping[str, np.ndarray],
        times: int | None,
    ) -> None:
        points = grid.dims if field.on == "point" else ()
        shape = tuple(grid.shape) if field.on == "point" else ()
        dims, chunks = points, None
        dtype = np.asarray(state[field.name]).dtype
        if times is not None:
            frame = max(int(np.prod(shape)) * dtype.itemsize, 1)
            dims, chunks = (TIME, *points), (min(times, max(1, _CHUNK_BYTES // frame)), *shape)
        # HDF5 reads zeros where nothing was written; NaN is told from data.
        fill = np.nan if dtype.kind == "f" else None
        variable = file.create_variable(field.name, dims, dtype, fillvalue=fill, chunks=chunks)
        variable.attrs.update(field.attrs)
        if program.parameters:
            names = " ".join(parameter.name for parameter in program.parameters)
            variable.attrs["coordinates"] = names


def refuse_existing(out: str) -> None:
    """Check where a file shall go, before anything is computed.

    Raises:
        InputError: the file exists, or its folder does not.
    """
    path = Path(out)
    if path.exists():
        raise InputError(f"--out {out} exists; remove it or name another file")
    if not path.parent.is_dir():
        raise InputError(f"--out {out}: no folder {path.parent}; create it first")


def _attributes(program: type[Program], given: SimpleNamespace) -> dict[str, Any]:
    try:
        code = version("sciml-surrogates")
    except PackageNotFoundError:
        code = "unknown"
    values = {
        name: np.asarray(value) if isinstance(value, tuple) else value
        for name, value in vars(given).items()
        if name not in ("out", "log")
    }
    return {
        "Conventions": "CF-1.11",
        "program": program.name,
        "equation": program.equation,
        "version": code,
        **values,
    }
