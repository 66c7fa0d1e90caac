"""The trainer process: the server of the stream, the intake, and the loop, under one roof.

Started as ``python -m sciml.run.online.trainer RUN``, where the server listens before torch is imported,
so that solvers connect while the slow imports go on; in its first life as ``… --early SOCKET``, before
there is a run, and imports first (see :mod:`sciml.run.trainer_process`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from sciml.ensemble.folders import read_json, without_room, write_json
from sciml.ensemble.leader import read_lease
from sciml.ensemble.processes import allow_files, end_with_parent
from sciml.errors import ScimlError, no_room
from sciml.heap import keep_heap
from sciml.lazy import uncollected
from sciml.run.directory import RunDirectory
from sciml.run.online.life import Life

#: Seconds from one status to the next.
STATUS_EVERY = 0.25
#: Exit codes: finished; bad input (one line on stderr); asked to stop, or no room on the disk: resume.
FINISHED, BAD_INPUT, STOPPED = 0, 2, 75

log = logging.getLogger("sciml.trainer")


class Trainer(Life):
    """One life of the trainer of a run, from its start to its exit code.

    Args:
        run: the run directory, made by the supervisor.
    """

    def __init__(self, run: RunDirectory) -> None:
        super().__init__(run)
        self._done = threading.Event()
        self._leader = read_lease(run).get("token")

    def main(self) -> int:
        """Train to the end; returns the exit code."""
        self._find_checkpoint()
        self.server.start()
        reporter = threading.Thread(target=self._report, name="status", daemon=True)
        reporter.start()
        try:
            finished = self._learn()
            self.state = "finished" if finished else "stopped"
            return FINISHED if finished else STOPPED
        except BaseException as error:
            self.state, self.reason = "failed", str(error) or type(error).__name__
            raise
        finally:
            self._done.set()
            reporter.join()
            self._publish()
            with without_room(log):
                write_json(self.run.last_words, self.status())
                self._write_warnings()
            self.close_intake()
            self.server.stop()

    def _learn(self) -> bool:
        """Train and write what was learned; False if it was asked to stop before."""
        self._go_back()
        if self._told_to_stop():
            return False
        with uncollected():
            from sciml.run.online.training import Learning  # torch from here on

        self.intake.start()
        self.state = "waiting for the first simulation"
        while not self.intake.first.wait(0.1):
            if self._told_to_stop():
                return False
            if self.intake.over.is_set():
                raise ScimlError(
                    "no simulation delivered a frame for training; see logs/ in the run"
                )
        self._told_to_stop()
        learning = Learning(self)
        learning.train()
        if self._told_to_stop():
            return False
        self.trained = learning.history.ended == "phases"
        learning.await_heldout()
        if self._told_to_stop():
            return False  # the checkpoint that the training ended with is gone on from
        self.close_intake()
        self._require_leader()
        learning.finish()
        return True

    def _require_leader(self) -> None:
        """End at once where another leads the run than who started this trainer.

        A supervisor that stands still is taken for dead in the end, and then there is another trainer,
        perhaps elsewhere: nothing may be written beside it, not even a last checkpoint.
        """
        if read_lease(self.run).get("token", self._leader) != self._leader:
            log.error("another leads %s by now; this trainer ends as it is", self.run.path)
            os._exit(STOPPED)

    def _told_to_stop(self) -> bool:
        """Raises what a thread died of, which stops the training as a signal does."""
        if self.intake.error is not None:
            raise self.intake.error
        return self.stop.is_set()

    def close_intake(self) -> None:
        """Nothing more is taken in; the recording is whole before a summary says that the run is."""
        if self.stop.is_set() or self.reason:
            self.intake.halt()
        else:
            self.intake.finish()
        with without_room(log):
            if self.recorder is not None:
                self.recorder.finish()
                self.recorder = None

    def _find_checkpoint(self) -> None:
        """The state to go on from, if there is one; the server takes up the account in it."""
        if any(self.run.checkpoints.glob("step-*")):
            from sciml.training.checkpoint import Checkpoints

            self.checkpoint = Checkpoints(self.run.checkpoints).newest()
        checkpoint = self.checkpoint
        self.server.recover(checkpoint.state["extra"]["ledger"] if checkpoint else None)
        damaged = self.server.status()["spool_damaged"]
        if damaged:
            self.say(
                f"{damaged} records of the spool were damaged and dropped; what solvers still hold "
                "comes again"
            )

    def _go_back(self) -> None:
        if self.checkpoint is not None:
            from sciml.run.online.restart import restore

            self.state = "going back to the checkpoint"
            restore(self, self.checkpoint)
            log.info("resumed from %s", self.checkpoint.path.name)

    def _write_warnings(self) -> None:
        """By simulation, in the run directory."""
        warned_of = self.server.ledger.warnings()
        if warned_of:
            each = {
                str(n): [w.to_json() for w in warned] for n, warned in sorted(warned_of.items())
            }
            write_json(self.run.warnings, each)

    def _report(self) -> None:
        untold = ""
        while not self._done.wait(STATUS_EVERY):
            try:
                self._require_leader()
                if self.stop.is_set():
                    self.buffer.stop()  # whoever waits for samples, or for room, would wait for ever
                if self.first_step_at is None or self.intake.screen.holding:
                    self.server.make_room()
                self._publish()
            except OSError as error:
                # For want of a file, say. The next status is a moment away, and may find one.
                if str(error) != untold:
                    log.warning("no status: %s", error)
                untold = str(error)
            except Exception as error:
                log.exception("the status cannot be published")
                self._on_failure(error)
                return

    def _publish(self) -> None:
        self.server.set_status(self.status())

    def status(self) -> dict[str, Any]:
        """What the supervisor shows and `sciml status` prints."""
        stream = self.server.status()
        ledger = self.server.ledger
        stats = self.buffer.stats()
        for name in ("drawn", "evicted", "removed"):
            ledger.set(name, int(stats[name]))
        account = self.account()
        self._name_short(account)
        planned = {"expected": account.expected, "missing": account.missing}
        return {
            "state": self.state,
            "reason": self.reason,
            **self.progress,
            "frames": {**ledger.frames(), **planned},
            "samples": ledger.samples(),
            "buffer": stats,
            "stream": stream,
            "heard": self.intake.heard(),
            "training_over": self.intake.training_over,
            **self.warned(),
            "quarantined": {str(k): v for k, v in ledger.quarantined().items()},
            "validated": len(self.heldout.trajectories()),
            "settled": self.server.settled(),
            "notices": list(self.notices),
            "checkpoint_problem": self.checkpoint_problem,
            "memory": resident_bytes(),
            "time": time.time(),
            "clock": time.monotonic(),  # one for all processes of a machine, and never set
        }


def resident_bytes() -> int:
    """Memory of this process that is really there."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main(arguments: list[str]) -> int:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stdout
    )
    keep_heap()
    allow_files()
    if arguments[0] == "--early":
        from sciml.run.online.trainer_start import awaited

        run = awaited(int(arguments[1]))
        if run is None:
            return FINISHED
    else:
        run = RunDirectory.open(arguments[0])
    end_with_parent()  # a supervisor that is killed: checkpoint, then end
    if os.getppid() != read_json(run.supervisor)["pid"]:
        return STOPPED  # it was killed before this one could ask to be signalled
    try:
        trainer = Trainer(run)
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, lambda *_: trainer.stop.set())
        return trainer.main()
    except Exception as error:
        if not (isinstance(error, ScimlError) or no_room(error)):
            raise
        with contextlib.suppress(OSError):  # the log may lie on the disk that is full
            print(f"error: {error}".replace("\n", " "), file=sys.stderr, flush=True)
        if no_room(error):
            # Without the clearing up at exit: HDF5 crashes on files that it could not write.
            os._exit(STOPPED)
        return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
