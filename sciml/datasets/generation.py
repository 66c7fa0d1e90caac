"""`sciml generate`: runs a recipe's simulations side by side and puts them into one file."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sciml.datasets.check import check, starts_of
from sciml.datasets.directory import PartsDirectory, identity_of
from sciml.datasets.jobs import Placement, part_jobs, placement
from sciml.datasets.merge import merge
from sciml.datasets.part import PartJob, run_part, verify
from sciml.datasets.plan import PlannedRun, planned_runs
from sciml.datasets.recipe import load_recipe
from sciml.datasets.recorded import record, share_domain
from sciml.ensemble.cluster import close_cluster, local_cluster
from sciml.ensemble.job import reap
from sciml.ensemble.launcher import Failure, Launcher
from sciml.ensemble.leader import Leader
from sciml.ensemble.stop import StopRequest, StopRequested
from sciml.errors import ScimlError
from sciml.record.file import entry_in
from sciml.report.card import shown
from sciml.report.progress import Progress, ProgressRow, left
from sciml.samples.program_warnings import Warned, findings
from sciml.solver.file import refuse_existing
from sciml.solver.mpirun import refuse_ranks
from sciml.study.starts import keep_starts

#: Seconds between looks at the runs that are under way.
POLL = 0.05
#: How often a run that failed is started again.
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
        out: netCDF file to write, which opens with ``xr.open_dataset``. Where the domains of simulations
            differ, as meshes may, it becomes the folder of a recording: :func:`sciml.open_recording`.
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
        The path of the file or folder.

    Raises:
        InputError: anything that cannot work, before a run is started; parts of another recipe.
        ScimlError: runs that failed, by number; what was finished is kept.
        KeyboardInterrupt: asked to stop; what was finished is kept.
    """
    recipe, out = load_recipe(dataset, size, overrides), Path(out)
    refuse_ranks()
    refuse_existing(out)
    place = placement(recipe, ranks, at_once, scheduler)
    directory = PartsDirectory.of(out)
    description = check(recipe)
    starts = starts_of(recipe, description)
    runs = planned_runs(recipe, simulations, 0 if starts is None else len(starts))
    identity = identity_of(recipe, size, simulations, description, starts)
    title = f"{recipe.name} ({size}): {len(runs)} runs of {description.name}, {place}"
    directory.make()
    with (
        Leader(directory.run) as leader,
        StopRequest() as stop,
        Progress(title, plain=plain) as progress,
    ):
        # Only who leads says whose parts these are: another may have begun, or ended, meanwhile.
        if out.exists():
            directory.remove()
        refuse_existing(out)
        again = directory.prepare(identity)
        if starts is not None:
            keep_starts(starts, {run.start for run in runs}, directory.initial)
        jobs = part_jobs(recipe, description, runs, directory, place, starts)
        try:
            finished = _finished(directory, jobs, progress, stop) if again else []
            failures = _run(jobs, finished, directory, place, leader, progress, stop)
            missing = [failure.simulation for failure in failures]
            there = [run for run in runs if run.id not in missing]
            _account(failures, there, directory, allow_missing)

            def tell(done: int) -> None:
                progress.update(
                    [ProgressRow("written", f"{done}/{len(there)} runs", done, len(there))]
                )
                stop.check()

            progress.begin()
            parts = [directory.part(run.id) for run in there]
            one = share_domain(parts)
            if one:
                merge(recipe, size, description, there, parts, out, missing, tell)
            else:
                record(runs, there, parts, out, {f.simulation: f.line() for f in failures}, tell)
            for found in findings(_warned(there, parts)):
                total = sum(run.samples for run in there)
                progress.say(f"warning: {found.line(total, 'samples')}")
        except StopRequested:
            progress.say(
                f"interrupted; finished runs are in {shown(directory.path)}: the same command goes "
                "on from them"
            )
            raise
        directory.remove()
    many = f"{sum(run.samples for run in there)} samples"
    if not one:
        many = f"a recording of {len(there)} simulations, since their domains differ"
    print(f"{many}: {shown(out.resolve())}")
    return out


def _finished(
    directory: PartsDirectory, jobs: Sequence[PartJob], progress: Progress, stop: StopRequest
) -> list[int]:
    """End what a killed life has left; returns the runs whose parts are there and whole."""
    reap(directory.run)
    finished = []
    for job in jobs:
        stop.check()
        if not Path(job.part).exists():
            continue
        wrong = verify(job)
        if wrong is None:
            finished.append(job.simulation)
        else:
            progress.say(f"warning: part {job.simulation} is of no use ({wrong}); it is made again")
    progress.say(f"{len(finished)} of {len(jobs)} runs were finished before")
    return finished


def _run(
    jobs: Sequence[PartJob],
    finished: Sequence[int],
    directory: PartsDirectory,
    place: Placement,
    leader: Leader,
    progress: Progress,
    stop: StopRequest,
) -> list[Failure]:
    """Run what is left; returns the runs that were given up."""
    left = [job for job in jobs if job.simulation not in finished]
    if not left:
        return []
    cluster: Any = place.scheduler or local_cluster(min(place.at_once, len(left)))
    try:
        launcher = Launcher(
            cluster,
            directory.run,
            left,
            at_once=place.at_once,
            retries=RETRIES,
            finished=finished,
            leader=leader.token,
            work=run_part,
        )
        progress.begin()
        try:
            while not launcher.done and not stop:
                for failure in launcher.poll():
                    progress.say(f"warning: {failure.line()}; the others go on")
                _show(launcher, place, progress, len(finished))
                time.sleep(POLL)
            if stop:
                progress.say("stopping: ending the runs that are under way")
                launcher.stop()
            _show(launcher, place, progress, len(finished), force=True)
        finally:
            launcher.close()
        stop.check()
        return launcher.failures
    finally:
        if place.scheduler is None:
            close_cluster(cluster)


def _show(
    launcher: Launcher, place: Placement, progress: Progress, before: int, *, force: bool = False
) -> None:
    """How far the runs are; those that were there ``before`` say nothing of the time that is left."""
    done, total = len(launcher.finished), launcher.total
    notes = [f"{done}/{total} done", f"{min(len(launcher.running), place.at_once)} running"]
    if launcher.restarts:
        notes.append(f"{launcher.restarts} restarted")
    if launcher.warned:
        notes.append(f"{len(launcher.warned)} warned")
    if launcher.failures:
        notes.append(f"{len(launcher.failures)} given up")
    if words := left(done - before, total - before, progress.elapsed):
        notes.append(words)
    progress.update([ProgressRow("runs", ", ".join(notes), done, total)], force=force)


def _warned(runs: Sequence[PlannedRun], parts: Sequence[Path]) -> dict[int, list[Warned]]:
    """What the programs of the parts warned of, by sample."""
    warned_by_sample: dict[int, list[Warned]] = {}
    sample = 0
    for run, part in zip(runs, parts, strict=True):
        if warned := entry_in(part).warned:
            warned_by_sample |= dict.fromkeys(range(sample, sample + run.samples), warned)
        sample += run.samples
    return warned_by_sample


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
