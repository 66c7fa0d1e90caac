"""What a training step makes small: named losses of a model on a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sciml.errors import InputError, nearest
from sciml.surrogates.batch import Batch
from sciml.training import losses
from sciml.training.points import at_random_points

Losses = dict[str, Tensor]
Objective = Callable[[nn.Module, Any], Losses]


class Supervised:
    """The mean over targets of a loss between ``model(batch)`` and ``batch.targets``.

    In physical units, each target on its own. With ``scaled`` the targets and outputs are divided
    by the standard deviation of the field, or of the increment where the model gives increments:
    right for ``mse``, which else forgets fields in small units. Relative losses do not change.

    Args:
        loss: ``relative_l2``, ``h1``, ``h1_spectral`` or ``mse``, or a function
            ``(output, target, batch) → scalar``.
        scaled: divide by the normalizer's deviation; needs a surrogate with a normalizer.
        points: compare at so many points of each sample, drawn anew in each step, for models that
            can be asked at points; ``None``: whole fields.

    Gives ``{name of the loss: value}``.

    Raises:
        InputError: ``h1`` or ``h1_spectral`` at points, which have no neighbors; in use: an output of
            another shape than its target.
    """

    def __init__(
        self,
        loss: str | losses.Loss = "relative_l2",
        scaled: bool = False,
        points: int | None = None,
    ) -> None:
        if points is not None and loss in ("h1", "h1_spectral"):
            raise InputError(
                f"loss '{loss}' at points, which have no neighbors; use relative_l2 or mse"
            )
        self.name = loss if isinstance(loss, str) else getattr(loss, "__name__", "loss")
        self.loss = losses.loss(loss) if isinstance(loss, str) else loss
        self.scaled = scaled
        self.points = points

    def __call__(self, model: nn.Module, batch: Batch) -> Losses:
        if self.points is not None:
            batch = at_random_points(batch, self.points)
        outputs = model(batch)
        values = []
        for name, target in batch.targets.items():
            output = outputs[name]
            if output.shape != target.shape:  # torch would stretch one over the other
                raise InputError(
                    f"loss '{self.name}': the model gives '{name}' in the shape "
                    f"{tuple(output.shape)}; expected {tuple(target.shape)}, that of the target"
                )
            if self.scaled:
                scale = _deviation(model, name, target)
                output, target = output / scale, target / scale
            values.append(self.loss(output, target, batch))
        return {self.name: values[0] if len(values) == 1 else torch.stack(values).mean()}


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


def _deviation(model: nn.Module, name: str, target: Tensor) -> Tensor:
    normalizer = getattr(model, "normalizer", None)
    if normalizer is None:
        raise InputError(
            "loss with scaled=True: the model has no normalizer; give a Surrogate with one"
        )
    change = getattr(model, "increment", False) and name in model.task.inputs
    return normalizer.std(name, "increment" if change else "field").to(target.dtype)
