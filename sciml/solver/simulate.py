"""One run of a solver program as a dataset in memory."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml.errors import InputError, ScimlError
from sciml.solver.describe import describe
from sciml.solver.mpirun import command, environment, executable, last_words

if TYPE_CHECKING:
    import xarray as xr


def simulate(
    program: str | os.PathLike[str],
    ranks: int = 1,
    *,
    timeout: float | None = None,
    **parameters: Any,
) -> xr.Dataset:
    """Run a solver program and load what it writes.

    Args:
        program: path, looked up in the working directory, then in the share: ``solvers/heat.py``.
        ranks: MPI ranks; one runs without mpirun.
        timeout: seconds that it may take.
        **parameters: parameters and options by name, such as ``kappa=0.1, shape=(64, 64)``.

    Returns:
        Fields on ``(time, z, y, x)``, loaded; parameters and options as attributes.

    Raises:
        InputError: no such program, an unknown or bad parameter.
        ScimlError: the program failed; ends with what it said last.
    """
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
    arguments = description.arguments(parameters)
    with tempfile.TemporaryDirectory(prefix="sciml-") as folder:
        out = Path(folder) / "run.nc"
        arguments += ["--out", str(out)]
        if ranks == 1:
            words = [*executable(description.path), *arguments]
        else:
            words = command(description.path, ranks, arguments)
        env = environment()
        # A run for the caller does not go to a trainer that the caller happens to stream to.
        env = {name: value for name, value in env.items() if not name.startswith("SCIML_")}
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=timeout, env=env, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ScimlError(f"{description.name} took longer than {timeout:g} s") from error
        if done.returncode:
            raise ScimlError(
                f"{description.name} ended with code {done.returncode}: {last_words(done.stderr)}"
            )
        with xr.open_dataset(out, engine="h5netcdf") as ds:
            return ds.load()
