"""Keeps the job slots busy: which simulation starts next, which runs again, which is given up."""

from __future__ import annotations

import errno
import itertools
import re
import signal
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from sciml.ensemble.folders import JobFolders
from sciml.ensemble.job import (
    BAD_INPUT,
    Job,
    JobResult,
    WorkerLeaves,
    end_job,
    end_jobs,
    run_job,
    skip_job,
)
from sciml.errors import InputError, ScimlError, no_room
from sciml.solver.last_words import reason

#: Attempts that fail alike before anything has come, after which no more is tried.
ALIKE = 3
#: Simulations given up alike before any came to its end, after which no more is tried. Fewer, and a
#: design whose corner diverges ends a study that begins there; more only cost their tries.
GIVEN_UP = 5
#: Exit codes of jobs that somebody has killed, or the system for want of memory.
ENDED_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGKILL, 128 + signal.SIGTERM)
#: What differs between words that are alike: numbers of ranks, lines, simulations.
_FIGURES = re.compile(r"\d+")
#: Seconds in which dask may say how a job ended that it says has ended; else it is asked again.
ANSWER = 5.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A simulation that the study goes on without, and why."""

    simulation: int
    attempts: int
    code: int
    stderr: str

    def line(self) -> str:
        return f"simulation {self.simulation} {self.reason}"

    @property
    def reason(self) -> str:
        # mpirun says 128 + n for a rank that signal n has ended.
        number = -self.code if self.code < 0 else self.code - 128
        how = f"exit code {self.code}"
        if number in set(signal.Signals):
            how = f"signal {signal.Signals(number).name}"
        return (
            f"given up after {self.attempts} attempt{'s' if self.attempts > 1 else ''} ({how}): "
            f"{reason(self.stderr) or 'no output'}"
        )


class Launcher:
    """Runs jobs on a dask cluster, in order, a bounded number at a time.

    Futures are released as soon as they are done: a dask worker that dies would run the finished
    simulations of held futures again.

    Args:
        cluster: a dask cluster, or a scheduler's address.
        run: run directory.
        jobs: simulations in the order in which they start; :meth:`submit` adds to them.
        at_once: how many run side by side.
        retries: how often a failing simulation is started again.
        finished: simulations that need not run any more, for the counts.
        leader: token of who leads the run.
        work: what a worker does with a job; gives an :class:`JobResult` as a mapping.
        may_retry: asked before a simulation is started again (a quarantined one is not).
        arrived: whether anything of any simulation has come.
        full: asked when a job failed: whether the disk is, so that the job is not to blame.
    """

    def __init__(
        self,
        cluster: Any,
        run: JobFolders,
        jobs: Sequence[Job],
        *,
        at_once: int,
        retries: int,
        may_retry: Callable[[int], bool] = lambda simulation: True,
        finished: Sequence[int] = (),
        leader: str = "",
        arrived: Callable[[], bool] = lambda: True,
        full: Callable[[], bool] = lambda: False,
        work: Callable[[Any], dict[str, Any]] = run_job,
    ) -> None:
        from distributed import Client

        try:
            self._client = Client(cluster, set_as_default=False)
        except OSError as error:
            if not isinstance(cluster, str):
                raise
            raise InputError(
                f"scheduler {cluster}: what answers there is no dask scheduler that lets us in "
                f"({' '.join(str(error).split())}); expected one with our certificates"
            ) from error
        self._run, self._leader = run, leader
        #: The next one to start comes last.
        self._waiting: list[Job] = []
        self._running: dict[int, tuple[Job, Any]] = {}
        # One more than the slots, so that a slot that falls free finds its next job at once.
        self._window = at_once + 1
        self._retries = retries
        self._may_retry, self._arrived, self._full = may_retry, arrived, full
        #: Attempts that failed while nothing had come yet.
        self._early: list[JobResult] = []
        self._work = work
        self._failed_attempts: dict[int, int] = {}
        self._starts = itertools.count()
        self._known = {*finished}
        self.total = len(self._known)
        #: Whether a design may submit more: until it has ended, nothing is done.
        self.growing = False
        self.finished: list[int] = list(finished)
        self.failures: list[Failure] = []
        #: Simulations whose outcome says that their program warned.
        self.warned: set[int] = set()
        self.restarts = 0
        self._stopping = False
        self._skipped: set[int] = set()
        self.submit(*jobs)

    @property
    def running(self) -> list[int]:
        return sorted(self._running)

    @property
    def outstanding(self) -> int:
        """Simulations that run or are still to run."""
        return len(self._running) + (0 if self._stopping else len(self._waiting))

    @property
    def ended(self) -> int:
        """Runs of simulations that came to an end by themselves, well or not."""
        return len(self.finished) + len(self.failures) + self.restarts

    @property
    def skipped(self) -> int:
        return len(self._skipped - set(self.finished))

    @property
    def done(self) -> bool:
        return not self._running and (self._stopping or not (self._waiting or self.growing))

    def submit(self, *jobs: Job) -> None:
        """Run these too, after those that wait; between polls, by the thread that polls.

        Raises:
            InputError: a simulation of that number is there.
        """
        for job in jobs:
            if job.simulation in self._known:
                raise InputError(
                    f"simulation {job.simulation} was submitted before; expected a number of its own"
                )
            self._known.add(job.simulation)
            self._waiting.insert(0, job)
        self.total = len(self._known)

    def poll(self) -> list[Failure]:
        """Take in what ended, start what may start; returns the simulations given up just now.

        Raises:
            OSError: a job could not run for want of room on the disk.
        """
        given_up = []
        for simulation, (job, future) in list(self._running.items()):
            outcome = self._outcome(job, future) if future.done() else None
            if outcome is not None:
                failure = self._ended(job, outcome)
                # Only now: in between, nobody may take the launcher for done.
                self._running.pop(simulation, None)
                future.release()
                if failure is not None:
                    given_up.append(failure)
        while self._waiting and len(self._running) < self._window and not self._stopping:
            self._start(self._waiting.pop())
        return given_up

    def again(self, job: Job) -> None:
        """Run a simulation that has ended well once more: what it gave was lost."""
        if job.simulation in self.finished:
            self.finished.remove(job.simulation)
            self.restarts += 1
            self._waiting.append(job)

    def kick(self, simulation: int) -> None:
        """End a job that makes no progress; it counts as a failed attempt."""
        end_job(self._run, simulation)

    def skip(self, simulations: Set[int]) -> None:
        """Do not start these any more, and end those that run."""
        self._skipped |= {j.simulation for j in self._waiting if j.simulation in simulations}
        self._waiting = [job for job in self._waiting if job.simulation not in simulations]
        for simulation in self.running:
            if simulation in simulations - self._skipped:
                self._skipped.add(simulation)
                skip_job(self._run, simulation, self._leader)

    def stop(self, *, lost: bool = False) -> None:
        """Start no more and end what runs: cancelling dask's futures never stops an mpirun.

        Args:
            lost: another leads the run; only what this one has started is its own to end.
        """
        self._stopping = True
        for _, future in self._running.values():
            future.cancel()
        end_jobs(self._run, self._leader, lost=lost)
        self._running.clear()

    def close(self) -> None:
        if self._running:
            self.stop()
        self._client.close()

    def _start(self, job: Job) -> None:
        future = self._client.submit(
            self._work,
            replace(job, leader=self._leader),
            resources={"sim": 1},
            pure=False,
            key=f"simulation-{job.simulation:05d}-{next(self._starts)}",
        )
        self._running[job.simulation] = (job, future)

    def _outcome(self, job: Job, future: Any) -> JobResult | None:
        """How a job ended; ``None`` if that has not come yet, or the job runs again for no fault of its
        own."""
        from distributed import KilledWorker

        try:
            error = future.exception(timeout=ANSWER)
            result = None if error is not None else future.result(timeout=ANSWER)
        except TimeoutError:  # a scheduler elsewhere may be busy; this process does not wait for it
            return None
        if isinstance(error, KilledWorker | WorkerLeaves):
            self._start(job)
            return None
        if no_room(error):
            raise error
        if error is not None:
            return JobResult(job.simulation, 0, 1, f"{type(error).__name__}: {error}", 0.0)
        return JobResult(**result)

    def _ended(self, job: Job, outcome: JobResult) -> Failure | None:
        if outcome.code == 0:
            self.finished.append(job.simulation)
            if outcome.warned:
                self.warned.add(job.simulation)
            return None
        if outcome.cancelled or self._stopping or job.simulation in self._skipped:
            return None
        if self._full():
            raise OSError(errno.ENOSPC, f"simulation {job.simulation} failed: {outcome.stderr}")
        attempts = self._failed_attempts[job.simulation] = (
            self._failed_attempts.get(job.simulation, 0) + 1
        )
        again = outcome.code != BAD_INPUT and self._may_retry(job.simulation)
        arrived = bool(self.finished) or self._arrived()
        if not arrived and outcome.code not in ENDED_FROM_OUTSIDE:
            self._early.append(outcome)
        if attempts <= self._retries and again:
            self.restarts += 1
            # At the head of the line: its windows are still open in the trainer. While none is, the
            # others come first: perhaps they all fail.
            self._waiting.insert(len(self._waiting) if arrived else 0, job)
            return None
        failure = Failure(job.simulation, attempts, outcome.code, outcome.stderr)
        self.failures.append(failure)
        return failure

    def require_hope(self) -> None:
        """That not all simulations go the way of the first ones.

        Raises:
            ScimlError: the first of them failed alike before anything of any came, or were given up
                alike before any came to its end; with their words.
        """
        early = self._early
        simulations = {outcome.simulation for outcome in early}
        enough = len(early) >= ALIKE and len(simulations) >= min(ALIKE, self.total)
        if enough and _alike(early) and not self._arrived():
            raise _hopeless("no simulation delivered a frame", early[0], len(simulations))
        given_up = self.failures
        if len(given_up) >= GIVEN_UP and not self.finished and _alike(given_up):
            raise _hopeless("no simulation came to its end", given_up[0], len(given_up))


def _alike(failed: Sequence[JobResult] | Sequence[Failure]) -> bool:
    """Whether all ended with one code and, but for figures in them, the same words."""
    return len({(one.code, _FIGURES.sub("", reason(one.stderr))) for one in failed}) == 1


def _hopeless(why: str, first: JobResult | Failure, simulations: int) -> ScimlError:
    words = " / ".join(line.strip() for line in first.stderr.splitlines()) or "no output"
    return ScimlError(
        f"{why}, and the first {simulations} failed alike (exit code {first.code}): {words}; the others "
        "are not tried (`sciml check` runs one alone)"
    )
