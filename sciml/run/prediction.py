"""Predictions of a trained surrogate as a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sciml.domain import Particles
from sciml.domain.extxyz import ENDINGS, write_extxyz
from sciml.domain.inference import domain_of
from sciml.domain.vtk import FORMATS, write_vtk
from sciml.errors import InputError
from sciml.run.directory import RunDirectory
from sciml.run.results import load, open_run

#: How names of netCDF files end.
NETCDF = (".nc", ".nc4", ".cdf", ".netcdf")


def predict(
    surrogate: Path,
    data: Sequence[Path],
    out: Path,
    *,
    rollout: int | None = None,
    model: Path | None = None,
    group: str | None = None,
) -> None:
    """Write what a surrogate predicts of files.

    Args:
        surrogate: a run, or a folder that one was saved to.
        data: files, as :meth:`~sciml.surrogates.surrogate.Surrogate.predict` takes them.
        out: netCDF; by its ending extended XYZ, or VTU and XDMF; must not exist.
        rollout: steps onward from the last times; ``None``: one prediction from each time.
        model: file that builds it, where that is not known.
        group: of the files.

    Raises:
        InputError: no surrogate; the file is there, or has another ending; several simulations, on
            domains of their own, that are to be one netCDF or VTK file.
    """
    if out.exists():
        raise InputError(f"{out} is there; expected the name of a new file")
    if out.suffix.lower() not in (*NETCDF, *ENDINGS, *FORMATS):
        raise InputError(
            f"{out}: expected a name that ends in .nc; of particles in {' or '.join(ENDINGS)}, of "
            f"meshes in {' or '.join(FORMATS)}"
        )
    if model is None and RunDirectory(surrogate).study.is_file():
        found = open_run(surrogate).surrogate()
    else:
        found = load(surrogate, model)
    given = data[0] if len(data) == 1 else list(data)
    if rollout is None:
        predicted = found.predict(given, group=group)
    else:
        predicted = found.rollout(given, rollout, group=group)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix.lower() in ENDINGS:
        write_extxyz(out, predicted)
    elif isinstance(predicted, list):
        atoms = isinstance(domain_of(predicted[0]), Particles)
        what, wanted = "simulations", "one file of data, one after the other"
        if atoms:
            what, wanted = "molecules", f"a file that ends in {' or '.join(ENDINGS)}"
        raise InputError(
            f"{out}: predictions of {len(predicted)} {what}, which make no single dataset; expected "
            f"{wanted}"
        )
    elif out.suffix.lower() in FORMATS:
        write_vtk(out, predicted)
    else:
        predicted.to_netcdf(out, engine="h5netcdf")
