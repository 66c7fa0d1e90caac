"""What a training step makes small: named losses of a model on a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from sciml.errors import InputError, nearest
from sciml.surrogates.batch import Batch, dtype_for
from sciml.training import losses
from sciml.training.points import at_random_points
from sciml.training.weighting import require_known, weighed

Losses = dict[str, Tensor]
Objective = Callable[[nn.Module, Any], Losses]
#: A loss of one's own: of scaled output and target.
Function = Callable[[Tensor, Tensor, Batch], Tensor]


class Supervised:
    """The mean over targets of a loss between ``model(batch)`` and ``batch.targets``.

    Of a surrogate with a normalizer in deviations of each field, so that units, and offsets, do not
    matter: a field of 1e-5 learns as one of 1e5 does. The difference û − u is taken first, in the
    precision of the data, and then divided by σ: that of the field, or of its increment where the
    surrogate gives increments. Values of a model without a normalizer are compared as they are.

    Args:
        loss: ``relative_l2``, ``h1``, ``h1_spectral`` or ``mse`` (see :mod:`sciml.training.losses`), or
            a function ``(output, target, batch) → scalar``, which gets (û − μ)/σ and (u − μ)/σ.
        points: compare at so many points of each sample, drawn anew in each step, for models that
            can be asked at points; ``None``: whole fields.
        field_weights: of targets, by name; 1 for those that are not named. The loss is
            Σ w·loss / Σ w.
        weighting: of points, ``"latitude"``; see :mod:`sciml.training.weighting`. ``None``: all alike.

    Gives ``{name of the loss: value}``.

    Raises:
        InputError: ``h1`` or ``h1_spectral`` at points, which have no neighbors; weights that are
            negative, or all zero; in use: an output of another shape than its target, a weight for
            something that is no target.
    """

    def __init__(
        self,
        loss: str | losses.Loss | Function = "relative_l2",
        points: int | None = None,
        field_weights: Mapping[str, float] | None = None,
        weighting: str | None = None,
    ) -> None:
        require_known(weighting)
        if weighting is not None and loss == "h1_spectral":
            raise InputError(
                f"loss 'h1_spectral' with weighting '{weighting}': waves have no place; use h1, "
                "relative_l2 or mse"
            )
        if points is not None and loss in ("h1", "h1_spectral"):
            raise InputError(
                f"loss '{loss}' at points, which have no neighbors; use relative_l2 or mse"
            )
        self.name = loss if isinstance(loss, str) else getattr(loss, "__name__", "loss")
        self.loss = losses.loss(loss) if isinstance(loss, str) else loss
        self.points = points
        self.weighting = weighting
        self.field_weights = field_weights_of(field_weights)
        self._own = self.loss not in losses.LOSSES.values()
        #: By target: how many had a norm, in a tensor so that no step waits for it, and of how many.
        self._kept: dict[str, tuple[Tensor, int]] = {}

    def __call__(self, model: nn.Module, batch: Batch) -> Losses:
        if self.points is not None:
            batch = at_random_points(batch, self.points)
        batch = weighed(batch, self.weighting)
        outputs = model(batch)
        require_targets(self.field_weights, batch.targets)
        values, weights = [], []
        for name, target in batch.targets.items():
            output = outputs[name]
            if output.shape != target.shape:  # torch would stretch one over the other
                raise InputError(
                    f"loss '{self.name}': the model gives '{name}' in the shape "
                    f"{tuple(output.shape)}; expected {tuple(target.shape)}, that of the target"
                )
            seen = compared(
                model, name, output, target, batch, whole=self.loss not in losses.ABSOLUTE
            )
            values.append(self._value(name, seen))
            weights.append(self.field_weights.get(name, 1.0))
        return {self.name: _mean(values, weights)}

    def _value(self, name: str, seen: losses.Comparison) -> Tensor:
        if self._own:
            error, target = seen.error, seen.target
            if seen.weights is not None:  # what is not there (land) is no error for any function
                there = seen.weights > 0
                error, target = error.where(there, 0.0), target.where(there, 0.0)
            return self.loss(target + error, target, seen.batch)
        value, kept = self.loss(seen)
        if kept is not None:
            before, count = self._kept.get(name, (0, 0))
            count += seen.batch.size * seen.error.shape[1]
            self._kept[name] = (before + kept, count)
        return value

    def left_out(self) -> dict[str, tuple[int, int]]:
        """By target: how many samples times steps had no norm for a relative loss, and of how many that
        it was asked for. Targets of which none was left out are not there."""
        counts = {name: (count - int(kept), count) for name, (kept, count) in self._kept.items()}
        return {name: (left, count) for name, (left, count) in counts.items() if left}


def without_norm(objective: Supervised) -> list[str]:
    """Lines on what a relative loss left out, for whoever reads the end of a training."""
    return [
        f"{objective.name}: {left} of the {count} targets of '{name}' that were asked for "
        f"({left / count:.1%}) do not differ from its mean and were left out; 'mse' takes them in"
        for name, (left, count) in objective.left_out().items()
    ]


def compared(
    model: nn.Module,
    name: str,
    output: Tensor,
    target: Tensor,
    batch: Batch,
    whole: bool = True,
) -> losses.Comparison:
    """Output and target as losses see them, in the units of the model's normalizer.

    Args:
        whole: whether the target itself is looked at, too, and not the error alone.
    """
    normalizer, weights = getattr(model, "normalizer", None), batch.weights.get(name)
    error = output - target
    if normalizer is None:
        return losses.Comparison(error, target, batch, None, weights)
    mean, deviation = normalizer.numbers(name)
    unit = deviation
    if getattr(model, "increment", False) and name in model.task.inputs:
        _, unit = normalizer.numbers(name, "increment")
    # Scaled before anything is squared: 1e25 squared is infinite in float32, 1e-25 nothing.
    error = _lowered(error.div_(unit), model)
    target = _lowered((target - mean).div_(unit), model) if whole else None
    return losses.Comparison(error, target, batch, deviation / unit, weights)


def field_weights_of(given: Mapping[str, float] | None) -> dict[str, float]:
    """Weights of fields, checked.

    Raises:
        InputError: no mapping, or numbers that cannot be weights.
    """
    if given is not None and not isinstance(given, Mapping):
        raise InputError(f"field_weights={given!r}; expected weights by name, such as {{'u': 2.0}}")
    weights = dict(given or {})
    for name, weight in weights.items():
        if not isinstance(weight, Real) or isinstance(weight, bool) or not 0 <= weight < math.inf:
            raise InputError(
                f"field_weights: '{name}' has {weight!r}; expected a number, 0 or more"
            )
    return {name: float(weight) for name, weight in weights.items()}


def require_targets(weights: Mapping[str, float], targets: Collection[str]) -> None:
    """Raises :class:`InputError` for weights of what is no target, and where no weight is left."""
    for name in weights:
        if name not in targets:
            raise InputError(f"field_weights: no target '{name}'; {nearest(name, targets)}")
    if targets and not any(weights.get(name, 1.0) for name in targets):
        raise InputError("field_weights: all are 0; expected one target with more, to learn at all")


class Residual:
    """Mean squares of the residuals that ``function(model, batch)`` gives by name.

    Args:
        function: ``function(model, batch) -> {"equation": r, "boundary": r, …}``; inputs of
            the batch require gradients.
    """

    def __init__(self, function: Callable[[nn.Module, Batch], Mapping[str, Tensor]]) -> None:
        self.function = function

    def __call__(self, model: nn.Module, batch: Batch) -> Losses:
        # Grid batches too can be asked for a residual; only collocation points come prepared.
        for values in batch.inputs.values():
            if not values.requires_grad:
                values.requires_grad_()
        residuals = self.function(model, batch)
        return {name: residual.square().mean() for name, residual in residuals.items()}


class EnergyForces:
    """MSE of energies an atom, and of forces F = −∂E/∂x by automatic differentiation.

    The model gives energies alone; forces that are their gradient conserve energy.

    Args:
        energy, forces: names of the targets.
        positions: name of the input.

    Gives ``{"energy": …, "forces": …}``: weight them in the phase.
    """

    def __init__(
        self, energy: str = "energy", forces: str = "forces", positions: str = "positions"
    ) -> None:
        self.energy = energy
        self.forces = forces
        self.positions = positions

    def __call__(self, model: nn.Module, batch: Batch) -> Losses:
        positions = batch.inputs[self.positions]
        positions.requires_grad_()
        energy = model(batch)[self.energy]
        [gradient] = torch.autograd.grad(
            energy.sum(), positions, create_graph=torch.is_grad_enabled(), materialize_grads=True
        )
        atoms = torch.diff(batch.geometry["ptr"]).to(energy.dtype)[:, None]
        return {
            "energy": ((energy - batch.targets[self.energy]) / atoms).square().mean(),
            "forces": (-gradient[:, -1:] - batch.targets[self.forces]).square().mean(),
        }


class Sum:
    """All losses of several objectives, each on the batch of its name from a mixed source.

    Args:
        objectives: by the names of the sources; the losses are called ``source.loss``.
    """

    def __init__(self, objectives: Mapping[str, Objective]) -> None:
        self.objectives = dict(objectives)

    def __call__(self, model: nn.Module, batches: Mapping[str, Batch]) -> Losses:
        total: Losses = {}
        for name, objective in self.objectives.items():
            if name not in batches:
                raise InputError(f"objective '{name}' has no source; {nearest(name, batches)}")
            found = objective(model, batches[name])
            total |= {f"{name}.{loss}": value for loss, value in found.items()}
        return total


def weighted(found: Losses, weights: Mapping[str, float]) -> Tensor:
    """Σ w·loss; a loss without a weight counts once.

    Raises:
        InputError: a weight for a loss that does not exist.
    """
    for name in weights:
        if name not in found:
            raise InputError(f"weight for unknown loss '{name}'; {nearest(name, found)}")
    terms: Sequence[Tensor] = [
        torch.as_tensor(weights[name] * value if name in weights else value)
        for name, value in found.items()
    ]
    return terms[0] if len(terms) == 1 else torch.stack(terms).sum()


def _mean(values: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Σ w·value / Σ w."""
    if len(values) == 1:
        return values[0]
    if len(set(weights)) == 1:
        return torch.stack(list(values)).mean()
    total = sum(weights)
    return torch.stack([w / total * v for w, v in zip(weights, values, strict=True)]).sum()


def _lowered(values: Tensor, model: nn.Module) -> Tensor:
    """What was float64 in the precision of the model, now that it is scaled."""
    if values.dtype != torch.float64:
        return values
    return values.to(dtype_for(model) or values.dtype)
