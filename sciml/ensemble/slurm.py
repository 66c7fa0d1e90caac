"""Worker jobs in Slurm's queue: asked for, watched, replaced where they are lost, cancelled at the end.

Each job is one dask worker (:mod:`sciml.ensemble.worker`), which runs one simulation at a time on the
cores of its job. Two are asked what became of it. dask knows at once when a worker has gone, and nothing
of one that never came; Slurm (``squeue``) knows that, but is asked only while a worker is missing, since
every question is a load on it. Where Slurm does not answer, dask's word alone counts.

A job that ended is replaced as long as simulations are left. Jobs that end before any simulation does,
again and again, end the study, with what their log says.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, final

from sciml.ensemble.addresses import is_loopback, listening_address
from sciml.ensemble.certificate import NEEDS
from sciml.ensemble.folders import JobFolders, read_json
from sciml.ensemble.job import last_lines
from sciml.errors import InputError, ScimlError
from sciml.study.schema import Study

#: Seconds between looks at the workers, which cost nothing, and at the queue; the last, while a job is
#: ending and Slurm is about to say how.
LOOK_EVERY, ASK_EVERY, ASK_SOON = 1.0, 10.0, 2.0
#: Seconds after which a worker that dask lost counts as ended, where Slurm does not answer, and where it
#: says that the job is ending or still runs.
GRACE, ENDS, STUCK = 5.0, 20.0, 60.0
#: Seconds from a job in vain to the next, doubled each time up to the second.
PAUSE, LONGEST_PAUSE = 2.0, 60.0
#: Jobs in vain, beyond one a slot, after which there is no sense in more.
IN_VAIN = 2
#: Seconds that a command of Slurm's may take.
PATIENCE = 60.0
#: What a worker says that does not reach its scheduler.
UNREACHED = "is not reached from this node"
#: What Slurm says of a job that has a future.
_WAITS = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD")
_RUNS = ("RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING", "STAGE_OUT")
#: Variables of Slurm's that say where its controller is, and not in which job this process is.
_KEPT = ("SLURM_CONF", "SLURM_JWT", "SLURM_CLUSTERS")


@dataclass(slots=True)
class _WorkerJob:
    """A job in the queue: its number in the run, its id there, and how many simulations had ended when
    it was asked for."""

    number: int
    id: str
    ended_before: int
    state: str = "PENDING"
    reason: str = ""
    seen: bool = False
    missing_since: float = field(default_factory=time.monotonic)

    @property
    def name(self) -> str:
        return _name(self.number)


@final
class WorkerJobs:
    """The worker jobs of a run while it is entered; a thread watches them.

    Args:
        study: how many, what they ask for, what runs before the worker.
        run: where scripts and logs lie.
        scheduler: address of dask's scheduler.
        connected: names of the workers that it has.
        lost: whether another leads the run by now: jobs of the run's name are the other's then.

    Raises:
        InputError: on entering: Slurm refused the first of them.
    """

    def __init__(
        self,
        study: Study,
        run: JobFolders,
        scheduler: str,
        connected: Callable[[], Set[str]],
        lost: Callable[[], bool] = lambda: False,
    ) -> None:
        self._study, self._run, self._scheduler = study, run, scheduler
        self._connected, self._lost = connected, lost
        self._name = job_name(study, run)
        self._jobs: list[_WorkerJob] = []
        self._news: list[str] = []
        #: Simulations that are left, and runs of them that have ended.
        self._left, self._ended = study.cluster.simulations_at_once, 0
        self._in_vain = 0
        self._not_before = self._asked = 0.0
        self._done = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._watch, name="worker jobs", daemon=True)

    def __enter__(self) -> WorkerJobs:
        cancel_left(self._study, self._run)
        try:
            self._submit()
            self._thread.start()
        except BaseException:
            self._cancel(self._jobs)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(timeout=2 * PATIENCE)
        self._cancel(self._jobs)
        if not self._lost():
            cancel_left(self._study, self._run)

    def need(self, left: int, ended: int) -> None:
        """Note how many simulations are left, and how many runs have ended so far."""
        self._left, self._ended = left, ended

    def news(self) -> list[str]:
        """What has happened since it was asked last, a line each.

        Raises:
            ScimlError: job after job ends before a simulation does.
        """
        if self._error is not None:
            raise self._error
        news, self._news = self._news, []
        return news

    @property
    def figures(self) -> dict[str, Any]:
        """``wanted`` and ``running`` worker jobs, and why those that wait do (``pending``)."""
        connected, jobs = self._connected(), list(self._jobs)
        absent = [job for job in jobs if not job.seen or job.name not in connected]
        return {
            "wanted": self._wanted,
            "running": len(jobs) - len(absent),
            "pending": ", ".join(sorted({job.reason or job.state.lower() for job in absent})),
        }

    @property
    def _wanted(self) -> int:
        return min(self._study.cluster.simulations_at_once, self._left)

    def _watch(self) -> None:
        try:
            while not self._done.wait(LOOK_EVERY):
                self._look(time.monotonic())
                self._fill(time.monotonic())
        except BaseException as error:  # raised by news(), for who leads the run
            self._error = error

    def _look(self, now: float) -> None:
        """Find the jobs that have ended."""
        connected, lost = self._connected(), False
        for job in self._jobs:
            if job.name in connected:
                job.seen, job.missing_since, job.state, job.reason = True, now, "RUNNING", ""
            else:
                lost |= job.state == "RUNNING" and now - job.missing_since < 2 * LOOK_EVERY
        missing = [job for job in self._jobs if job.name not in connected]
        ending = any(job.state == "COMPLETING" for job in missing)
        every = ASK_SOON if ending else ASK_EVERY
        if not missing or (now - self._asked < every and not lost):
            return
        self._asked = now
        queue = _queue(self._name)
        for job in missing:
            if self._is_over(job, queue, now):
                self._jobs.remove(job)
                self._account(job, now)

    def _is_over(
        self, job: _WorkerJob, queue: dict[str, tuple[str, str]] | None, now: float
    ) -> bool:
        away = now - job.missing_since
        if queue is None:
            job.reason = "squeue does not answer"
            return job.seen and away > GRACE
        job.state, job.reason = queue.get(job.id, ("", ""))
        if job.state in _WAITS:
            return False
        if job.state in _RUNS:
            job.reason = "" if job.seen else "its worker is starting"
            return job.seen and away > STUCK
        return job.state != "COMPLETING" or (job.seen and away > ENDS)

    def _account(self, job: _WorkerJob, now: float) -> None:
        """What it means that a job has ended."""
        self._cancel([job])  # one that only seems to have ended
        state = job.state if job.state not in (*_WAITS, *_RUNS, "COMPLETING", "") else "gone"
        logs = sorted(self._run.logs.glob(f"{job.name}.*.log"))
        said = last_lines(logs[-1], lines=1) if logs else "it has left no log"
        if self._ended > job.ended_before:
            self._in_vain = 0
        else:
            self._in_vain += 1
            self._not_before = now + min(PAUSE * 2 ** (self._in_vain - 1), LONGEST_PAUSE)
            if self._in_vain >= self._study.cluster.simulations_at_once + IN_VAIN:
                raise ScimlError(
                    f"{self._in_vain} worker jobs of Slurm's in a row ended before a simulation did; "
                    f"the last, job {job.id} ({state}), said: {said} (see "
                    f"{self._run.logs}/{job.name}.*); {_advice(self._study, state, said)}"
                )
        if self._left > 0:
            how = (
                "has left before its time limit"
                if state == "COMPLETED"
                else f"ended ({state}): {said}"
            )
            warns = "" if state == "COMPLETED" else "warning: "
            self._news.append(f"{warns}worker job {job.id} {how}; another takes its place")

    def _fill(self, now: float) -> None:
        """Ask for jobs that are missing, let go of those that are not needed."""
        spare = len(self._jobs) - self._wanted
        if spare > 0:
            idle = self._jobs if not self._left else [j for j in self._jobs if not j.seen][:spare]
            self._cancel(idle)
            self._jobs = [job for job in self._jobs if job not in idle]
        while len(self._jobs) < self._wanted and now >= self._not_before:
            # After one in vain a single one goes ahead.
            if self._in_vain and any(not job.seen for job in self._jobs):
                return
            try:
                self._submit()
            except InputError as error:
                self._not_before = now + LONGEST_PAUSE
                line = f"warning: {error}; it is asked again in {LONGEST_PAUSE:.0f} s"
                self._news.append(line)

    def _submit(self) -> None:
        """Raises :class:`InputError` where Slurm does not take the job."""
        scripts = self._run.logs.glob("worker-*.sh")
        number = 1 + max((int(script.stem.rpartition("-")[2]) for script in scripts), default=0)
        script = self._run.logs / f"{_name(number)}.sh"
        script.write_text(job_script(self._study, self._run, self._scheduler, number))
        try:
            done = _slurm("sbatch", "--parsable", str(script))
            said, match = done.stderr or done.stdout, re.search(r"\d+", done.stdout)
        except (OSError, subprocess.TimeoutExpired) as error:
            said, match = str(error), None
        if match is None or done.returncode:
            raise InputError(
                f"cluster: Slurm did not take a worker job: {' '.join(said.split())}; look at "
                f"cluster.partition, walltime, memory and directives, and at {script}"
            )
        self._jobs.append(_WorkerJob(number, match[0], self._ended))

    def _cancel(self, jobs: list[_WorkerJob]) -> None:
        if jobs:
            _call("scancel", *(job.id for job in jobs))


def check_slurm(study: Study) -> None:
    """That a study can ask Slurm for worker jobs from here.

    Raises:
        InputError: no ``sbatch``, no cryptography, no such interface.
    """
    if shutil.which("sbatch") is None:
        raise InputError(
            "cluster.kind: slurm, yet there is no sbatch on PATH; expected a node from which jobs can "
            "be submitted, or cluster.kind: local"
        )
    if find_spec("cryptography") is None:
        raise InputError(NEEDS)
    listening_address(study.cluster.interface, study.stream.host)


def job_script(study: Study, run: JobFolders, scheduler: str, number: int) -> str:
    """The script of a worker job."""
    cluster = study.cluster
    log = str(run.logs / _name(number)).replace("%", "%%") + ".%j.log"
    lines = [
        f"--job-name={job_name(study, run)}",
        f'--output="{log}"',
        f"--ntasks={study.solver.ranks}",  # a task a rank: what mpirun sees
        f"--mem={-(-cluster.memory // 10**6)}M",
        f"--time={-(-cluster.seconds // 60)}",
        "--no-requeue",  # what is lost is asked for anew
        *([f"--partition={cluster.partition}"] if cluster.partition else []),
        *cluster.directives,
    ]
    words = [
        sys.executable, "-m", "sciml.ensemble.worker", scheduler,
        "--keys", str(run.keys), "--name", _name(number),
    ]  # fmt: skip
    return "\n".join(
        [
            "#!/bin/bash",
            *(f"#SBATCH {line}" for line in lines),
            "set -e",
            *cluster.prologue,
            f"exec {shlex.join(words)} --walltime $(({cluster.seconds} - SECONDS))",  # what is left
            "",
        ]
    )


def job_name(study: Study, run: JobFolders) -> str:
    """What the jobs of a run are called, and found by: as the study, with a part of the run's UUID."""
    return f"{study.name}-{read_json(run.identity)['run'][:8]}"


def cancel_left(study: Study, run: JobFolders) -> None:
    """Cancel the worker jobs of a run, whichever of its supervisors asked for them."""
    if study.cluster.kind == "slurm":
        _call("scancel", f"--user={os.getuid()}", f"--name={job_name(study, run)}")


def _name(number: int) -> str:
    return f"worker-{number:04d}"


def _advice(study: Study, state: str, said: str) -> str:
    if state == "TIMEOUT":
        return "raise cluster.walltime above what a simulation takes; then: sciml resume"
    if UNREACHED in said and is_loopback(study.stream.host):
        return (
            "jobs on other nodes need stream.host: the name of this node, in place of "
            f"{study.stream.host}; then: sciml resume"
        )
    return "mend that; then: sciml resume"


def _queue(name: str) -> dict[str, tuple[str, str]] | None:
    """State and reason of the run's jobs by id; ``None`` where Slurm does not say."""
    done = _call(
        "squeue", "--noheader", "--states=all", f"--user={os.getuid()}", f"--name={name}",
        "--format=%i|%T|%r",
    )  # fmt: skip
    if done is None or done.returncode:
        return None
    rows = (line.strip().split("|") for line in done.stdout.splitlines())
    return {row[0]: (row[1], "" if row[2] == "None" else row[2]) for row in rows if len(row) == 3}


def _call(*words: str) -> subprocess.CompletedProcess[str] | None:
    """A command that may fail: Slurm's controller is away at times."""
    try:
        return _slurm(*words)
    except (OSError, subprocess.TimeoutExpired):
        return None


def _slurm(*words: str) -> subprocess.CompletedProcess[str]:
    # What describes the job that this process may itself be in would be taken for what is asked for.
    around = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_") or k in _KEPT}
    return subprocess.run(
        words, capture_output=True, text=True, timeout=PATIENCE, env=around, check=False
    )
