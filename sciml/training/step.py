"""One optimizer step: gradients of the losses of its batches, and what the optimizer makes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sciml.errors import ScimlError
from sciml.training.batches import origin_of, size_of
from sciml.training.objective import Losses, Objective, weighted
from sciml.training.phase import Phase
from sciml.training.source import Batches


class TrainingError(ScimlError, RuntimeError):
    """Training cannot go on; the message names the step and the loss."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What one step makes smaller: Σ over its batches of (samples in it / samples in all) · loss.

    Args:
        model, objective: named losses of a model on a batch.
        batches: one or more.
        weights: of the losses.
        number: of the step, for errors.
    """

    model: nn.Module
    objective: Objective
    batches: Sequence[Batches]
    weights: Mapping[str, float]
    number: int

    def gradient(self, *, check: bool = True) -> tuple[Tensor, Losses]:
        """Add the gradient to that of the parameters; the weighted loss, and each by name.

        Raises:
            TrainingError: with ``check``, a loss that is not finite.
        """
        sizes = [size_of(batch) for batch in self.batches]
        total: Tensor | None = None
        losses: Losses = {}
        for batch, size in zip(self.batches, sizes, strict=True):
            part = size / sum(sizes) if len(sizes) > 1 else 1.0
            found = self.objective(self.model, batch)
            loss = part * weighted(found, self.weights)
            if check:
                self._require_finite(found, loss, batch)
            loss.backward()
            total = loss.detach() if total is None else total + loss.detach()
            for name, value in found.items():
                value = part * torch.as_tensor(value).detach()
                losses[name] = losses[name] + value if name in losses else value
        return total, losses

    def _require_finite(self, found: Losses, loss: Tensor, batch: Batches) -> None:
        value = float(loss.detach())
        if math.isfinite(value):
            return
        bad = {n: float(v.detach()) for n, v in found.items() if not torch.isfinite(v)}
        named = ", ".join(f"'{n}' is {v}" for n, v in bad.items()) or f"their sum is {value}"
        raise TrainingError(
            f"step {self.number}: loss {named}; lower the learning rate, clip gradients, or "
            f"look at the data{origin_of(batch)}"
        )


def advance(
    problem: Problem, phase: Phase, optimizer: torch.optim.Optimizer
) -> tuple[float, dict[str, float]]:
    """Change the weights once; the weighted loss before, and each loss by name.

    Raises:
        TrainingError: a loss or a gradient is not finite.
    """
    total, losses = (_search if phase.frozen else _descend)(problem, phase, optimizer)
    return float(total), {name: float(loss) for name, loss in losses.items()}


def _descend(
    problem: Problem, phase: Phase, optimizer: torch.optim.Optimizer
) -> tuple[Tensor, Losses]:
    """One step of a stochastic optimizer."""
    optimizer.zero_grad(set_to_none=True)
    total, losses = problem.gradient()
    if phase.clip is not None:
        norm = nn.utils.clip_grad_norm_(problem.model.parameters(), phase.clip)
        if not torch.isfinite(norm):
            raise TrainingError(
                f"step {problem.number}: norm of the gradient is {float(norm)} while the loss is "
                f"{float(total):g}; an operation in the model has no finite derivative there"
            )
    optimizer.step()
    return total, losses


def _search(
    problem: Problem, phase: Phase, optimizer: torch.optim.Optimizer
) -> tuple[Tensor, Losses]:
    """One outer step of L-BFGS; its line search evaluates the frozen batches many times."""
    first: list[tuple[Tensor, Losses]] = []

    def closure() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        found = problem.gradient(check=not first)
        first.append(found)
        return found[0]

    optimizer.step(closure)
    return first[0]
