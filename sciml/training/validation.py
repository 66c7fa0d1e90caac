"""How good a surrogate is on simulations that it has never seen."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from sciml.errors import InputError
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.samples.windower import longest_stretch, windows_of
from sciml.surrogates.batch import Batch, suited
from sciml.surrogates.collation import collate
from sciml.surrogates.findings import Findings
from sciml.surrogates.kits import kit_of
from sciml.surrogates.pinn.watch import watched
from sciml.surrogates.setting import Setting
from sciml.training.area_weights import weighed
from sciml.training.figures import PLAIN, when
from sciml.training.metrics import METRICS, Metric, Tally, mean_of

Trajectory = tuple[Simulation, Sequence[Frame]]

#: Of which there are means over fields. Those in units come first: where a kit measures them, they are
#: what is asked for.
FIGURES = (
    "mae_per_particle", "rmse_per_particle", "mae", "rmse",
    "one_step", "persistence", "vrmse", "vrmse_persistence",
    "rollout", "rollout_last", "persistence_last",
    "vrmse_rollout", "vrmse_rollout_last", "vrmse_persistence_last", "norm_left",
    "accuracy", "cross_entropy", "accuracy_rollout",
)  # fmt: skip
#: Of which there is a second one, of the model as it is, where a surrogate is averaged over symmetries.
AVERAGED = (
    "one_step", "vrmse", "rollout", "rollout_last", "vrmse_rollout", "vrmse_rollout_last"
)  # fmt: skip
#: Errors of leaving fields as they are, and what they stand beside.
BESIDE = {
    "persistence": "one_step", "vrmse_persistence": "vrmse",
    "persistence_last": "rollout_last", "vrmse_persistence_last": "vrmse_rollout_last",
}  # fmt: skip
#: An average that is worse than the model itself by this part is told of; less is noise.
WORSE = 0.01


class Validation:
    """Errors of one step and of a rollout on held-out simulations, by field.

    Of each field in ``fields``, and as means over fields beside it:

    * ``one_step``: mean over windows of ‖û(t+lead) − u(t+lead)‖ / ‖u(t+lead)‖;
    * ``vrmse``: mean over windows of √(⟨(û − u)²⟩ / ⟨(u − ū)²⟩), over the points of u(t+lead), ū its
      mean over them. 1 is what the mean of each snapshot would score, whatever the offset of a field;
    * ``persistence``, ``vrmse_persistence``: the same for û(t+lead) = u(t);
    * ``rollout``, ``vrmse_rollout``: the same as the first two, mean over ``rollout_steps`` leads and
      simulations, all started from the first frames that no gap follows too soon, and fed with their
      own outputs; ``rollout_last``, ``vrmse_rollout_last`` at the last lead, and there
      ``persistence_last`` and ``vrmse_persistence_last`` for the frame that the rollout started from;
    * ``norm_left``: mean of ‖u(end of rollout)‖ / ‖u(0)‖, which says whether anything was left to
      predict; without fields that begin at zero.

    Fields of kinds have an ``accuracy`` and a ``cross_entropy`` instead; energies of particles
    ``mae_per_particle`` and ``rmse_per_particle`` besides, and their forces ``mae`` and ``rmse``, of
    each component, in their own units: see :mod:`sciml.surrogates.kits`.

    Which snapshots are left out of a mean, and why no figure depends on units:
    :class:`~sciml.training.metrics.Tally`. Of a field, ``without_norm`` (relative L2) and
    ``without_variance`` (VRMSE) say how many of the ``snapshots`` of one step that were, where there are
    any. Entries that a task does not have (no rollout without feeding back, no persistence without
    inputs), or that no snapshot is left for, are left out; so is the mean of persistence over fields
    where some of them are no inputs.

    Of a surrogate that is averaged over symmetries, ``one_step_unsymmetrized`` and so on are those of
    the model as it is, and ``findings`` say so where averaging makes it worse: the problem has not those
    symmetries, or a field follows another law.

    Where lead or history is 0, ``same_frame`` is true: no figure is of a step ahead.

    Of a model of characteristics ``least_jacobian`` and, where it sees one, ``shock_time``:
    :class:`~sciml.surrogates.pinn.watch.Watch`.

    ``findings``, where there are any, says in lines what of the simulations is far outside of what was
    trained on, and which outputs are not finite: :class:`~sciml.surrogates.findings.Findings`.

    Args:
        trajectories: simulations with their frames in order of steps.
        rollout: leads to roll out; as many as the shortest simulation has, at most. 0: none.
        batch_size: windows, or simulations, at once.
        windows: windows of the one-step error a simulation, evenly spread; ``None``: all.
        weighting: of points in all figures, ``"latitude"``; then the figures say so, by a key
            ``weighting``. Points without values (land) are in none in any case.

    Raises:
        InputError: no trajectories.
    """

    def __init__(
        self,
        trajectories: Sequence[Trajectory],
        *,
        rollout: int = 0,
        batch_size: int = 16,
        windows: int | None = None,
        weighting: str | None = None,
    ) -> None:
        if not trajectories:
            raise InputError("validation: no simulations; hold out at least one")
        self.trajectories = trajectories
        self.rollout = rollout
        self.batch_size = batch_size
        self.windows = windows
        self.weighting = weighting

    @torch.no_grad()
    def __call__(self, surrogate: nn.Module) -> dict[str, Any]:
        surrogate.eval()
        device = next((p.device for p in surrogate.parameters()), torch.device("cpu"))
        findings = Findings(surrogate)
        judged, left_out = self._judged(surrogate)
        steps = self._rollout_steps(judged, surrogate.task)
        fields = self._fields(judged, surrogate, device, steps, findings)
        averaged = getattr(surrogate, "symmetrization", None)
        if averaged is not None:
            surrogate.symmetrization = None
            try:
                plain = self._fields(judged, surrogate, device, steps, Findings(surrogate))
            finally:
                surrogate.symmetrization = averaged
            for name, found in plain.items():
                fields[name] |= {f"{k}{PLAIN}": found[k] for k in AVERAGED if k in found}
        means = {
            key: mean_of([found.get(key) for found in fields.values()])
            for key in (*FIGURES, *(f"{name}{PLAIN}" for name in AVERAGED))
            if _has_mean(key, fields.values())
        }
        if steps:
            means["rollout_steps"] = steps
        said = [*left_out, *findings.words()]
        extra = {"same_frame": not (surrogate.task.lead and surrogate.task.history)}
        if averaged is not None:
            said = [*said, *_worse(means, averaged.symmetries.symmetries, when(extra))]
        if (watch := watched(surrogate)) is not None:
            means, said = {**means, **watch.figures}, [*said, *watch.words]
        extra |= {"weighting": self.weighting, "findings": said, "units": _units(surrogate, fields)}
        return {**means, **{k: v for k, v in extra.items() if v}, "fields": fields}

    def _judged(self, surrogate: nn.Module) -> tuple[Sequence[Trajectory], list[str]]:
        """Simulations of which the surrogate can say something, and words on the others."""
        if not hasattr(surrogate, "unknown"):
            return self.trajectories, []
        strange = {one.id: surrogate.unknown(one.domain) for one, _ in self.trajectories}
        judged = [t for t in self.trajectories if not strange[t[0].id]]
        new = sorted({kind for kinds in strange.values() for kind in kinds})
        if not new:
            return judged, []
        listed, count, what = ", ".join(map(str, new)), len(self.trajectories), kinds_in_words(new)
        if not judged:
            raise InputError(
                f"validation: all {count} simulations have {what}, {listed}, that were not trained on; "
                "hold out others"
            )
        return judged, [
            f"{count - len(judged)} of {count} simulations have {what} that were not trained on, "
            f"{listed}, and are left out"
        ]

    def _fields(
        self,
        judged: Sequence[Trajectory],
        surrogate: nn.Module,
        device: torch.device,
        steps: int,
        findings: Findings,
    ) -> dict[str, dict[str, Any]]:
        """Figures of each field, of one step and of a rollout over so many."""
        fields = self._one_step(judged, surrogate, device, findings)
        rolled = self._rollout(judged, surrogate, device, steps, findings) if steps else {}
        for name, found in rolled.items():
            fields[name] = {**fields[name], **found}
        return fields

    def _one_step(
        self,
        judged: Sequence[Trajectory],
        surrogate: nn.Module,
        device: torch.device,
        findings: Findings,
    ) -> dict[str, dict[str, Any]]:
        task = replace(surrogate.task, unroll=1)
        continued = [n for n in task.targets if n in task.inputs and task.history and task.lead]
        windows = [w for t in judged for w in self._spread(list(windows_of(*t, task)))]
        if not windows:
            raise InputError(
                f"validation: no window of the task fits into "
                f"{max(len(frames) for _, frames in judged)} frames; hold out longer ones"
            )
        errors, stays = _metrics(surrogate), {name: Tally() for name in continued}
        for batch in self._compared(windows, task, surrogate, device, findings, errors):
            for name, tally in stays.items():
                tally.take(name, batch.inputs[name][:, -1:], batch)
        fields: dict[str, dict[str, Any]] = {}
        for name, metrics in errors.items():
            fields[name] = _there(*(metric.one_step() for metric in metrics))
            if name in stays:
                still = {"persistence": stays[name].relative_l2()}
                fields[name] |= _there(still, {"vrmse_persistence": stays[name].vrmse()})
        return fields

    def _compared(
        self,
        windows: Sequence[Sample],
        task: Task,
        surrogate: nn.Module,
        device: torch.device,
        findings: Findings,
        errors: Mapping[str, Sequence[Metric]],
    ) -> Iterator[Batch]:
        """Batches of windows, whose outputs were taken into ``errors``."""
        for begin in range(0, len(windows), self.batch_size):
            chunk = windows[begin : begin + self.batch_size]
            batch = collate(chunk, task, getattr(surrogate, "structures", ()))
            batch = weighed(suited(batch, surrogate, device), self.weighting)
            outputs = surrogate(batch)
            findings.looked(chunk, batch, outputs)
            for name, each in errors.items():
                for metric in each:
                    metric.take(name, outputs[name], batch)
            yield batch

    def _rollout_steps(self, judged: Sequence[Trajectory], task: Task) -> int:
        """Leads that every simulation has."""
        if not self.rollout or not task.autoregressive:
            return 0
        shortest = min(longest_stretch(frames, task) for _, frames in judged)
        return max(0, min(self.rollout, (shortest - 1) // task.lead - (task.history - 1)))

    def _rollout(
        self,
        judged: Sequence[Trajectory],
        surrogate: nn.Module,
        device: torch.device,
        steps: int,
        findings: Findings,
    ) -> dict[str, dict[str, Any]]:
        task = replace(surrogate.task, unroll=steps)
        starts = [next(windows_of(*t, task)) for t in judged]
        errors = _metrics(surrogate)
        stays, begun = ({name: Tally() for name in task.inputs} for _ in range(2))
        for batch in self._compared(starts, task, surrogate, device, findings, errors):
            last = replace(batch, targets={n: t[:, -1:] for n, t in batch.targets.items()})
            first = replace(batch, targets={n: batch.inputs[n][:, :1] for n in task.inputs})
            for name in task.inputs:
                stays[name].take(name, batch.inputs[name][:, -1:], last)
                begun[name].take(name, batch.inputs[name][:, :1], first)
        fields: dict[str, dict[str, Any]] = {}
        for name, metrics in errors.items():
            fields[name] = _there(*(metric.rolled_out() for metric in metrics))
            if name in stays:
                fields[name] |= _there(
                    {
                        "persistence_last": stays[name].relative_l2(),
                        "vrmse_persistence_last": stays[name].vrmse(),
                        "norm_left": stays[name].norm_over(begun[name]),
                    }
                )
        return fields

    def _spread(self, windows: list[Sample]) -> list[Sample]:
        if self.windows is None or len(windows) <= self.windows:
            return windows
        chosen = np.linspace(0, len(windows) - 1, self.windows).round().astype(int)
        return [windows[i] for i in chosen]


def _has_mean(key: str, fields: Collection[Mapping[str, Any]]) -> bool:
    """Whether a figure has a mean over fields: one of it stands beside that of an error, and is of the
    same fields."""
    there = any(key in found for found in fields)
    return there and all(key in found or BESIDE.get(key) not in found for found in fields)


def _worse(means: Mapping[str, Any], symmetries: Sequence[str], when: str) -> list[str]:
    """A line where averaging over symmetries makes errors larger."""
    for key, what in (
        ("vrmse", f"VRMSE {when}"),
        ("one_step", f"relative L2 {when}"),
        ("vrmse_rollout", "VRMSE of the rollout"),
        ("rollout", "relative L2 of the rollout"),
    ):
        mean, plain = means.get(key), means.get(f"{key}{PLAIN}")
        if mean is not None and plain is not None and mean > (1 + WORSE) * plain:
            return [
                f"averaging over {', '.join(symmetries)} makes it worse: {what} {mean:.3g}, {plain:.3g} "
                "without; leave symmetrize out, unless the problem has these symmetries and each field "
                "its law (vectors, pseudoscalars)"
            ]
    return []


def _units(surrogate: nn.Module, fields: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Of the figures that have some."""
    setting = getattr(surrogate, "setting", None)
    known = {} if setting is None else {n: setting.field(n).units for n in fields}
    return {
        key: known[name]
        for name, found in fields.items()
        for key in FIGURES[:4]
        if key in found and name in known
    }


def _metrics(surrogate: nn.Module) -> dict[str, list[Metric]]:
    """What each target is judged by."""
    setting = getattr(surrogate, "setting", None) or Setting(surrogate.task)
    kit = kit_of(setting)
    return {
        name: [METRICS[metric]() for metric in kit.metrics[role]]
        for name, role in kit.roles(setting).items()
    }


def _there(*figures: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for of in figures for name, value in of.items() if value is not None}


def kinds_in_words(unknown: Sequence[int] | Sequence[str]) -> str:
    """What a surrogate does not know of domains: cells of meshes go by their names."""
    return "cells" if isinstance(unknown[0], str) else "species"
