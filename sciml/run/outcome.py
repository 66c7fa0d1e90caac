"""What every training of a study does alike: how it begins, what it tells, what it leaves behind."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from sciml.domain import Grid
from sciml.ensemble.folders import write_json
from sciml.errors import InputError
from sciml.run.directory import RunDirectory
from sciml.run.held_out import HeldOut
from sciml.run.kept_files import model_file
from sciml.samples import Simulation
from sciml.study.schema import Study
from sciml.surrogates import Surrogate
from sciml.surrogates.scope import Scope
from sciml.training.checkpoint import Checkpoint, Checkpoints
from sciml.training.history import History, StepRecord
from sciml.training.hooks import Hooks
from sciml.training.loop import train
from sciml.training.metrics_file import MetricsFile
from sciml.training.objective import Objective, left_out, without_norm
from sciml.training.phase import Phase
from sciml.training.source import Source
from sciml.training.validation import Validation

log = logging.getLogger("sciml.run")

#: Figures that whoever goes on from a checkpoint shows until there are others.
KEPT = (
    *("step", "loss", "error", "persistence", "vrmse", "vrmse_persistence", "vrmse_fields"),
    *("same_frame", "mae_per_particle", "mae", "accuracy", "units"),
)

#: Windows in a validation on the way, all held-out simulations together; the last one takes all
#: there are.
WINDOWS_ON_THE_WAY = 512


def seed_everything(study: Study) -> None:
    """Threads of torch, and the generators that weights are drawn from."""
    torch.set_num_threads(study.training.threads)
    torch.manual_seed(study.seed)
    np.random.seed(study.seed)


def new_surrogate(
    study: Study, run: RunDirectory, simulation: Simulation, scope: Grid | Scope | None = None
) -> Surrogate:
    """The model of the study, from the run's copy of its file.

    Args:
        study, run: what runs, and where.
        simulation: the first for training.
        scope: of the domains of all; by default of that one.
    """
    made = Surrogate.build(
        study.model.surrogate,
        study.task.build(),
        simulation.domain if scope is None else scope,
        file=model_file(run, trusted=True),
        increment=study.increment,
        fields=(*simulation.fields, *simulation.static_fields),
        masks=simulation.masks,
    )
    if study.training.references:
        made.normalizer.give(study.training.references)
    return made


class Outcome:
    """Progress while a run trains; surrogate, figures and predictions at its end.

    Args:
        study, run: what runs, and where.
        heldout: simulations to validate on, as far as they are there.
        progress: kept up to date with step, loss and errors; shared with whoever shows it.
    """

    def __init__(
        self, study: Study, run: RunDirectory, heldout: HeldOut, progress: dict[str, Any]
    ) -> None:
        self.study, self.run, self.heldout, self.progress = study, run, heldout, progress
        self.metrics = MetricsFile(run.metrics, log)
        self.checkpoints = Checkpoints(run.checkpoints, keep=study.training.keep_checkpoints)
        self._shares: list[tuple[float, float]] = []
        self._before = {"wait": 0.0, "compute": 0.0}
        self._spent = dict(self._before)

    def train(
        self,
        surrogate: Surrogate,
        source: Source,
        objective: Objective,
        phases: Sequence[Phase],
        resume: Checkpoint | None,
        say: Callable[[str], None],
        **hooks: Any,
    ) -> History:
        """Go through the phases where the surrogate is; say what was left out.

        Args:
            surrogate, source, objective, phases, resume: as for :func:`sciml.training.loop.train`.
            say: takes a line to whoever watches the run.
            hooks: of :class:`~sciml.training.hooks.Hooks`, further ones.
        """
        training = self.study.training
        history = train(
            surrogate,
            source,
            objective,
            phases,
            options=training.options(),
            hooks=Hooks(
                validate=self.validate,
                validate_every=self.study.validation.every,
                on_validation=self.on_validation,
                checkpoints=self.checkpoints,
                checkpoint_every=training.checkpoint_every,
                **hooks,
            ),
            resume=resume,
        )
        history.left_out = left_out(objective)
        for line in without_norm(objective):
            say(line)
        return history

    def on_step(self, step: StepRecord, history: History) -> None:
        self.metrics.on_step(step)
        self._shares.append((step.wait, step.compute))
        self._shares = self._shares[-50:]
        waited = sum(w for w, _ in self._shares)
        computed = sum(c for _, c in self._shares)
        self._spent = {
            "wait": self._before["wait"] + history.wait,
            "compute": self._before["compute"] + history.compute,
        }
        self.progress |= {
            "step": step.step,
            "loss": step.loss,
            "waiting": waited / max(waited + computed, 1e-9),
        }

    def validate(self, surrogate: Any) -> dict[str, float]:
        trajectories = self._judged(surrogate)
        if not trajectories:
            return {}
        windows = max(1, WINDOWS_ON_THE_WAY // len(trajectories))
        weighting = self.study.training.weighting
        return Validation(trajectories, windows=windows, weighting=weighting)(surrogate)

    def on_validation(self, figures: dict[str, Any]) -> None:
        if "fields" not in figures:
            return  # nothing is held out, or nothing of it has come yet
        self.progress |= {
            "error": figures.get("one_step"),
            "persistence": figures.get("persistence"),
            "vrmse": figures.get("vrmse"),
            "vrmse_persistence": figures.get("vrmse_persistence"),
            "same_frame": figures.get("same_frame", False),
            **{
                name: figures.get(name) for name in ("mae_per_particle", "mae", "accuracy", "units")
            },
            "vrmse_fields": {n: of.get("vrmse") for n, of in figures["fields"].items()},
        }
        self.metrics.on_validation(figures)

    def write(self, surrogate: Surrogate, history: History, **figures: Any) -> None:
        """The surrogate, ``summary.json`` with further ``figures``, and the rollouts."""
        self.metrics.flush()
        surrogate.eval()
        surrogate.save(self.run.surrogate)
        trajectories = self.heldout.trajectories()
        summary: dict[str, Any] = {
            "steps": self.progress["step"],
            "ended": history.ended,
            "loss": self.progress.get("loss"),
            "parameters": sum(p.numel() for p in surrogate.parameters()),
            "wait_seconds": self._spent["wait"],
            "compute_seconds": self._spent["compute"],
            "validation_simulations": len(trajectories),
            **({"left_out": history.left_out} if history.left_out else {}),
            **figures,
        }
        unseen = self._unseen(surrogate, trajectories)
        if unseen:
            summary["findings"] = unseen
        if trajectories := self._judged(surrogate):
            rollout = self._rollout_steps(trajectories)
            weighting = self.study.training.weighting
            errors = Validation(trajectories, rollout=rollout, weighting=weighting)(surrogate)
            if unseen or "findings" in errors:
                errors["findings"] = [*unseen, *errors.get("findings", ())]
            summary |= errors
            from sciml.training.predictions import dataset_of, write_predictions

            units = self.heldout.units
            truths = ((one.id, dataset_of(one, frames, units)) for one, frames in trajectories)
            write_predictions(
                surrogate, truths, self.run.predictions, steps=rollout, weighting=weighting
            )
            self.on_validation({"step": self.progress["step"], **errors})
        write_json(self.run.summary, summary)

    def _judged(self, surrogate: Surrogate) -> list[Any]:
        """Held-out simulations of which something can be said: what a stream trains on may bring the
        species of others later, or never."""
        return [t for t in self.heldout.trajectories() if not surrogate.unknown(t[0].domain)]

    def _unseen(self, surrogate: Surrogate, trajectories: Sequence[Any]) -> list[str]:
        """A line for each held-out simulation with cells or species that no other had."""
        lines = []
        for simulation, _ in trajectories:
            try:
                if isinstance(surrogate.domain, Scope):
                    surrogate.domain.require(simulation.domain)
            except InputError as error:
                lines.append(f"simulation {simulation.id}: {error}")
        return lines

    def state_dict(self) -> dict[str, Any]:
        """Figures of the steps so far, for whoever goes on from a checkpoint."""
        kept = {key: self.progress.get(key) for key in KEPT}
        return {"progress": kept, "spent": self._spent, "metrics": self.metrics.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on counting; what was measured after the checkpoint leaves ``metrics.jsonl``."""
        self.progress |= state["progress"]
        self._before = self._spent = dict(state["spent"])
        done = state["progress"]
        self.metrics.load_state_dict(state["metrics"], done["step"], done["loss"])

    def _rollout_steps(self, trajectories: Sequence[Any]) -> int:
        longest = max(len(frames) for _, frames in trajectories)
        return self.study.validation.rollout or longest
