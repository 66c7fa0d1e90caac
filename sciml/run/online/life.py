"""What the parts of a trainer share: stream, buffer, account, and the lines for whoever watches."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from sciml.buffer import make as make_buffer
from sciml.ensemble.folders import read_json
from sciml.ensemble.identity import name_of
from sciml.errors import ScimlError
from sciml.run.account import Account, announced
from sciml.run.directory import RunDirectory
from sciml.run.held_out import HeldOut
from sciml.run.lineage import current
from sciml.run.online.draw_count import DrawCount
from sciml.run.online.intake import Intake
from sciml.samples import Windower
from sciml.samples.program_warnings import findings
from sciml.stream.server import Server
from sciml.study.schema import Study

if TYPE_CHECKING:
    from sciml.record import Recorder

#: Simulations that gave too few frames of which each is named.
NAMED = 10

log = logging.getLogger("sciml.trainer")


class Life:
    """One life of a trainer: server, buffer, intake, recorder, and how far it has come.

    Args:
        run: the run directory, made by the supervisor.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.study: Study = current(run)
        plan = read_json(run.simulations)
        self.planned = len(plan)
        self.stop = threading.Event()
        self.state, self.reason = "starting", ""
        stream, buffer = self.study.stream, self.study.buffer
        self.server = Server(
            run.path,
            host=stream.host,
            port=stream.port,
            encryption=stream.encryption,
            spool_limit=stream.spool_limit,
            queue_limit=stream.queue_limit,
            run=name_of(run),
            planned={entry["id"] for entry in plan},
            on_failure=self._on_failure,
        )
        self.buffer = make_buffer(
            buffer.kind, buffer.capacity, buffer.watermark, self.study.seed, buffer.draws
        )
        program = read_json(run.solver)
        self._announced = announced(self.study, program)
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
            self.stop,
            self.say,
        )
        self.progress: dict[str, Any] = {"step": 0, "steps": self.study.training.steps}
        self.first_step_at: dict[str, Any] | None = None
        self.checkpoint: Any = None
        #: Why the last checkpoint could not be written; empty once one was.
        self.checkpoint_problem = ""
        self.draw_count = DrawCount(run.path / "drawn")
        self.notices: list[str] = []
        #: Whether training has had all its steps.
        self.trained = False
        self._short: set[int] = set()
        self._warned_version = 0
        self._warned: dict[str, Any] = {"warned": 0, "warnings": []}

    def say(self, line: str) -> None:
        """Something that whoever watches the run should know."""
        log.warning("%s", line)
        self.notices.append(line)

    def account(self, *, over: bool = False) -> Account:
        """What came, against the plan.

        Args:
            over: nothing is under way any more: who ended well and did not close will not.
        """
        ledger, launcher = self.server.ledger, self.intake.launcher
        closed = ledger.concluded()
        ended = launcher.get("finished", ()) if over else ()
        return Account(
            self.intake.roles,
            self._announced,
            closed,
            ledger.delivered(),
            {n: ledger.received(n) for n in ended if n not in closed},
            frozenset(self.intake.given_up),
            frozenset(ledger.quarantined()),
            over=self.trained,
        )

    def _name_short(self, account: Account) -> None:
        """Say which simulations ended well with fewer frames than they should have given."""
        for number in account.short.keys() - self._short:
            self._short.add(number)
            if len(self._short) <= NAMED:
                self.say(account.line(number))
            elif len(self._short) == NAMED + 1:
                self.say("more simulations ended with too few frames; summary.json names them all")

    def warned(self) -> dict[str, Any]:
        """What programs warned of: how many of them, and the largest of each kind."""
        version = self.server.ledger.warned_version
        if version != self._warned_version:  # with many simulations it takes its time
            warned = self.server.ledger.warnings()
            self._warned_version = version
            self._warned = {
                "warned": len(warned),
                "warnings": [f.to_json() for f in findings(warned)],
            }
        return self._warned

    def _on_failure(self, error: Exception) -> None:
        """Another thread died: the run ends in one line, with a checkpoint."""
        self.intake.fail(ScimlError(f"the stream cannot go on: {type(error).__name__}: {error}"))
