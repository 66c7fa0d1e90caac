"""Solver jobs: what a dask worker runs.

dask decides which job starts where and when; no field ever passes through it. What it cannot be
trusted with is kept in files under ``pids/``: on a cluster it runs a task again when a worker dies,
while the job of that worker may still be alive, so every start takes the next attempt number from
disk and ends the session of the attempt before it.
"""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sciml.ensemble.folders import JobFolders, read_json, write_json
from sciml.ensemble.identity import name_of
from sciml.ensemble.kept_program import program_changed
from sciml.ensemble.leader import read_lease
from sciml.ensemble.processes import (
    code_within,
    end_session,
    here,
    session_members,
    sessions_with,
    start_session,
    start_time,
)
from sciml.errors import ScimlError
from sciml.solver.last_words import last_words
from sciml.solver.mpirun import SHARED, environment, is_local, own_folders, under
from sciml.stream.environment import ATTEMPT, VARIABLES

#: Lines of a log that are shown of a job that failed, and bytes at its end in which they are sought.
STDERR_LINES, TAIL_BYTES = 8, 16384
#: Exit code of a program that cannot use what it was given: it is not tried again.
BAD_INPUT = 2
#: Seconds between looks of a running job whether its leader wants it to end.
LOOK_EVERY = 1.0
#: Seconds that ranks may outlive their mpirun.
OUTLAST = 5.0
#: Set in a worker that has to leave: its job ends, and has not failed.
leaving = threading.Event()
#: Seconds within which a worker is notified that it has to leave when its solver was.
NOTICE = 1.0


class WorkerLeaves(ScimlError):
    """The worker of a job had to leave before it ended; it runs again elsewhere."""


@dataclass(frozen=True, slots=True)
class Job:
    """One simulation to run.

    Args:
        simulation: its number.
        command: program and arguments.
        environment: variables of the process beside those of the place where it runs, which may have
            loaded another MPI than the place where the run is led.
        run: run directory.
        ranks: how many mpirun starts; 0: the command as it is.
        local: whether it runs beside its leader, which keeps the cores that it needs itself;
            elsewhere the job has what :func:`sciml.solver.mpirun.is_local` says.
        leader: token of who leads the run, which the launcher adds: its word, and no other's, ends
            the job.
        program: the solver's file, which must be the one that the run began with; none: not looked at.
    """

    simulation: int
    command: Sequence[str]
    environment: Mapping[str, str]
    run: str
    ranks: int = field(default=0, kw_only=True)
    local: bool = field(default=True, kw_only=True)
    leader: str = field(default="", kw_only=True)
    program: str = field(default="", kw_only=True)


@dataclass(frozen=True, slots=True)
class JobResult:
    """How a job ended: exit code (negative: the signal that ended it), its last stderr lines, and, of a
    part of a dataset, whether the program warned."""

    simulation: int
    attempt: int
    code: int
    stderr: str
    seconds: float
    cancelled: bool = False
    warned: bool = False


def run_job(job: Job) -> dict[str, Any]:
    """Run one attempt of a simulation to its end; runs in a dask worker."""
    run = JobFolders(Path(job.run))
    record = run.pids / f"simulation-{job.simulation:05d}.json"
    if _stopped(job):
        return asdict(JobResult(job.simulation, 0, -signal.SIGTERM, "", 0.0, cancelled=True))
    attempt, log = _new_attempt(run, job.simulation)
    if job.program and (changed := program_changed(run, Path(job.program))):
        log.write_text(f"error: {changed}\n")
        return asdict(JobResult(job.simulation, attempt, BAD_INPUT, last_lines(log), 0.0))
    began = time.monotonic()
    with own_folders(scratch_prefix(run, job.simulation), job.ranks) as folders:
        words, environ = as_started(job)
        with log.open("wb") as output:
            variables = {**environ, **folders, ATTEMPT: str(attempt)}
            process = start_session(words, variables, output)
            began_at = start_time(process.pid)
            place = {**here(), "run": name_of(run), "leader": job.leader}
            write_json(
                record,
                {"attempt": attempt, "session": process.pid, "began": began_at, **place},
            )
            code = _wait(process, job)
        # A batch system that ends a job signals each of its processes, the solver perhaps first.
        if code and leaving.wait(0.0 if job.local else NOTICE):
            end_session(process.pid)
            raise WorkerLeaves
        _outlast(process.pid)
        stopped = _stopped(job)
        outcome = JobResult(
            job.simulation,
            attempt,
            code,
            last_lines(log),
            time.monotonic() - began,
            cancelled=stopped and code != 0,
        )
        write_json(record, {"attempt": attempt, "session": None, "began": None, "code": code})
        return asdict(outcome)


def as_started(job: Job) -> tuple[list[str], dict[str, str]]:
    """Words and environment of a job at the place where it runs."""
    local = job.local or is_local(job.ranks)
    words = under(job.command, job.ranks, local=local) if job.ranks else list(job.command)
    # What a caller streams to is no affair of a job of its own.
    around = {k: v for k, v in environment(local=local).items() if k not in VARIABLES}
    return words, {**around, **job.environment}


def end_job(run: JobFolders, simulation: int) -> None:
    """End the job of a simulation, if one lives, and free its shared memory."""
    _end_recorded(run.pids / f"simulation-{simulation:05d}.json")
    _end_unrecorded(run, simulation)


def skip_job(run: JobFolders, simulation: int, leader: str = "") -> None:
    """Let the job of a simulation not start, and end it if it lives."""
    _mark(run, leader, simulation).touch()
    end_job(run, simulation)


def end_jobs(run: JobFolders, leader: str = "", *, lost: bool = False) -> None:
    """Let no further job of a leader start, and end those that live; where it has lost the run, those
    that it has started itself."""
    _mark(run, leader).touch()
    for record in _records(run):
        if not lost or _read(record).get("leader") == leader:
            _end_recorded(record)
    if not lost:
        _end_unrecorded(run)


def attempt_under_way(run: JobFolders, simulation: int) -> int | None:
    """Number of the attempt of a simulation that runs, ``None`` if none does."""
    record = _read(run.pids / f"simulation-{simulation:05d}.json")
    return record.get("attempt") if record.get("session") is not None else None


def finished_jobs(run: JobFolders) -> list[int]:
    """Simulations whose job has ended well: every frame of them is in the spool or beyond."""
    return [int(path.stem.split("-")[1]) for path in _records(run) if _read(path).get("code") == 0]


def reap(run: JobFolders) -> None:
    """End what a supervisor that was killed has left on this machine: the trainer, which first writes
    its checkpoint, and every solver job; what it had forbidden to start may start again. What it has
    left on other machines is refused by its attempt number when it comes back."""
    for record, grace in ((run.pids / "trainer.json", 30.0), *((r, 3.0) for r in _records(run))):
        _end_recorded(record, grace)
    _end_unrecorded(run)
    # What kills have torn was being written under these names, and bears its own nowhere.
    torn = (path for folder in (run.path, run.pids, run.logs) for path in folder.glob(".*.json.*"))
    for path in (*run.pids.glob("stop*"), *torn):
        path.unlink()


def last_lines(log: Path, lines: int = STDERR_LINES) -> str:
    """What a job said last, without what mpirun adds."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        return last_words(file.read().decode(errors="replace"), lines)


def _new_attempt(run: JobFolders, simulation: int) -> tuple[int, Path]:
    """Number of the new attempt, and its log, which is this attempt's alone; the one before it is ended
    first, if its worker left it behind."""
    end_job(run, simulation)
    # By the logs, which are there before their job: a worker may be killed before it writes the
    # record, and two processes with one number could not be told apart.
    name = f"simulation-{simulation:05d}.attempt-"
    logs = run.logs.glob(f"{name}*.log")
    attempt = 1 + max((int(log.stem.rpartition("-")[2]) for log in logs), default=0)
    while True:
        log = run.logs / f"{name}{attempt}.log"
        try:
            log.touch(exist_ok=False)
        except FileExistsError:  # made on another machine, and not shown here yet
            attempt += 1
        else:
            return attempt, log


def _mark(run: JobFolders, leader: str, simulation: int | None = None) -> Path:
    """The file by which a leader forbids its jobs, or one of them, to start."""
    which = "stop" if simulation is None else f"stop-{simulation:05d}"
    return run.pids / (f"{which}.{leader}" if leader else which)


def _stopped(job: Job) -> bool:
    """Whether its leader does not want a job any more, or leads no more."""
    run = JobFolders(Path(job.run))
    lease = read_lease(run) if job.leader else {}
    if lease.get("token", job.leader) != job.leader or lease.get("released"):
        return True
    marks = (_mark(run, job.leader, of) for of in (None, job.simulation))
    return any(mark.exists() for mark in marks)


def _wait(process: subprocess.Popen[bytes], job: Job) -> int:
    """Exit code of a job, which is ended here where its leader says so: on another machine than the
    leader's nobody else can."""
    while True:
        # At once, too: that may have been said while it started, before there was anybody to end.
        if _stopped(job) or leaving.is_set():
            end_session(process.pid)
        if (code := code_within(process, LOOK_EVERY)) is not None:
            return code


def _read(record: Path) -> dict[str, Any]:
    """A record, empty where there is none, or none that can be read."""
    try:
        content = read_json(record)
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _records(run: JobFolders) -> list[Path]:
    return sorted(run.pids.glob("simulation-*.json"))


def _end_recorded(record: Path, grace: float = 3.0) -> None:
    state, place = _read(record), {**here(), "run": name_of(JobFolders(record.parent.parent))}
    session = state.get("session")
    if not isinstance(session, int):
        return  # it has not started yet, or is over
    # A number says nothing of processes of another machine, boot, name space or run.
    if any(state.get(key, mine) != mine for key, mine in place.items()):
        return
    first = start_time(session)
    # One that began at another time is a stranger with a used pid; without a first process the
    # session number cannot have been taken again while members are left.
    if first is None or first == state.get("began"):
        end_session(session, grace)


def _end_unrecorded(run: JobFolders, simulation: int | None = None) -> None:
    """End jobs that a killed worker has not written down, and remove their folders; of one simulation,
    or of the run."""
    prefix = scratch_prefix(run, simulation)
    for session in sessions_with("TMPDIR", f"{tempfile.gettempdir()}/{prefix}"):
        end_session(session)
    for place in (tempfile.gettempdir(), SHARED):
        for folder in Path(place).glob(f"{prefix}*"):
            shutil.rmtree(folder, ignore_errors=True)


def scratch_prefix(run: JobFolders, simulation: int | None = None) -> str:
    """How the names of the folders of a run's jobs, or of one job, begin: what a kill left behind can
    be told from what others use."""
    # By the run and not by its path: in another container another run may have the same.
    name = name_of(run) or str(run.path)
    digest = hashlib.blake2s(name.encode(), digest_size=5).hexdigest()
    return f"sciml-{digest}-" + ("" if simulation is None else f"{simulation}-")


def _outlast(session: int) -> None:
    """Wait for ranks that outlive their mpirun; end them when they take too long."""
    deadline = time.monotonic() + OUTLAST
    while session_members(session):
        if time.monotonic() > deadline:
            end_session(session)
            return
        time.sleep(0.02)
