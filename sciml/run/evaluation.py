"""A trained surrogate against simulations that it has not seen."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import xarray as xr

from sciml.domain.files import files_of
from sciml.domain.layout import layout_of
from sciml.errors import InputError
from sciml.record.foreign import HELD, LINEAGE
from sciml.record.index import INDEX
from sciml.record.parts import DataPart, naming, parts_of
from sciml.record.recording import Recording, open_recording
from sciml.run.directory import RunDirectory
from sciml.run.results import Run, load, open_run
from sciml.samples import Task
from sciml.samples.dataset import simulations_of
from sciml.samples.program_warnings import Finding, carried, gathered, log_findings
from sciml.samples.splits import TEST, TRAIN, VALIDATION, Trajectory, roles_by_name, splits_of
from sciml.samples.times import in_order, require_times
from sciml.training.figures import table

if TYPE_CHECKING:
    from sciml.surrogates import Surrogate

log = logging.getLogger("sciml.run")


@final
class Evaluation(dict[str, Any]):
    """Errors by name, as :class:`sciml.training.Validation` gives them; printed, a table of them.

    ``split`` says in words what they were measured on, ``simulations`` how many, of how many
    ``frames``; ``fields`` holds the errors of each field.
    """

    def __str__(self) -> str:
        return "\n".join(table(self))

    __repr__ = __str__


def evaluate(
    surrogate: str | Path | Run | Surrogate,
    data: Any = None,
    rollout: int | None = None,
    model: str | Path | None = None,
    *,
    group: str | None = None,
) -> Evaluation:
    """One-step and rollout errors of a surrogate.

    >>> print(sciml.evaluate("runs/quickstart"))        # doctest: +SKIP

    Args:
        surrogate: run directory, saved surrogate, run or surrogate.
        data: a dataset, files, folders of them, patterns, runs (for what these held out), or a list;
            default: the held-out simulations of the run. Of data that say a split, what is for testing;
            where there is none, what is for validation.
        rollout: steps to roll out; default: as many as there are.
        model: the file that builds it, where that is not one known by name. A run has its own copy,
            which is run where this user made the run.
        group: of netCDF-4, HDF5 or zarr, in which the variables of the data are.

    Raises:
        InputError: no surrogate, no data, or data that do not fit it.
    """
    from sciml.surrogates.threads import threads_for, values_of
    from sciml.training.validation import Validation

    surrogate, weighting, run_dir = _loaded(surrogate, model)
    given = data is not None and (hasattr(data, "data_vars") or bool(data))
    parts = _parts(data, group) if given else [DataPart(p.name, p) for p in heldout_files(run_dir)]
    if not parts:
        raise InputError(
            f"{run_dir or 'evaluate'} holds no validation simulations; name data to measure on, on the "
            "command line with --data"
        )
    trajectories, warned, said = _measured(surrogate, parts, given)
    log_findings(gathered(warned), log)
    longest = max(len(frames) for _, frames in trajectories)
    steps = longest if rollout is None else rollout
    validation = Validation(trajectories, rollout=steps, weighting=weighting)
    points = prod(trajectories[0][0].domain.point_shape)
    with threads_for(values_of(surrogate, points, validation.batch_size)):
        figures = validation(surrogate)
    frames = sum(len(frames) for _, frames in trajectories)
    return Evaluation(simulations=len(trajectories), frames=frames, split=said, **figures)


def _loaded(
    given: str | Path | Run | Surrogate, model: str | Path | None
) -> tuple[Surrogate, str | None, Path | None]:
    """Surrogate, weighting of its points, and where held-out simulations of its run may lie."""
    from sciml.surrogates.surrogate import Surrogate

    if isinstance(given, Surrogate):
        return given, None, None
    run_dir = given.path if isinstance(given, Run) else Path(given)
    if model is None and RunDirectory(run_dir).study.is_file():
        run = open_run(run_dir)
        return run.surrogate(), run.study.training.weighting, run_dir
    return load(run_dir, model), None, run_dir


def _parts(data: Any, group: str | None) -> list[DataPart]:
    """What is given; for runs what they held out, for recordings their files."""
    if isinstance(data, str | os.PathLike):
        data = [data]
    if hasattr(data, "data_vars") or not all(isinstance(d, str | os.PathLike) for d in data):
        return parts_of(data, group)
    listed: list[Any] = []
    for path in map(Path, data):
        if (path / LINEAGE).is_file():
            listed += heldout_files(path)  # its predictions are no truth
        elif (path / INDEX).is_file():
            listed += _set_apart(open_recording(path))
        else:
            listed += files_of(path)
    return parts_of(listed, group) if listed else []


def _set_apart(recording: Recording) -> list[Path]:
    """Files of what no training has seen, where the roles of a recording say so; else all of them."""
    roles = {recording.roles.get(number) for number in recording.ids}
    wanted = next((role for role in (TEST, VALIDATION) if role in roles), None)
    return [
        recording.folder / entry.file
        for entry in recording.simulations
        if wanted is None or entry.role == wanted
    ]


def _measured(
    surrogate: Surrogate, parts: Sequence[DataPart], given: bool
) -> tuple[list[Trajectory], list[Finding], str]:
    """What no training has seen of the data, where they say so; warnings of their solvers; in words,
    what it is."""
    from sciml.surrogates.arrangement import Arrangement
    from sciml.surrogates.compatibility import require_masks, require_match

    task = surrogate.task
    names = task.moving
    named = roles_by_name([part.path for part in parts if part.path is not None])
    if named:
        wanted = next(r for r in (TEST, VALIDATION, TRAIN) if r in named.values())
        parts = [part for part in parts if named.get(part.path, wanted) == wanted]
    trajectories: list[Trajectory] = []
    warned: list[Finding] = []
    said: dict[str, None] = {}
    for part in parts:
        with naming(part):
            ds = Arrangement(surrogate, part.open(), targets=True).ds
            layout = layout_of(ds, names)
            for remark in require_times(task, ds, layout):
                log.info("%s: %s", part.name or "data", remark)
            ds = in_order(ds, layout)
            ours, words = _set_aside(ds, task, names, on_demand=part.path is not None)
            if part.path in named:
                words = f"what is for {_WORDS[wanted]}, by the names of the files"
            if part.path is not None and _is_held_out(part.path):
                words = "the held-out simulations of the run"
            said[words] = None
            warned += carried(ds, [simulation.id for simulation, _ in ours])
            if given:
                require_match(surrogate, ds)
                require_masks(surrogate, ours[0][0], (*names, *task.static))
            trajectories += ours
    return trajectories, warned, "; ".join(said)


_WORDS = {TEST: "testing", VALIDATION: "validation", TRAIN: "training"}


def _set_aside(
    ds: xr.Dataset, task: Task, names: Sequence[str], *, on_demand: bool
) -> tuple[list[Trajectory], str]:
    """What no training has seen, where the dataset says so: what is for testing, else for validation;
    and in words which it is."""
    splits = splits_of(ds, layout_of(ds, names), names)
    size = sum(ds[n].nbytes for n in (*names, *task.static))
    given = {"fields": names, "static": task.static, "on_demand": on_demand and size > HELD}
    if splits is None:
        trajectories = simulations_of(ds, task.parameters, **given)
        return list(trajectories), "all of it: no split says what was trained on"
    wanted = next((role for role in (TEST, VALIDATION) if splits.has(role)), TRAIN)
    if wanted == TRAIN:
        log.warning(
            "%s says that all of it is for training: errors say little of new data", splits.source
        )
    trajectories = simulations_of(ds, task.parameters, **given, without=splits.but(wanted))
    pieces = [trajectory for _, trajectory in splits.divided(trajectories)]
    return pieces, f"what is for {_WORDS[wanted]}, by {splits.source}"


def _is_held_out(path: Path) -> bool:
    run = RunDirectory(path.parent.parent)
    return path.parent == run.validation and (run.path / LINEAGE).is_file()


def heldout_files(run_dir: Path) -> list[Path]:
    return sorted(RunDirectory(run_dir).validation.glob("*.nc"))
