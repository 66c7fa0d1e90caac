"""The trainer process: the server of the stream, the intake, and the loop, under one roof.

Started by the supervisor as ``python -m sciml.study.trainer RUN``. The server listens before torch
is imported, so that solvers connect while the slow imports go on.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml.buffer import make as make_buffer
from sciml.errors import ScimlError
from sciml.samples import Windower
from sciml.stream.server import Server
from sciml.study.heldout import HeldOut
from sciml.study.intake import Intake
from sciml.study.processes import end_with_parent
from sciml.study.restoring import Tally
from sciml.study.rundir import RunDirectory, read_json, write_json
from sciml.study.schema import Study, load_study

if TYPE_CHECKING:
    from sciml.record import Recorder

STATUS_EVERY = 0.25
#: Exit codes: finished; bad input (one line on stderr); told to stop, checkpoint written.
FINISHED, BAD_INPUT, STOPPED = 0, 2, 75

log = logging.getLogger("sciml.trainer")


class Trainer:
    """One life of the trainer of a run.

    Args:
        run: the run directory, made by the supervisor.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.study: Study = load_study(run.study)
        plan = read_json(run.simulations)
        self.planned = len(plan)
        self.stop = threading.Event()
        self.state = "starting"
        stream, buffer = self.study.stream, self.study.buffer
        self.server = Server(
            run.path,
            host=stream.host,
            port=stream.port,
            encryption=stream.encryption,
            spool_limit=stream.spool_limit,
            queue_limit=stream.queue_limit,
        )
        self.buffer = make_buffer(
            buffer.kind, buffer.capacity, buffer.watermark, self.study.seed, buffer.draws
        )
        program = read_json(run.solver)
        units = {entry["name"]: entry.get("units", "1") for entry in program["parameters"]}
        self.heldout = HeldOut(run.validation, units)
        self.recorder: Recorder | None = None
        if self.study.record.enabled:
            from sciml.record import Recorder  # h5py and xarray, which nothing else here needs yet

            self.recorder = Recorder(
                run.recording,
                about={entry["id"]: entry for entry in plan},
                units=units,
                fields=self.study.record.fields,
                # More than the spool can spare would stop the solvers for good.
                keep=stream.spool_limit // 2,
            )
        self.intake = Intake(
            self.server,
            Windower(self.study.task.build()),
            self.buffer,
            self.heldout,
            {entry["id"]: entry["role"] for entry in plan},
            self.recorder,
        )
        self.progress: dict[str, Any] = {"step": 0, "steps": self.study.training.steps}
        self.first_step_at: dict[str, Any] | None = None
        self.checkpoint: Any = None
        self.tally = Tally(run.path / "drawn")
        self._done = threading.Event()

    def main(self) -> int:
        """Train to the end; returns the exit code."""
        if any(self.run.checkpoints.glob("step-*")):
            self._go_back()
        self.server.start()
        reporter = threading.Thread(target=self._report, name="status", daemon=True)
        reporter.start()
        try:
            from sciml.study.learning import Learning  # torch from here on

            self.intake.start()
            self.state = "waiting for the first simulation"
            while not self.intake.first.wait(0.1):
                if self.stop.is_set():
                    return STOPPED
                if self.intake.over.is_set():
                    raise ScimlError(
                        "no simulation delivered a frame for training; see logs/ in the run"
                    )
            if self.intake.error is not None:
                raise self.intake.error
            learning = Learning(self)
            learning.train()
            if self.intake.error is not None:
                raise self.intake.error
            if self.stop.is_set():
                return STOPPED
            learning.finish()
            self.state = "finished"
            return FINISHED
        finally:
            self._done.set()
            reporter.join()
            self._tell()
            write_json(self.run.last_words, self.status())
            self.intake.halt()
            self.server.stop()
            if self.recorder is not None:
                self.recorder.finish()

    def _go_back(self) -> None:
        from sciml.study.restoring import restore
        from sciml.training.checkpoint import Checkpoints

        self.checkpoint = Checkpoints(self.run.checkpoints).newest()
        if self.checkpoint is not None:
            restore(self, self.checkpoint)
            log.info("resumed from %s", self.checkpoint.path.name)

    def _report(self) -> None:
        while not self._done.wait(STATUS_EVERY):
            if self.first_step_at is None:
                self.server.make_room()
            self._tell()

    def _tell(self) -> None:
        self.server.set_status(self.status())

    def status(self) -> dict[str, Any]:
        """What the supervisor shows and `sciml status` prints."""
        stream = self.server.status()
        ledger = self.server.ledger
        stats = self.buffer.stats()
        for name in ("drawn", "evicted"):
            ledger.set(name, int(stats[name]))
        return {
            "state": self.state,
            **self.progress,
            "frames": ledger.frames(),
            "samples": ledger.samples(),
            "buffer": stats,
            "stream": stream,
            "heard": self.intake.heard(),
            "training_over": self.intake.training_over,
            "quarantined": {str(k): v for k, v in ledger.quarantined().items()},
            "validated": len(self.heldout.trajectories()),
            "memory": resident_bytes(),
            "time": time.time(),
        }


def resident_bytes() -> int:
    """Memory of this process that is really there."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main(arguments: list[str]) -> int:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stdout
    )
    run = RunDirectory.open(arguments[0])
    end_with_parent()  # a supervisor that is killed: checkpoint, then end
    if os.getppid() != read_json(run.supervisor)["pid"]:
        return STOPPED  # it was killed before this one could ask to be told
    trainer = Trainer(run)
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, lambda *_: trainer.stop.set())
    try:
        return trainer.main()
    except ScimlError as error:
        print(f"error: {error}".replace("\n", " "), file=sys.stderr, flush=True)
        return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
