"""A run written to one netCDF file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from sciml.domain import Block, Domain, Field
from sciml.domain.cf import Variable
from sciml.domain.names import TIME
from sciml.domain.netcdf import lay_out
from sciml.domain.time_units import canonical
from sciml.errors import InputError
from sciml.installation import version
from sciml.parallel import Gather
from sciml.samples.program_warnings import ATTRIBUTE, Warned, to_attribute
from sciml.solver.declaration import EVERY, has
from sciml.solver.program import Program, options_of


class FileSink:
    """Gathers states to rank 0, which writes them to ``out``.

    The file is HDF5 as netCDF4 lays it out, CF for grids and UGRID for meshes: fields over
    ``(time, z, y, x)``, ``(time, node)`` or ``(time, particle, space)``, each parameter as a scalar
    coordinate and an attribute; options, seed and version as attributes. It is written aside
    (``.name.part``) and gets its name when it is complete.

    Args:
        program: what runs.
        given: its parameters and options; ``given.out`` is the path, ``given.every`` the stride, unless
            the program has an option of that name itself.
        domain: where its fields live.
        block: what this rank holds.
        comm: an mpi4py communicator.
        state: the initial state; static fields are taken from it.

    Raises:
        InputError: the file cannot be written.
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
        self.every = given.every if has(options_of(program), EVERY) else 1
        self._fields = program.fields
        self._gather = Gather(comm, block, domain.point_shape)
        self._out = Path(given.out)
        self._aside = self._out.with_name(f".{self._out.name}.part")
        self._file = None
        self._lead = comm.rank == 0
        if self._lead:
            self._file = self._create(program, given, domain, state)
        for field in program.static:
            whole = self._whole(field, state)
            if self._file is not None:
                variable = self._file.variables[field.name]
                variable[...] = np.asarray(whole, variable.dtype)

    def take(self, step: int, time: float, state: Mapping[str, np.ndarray]) -> None:
        """Write one state; ``step`` counts those written."""
        for field in self._fields:
            values = self._whole(field, state)
            if self._file is not None:
                self._file.variables[field.name][step] = values
        if self._file is not None:
            self._file.variables[TIME][step] = time

    def _whole(self, field: Field, state: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """The field of all ranks, on rank 0; what is not on points is whole on each."""
        return self._gather(state[field.name]) if field.on == "point" else state[field.name]

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
        domain: Domain,
        state: Mapping[str, np.ndarray],
    ) -> Any:
        parameters = {
            p.name: Variable(
                (),
                np.float64(getattr(given, p.name)),
                {"units": p.units, "long_name": p.help or p.name},
            )
            for p in program.parameters
        }
        try:
            return lay_out(
                self._aside,
                domain,
                program.fields,
                {name: np.asarray(values).dtype for name, values in state.items()},
                times=given.steps // self.every + 1,
                time={
                    "long_name": "number of the sample" if program.steady else "time",
                    "units": "1" if program.steady else canonical(program.time_units),
                },
                static=program.static,
                beside=parameters,
                attrs=_attributes(program, given),
            )
        except OSError as error:
            raise InputError(f"--out {self._out} cannot be written: {error}") from error


def refuse_existing(out: str | Path) -> None:
    """That a file can go there, before anything is computed.

    Raises:
        InputError: the file exists, or its folder does not.
    """
    path = Path(out)
    if path.exists():
        raise InputError(f"--out {out} exists; remove it or name another file")
    if not path.parent.is_dir():
        raise InputError(f"--out {out}: no folder {path.parent}; create it first")


def _attributes(program: type[Program], given: SimpleNamespace) -> dict[str, Any]:
    values = {
        name: np.asarray(value) if isinstance(value, tuple) else value
        for name, value in vars(given).items()
        if name not in ("out", "log")
    }
    return {
        "program": program.name,
        "equation": program.equation,
        "version": version(),
        **values,
    }
