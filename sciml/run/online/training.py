"""What the trainer does with torch: builds the surrogate, trains it on the stream, writes it down."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml.errors import ScimlError
from sciml.run.display import WATERMARK
from sciml.run.kept_files import model_file, with_conditions
from sciml.run.online.restart import kept, of_stream
from sciml.run.outcome import Outcome, new_surrogate, seed_everything
from sciml.run.points import learned, widen_bounds
from sciml.samples import Frame, Sample, Simulation
from sciml.surrogates import Statistics, Surrogate
from sciml.surrogates.batch import Batch
from sciml.surrogates.shares import Shares
from sciml.surrogates.structure import BadFrame, FrameStructure, structures_of
from sciml.training.batches import parts_of
from sciml.training.checkpoint import CheckpointError
from sciml.training.device import device_of
from sciml.training.history import History, StepRecord
from sciml.training.source import Batches
from sciml.training.stream_source import StreamSource

if TYPE_CHECKING:
    from sciml.run.online.life import Life
    from sciml.run.online.screen import Screen

log = logging.getLogger("sciml.trainer")


class Learning:
    """The training of one run.

    Args:
        life: server, buffer and intake, running; the first simulation has opened.
    """

    def __init__(self, life: Life) -> None:
        self.life = life
        self.run = life.run
        study = self.study = life.study
        seed_everything(study)
        self.task = study.task.build()
        self.history = History()
        self.outcome = Outcome(study, self.run, life.heldout, life.progress)
        if life.checkpoint is None:
            self.surrogate = new_surrogate(study, self.run, life.intake.simulation)
            self._attach_statistics()
            self.outcome.metrics.begin()
        else:
            # There may be no simulation any more to build it from.
            file = model_file(self.run, trusted=True) or study.model.name
            self.surrogate = Surrogate.load(life.checkpoint.path, file)
            self.outcome.load_state_dict(life.checkpoint.state["extra"]["outcome"])
        self.surrogate.to(device_of(study.training.device, "training.device"))

    def train(self) -> None:
        """Train until the phases are done, the stream is drained, or it is to stop."""
        life, training = self.life, self.study.training
        life.state = WATERMARK
        stream = _Accounted(
            StreamSource(
                life.buffer,
                self.task,
                training.size_of(training.fed),
                self.surrogate.structures,
                self._refuse,
            ),
            life.intake.screen,
            self._begin,
            self._beside,
            self._attach_statistics,
            life.intake.lock,
        )
        study = with_conditions(self.run, self.study, trusted=True)
        self._source, objective = learned(study, self.surrogate.setting, stream)
        self.history = self.outcome.train(
            self.surrogate,
            self._source,
            objective,
            [phase.build() for phase in training.phases],
            life.checkpoint,
            life.say,
            on_step=self._on_step,
            checkpoint_wanted=lambda: life.server.wants_commit,
            extra_state=lambda: stream.beside,
            on_checkpoint=self._on_checkpoint,
            on_checkpoint_failed=self._on_checkpoint_failed,
            rescue=self._rescue,
            renewed=life.intake.screen.shaken,
            stop=life.stop,
        )
        self._require_sound()
        if not life.progress["step"] and not life.stop.is_set():
            raise ScimlError(
                "no simulation delivered a training sample: every one failed or is shorter than "
                "the task's window; see logs/ in the run"
            )

    def _require_sound(self) -> None:
        """Raises :class:`ScimlError` where all that was trained on has been left out since."""
        intake = self.life.intake
        left_out = intake.screen.left_out
        trained = {n for n in intake.opened if intake.roles.get(n, "train") == "train"}
        if left_out and trained <= left_out.keys() and not self.life.stop.is_set():
            first = min(left_out)
            raise ScimlError(
                f"all {len(trained)} simulations that came for training were left out, and nothing is "
                f"left to learn from; simulation {first}: {left_out[first]}; see logs/ in the run"
            )

    def finish(self) -> None:
        """Roll out on the held-out simulations, write what the run is for."""
        life = self.life
        life.state = "validating"
        widen_bounds(self.surrogate, self._source)
        self._see_domains()
        account = life.account(over=True)
        self.outcome.write(
            self.surrogate,
            self.history,
            first_step=life.first_step_at,
            simulations=account.to_json(),
            frames={
                "expected": account.expected,
                **life.server.ledger.frames(),
                "missing": account.missing,
            },
            **life.warned(),
        )

    def _attach_statistics(self) -> None:
        """Let the intake measure; after a checkpoint is loaded, which would undo or be undone."""
        intake, checkpoint = self.life.intake, self.life.checkpoint
        before = checkpoint.state["extra"]["screen"]["shares"] if checkpoint else None
        shares = Shares(Statistics(self.surrogate, self.study.seed), before)
        with intake.lock:
            intake.attach(shares, self.surrogate.strange, self._wrong)

    def _begin(self) -> None:
        """The watermark is reached: from the first gradient step on, the scaling stays."""
        life = self.life
        # Rollouts from a single frame must know how far apart frames are, and in what unit.
        self.surrogate.dt = life.intake.dt
        life.state = "training"
        if life.first_step_at is not None:
            return  # resumed
        life.first_step_at = {
            "simulations_started": len(life.intake.opened),
            "simulations_planned": life.planned,
        }
        log.info("first gradient step: %s", life.first_step_at)

    def _rescue(self, batches: Sequence[Batches]) -> bool:
        """What to do about a loss that is not finite."""
        with self.life.intake.lock:
            parts = [part for batch in batches for part in parts_of(batch)]
            return self.life.intake.screen.rescue(n for b in parts for n, _ in b.keys)

    def _wrong(self, simulation: Simulation, frames: Sequence[Frame]) -> str:
        """What is wrong with frames of which the model wants something derived, or nothing."""
        structures = [s for s in self.surrogate.structures if isinstance(s, FrameStructure)]
        try:
            structures_of([Sample(simulation, f.step, (f,), ()) for f in frames], structures)
        except BadFrame as error:
            return error.reason
        return ""

    def _refuse(self, simulation: int, reason: str) -> None:
        with self.life.intake.lock:
            self.life.intake.screen.leave_out(simulation, reason)

    def _on_step(self, step: StepRecord, history: History) -> None:
        self.life.draw_count.set(self.life.buffer.stats()["drawn"])
        self.outcome.on_step(step, history)

    def _see_domains(self) -> None:
        """The surrogate knows the domains that it has been trained on so far."""
        self.surrogate.domain = self.life.intake.scope or self.surrogate.domain

    def _beside(self) -> dict[str, Any]:
        self._see_domains()
        return {
            **self.life.intake.state_dict(),
            "first_step": self.life.first_step_at,
            "outcome": self.outcome.state_dict(),
        }

    def _on_checkpoint(self, path: Path, state: dict[str, Any]) -> None:
        """What the checkpoint does not need can leave the spool.

        Taken from the checkpoint's own lists: the live buffer has moved on since.
        """
        self.life.checkpoint_problem = ""
        self.life.server.commit(kept(self.task, of_stream(state)), state["extra"]["ledger"])

    def _on_checkpoint_failed(self, error: CheckpointError) -> None:
        """The one before it still stands: train on, and try again."""
        self.life.checkpoint_problem = str(error)
        log.warning("%s", error)

    def await_heldout(self) -> None:
        """Training may end before the last held-out simulation has come in; waits for it, or to be asked
        to stop."""
        life = self.life
        wanted = {n for n, role in life.intake.roles.items() if role == "validation"}
        deadline = time.monotonic() + self.study.validation.patience
        life.state = "waiting for the held-out simulations"
        # The intake must not wait for a buffer that nobody reads any more.
        life.intake.discard_training()
        while time.monotonic() < deadline and not life.stop.is_set():
            there = {s.id for s, _ in life.heldout.trajectories()}
            missing = wanted - there - life.intake.given_up - set(life.intake.quarantined)
            if not missing or life.intake.over.is_set():
                return
            time.sleep(0.05)


class _Accounted:
    """The stream as a source: has the scaling fixed once the watermark is reached, and again where it
    came from simulations that were left out since; takes the state of buffer and intake in one moment,
    in which no frame can slip between.

    Args:
        source: draws from the buffer.
        screen: what the scaling is taken from.
        begin: called before the first batch is drawn.
        beside: state of all that feeds the buffer.
        restored: called when weights and source are those of a checkpoint.
        lock: held by the intake while it takes a frame in.
    """

    def __init__(
        self,
        source: StreamSource,
        screen: Screen,
        begin: Callable[[], None],
        beside: Callable[[], dict[str, Any]],
        restored: Callable[[], None],
        lock: threading.Lock,
    ) -> None:
        self._source = source
        self._screen = screen
        self._begin = begin
        self._beside = beside
        self._restored = restored
        self._lock = lock
        self._begun = False
        self.beside: dict[str, Any] = {}

    @property
    def batch_size(self) -> int:
        return self._source.batch_size

    @batch_size.setter
    def batch_size(self, size: int) -> None:
        self._source.batch_size = size

    def next_batch(self) -> Batch | None:
        while not self._begun or self._outdated():
            self._begun = False
            # Nothing is drawn before it is known by what it is scaled, and of whom.
            if not self._source.ready():
                break
            with self._lock:
                self._begun = self._screen.fix()
            if self._begun:
                self._begin()
        return self._source.next_batch()

    def _outdated(self) -> bool:
        if not self._screen.outdated:
            return False
        with self._lock:
            return self._screen.renew()

    def state_dict(self) -> dict[str, Any]:
        with self._lock:
            state = self._source.state_dict()
            self.beside = self._beside()
            return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        # The buffer was filled from the spool before: see sciml.run.online.restart.
        self._source.load_state_dict(state)
        self._restored()
