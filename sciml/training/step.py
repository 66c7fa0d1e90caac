"""One optimizer step: gradients of the losses of its batches, and what the optimizer makes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sciml.errors import ScimlError
from sciml.training.batches import origin_of, size_of
from sciml.training.objective import Losses, Objective, weighted
from sciml.training.phase import Phase
from sciml.training.source import Batches


class TrainingError(ScimlError, RuntimeError):
    """Training cannot go on; the message names the step and the loss."""


#: Of each batch: the weighted loss by its part of the samples, and the losses by name.
Found = list[tuple[Tensor, Losses]]


@dataclass(frozen=True, slots=True)
class Problem:
    """What one step makes smaller: Σ over its batches of (samples in it / samples in all) · loss; of a
    mix of sources each loss has the samples of its own.

    Args:
        model, objective: named losses of a model on a batch.
        batches: one or more.
        weights: of the losses.
        number: of the step, for errors.
        factors: of losses, besides; 1 for those that are not there.
    """

    model: nn.Module
    objective: Objective
    batches: Sequence[Batches]
    weights: Mapping[str, float]
    number: int
    factors: Mapping[str, float] = field(default_factory=dict)

    def gradient(self) -> Found:
        """Add the gradient to that of the parameters; the losses of each batch."""
        found = []
        for batch in self.batches:
            losses = self.objective(self.model, batch)
            loss = weighted(self._parts(batch, losses, self.factors), self.weights)
            loss.backward()
            found.append(
                (loss.detach(), {n: torch.as_tensor(v).detach() for n, v in losses.items()})
            )
        return found

    def separately(self) -> Losses:
        """Each loss by name over all batches, with its graph."""
        total: Losses = {}
        for batch in self.batches:
            losses = self._parts(batch, self.objective(self.model, batch), {})
            total |= {n: total[n] + loss if n in total else loss for n, loss in losses.items()}
        return total

    def _parts(self, batch: Batches, losses: Losses, factors: Mapping[str, float]) -> Losses:
        """Losses of a batch as they enter the sum over all."""
        parts = {}
        for name, loss in losses.items():
            part = 1.0 if len(self.batches) == 1 else self._part(batch, name)
            factor = part * factors.get(name, 1.0)
            parts[name] = loss if factor == 1.0 else factor * loss
        return parts

    def read(self, found: Found) -> tuple[float, dict[str, float]]:
        """The weighted loss, and each by name.

        The one place of a step that waits for the device: all numbers are fetched at once, after the
        work has been handed to it.

        Raises:
            TrainingError: a loss that is not finite.
        """
        names = [list(losses) for _, losses in found]
        values = _fetch([v for loss, losses in found for v in (loss, *losses.values())])
        total, sums = 0.0, dict.fromkeys(name for of in names for name in of)
        position = 0
        for batch, of in zip(self.batches, names, strict=True):
            loss, *parts = values[position : position + 1 + len(of)]
            position += 1 + len(of)
            if not math.isfinite(loss):
                self._refuse(loss, dict(zip(of, parts, strict=True)), batch)
            total += loss
            for name, part in zip(of, parts, strict=True):
                sums[name] = (sums[name] or 0.0) + part * self._part(batch, name)
        return total, sums

    def _part(self, batch: Batches, loss: str) -> float:
        """Of the samples of the step that a loss is over, those in a batch: of a mix, the samples of its
        source, see :class:`~sciml.training.objective.Sum`."""
        source_of = getattr(self.objective, "source_of", None)
        source = loss.partition(".")[0] if source_of is None else source_of(loss)

        def size(one: Batches) -> int:
            mixed = isinstance(one, Mapping) and source in one
            return one[source].size if mixed else size_of(one)

        return size(batch) / sum(map(size, self.batches))

    def _refuse(self, value: float, losses: dict[str, float], batch: Batches) -> None:
        bad = {n: v for n, v in losses.items() if not math.isfinite(v)}
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
        TrainingError: a loss or a gradient is not finite, or the optimizer cannot go on.
    """
    return (_search if phase.frozen else _descend)(problem, phase, optimizer)


def reduce_gradients(model: nn.Module) -> None:
    """Make the gradients of all ranks their mean; there is one rank today, so they stay as they are.

    Every gradient goes through here once: all batches of a step are in it, and it is not clipped yet.
    """
    # Ranks that hold copies of the model would all-reduce p.grad here, and their losses likewise: of a
    # line search each must see the same, or they part ways.


def _descend(
    problem: Problem, phase: Phase, optimizer: torch.optim.Optimizer
) -> tuple[float, dict[str, float]]:
    """One step of a stochastic optimizer."""
    optimizer.zero_grad(set_to_none=True)
    found = problem.gradient()
    reduce_gradients(problem.model)
    total, losses = problem.read(found)
    if phase.clip is not None:
        norm = nn.utils.clip_grad_norm_(problem.model.parameters(), phase.clip)
        if not torch.isfinite(norm):
            raise TrainingError(
                f"step {problem.number}: norm of the gradient is {float(norm)} while the loss is "
                f"{total:g}; an operation in the model has no finite derivative there"
            )
    try:
        optimizer.step()
    except torch.linalg.LinAlgError as error:  # SOAP's bases
        raise TrainingError(
            f"step {problem.number}: optimizer '{phase.optimizer}' finds no eigenvectors of its "
            f"products of gradients, at a loss of {total:.3g}: they are too large, or all alike; lower "
            "the learning rate, clip gradients, or measure times and lengths in other units"
        ) from error
    return total, losses


def _search(
    problem: Problem, phase: Phase, optimizer: torch.optim.Optimizer
) -> tuple[float, dict[str, float]]:
    """One outer step of L-BFGS; its line search evaluates the frozen batches many times, and what is
    drawn for a loss (random points, dropout) is the same each time."""
    first: list[tuple[float, dict[str, float]]] = []
    seed = int(torch.randint(1 << 62, ()))
    places = {p.device for p in problem.model.parameters()}
    # torch.manual_seed notes the stack for each kind of device that is not there, which takes as long as
    # a small model does.
    alone = all(place.type == "cpu" for place in places)
    start = torch.default_generator.manual_seed if alone else torch.manual_seed

    def closure() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        with torch.random.fork_rng({place for place in places if place.type == "cuda"}):
            start(seed)
            found = problem.gradient()
        reduce_gradients(problem.model)
        if not first:
            first.append(problem.read(found))
        return torch.stack([loss for loss, _ in found]).sum()

    optimizer.step(closure)
    return first[0]


def _fetch(values: Sequence[Tensor]) -> list[float]:
    """Scalars as numbers, with one transfer instead of one each."""
    device = next((v.device for v in values if v.device.type != "cpu"), None)
    if device is None:
        return [v.item() for v in values]
    return torch.stack([v.to(device) for v in values]).tolist()
