"""One run of a solver program as a dataset in memory."""

from __future__ import annotations

import os
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.errors import InputError, ScimlError, SolverWarning
from sciml.samples.program_warnings import ATTRIBUTE, of_attribute
from sciml.solver.last_words import last_words
from sciml.solver.mpirun import command, environment, executable, is_local, own_folders
from sciml.solver.program_description import describe

if TYPE_CHECKING:
    import xarray as xr

#: Exit code of a program that cannot use what it was given.
BAD_INPUT = 2


def simulate(
    program: str | os.PathLike[str],
    ranks: int = 1,
    *,
    timeout: float | None = None,
    initial: Any = None,
    **parameters: Any,
) -> xr.Dataset:
    """Run a solver program and load what it writes.

    Args:
        program: path, looked up in the working directory, then in the share: ``solvers/heat.py``.
        ranks: MPI ranks; one runs without mpirun.
        timeout: seconds that it may take.
        initial: what it starts from: one of its choices, such as ``"sine"``, or a state of your own: a
            dataset or array of xarray, an array of numpy, the path of a file
            (:mod:`sciml.solver.initial_states` says what fits).
        **parameters: parameters and options by name, such as ``kappa=0.1, shape=(64, 64)``.

    Warns:
        SolverWarning: what the program warned of, the largest of each kind; it stays with the dataset,
            as its attribute ``warnings``.

    Returns:
        Fields on ``(time, z, y, x)``, ``(time, node)`` or ``(time, particle, space)``, loaded;
        parameters and options as attributes.

    Raises:
        InputError: no such program, an unknown or bad parameter, a state that does not fit, or what
            else the program refuses.
        ScimlError: the program failed; ends with what it said last.
    """
    ds = simulated(program, ranks, timeout=timeout, initial=initial, **parameters)
    for warned in of_attribute(ds.attrs.get(ATTRIBUTE, "")):
        at = "" if warned.step is None else f" (step {warned.step})"
        warnings.warn(f"{warned.message}{at}", SolverWarning, stacklevel=2)
    return ds


def simulated(
    program: str | os.PathLike[str],
    ranks: int = 1,
    *,
    timeout: float | None = None,
    initial: Any = None,
    **parameters: Any,
) -> xr.Dataset:
    """:func:`simulate` without a word: for a look at what a program does."""
    import xarray as xr

    description = describe(program)
    for name in ("out", "log"):
        if name in parameters:
            raise InputError(f"simulate: '{name}' is not for you to set; the result is returned")
    if "out" not in description.flags:
        raise InputError(
            f"simulate: {description.name} has no option 'out', so it writes nothing to return; run it "
            "in a study, or let it take --out FILE and write netCDF"
        )
    with (
        own_folders("sciml-", ranks) as folders,
        tempfile.TemporaryDirectory(prefix="sciml-") as folder,
    ):
        if initial is not None:
            parameters["initial"] = _as_option(initial, Path(folder))
        arguments = description.arguments(parameters)
        out = Path(folder) / "run.nc"
        arguments += ["--out", str(out)]
        if ranks == 1:
            words = [*executable(description.path), *arguments]
        else:
            words = command(description.path, ranks, arguments)
        env = environment(local=is_local(ranks))
        # A run for the caller does not go to a trainer that the caller happens to stream to.
        env = {
            name: value for name, value in env.items() if not name.startswith("SCIML_")
        } | folders
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=timeout, env=env, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ScimlError(f"{description.name} took longer than {timeout:g} s") from error
        if done.returncode:
            said = last_words(done.stderr).replace(f"--initial {folder}/", "--initial: ")
            kind = InputError if done.returncode == BAD_INPUT else ScimlError
            raise kind(f"{description.name} ended with code {done.returncode}: {said}")
        with xr.open_dataset(out, engine="h5netcdf") as ds:
            ds.load()
    if not isinstance(initial, str | os.PathLike | None):
        ds.attrs["initial"] = f"a state given in memory ({type(initial).__name__})"
    return ds


def _as_option(initial: Any, folder: Path) -> str:
    """A state of one's own as the path of a file; the name of a choice as it is."""
    if isinstance(initial, str | os.PathLike):
        return os.fspath(initial)
    if isinstance(initial, np.ndarray):
        path = folder / "initial.npy"
        try:
            np.save(path, initial, allow_pickle=False)
        except ValueError as error:
            raise InputError(f"initial: {error}; expected an array of numbers") from error
        return str(path)
    import xarray as xr

    if isinstance(initial, xr.DataArray):
        if initial.name is None:
            raise InputError(
                "initial: an array without a name; expected that of the field: array.rename('u')"
            )
        initial = initial.to_dataset()
    if not isinstance(initial, xr.Dataset):
        raise InputError(
            f"initial: {type(initial).__name__}; expected a dataset or array of xarray, an array of "
            "numpy, a path, or one of the program's choices"
        )
    path = folder / "initial.nc"
    write_as_is(initial, path)
    return str(path)


def write_as_is(ds: xr.Dataset, path: Path) -> None:
    """Write a dataset without encodings of its file, such as packed integers."""
    bare = ds.drop_encoding()
    for name in bare.variables:
        bare[name].encoding["_FillValue"] = None
    try:
        bare.to_netcdf(path, engine="h5netcdf")
    except (TypeError, ValueError) as error:
        raise InputError(f"initial: cannot be written as netCDF ({error})") from error
