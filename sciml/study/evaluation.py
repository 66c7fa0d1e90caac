"""A trained surrogate against simulations that it has not seen."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from sciml.domain.inference import domain_of
from sciml.domain.layout import layout_of
from sciml.domain.names import SAMPLE, TIME, TRUTH
from sciml.domain.opening import open_netcdf
from sciml.errors import DomainError, InputError
from sciml.record.foreign import LINEAGE
from sciml.record.index import INDEX, VIRTUAL
from sciml.samples import Task
from sciml.samples.dataset import simulations_of
from sciml.samples.splits import TEST, TRAIN, VALIDATION, Trajectory, splits_of
from sciml.samples.times import Times, in_order, require_times
from sciml.samples.warned import carried, gathered, tell
from sciml.study.api import load, open_run
from sciml.study.rundir import RunDirectory

if TYPE_CHECKING:
    from sciml.samples import Task
    from sciml.surrogates import Surrogate

log = logging.getLogger("sciml.study")


def evaluate(
    run_dir: Path,
    files: Sequence[Path] | None = None,
    rollout: int | None = None,
    model: Path | None = None,
) -> dict[str, Any]:
    """One-step and rollout errors of a run's surrogate.

    Args:
        run_dir: run directory or saved surrogate.
        files: netCDF files, folders of them, or runs, for what these held out; default: the held-out
            simulations of the run. Of files that say a split, what is for testing; where there is
            none, what is for validation.
        rollout: steps to roll out; default: as many as there are.
        model: the file that builds it, where that is not one known by name. A run has its own copy,
            which is run where this user made the run.

    Raises:
        InputError: no surrogate, no data, or data that do not fit it.
    """
    from sciml.surrogates.arranging import Arrangement
    from sciml.surrogates.matching import require_masks, require_match
    from sciml.surrogates.threads import threads_for, values_of
    from sciml.training.validation import Validation

    if model is None and RunDirectory(Path(run_dir)).study.is_file():
        run = open_run(run_dir)
        surrogate, weighting = run.surrogate(), run.study.training.weighting
    else:
        surrogate, weighting = load(run_dir, model), None
    paths = _unfolded(files) if files else heldout_files(Path(run_dir))
    if not paths:
        raise InputError(
            f"{run_dir} holds no validation simulations; name netCDF files with --data"
        )
    task = surrogate.task
    names = task.moving
    trajectories, warned = [], []
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: no such file; expected a netCDF file of simulations")
        try:
            with open_netcdf(path) as opened:
                ds = opened.load()
        except InputError:
            raise
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: no netCDF file that xarray can read") from error
        try:
            ds = Arrangement(surrogate, ds, targets=True).ds
            layout = layout_of(ds, names)
            for remark in require_times(task, ds, layout):
                log.info("%s: %s", path.name, remark)
            ds = in_order(ds, layout)
            ours = _set_aside(ds, task, names)
            warned += carried(ds, [simulation.id for simulation, _ in ours])
            if files:
                require_match(surrogate, ds)
                require_masks(surrogate, ours[0][0], (*names, *task.static))
            trajectories += ours
        except (InputError, DomainError) as error:
            raise InputError(f"{path}: {error}") from error
    tell(gathered(warned), log)
    longest = max(len(frames) for _, frames in trajectories)
    steps = longest if rollout is None else rollout
    validation = Validation(trajectories, rollout=steps, weighting=weighting)
    points = prod(trajectories[0][0].domain.point_shape)
    with threads_for(values_of(surrogate, points, validation.batch_size)):
        found = validation(surrogate)
    return {"simulations": len(trajectories), **found}


def _unfolded(paths: Sequence[Path]) -> list[Path]:
    """Files, with the netCDF files of a folder in its place; of a run, its held-out simulations."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.nc")) if path.is_dir() else [path]
        if (path / LINEAGE).is_file():
            inside = heldout_files(path)  # its predictions are no truth
        if (path / INDEX).is_file():
            inside = [file for file in inside if file.name != VIRTUAL]  # all of them, once more
        if not inside:
            raise InputError(f"{path} holds no netCDF files (*.nc); name another folder, or files")
        found += inside
    return found


def _set_aside(ds: xr.Dataset, task: Task, names: Sequence[str]) -> list[Trajectory]:
    """What no training has seen, where the dataset says so: what is for testing, else for validation."""
    splits = splits_of(ds, layout_of(ds, names), names)
    given = {"fields": names, "static": task.static}
    if splits is None:
        return list(simulations_of(ds, task.parameters, **given))
    wanted = next((role for role in (TEST, VALIDATION) if splits.has(role)), TRAIN)
    if wanted == TRAIN:
        log.warning(
            "%s says that all of it is for training: errors say little of new data", splits.source
        )
    found = simulations_of(ds, task.parameters, **given, without=splits.but(wanted))
    return [trajectory for _, trajectory in splits.divided(found)]


def heldout_files(run_dir: Path) -> list[Path]:
    return sorted((run_dir / "validation").glob("*.nc"))


def write_predictions(surrogate: Surrogate, run: RunDirectory, steps: int) -> None:
    """Rollouts from the first frames of every held-out simulation, with the truth beside them.

    One file where all lie on one domain at the same times: dims ``(sample, time, …)``, ``sample`` the
    numbers of the simulations, ``u`` and ``u_true``. Else a file a simulation,
    ``predictions-00003.nc``.
    """
    if not surrogate.task.autoregressive:
        return
    truths, numbers = [], []
    for path in heldout_files(run.path):
        with open_netcdf(path) as ds:
            truths.append(ds.load())
        numbers.append(int(path.stem.rpartition("-")[2]))
    if truths and all(_stand_together(truths[0], ds) for ds in truths):
        together = xr.concat(
            truths,
            xr.DataArray(numbers, dims=SAMPLE, name=SAMPLE, attrs={"long_name": "simulation"}),
            data_vars="all",
            coords="different",
            compat="equals",
            join="override",
            combine_attrs="drop_conflicts",
        )
        truths = [together]
    for number, truth in zip(numbers, truths, strict=False):  # one dataset of them all, or each
        path = run.predictions
        if len(truths) > 1:
            path = path.with_stem(f"{path.stem}-{number:05d}")
        rolled = _rolled_out(surrogate, truth, steps)
        if rolled is not None:
            _write(rolled, path)


def _stand_together(one: xr.Dataset, other: xr.Dataset) -> bool:
    """Whether two simulations have one domain, and the same times: a file has one axis of each."""
    return (
        one.sizes == other.sizes
        and np.array_equal(one[TIME], other[TIME])
        and domain_of(one) == domain_of(other)
    )


def _rolled_out(surrogate: Surrogate, truth: xr.Dataset, steps: int) -> xr.Dataset | None:
    task = surrogate.task
    first = (task.history - 1) * task.lead
    truth = _unbroken(truth, task)
    if truth is None:
        return None
    length = min(steps, (truth.sizes[TIME] - 1 - first) // task.lead)
    if length < 1:
        return None
    # Several times say their step, which is that of this simulation and not of all.
    usual, surrogate.dt = surrogate.step, None if first else surrogate.step
    try:
        begin = truth.isel({TIME: slice(0, first + 1)})
        ahead = {"forcing": truth[list(task.forcing)]} if task.forcing else {}
        guess = surrogate.rollout(begin, length, **ahead)
    finally:
        surrogate.dt = usual
    leads = slice(first, first + length * task.lead + 1, task.lead)
    return _beside(truth.isel({TIME: leads}), guess, task.targets)


def _unbroken(truth: xr.Dataset, task: Task) -> xr.Dataset | None:
    """The first stretch without a gap into which a window fits."""
    if not task.even:
        return truth
    segments = Times.of(truth, layout_of(truth)).segments
    fitting = np.flatnonzero(np.bincount(segments) > task.history * task.lead)
    return truth.isel({TIME: segments == fitting[0]}) if len(fitting) else None


def _beside(truth: xr.Dataset, guess: xr.Dataset, targets: Sequence[str]) -> xr.Dataset:
    """Truth as ``<name>_true``, and the prediction with the frame it started from in front."""
    out = truth.drop_vars(list(targets))
    for name in targets:
        true = truth[name]
        start = true.isel({TIME: slice(0, 1)})
        ahead = guess[name].isel({TIME: slice(-(true.sizes[TIME] - 1), None)})
        joined = xr.concat([start, ahead], TIME, join="override").transpose(*true.dims)
        out[name] = joined.assign_coords({TIME: true[TIME]}).assign_attrs(true.attrs)
        out[f"{name}{TRUTH}"] = true
        long_name = true.attrs.get("long_name", name)
        out[f"{name}{TRUTH}"].attrs["long_name"] = f"{long_name}, solver"
        out[name].attrs["long_name"] = f"{long_name}, surrogate"
    return out


def _write(ds: xr.Dataset, path: Path) -> None:
    aside = path.with_suffix(".part")
    # Without the chunks of the files that the truth was read from, which grew frame by frame.
    ds.drop_encoding().to_netcdf(aside, engine="h5netcdf")
    os.replace(aside, path)
