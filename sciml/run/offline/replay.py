"""What an offline run does with torch: the loop, fed from recorded simulations."""

from __future__ import annotations

import threading
from collections.abc import Container, Sequence
from dataclasses import replace
from typing import Any

from sciml.buffer import Buffer
from sciml.buffer import make as make_buffer
from sciml.domain import Field, Grid
from sciml.errors import InputError
from sciml.record import Trajectories, Windows
from sciml.run.directory import RunDirectory
from sciml.run.held_out import HeldOut
from sciml.run.offline.plan import Replay
from sciml.run.offline.status import Teller
from sciml.run.outcome import Outcome, new_surrogate, seed_everything
from sciml.run.points import learned, widen_bounds
from sciml.samples import Sample, Simulation
from sciml.study.schema import Study
from sciml.surrogates import Statistics
from sciml.surrogates.scope import joined
from sciml.training.accumulation import epoch_steps
from sciml.training.dataset_source import DatasetSource
from sciml.training.device import device_of
from sciml.training.history import History, StepRecord
from sciml.training.mixture import scale
from sciml.training.phase import Phase
from sciml.training.replay_source import ReplaySource
from sciml.training.source import Source


class Replaying:
    """The training of one offline run; goes on from the newest checkpoint if there is one.

    Args:
        run, study: where, and what.
        trajectories: the data.
        training: numbers of the simulations to train on; none of collocation points alone.
        heldout: the others, complete.
        progress: shared with whoever shows it.
        far: simulations by which nothing is scaled.
        grid: where the surrogate lives, if no simulation says so.
    """

    def __init__(
        self,
        run: RunDirectory,
        study: Study,
        trajectories: Trajectories,
        training: Sequence[int],
        heldout: HeldOut,
        progress: dict[str, Any],
        far: Container[int] = (),
        grid: Grid | None = None,
    ) -> None:
        self.run, self.study, self.trajectories = run, study, trajectories
        self.training = tuple(training)
        self.task = study.task.build()
        seed_everything(study)
        if grid is None:
            first = trajectories.simulation(self.training[0])
            scope = joined(trajectories.simulation(number).domain for number in self.training)
        else:
            first = Simulation(0, grid, tuple(map(Field, self.task.targets)))
            scope = grid
        self.surrogate = new_surrogate(study, run, first, scope)
        steps = (trajectories.step(number) for number in self.training or trajectories.ids)
        self.surrogate.dt = next((step for step in steps if step is not None), None)
        self.statistics = Statistics(self.surrogate, study.seed)
        self._far = far
        self.surrogate.to(device_of(study.training.device, "training.device"))
        self.outcome = Outcome(study, run, heldout, progress)
        self.history = History()
        self.buffer: Buffer | None = None

    def train(self, replay: Replay, stop: threading.Event, teller: Teller) -> None:
        """Train until the phases are done, the data are, or ``stop`` is set."""
        training = self.study.training
        resume = self.outcome.checkpoints.newest()
        phases = [phase.build() for phase in training.phases]
        teller.tell("measuring", force=True)
        fed: Source | None = None
        if replay.stream:
            fed = self._stream(phases)
        elif replay.data is not None:
            fed = DatasetSource(
                Windows(self.trajectories, self.training, self.task),
                self.task,
                training.size_of(training.fed),
                epochs=replay.epochs or (None if training.steps else 1),
                seed=self.study.seed,
                structures=self.surrogate.structures,
            )
            if resume is None:
                # One pass ahead of the first step; a checkpoint holds what it found.
                for sample in fed.samples:
                    self._measure([sample])
                self.statistics.fix()
        source, objective = learned(self.study, self.surrogate.setting, fed)
        self._source = source
        if fed is None and resume is None:
            scale(self.surrogate, source, objective)
        if replay.epochs is not None:
            phases = stretched(phases, replay.epochs * epoch_steps(source, training.accumulate))
        if resume is not None:
            self.outcome.load_state_dict(resume.state["extra"])
        else:
            self.outcome.metrics.begin()
        lengths = [phase.length(epoch_steps(source, training.accumulate)) for phase in phases]
        known = all(n is not None for n in lengths)
        self.outcome.progress["steps"] = sum(n or 0 for n in lengths) if known else None

        def on_step(step: StepRecord, history: History) -> None:
            self.outcome.on_step(step, history)
            if self.buffer is not None:
                teller.state["buffer"] = self.buffer.stats()
            teller.tell("training")

        self.history = self.outcome.train(
            self.surrogate,
            source,
            objective,
            phases,
            resume,
            lambda line: teller.say(f"warning: {line}"),
            on_step=on_step,
            on_checkpoint_failed=lambda error: teller.say(f"warning: {error}; training goes on"),
            extra_state=self.outcome.state_dict,
            stop=stop,
        )

    @property
    def complete(self) -> bool:
        """Whether nothing is left to train."""
        return self.history.ended != "stopped"

    def finish(self, **figures: Any) -> None:
        """Roll out on the held-out simulations, write what the run is for, with further ``figures``."""
        widen_bounds(self.surrogate, self._source)
        self.outcome.write(self.surrogate, self.history, **figures)

    def _stream(self, phases: Sequence[Phase]) -> ReplaySource:
        buffer, training = self.study.buffer, self.study.training
        self.buffer = make_buffer(
            buffer.kind, buffer.capacity, buffer.watermark, self.study.seed, buffer.draws
        )
        return ReplaySource(
            self.trajectories,
            self.training,
            self.task,
            self.buffer,
            training.size_of(training.fed),
            # A phase on a frozen batch draws once.
            steps=None
            if training.steps is None
            else training.accumulate * sum(1 if p.frozen else p.steps for p in phases),
            measure=self._measure,
            begin=self._fix,
            structures=self.surrogate.structures,
        )

    def _measure(self, samples: Sequence[Sample]) -> None:
        near = [sample for sample in samples if sample.key[0] not in self._far]
        self.statistics.update(near)
        if len(near) < len(samples):
            self.surrogate.bounds.update(s for s in samples if s.key[0] in self._far)

    def _fix(self) -> None:
        if not self.surrogate.normalizer.moments[:, 0].any():  # all that came first is far
            self.statistics.update(self.buffer.samples())
        self.statistics.fix()


def stretched(phases: Sequence[Phase], steps: int) -> list[Phase]:
    """Phases that together take ``steps`` steps, in the proportions they had; those on a frozen
    batch, which see no new data, stay as they are.

    Raises:
        InputError: an end that only a stream would give.
    """
    drawing = [phase for phase in phases if not phase.frozen]
    lengths = [phase.steps for phase in drawing]
    if len(drawing) > 1 and None in lengths:
        raise InputError(
            "--epochs: training.phases without steps have no proportions; give steps to each"
        )
    whole = sum(n or 1 for n in lengths)
    done, given, longer = 0, 0, []
    for phase in phases:
        if not phase.frozen:
            done += phase.steps or 1
            until = round(steps * done / whole)
            phase, given = replace(phase, steps=max(1, until - given)), until
        longer.append(phase)
    return longer
