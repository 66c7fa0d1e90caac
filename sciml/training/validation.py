"""How good a surrogate is on simulations that it has never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.samples.windower import longest_stretch
from sciml.surrogates.batch import Batch, collate, dtype_for
from sciml.training.losses import TINY, norms

Trajectory = tuple[Simulation, Sequence[Frame]]


class Validation:
    """Errors of one step and of a rollout on held-out simulations.

    * ``one_step``: mean over windows of ‖û(t+lead) − u(t+lead)‖ / ‖u(t+lead)‖;
    * ``persistence``: the same for û(t+lead) = u(t);
    * ``rollout``: mean over ``steps`` leads and simulations of ‖e(t)‖ / ‖u(t)‖, all started from
      the first frames that no gap follows too soon, and fed with their own outputs;
      ``rollout_last``: at the last of them;
    * ``norm_left``: mean of ‖u(end of rollout)‖ / ‖u(0)‖, which says whether anything was left to
      predict; without fields that begin at zero.

    Fields are taken together as the mean over targets. Entries that a task does not have (no
    rollout without feeding back, no persistence without inputs) are left out.

    Args:
        trajectories: simulations with their frames in order of steps.
        rollout: leads to roll out; as many as the shortest simulation has, at most. 0: none.
        batch_size: windows, or simulations, at once.
        windows: windows of the one-step error a simulation, evenly spread; ``None``: all.

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
    ) -> None:
        if not trajectories:
            raise InputError("validation: no simulations; hold out at least one")
        self.trajectories = trajectories
        self.rollout = rollout
        self.batch_size = batch_size
        self.windows = windows

    @torch.no_grad()
    def __call__(self, surrogate: nn.Module) -> dict[str, float]:
        surrogate.eval()
        device = next((p.device for p in surrogate.parameters()), torch.device("cpu"))
        found = self._one_step(surrogate, device)
        if self.rollout and surrogate.task.autoregressive:
            found |= self._rollout(surrogate, device)
        return found

    def _one_step(self, surrogate: nn.Module, device: torch.device) -> dict[str, float]:
        task, dtype = replace(surrogate.task, unroll=1), dtype_for(surrogate)
        stays = bool(task.history and task.lead and set(task.targets) & set(task.inputs))
        windows = [w for t in self.trajectories for w in self._spread(_windows(t, task))]
        if not windows:
            raise InputError(
                f"validation: no window of the task fits into "
                f"{max(len(frames) for _, frames in self.trajectories)} frames; hold out longer ones"
            )
        errors, persistence = [], []
        for begin in range(0, len(windows), self.batch_size):
            batch = collate(windows[begin : begin + self.batch_size], task).to(device, dtype)
            errors.append(_relative(surrogate(batch), batch))
            if stays:
                last = {n: batch.inputs[n][:, -1:] for n in task.targets if n in task.inputs}
                persistence.append(_relative(last, batch))
        found = {"one_step": float(torch.cat(errors).mean())}
        if stays:
            found["persistence"] = float(torch.cat(persistence).mean())
        return found

    def _rollout(self, surrogate: nn.Module, device: torch.device) -> dict[str, float]:
        task = surrogate.task
        shortest = min(longest_stretch(frames, task) for _, frames in self.trajectories)
        steps = min(self.rollout, (shortest - 1) // task.lead - (task.history - 1))
        if steps < 1:
            return {}
        task, dtype = replace(task, unroll=steps), dtype_for(surrogate)
        starts = [_windows(t, task)[0] for t in self.trajectories]
        errors, left = [], []
        for begin in range(0, len(starts), self.batch_size):
            batch = collate(starts[begin : begin + self.batch_size], task).to(device, dtype)
            errors.append(_relative(surrogate(batch), batch))
            ends = [
                norms(batch.targets[n][:, -1:], batch) / norms(batch.inputs[n][:, :1], batch)
                for n in task.inputs
            ]
            left += ends
        error, parts = torch.cat(errors), torch.cat(left)
        found = {
            "rollout": float(error.mean()),
            "rollout_last": float(error[:, -1].mean()),
            "rollout_steps": steps,
        }
        if (begun := parts.isfinite()).any():
            found["norm_left"] = float(parts[begun].mean())
        return found

    def _spread(self, windows: list[Sample]) -> list[Sample]:
        if self.windows is None or len(windows) <= self.windows:
            return windows
        chosen = np.linspace(0, len(windows) - 1, self.windows).round().astype(int)
        return [windows[i] for i in chosen]


def _windows(trajectory: Trajectory, task: Task) -> list[Sample]:
    simulation, frames = trajectory
    by_step = {f.step: f for f in frames}
    windows = []
    for origin in sorted(by_step):
        inputs = [by_step.get(s) for s in task.input_steps(origin)]
        targets = [by_step.get(s) for s in task.target_steps(origin)]
        # Of one segment alone: none goes across a gap.
        whole = None not in inputs and None not in targets
        if whole and (not task.even or len({f.segment for f in (*inputs, *targets)}) == 1):
            windows.append(Sample(simulation, origin, tuple(inputs), tuple(targets)))
    return windows


def _relative(outputs: dict[str, Tensor], batch: Batch) -> Tensor:
    """‖e‖ / ‖u‖ of each sample at each time, mean over fields: (B, U)."""
    errors = [
        norms(out - batch.targets[n], batch) / norms(batch.targets[n], batch).clamp(min=TINY)
        for n, out in outputs.items()
    ]
    return torch.stack(errors).mean(0)
