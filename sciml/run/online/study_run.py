"""A study led from its file to its results, or from where it was left."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sciml.ensemble.folders import read_json, write_json
from sciml.ensemble.identity import identify
from sciml.ensemble.leader import Leader
from sciml.ensemble.stop import StopRequest
from sciml.lazy import load_ahead
from sciml.report.card import shown
from sciml.run.conclusion import figures, left_behind, shortcomings
from sciml.run.directory import RunDirectory, free_name, require_free
from sciml.run.kept_files import keep, require_program, with_copy
from sciml.run.lineage import adopt, begin, current, print_changes, propose, require_own
from sciml.run.results import Run
from sciml.run.snapshot import Snapshot, complete, is_left, refuse_finished
from sciml.run.trainer_process import EarlyTrainer
from sciml.share import find
from sciml.solver.mpirun import SEGMENT, SHARED, has_shared_memory, refuse_ranks
from sciml.study.designs import OF_SCIPY, PlannedSimulation, plan
from sciml.study.schema import Study
from sciml.study.starts import keep_starts

if TYPE_CHECKING:
    from sciml.solver.program_description import Description
    from sciml.study.starts import Starts

#: What leading takes, beside what holding a study against its program does.
LATER = ("distributed", "sciml.run.supervisor", "sciml.ensemble.cluster", "sciml.report.progress")


def execute(
    study: Study, out: str | Path | None = None, *, plain: bool | None = None
) -> tuple[RunDirectory, int]:
    """Run a study; returns its directory and the exit code of `sciml run`. One that learns from an
    equation alone starts no solver."""
    refuse_ranks()
    if study.training.fed is None:
        from sciml.run.offline.training import train_offline

        return train_offline(study, None, out, plain=plain)
    study.require_solver()
    if out is not None:
        require_free(Path(out))
    with EarlyTrainer(study) as trainer:
        drawn = ["scipy.stats"] if study.parameters.design in OF_SCIPY else []
        load_ahead(*drawn, *LATER)  # while the program says what it is
        from sciml.run.simulations import check_program, starts_of

        description, domain = check_program(study)
        trainer.try_model(domain, (*description.fields, *description.static))
        starts = starts_of(study, description)
        planned = plan(study, 0 if starts is None else len(starts))
        trainer.require()
        directory = RunDirectory.create(free_name(study.name) if out is None else out)
        try:
            with Leader(directory) as leader:
                identify(directory)
                if starts is not None:
                    keep_starts(starts, {p.start for p in planned}, directory.initial)
                write_plan(directory, planned, starts)
                write_json(directory.solver, description.schema)
                keep(directory, study, description.path)
                # Last: where study.yaml lies, there is a run that can be resumed.
                begin(directory, study)
                code = supervise(
                    study, description, planned, directory, leader, trainer, plain=plain
                )
        finally:
            if not directory.study.exists():  # told to end before there was anything to go on with
                shutil.rmtree(directory.path, ignore_errors=True)
    return directory, code


def resume(
    path: str | Path,
    study: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    force: bool = False,
    trust: bool = False,
    plain: bool | None = None,
) -> tuple[RunDirectory, int]:
    """Go on with a run that was interrupted or killed; returns its directory and the exit code.

    What is left of its processes is ended first. Simulations that have ended well are not run again,
    frames that the spool holds are not sent again, and training goes on from the last checkpoint.

    Args:
        path: run directory.
        study, overrides, force: another study to go on with; see
            :func:`sciml.run.lineage.propose`.
        trust: run what the folder names, though somebody else made it, or could have written to it.
        plain: lines in place of the live display.

    Raises:
        InputError: no run, one that has finished, one that is running, another study, or a folder of
            somebody else's.
    """
    from sciml.ensemble.job import reap
    from sciml.ensemble.slurm import cancel_left
    from sciml.run.simulations import check_program, kept_plan

    refuse_ranks()
    directory = RunDirectory.open(path)
    if not trust:
        require_own(directory)
    if _is_whole(directory) and is_left(directory):
        refuse_finished(directory)
    with Leader(directory, lambda line: print(line, file=sys.stderr)) as leader:
        identify(directory)
        cancel_left(current(directory), directory)
        if _is_whole(directory):
            reap(directory)
            complete(directory)
            print(figures(read_json(directory.summary), Run(directory).metrics))
            return directory, 0
        loaded, changed = propose(directory, study, overrides, force=force)
        # Before the program is asked what it is: that runs it.
        require_program(directory, find(loaded.solver.program), force=force)
        copied = with_copy(directory, loaded, trusted=trust)
        with EarlyTrainer(copied) as trainer:
            load_ahead(*LATER)
            description, domain = check_program(copied, directory)
            trainer.try_model(domain, (*description.fields, *description.static))
            trainer.require()
            reap(directory)
            adopt(directory, loaded, changed)
            print_changes(changed)
            planned = kept_plan(loaded, directory)
            code = supervise(loaded, description, planned, directory, leader, trainer, plain=plain)
    return directory, code


def supervise(
    study: Study,
    description: Description,
    planned: Sequence[PlannedSimulation],
    directory: RunDirectory,
    leader: Leader,
    trainer: EarlyTrainer,
    *,
    plain: bool | None,
) -> int:
    """Run what has not been run of a study in its directory; returns the exit code."""
    from sciml.ensemble.cluster import opened
    from sciml.ensemble.job import finished_jobs
    from sciml.report.progress import Progress
    from sciml.run.simulations import further_job, jobs
    from sciml.run.supervisor import Supervisor

    finished = finished_jobs(directory)
    with ExitStack() as over:
        over.callback(trainer.end)
        begun = trainer.begin(directory, leader.token)
        with Progress(f"{study.name}: {shown(directory.path)}", plain=plain) as display:
            with (
                _failure_told(directory),
                opened(study, directory, leader.lost.is_set) as (cluster, queue),
            ):
                ranks = study.solver.ranks
                if study.cluster.kind == "local" and ranks > 1 and not has_shared_memory(ranks):
                    display.say(
                        f"warning: {SHARED} has no room for {ranks} ranks, {SEGMENT >> 20} MB each: "
                        f"they talk by files in {tempfile.gettempdir()}; a container gets more by "
                        "--shm-size"
                    )
                work = jobs(study, description, planned, directory)
                training = {p.id for p in planned if p.role == "train"}
                supervisor = Supervisor(
                    study,
                    directory,
                    leader,
                    work,
                    training,
                    cluster,
                    display,
                    finished,
                    queue,
                    begun,
                    job_of=partial(further_job, study, description, directory),
                )
                code = supervisor.run()
                # What a batch system says from here on changes nothing of how the run has ended.
                over.enter_context(StopRequest())
            for line in supervisor.warnings:
                display.say(f"warning: {line}")
            if code == 0:
                summary = read_json(directory.summary)
                for line in shortcomings(study, summary, supervisor.given_up):
                    display.say(f"warning: {line}")
        if code == 0:
            print(figures(summary, Run(directory).metrics))
            print(left_behind(directory))
    return code


def _is_whole(directory: RunDirectory) -> bool:
    """Whether there is a summary in which each planned simulation has an outcome."""
    if not directory.summary.exists():
        return False
    return not read_json(directory.summary)["simulations"]["lacking"]


@contextmanager
def _failure_told(directory: RunDirectory) -> Iterator[None]:
    """The status of a run that ends before it has begun says why."""
    try:
        yield
    except Exception as error:
        if not directory.status.exists():
            state = {"state": "failed", "reason": str(error) or type(error).__name__}
            write_json(directory.status, Snapshot(trainer=state).to_json())
        raise


def write_plan(
    directory: RunDirectory, planned: Sequence[PlannedSimulation], starts: Starts | None = None
) -> None:
    entries = []
    for p in planned:
        entry = {"id": p.id, "role": p.role, "parameters": dict(p.parameters), "seed": p.seed}
        if starts is not None and p.start is not None:
            entry["initial"] = str(starts.states[p.start])
        entries.append(entry)
    write_json(directory.simulations, entries)
