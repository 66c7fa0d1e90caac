"""`sciml generate`: runs a recipe's simulations side by side and puts them into one file."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sciml.errors import InputError, ScimlError
from sciml.solver.describe import Description
from sciml.solver.mpirun import command, environment, executable
from sciml.study.api import refuse_if_alive, shown
from sciml.study.generate.check import check, check_cores
from sciml.study.generate.directory import PartsDirectory, identity_of
from sciml.study.generate.merge import merge
from sciml.study.generate.part import PartJob, run_part, verify
from sciml.study.generate.plan import PlannedRun, planned_runs
from sciml.study.generate.progress import Progress
from sciml.study.generate.recipe import Recipe, load_recipe
from sciml.study.launch import local_cluster, reap
from sciml.study.launcher import Failure, Launcher
from sciml.study.processes import start_time
from sciml.study.rundir import write_json
from sciml.study.stop import StopRequest

POLL = 0.05
RETRIES = 1


def generate(
    dataset: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    size: str = "small",
    simulations: int | None = None,
    ranks: int | None = None,
    at_once: int | None = None,
    overrides: Sequence[str] = (),
    allow_missing: bool = False,
    scheduler: str | None = None,
    plain: bool | None = None,
) -> Path:
    """Make a dataset.

    Finished runs are kept in ``<out>.parts`` until all are there; called again after an
    interruption, with the same arguments, it goes on from them.

    Args:
        dataset: folder or file of a recipe, ``data/heat_online``, or the bare name.
        out: netCDF file to write; opens with ``xr.open_dataset``.
        size: ``small`` or ``full``.
        simulations: as many samples in all, for a quick try; by default those of the recipe.
        ranks: MPI ranks of a run; by default the recipe's, at most as many as there are cores.
        at_once: runs side by side; by default as many as fit.
        overrides: ``"solver.options.shape=[32, 32]"``.
        allow_missing: write the file without the runs that failed.
        scheduler: address of a dask scheduler, in place of this machine; its workers need the
            resource ``sim=1`` and the same file system.
        plain: plain lines in place of the bar.

    Returns:
        The path of the file.

    Raises:
        InputError: anything that cannot work, before a run is started; parts of another recipe.
        ScimlError: runs that failed, by number; what was finished is kept.
        KeyboardInterrupt: asked to stop; what was finished is kept.
    """
    recipe = load_recipe(dataset, size, overrides)
    code = execute(
        recipe,
        Path(out),
        size=size,
        simulations=simulations,
        ranks=ranks,
        at_once=at_once,
        allow_missing=allow_missing,
        scheduler=scheduler,
        plain=plain,
    )
    if code != 0:
        raise KeyboardInterrupt
    return Path(out)


def execute(
    recipe: Recipe,
    out: Path,
    *,
    size: str,
    simulations: int | None = None,
    ranks: int | None = None,
    at_once: int | None = None,
    allow_missing: bool = False,
    scheduler: str | None = None,
    plain: bool | None = None,
) -> int:
    """Make a dataset; returns the exit code: 0, or 130 or 75 if it was asked to stop."""
    _refuse(out)
    runs = planned_runs(recipe, simulations)
    if scheduler is None:
        ranks = ranks or min(recipe.solver.ranks, len(os.sched_getaffinity(0)))
        at_once = check_cores(ranks, at_once)
    ranks, at_once = ranks or recipe.solver.ranks, at_once or 1
    directory = PartsDirectory.of(out)
    refuse_if_alive(directory.run)
    description = check(recipe)
    again = directory.prepare(identity_of(recipe, size, simulations, description))
    write_json(
        directory.run.pids / "supervisor.json",
        {"pid": os.getpid(), "began": start_time(os.getpid())},
    )
    if again:
        reap(directory.run)
    jobs = {
        job.simulation: job for job in _jobs(recipe, description, runs, directory, ranks, scheduler)
    }
    title = f"{recipe.name} ({size}): {len(runs)} runs of {description.name} into {shown(out.resolve())}"
    with StopRequest() as stop, Progress(title, plain=plain) as progress:
        finished = _finished(jobs, progress, stop) if again else []
        progress.found(len(finished))
        left = [job for id_, job in jobs.items() if id_ not in finished]
        failures = _run(left, finished, directory, at_once, scheduler, progress, stop)
        if stop:
            progress.say(
                f"interrupted; the finished runs are in {shown(directory.path)}: the same command "
                "goes on from them"
            )
            return stop.code
        there = [run for run in runs if run.id not in {f.simulation for f in failures}]
        _account(failures, there, directory, allow_missing)
        merge(
            recipe,
            size,
            description,
            there,
            [directory.part(run.id) for run in there],
            out,
            missing=[f.simulation for f in failures],
            progress=lambda done: progress.update("writing: parts", done, len(there)),
        )
    shutil.rmtree(directory.path)
    print(f"{sum(run.samples for run in there)} samples: {shown(out.resolve())}")
    return 0


def _run(
    left: Sequence[PartJob],
    finished: Sequence[int],
    directory: PartsDirectory,
    at_once: int,
    scheduler: str | None,
    progress: Progress,
    stop: StopRequest,
) -> list[Failure]:
    """Run what is left; returns the runs that were given up."""
    if not left or stop:
        return []
    cluster: Any = scheduler or local_cluster(min(at_once, len(left)))
    try:
        launcher = Launcher(
            cluster,
            directory.run,
            left,
            at_once=at_once,
            retries=RETRIES,
            finished=finished,
            work=run_part,
        )
        try:
            while not launcher.done and not stop:
                for failure in launcher.poll():
                    progress.say(f"warning: {failure.line()}; the others go on")
                _show(launcher, at_once, progress)
                time.sleep(POLL)
            if stop:
                progress.say("stopping: ending the runs that are under way")
                launcher.stop()
            _show(launcher, at_once, progress, force=True)
            return launcher.failures
        finally:
            launcher.close()
    finally:
        if scheduler is None:
            cluster.close(timeout=5)


def _show(launcher: Launcher, at_once: int, progress: Progress, *, force: bool = False) -> None:
    notes = [f"{min(len(launcher.running), at_once)} running"]
    if launcher.restarts:
        notes.append(f"{launcher.restarts} restarted")
    if launcher.failures:
        notes.append(f"{len(launcher.failures)} given up")
    progress.update("runs", len(launcher.finished), launcher.total, ", ".join(notes), force=force)


def _finished(jobs: dict[int, PartJob], progress: Progress, stop: StopRequest) -> list[int]:
    """Runs whose parts are there and whole; parts that are not are removed."""
    finished = []
    for id_, job in jobs.items():
        if not Path(job.part).exists() or stop:
            continue
        wrong = verify(job)
        if wrong is None:
            finished.append(id_)
        else:
            progress.say(f"warning: part {id_} is of no use ({wrong}); it is made again")
            Path(job.part).unlink()
    progress.say(f"{len(finished)} of {len(jobs)} runs were finished before")
    return finished


def _account(
    failures: Sequence[Failure],
    there: Sequence[PlannedRun],
    directory: PartsDirectory,
    allow_missing: bool,
) -> None:
    """Refuse to write a dataset that lacks runs, unless that was allowed.

    Raises:
        ScimlError: names them and what to do.
    """
    if failures and not (allow_missing and there):
        numbers = ", ".join(str(f.simulation) for f in failures[:10])
        raise ScimlError(
            f"{len(failures)} of {len(failures) + len(there)} runs failed ({numbers}"
            f"{', …' if len(failures) > 10 else ''}); what they said is in "
            f"{shown(directory.run.logs)}; the same command tries them again"
            + (", --allow-missing writes the file without them" if there else "")
        )


def _jobs(
    recipe: Recipe,
    description: Description,
    runs: Sequence[PlannedRun],
    directory: PartsDirectory,
    ranks: int,
    scheduler: str | None,
) -> list[PartJob]:
    """One job a run."""
    # Nothing of a study's stream may reach a run that writes a file.
    environ = {k: v for k, v in environment(os.environ).items() if not k.startswith("SCIML_")}
    environ["OMP_NUM_THREADS"] = "1"
    send = recipe.solver.send
    names = [field.name for field in description.fields]
    jobs = []
    for run in runs:
        values = run.values(recipe)
        raw = directory.raw(run.id)
        words = [*description.arguments(values), "--out", str(raw)]
        steps = int(values.get("steps", description.flags["steps"].default))
        states = {"all": steps // send.every + 1, "ends": 2, "last": 1, "samples": run.samples}
        jobs.append(
            PartJob(
                simulation=run.id,
                command=(
                    [*executable(description.path), *words]
                    if ranks == 1
                    else command(description.path, ranks, words, local=None if scheduler else True)
                ),
                environment=environ,
                run=str(directory.path),
                raw=str(raw),
                part=str(directory.part(run.id)),
                states=states[recipe.keep],
                last=recipe.keep == "last",
                fields=[n for n in names if send.fields is None or n in send.fields],
                static=[field.name for field in description.static],
                coarsen=send.coarsen,
                dtype=send.dtype,
            )
        )
    return jobs


def _refuse(out: Path) -> None:
    """Raises :class:`InputError` where the file cannot be."""
    if out.exists():
        raise InputError(f"--out {out} exists; remove it or name another file")
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: no folder {out.parent}; create it first")
