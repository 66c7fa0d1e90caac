"""Running and training a study from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sciml.run.results import Run
from sciml.study.schema import Study, load_study


def run(
    study: str | Path | Study,
    out: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    plain: bool | None = None,
) -> Run:
    """Run a study: solvers stream, the surrogate trains, a run directory comes out.

    Args:
        study: path of a study file (working directory first, then what ships with the package),
            or a study.
        out: run directory to make; default ``runs/<name>``, numbered if that is taken.
        overrides: ``"training.batch_size=8"``.
        plain: lines in place of the live display.

    Raises:
        InputError: anything in the study that cannot work, before anything is started.
        ScimlError: the trainer ended early.
        KeyboardInterrupt: asked to stop; the checkpoint is written.
    """
    from sciml.run.online.study_run import execute

    loaded = study if isinstance(study, Study) else load_study(study, list(overrides))
    directory, code = execute(loaded, out, plain=plain)
    if code != 0:
        raise KeyboardInterrupt
    return Run(directory)


def train(
    study: str | Path | Study,
    data: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    stream: bool = False,
    epochs: int | None = None,
    group: str | None = None,
    plain: bool | None = None,
) -> Run:
    """Train a study on data that are there, without its solver; a run directory comes out.

    Args:
        study, out, overrides, plain: as for :func:`run`; the sections ``solver`` and ``parameters`` of
            the study may be left out.
        data: a recording, a run that recorded, a file (netCDF, zarr, HDF5 of The Well or PDEBench), a
            folder of them, a pattern such as ``"sims/*.nc"``, or a list; where it says a ``split``, that
            is respected.
        stream: replay once, in order of arrival, through the study's buffer; else epochs.
        epochs: passes over the samples; by default as many as the phases of the study take.
        group: of netCDF-4, HDF5 or zarr, in which the variables are.

    Raises:
        InputError: data or study that cannot work, before a directory is made.
        KeyboardInterrupt: asked to stop; the checkpoint is written.
    """
    from sciml.run.offline.training import train_offline

    loaded = study if isinstance(study, Study) else load_study(study, list(overrides), solver=False)
    directory, code = train_offline(
        loaded, data, out, stream=stream, epochs=epochs, group=group, plain=plain
    )
    if code != 0:
        raise KeyboardInterrupt
    return Run(directory)
