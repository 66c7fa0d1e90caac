"""`sciml run`: starts the trainer and the solver jobs, watches both, ends both.

Long since one run from start to end is one thing: whatever can end it early is seen from here.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

from sciml.ensemble.folders import read_json, without_room, write_json
from sciml.ensemble.job import Job, attempt_under_way, last_lines
from sciml.ensemble.launcher import Launcher
from sciml.ensemble.leader import Leader, read_lease
from sciml.ensemble.processes import end_session
from sciml.ensemble.slurm import WorkerJobs
from sciml.ensemble.stop import STOPPED, StopRequest
from sciml.errors import ScimlError, StreamError, no_room
from sciml.report.progress import Progress
from sciml.run.directory import RunDirectory
from sciml.run.display import rows
from sciml.run.room import RoomWatch
from sciml.run.snapshot import Snapshot, outcomes
from sciml.run.trainer_process import start_trainer
from sciml.samples.program_warnings import Finding
from sciml.stream.control import ControlClient
from sciml.stream.intervals import Intervals
from sciml.study.schema import Study

#: Seconds between looks at trainer and jobs, and between exchanges with the trainer: more often, and
#: they take its time; less, and what a person sees lags behind.
POLL, EXCHANGE_EVERY = 0.1, 0.25
#: Seconds in which a trainer has to listen; beyond, the run ends.
TRAINER_START = 120.0
#: Seconds to wait for a snapshot of the trainer that is newer than a failure: while it imports the
#: family of its model on a busy machine, it answers nobody.
FRESH = 20.0
#: Seconds that the last messages of a program may be under way.
SETTLE = 3.0
#: Exit codes of `sciml run`, beside those of who was asked to stop.
FINISHED, BAD_INPUT = 0, 2
#: Deaths of the trainer in a row without a new checkpoint, after which it is given up.
DEATHS = 3


class Supervisor:
    """One run from start to end.

    The trainer is a child process with a session of its own, and so is each solver job, so that a
    Ctrl-C in the terminal reaches the supervisor alone, which then ends them in order: solvers,
    checkpoint, trainer.

    Args:
        study: the study.
        run: its run directory.
        leader: the right to lead it, held.
        jobs: all simulations in launch order.
        training: those of them that are there for training: of no use once training is over.
        cluster: a dask cluster or a scheduler's address.
        display: where progress is shown.
        finished: simulations that a supervisor before this one has seen to their end.
        queue: worker jobs of Slurm's, if that is where the workers come from.
        trainer: its first life, if that has begun.
        job_of: makes a job of a number and drawn parameters, for :meth:`submit`.
    """

    def __init__(
        self,
        study: Study,
        run: RunDirectory,
        leader: Leader,
        jobs: Sequence[Job],
        training: Set[int],
        cluster: Any,
        display: Progress,
        finished: Sequence[int] = (),
        queue: WorkerJobs | None = None,
        trainer: subprocess.Popen[bytes] | None = None,
        *,
        job_of: Callable[[int, Mapping[str, float]], Job],
    ) -> None:
        self._study = study
        self._run = run
        self._leader = leader
        self._display = display
        self._queue = queue
        self._stop = StopRequest()
        self._quarantined: dict[int, str] = {}
        self._reply: dict[str, Any] = {}
        self._training = {*training}
        self._job_of = job_of
        self._trainer: subprocess.Popen[bytes] | None = None
        self._begun = trainer
        self._control: ControlClient | None = None
        self._room = RoomWatch(run.path, study.stream.patience)
        self._farewell = ""
        #: How the run ended, over what the trainer said last: it may have been killed.
        self._end_state: dict[str, str] = {}
        #: Simulations by outcome, once that is settled.
        self._outcomes: dict[str, int] = {}
        self._jobs = {job.simulation: job for job in jobs}
        self._said: set[str] = set()
        #: Life of the trainer, and simulations that had ended well when it began.
        self._life, self._ended_before = 0, set(finished)
        #: When a job was first seen to have ended well, and attempts when they were first seen to run.
        self._ended: dict[int, float] = {}
        self._began: dict[tuple[int, int], float] = {}
        self._launcher = Launcher(
            cluster,
            run,
            [job for job in jobs if job.simulation not in finished],
            at_once=study.cluster.simulations_at_once,
            retries=study.cluster.retries,
            may_retry=self._may_retry,
            arrived=self._arrived,
            finished=finished,
            leader=leader.token,
            full=lambda: self._room.full,
        )

    def run(self) -> int:
        """Run to the end; returns the exit code.

        Raises:
            ScimlError: the trainer died, or no simulation delivered anything.
        """
        with self._stop:
            deaths, reached, before = 0, -1, ("", -1)
            trainer: subprocess.Popen[bytes] | None = None
            try:
                while True:
                    trainer = self._start_trainer()
                    if self._connect(trainer):
                        self._watch(trainer)
                    code = trainer.poll()
                    if self._stop or code in (FINISHED, BAD_INPUT, STOPPED):
                        return self._end(trainer)
                    step, failed = newest_step(self._run), self._failure_of_the_trainer()
                    deaths = deaths + 1 if step == reached else 1
                    # The same error at the same step, with nothing learned in between, comes again.
                    repeated = step == reached and failed == before and failed[0]
                    reached, before = step, failed
                    if deaths > DEATHS or repeated:
                        return self._end(trainer)
                    why = f": {failed[0]}" if failed[0] else ""
                    self._warn(
                        f"the trainer died ({ended(code)}{why}); it is started again from "
                        f"{f'the checkpoint of step {step}' if step else 'the spool'}, "
                        "the solvers go on"
                    )
            except OSError as error:
                if not no_room(error):
                    raise
                self._end_for_room(str(error))
                return self._end(trainer)
            except BaseException as error:
                self._end_state = {"state": "failed", "reason": str(error) or type(error).__name__}
                raise
            finally:
                self._close_launcher()
                if self._control is not None:
                    self._control.close()
                if trainer is not None and trainer.poll() is None:
                    end_session(trainer.pid, grace=10.0)
                    trainer.wait()
                if not self._leader.lost.is_set():
                    self._write_status()

    def submit(self, parameters: Mapping[str, float]) -> int:
        """Run one more simulation for training, of parameters drawn just now; returns its number.

        By the thread of :meth:`run`. A trainer reads the plan when it starts, and takes no other number
        yet: who draws while it trains has to tell it first.

        Raises:
            InputError: parameters that the program does not take.
        """
        number = max(self._jobs, default=-1) + 1
        job = self._job_of(number, parameters)
        self._launcher.submit(job)
        self._jobs[number] = job
        self._training.add(number)
        return number

    def _failure_of_the_trainer(self) -> tuple[str, int]:
        """What its last life raised, and at which step; of one that was killed nothing is known."""
        last = read_json(self._run.last_words) if self._run.last_words.exists() else {}
        return (str(last.get("reason") or ""), int(last.get("step") or 0))

    def _close_launcher(self) -> None:
        """dask may be slow to close: that takes neither exit code nor last status away, nor does it keep
        the trainer alive."""
        try:
            if self._leader.lost.is_set():
                self._launcher.stop(lost=True)
            self._launcher.close()
        except TimeoutError as error:
            self._warn(f"dask is slow to close ({error}); the run ends without it")

    def _start_trainer(self) -> subprocess.Popen[bytes]:
        self._ended_before = set(self._launcher.finished)
        trainer, self._begun = self._begun, None
        if trainer is None:
            trainer = start_trainer(self._study, self._run, self._leader.token)
        self._trainer = trainer
        return trainer

    def _connect(self, trainer: subprocess.Popen[bytes]) -> bool:
        """Wait until the trainer listens; False if it ended before."""
        if self._control is not None:
            return True  # a new life of the trainer keeps address and keys
        deadline = time.monotonic() + TRAINER_START
        while not self._run.endpoint.exists():
            if trainer.poll() is not None or self._stop:
                return False
            if time.monotonic() > deadline:
                raise ScimlError(
                    f"the trainer did not listen within {TRAINER_START:.0f} s; "
                    f"see {self._run.logs / 'trainer.log'}"
                )
            time.sleep(POLL / 2)
        self._control = ControlClient(self._run.endpoint)
        return True

    def _watch(self, trainer: subprocess.Popen[bytes]) -> None:
        last_exchange = 0.0
        while trainer.poll() is None and not self._stop:
            self._require_leadership()
            for failure in self._launcher.poll():
                if failure.simulation not in self._quarantined:
                    self._warn(f"{failure.line()}; the study goes on without it")
            self._launcher.require_hope()
            if time.monotonic() - last_exchange >= EXCHANGE_EVERY:
                last_exchange = time.monotonic()
                self._exchange()
                self._watch_queue()
                self._display.update(rows(self._write_status()))
            time.sleep(POLL)

    def _watch_queue(self) -> None:
        """Say what became of worker jobs; raises :class:`ScimlError` where no more come."""
        if self._queue is not None:
            self._queue.need(self._launcher.outstanding, self._launcher.ended)
            for line in self._queue.news():
                self._display.say(line)

    def _require_leadership(self) -> None:
        """Raises :class:`ScimlError` once another leads; nothing that it has started is touched."""
        if self._leader.lost.is_set():
            lease = read_lease(self._run)
            raise ScimlError(
                f"{self._run.path} is led by process {lease.get('pid')} on {lease.get('host')} by now: "
                "this one was not heard for too long; its own solvers are ended, the run is the other's"
            )

    def _exchange(self) -> None:
        launcher = self._launcher
        message = {
            "total": launcher.total,
            "finished": sorted(launcher.finished),
            "given_up": sorted((f.simulation, f.reason) for f in launcher.failures),
            "done": launcher.done,
        }
        try:
            self._reply = self._control.exchange(message, timeout=2.0) or self._reply
        except StreamError:
            return  # a trainer that is gone is noticed by its exit code, a busy one answers later
        for key, reason in (self._reply.get("quarantined") or {}).items():
            if int(key) not in self._quarantined:
                self._quarantined[int(key)] = reason
                self._warn(f"simulation {key} quarantined: {reason}")
        for warning in self._room.take_in(self._reply):
            self._warn(warning)
        self._say_notices()
        for entry in self._reply.get("warnings") or ():
            # The first of its kind as it comes; how many there were, and the largest, in the end.
            key = f"warned: {entry['kind']}"
            if key not in self._said:
                self._said.add(key)
                one = Finding(**{**entry, "simulations": 1})
                self._warn(f"simulation {one.simulation} warns: {one.message}")
        self._run_again()
        self._report_unclosed()
        if self._room.spent:
            self._end_for_room()
        if self._reply.get("training_over"):
            self._launcher.skip(self._training)
        self._end_silent()

    def _warn(self, line: str, *, once: bool = False) -> None:
        if once and line in self._said:
            return
        if once:
            self._said.add(line)
        self._display.say(f"warning: {line}")

    def _say_notices(self) -> None:
        """What the trainer wants to be known, once."""
        for notice in self._reply.get("notices") or ():
            self._warn(notice, once=True)

    def _run_again(self) -> None:
        """Run again what had ended well and, its spool damaged, a new trainer lacks in part."""
        life = (self._reply.get("stream") or {}).get("epoch", 0)
        if life == self._life:
            return
        self._life = life
        settled = Intervals(tuple(pair) for pair in self._reply.get("settled") or ())
        for simulation in sorted(self._ended_before):
            if simulation not in settled:
                self._warn(f"simulation {simulation} is not whole any more; it is run again")
                self._launcher.again(self._jobs[simulation])

    def _report_unclosed(self, *, over: bool = False) -> None:
        """Programs that ended well and never said so: what they had not sent yet is lost, and a held-out
        one is waited for.

        Args:
            over: the trainer has ended: nothing is under way any more.
        """
        settled = Intervals(tuple(pair) for pair in self._reply.get("settled") or ())
        useless = self._training if self._reply.get("training_over") and not over else ()
        for simulation in {*self._launcher.finished} - self._ended_before - {*useless}:
            ended = self._ended.setdefault(simulation, time.monotonic())
            late = over or self._reply.get("clock", 0.0) > ended + SETTLE
            if late and simulation not in settled:
                self._warn(
                    f"simulation {simulation} ended with exit code 0 and without close(): frames that "
                    "it had not sent are lost; call client.close() last, or stream in `with "
                    "connect(...) as client:`",
                    once=True,
                )

    def _may_retry(self, simulation: int) -> bool:
        """A job that failed because its data were refused would be refused again.

        The trainer may know that and its last snapshot not yet: ask until it is newer than the
        failure.
        """
        self._refresh()
        return simulation not in self._quarantined

    def _arrived(self) -> bool:
        """Whether the trainer has got anything of any simulation."""
        if not self._received:
            self._refresh()
        return self._received

    @property
    def _received(self) -> bool:
        return bool((self._reply.get("frames") or {}).get("received"))

    def _refresh(self) -> None:
        """Get a snapshot of the trainer that is newer than now, within some seconds."""
        asked = time.monotonic()
        while self._reply.get("clock", 0.0) <= asked and time.monotonic() < asked + FRESH:
            if self._trainer.poll() is not None or self._stop:
                break
            self._exchange()
            time.sleep(POLL / 2)

    def _end_silent(self) -> None:
        """A job that makes no progress for too long counts as failed.

        What an attempt before this one gave last says nothing of this one. Times are differences by
        the clock of one process, since clocks of other machines may be hours off.
        """
        timeout = self._study.cluster.simulation_timeout
        if timeout is None or self._room.full:
            return
        heard = self._reply.get("heard") or {}
        for simulation in self._launcher.running:
            attempt = attempt_under_way(self._run, simulation)
            if attempt is None:
                continue
            now = time.monotonic()
            since_start = now - self._began.setdefault((simulation, attempt), now)
            silence = min(since_start, heard.get(str(simulation), since_start))
            if silence > timeout:
                self._warn(
                    f"simulation {simulation} gave nothing for {silence:.0f} s "
                    f"(cluster.simulation_timeout is {timeout:g}); it is ended"
                )
                self._launcher.kick(simulation)

    @property
    def warnings(self) -> list[str]:
        """What solver programs warned of, a line a kind, the largest of each."""
        findings = [Finding(**entry) for entry in self._reply.get("warnings") or ()]
        return [one.line(self._launcher.total) for one in findings]

    @property
    def given_up(self) -> int:
        """Simulations that the study went on without, quarantined ones not counted."""
        return sum(f.simulation not in self._quarantined for f in self._launcher.failures)

    def _write_status(self) -> Snapshot:
        launcher = self._launcher
        queue = self._queue.figures if self._queue is not None else {}
        slots = queue.get("running", self._study.cluster.simulations_at_once)
        snapshot = Snapshot(
            simulations={
                "total": launcher.total,
                "done": len(launcher.finished),
                "running": min(len(launcher.running), slots),
                "restarted": launcher.restarts,
                "given_up": self.given_up,
                "quarantined": len(self._quarantined),
                "skipped": launcher.skipped,
                **self._outcomes,
            },
            trainer={**self._reply, **self._end_state},
            queue=queue,
        )
        with without_room():  # the next one, a moment later, may find some
            if not self._leader.overtaken():
                write_json(self._run.status, snapshot.to_json())
        return snapshot

    def _end_for_room(self, why: str = "") -> None:
        """End as a batch system's signal does: solvers, checkpoint, exit code 75."""
        self._farewell = self._room.farewell(why)
        self._stop.ask(signal.SIGTERM)

    def _end(self, trainer: subprocess.Popen[bytes] | None) -> int:
        if self._stop:
            self._end_state = {"state": "stopped"}
            self._display.say("stopping: ending the solvers, then the trainer writes a checkpoint")
            self._launcher.stop()
            try:
                if trainer is not None:
                    trainer.send_signal(signal.SIGTERM)
                    trainer.wait(timeout=60.0)
            except subprocess.TimeoutExpired:
                self._warn("the trainer did not end within 60 s; it is killed")
            if self._run.last_words.exists():
                self._reply = read_json(self._run.last_words)
            self._display.say(
                self._farewell or f"interrupted; go on with: sciml resume {self._run.path}"
            )
            return self._stop.code
        code = trainer.wait()
        if code == FINISHED:
            self._outcomes = outcomes(self._run)
            self._launcher.skip(self._training)
        self._launcher.stop()
        if self._run.last_words.exists():
            self._reply = read_json(self._run.last_words)
            self._say_notices()
        self._report_unclosed(over=True)
        self._display.update(rows(self._write_status()), force=True)
        if code == FINISHED:
            self._require_outcomes()
            return FINISHED
        detail = last_lines(self._run.logs / "trainer.log", lines=1)
        if code == STOPPED:
            self._end_state = {"state": "stopped"}
            if self._reply.get("state") == "stopped":
                self._display.say(
                    "the trainer was sent a signal to stop, and obeyed; go on with: "
                    f"sciml resume {self._run.path}"
                )
                return STOPPED
            # On its own, for want of room; its last line may be lost for the same reason.
            why = detail.removeprefix("error: ") if detail.startswith("error: ") else "see logs/"
            self._display.say(self._room.farewell(why))
            return STOPPED
        if code == BAD_INPUT:
            raise ScimlError(detail.removeprefix("error: "))
        raise ScimlError(
            f"the trainer ended ({ended(code)}): {detail} (see {self._run.logs / 'trainer.log'})"
        )

    def _require_outcomes(self) -> None:
        """A run that calls itself whole has an outcome for each planned simulation.

        Raises:
            ScimlError: some have none.
        """
        lacking = read_json(self._run.summary)["simulations"]["lacking"]
        if lacking:
            some = ", ".join(map(str, lacking[:5])) + (", …" if len(lacking) > 5 else "")
            raise ScimlError(
                f"{len(lacking)} of {self._launcher.total} simulations have neither ended nor been "
                f"given up ({some}), and training is over: its figures lack them; see logs/ in the run, "
                f"and go on with: sciml resume {self._run.path}"
            )


def ended(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    hint = "; out of memory?" if -code == signal.SIGKILL else ""
    return f"killed by signal {signal.Signals(-code).name}{hint}"


def newest_step(run: RunDirectory) -> int:
    """Step of the newest checkpoint, 0 if there is none."""
    names = (path.name for path in run.checkpoints.glob("step-*"))
    return max((int(name.removeprefix("step-")) for name in names), default=0)
