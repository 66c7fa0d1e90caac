"""What a training step makes small: named losses of a model on a batch.

Supervised learning of fields, and sums of objectives; others have files of their own, and all go by
name in :mod:`sciml.training.objectives`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from sciml.errors import InputError, nearest, require_known
from sciml.surrogates.batch import Batch, dtype_for
from sciml.surrogates.divergence import divergence_loss, require_velocity
from sciml.surrogates.setting import Setting
from sciml.training import losses
from sciml.training.area_weights import WEIGHTINGS, weighed
from sciml.training.classification import cross_entropy, kinds_of
from sciml.training.points import at_random_points

Losses = dict[str, Tensor]
Objective = Callable[[nn.Module, Any], Losses]
#: A loss of one's own: of scaled output and target.
Function = Callable[[Tensor, Tensor, Batch], Tensor]
#: What a field has that is not on points.
PLACES = {"global": "one value a frame", "cell": "one a cell", "edge": "one an edge"}


class Supervised:
    """The mean over targets of a loss between ``model(batch)`` and ``batch.targets``.

    Targets of kinds have a cross entropy, a loss of its own name, instead.

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
        weighting: of points, ``"latitude"``; see :mod:`sciml.training.area_weights`.
        divergence: targets that are a velocity on a mesh, one of d components or d of numbers: a loss
            ``divergence`` besides, see :mod:`sciml.surrogates.divergence`.

    Gives ``{name of the loss: value}``, and ``cross_entropy`` where there are kinds.

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
        divergence: Sequence[str] = (),
    ) -> None:
        if weighting is not None:
            require_known("unknown weighting", weighting, WEIGHTINGS)
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
        self.divergence = (divergence,) if isinstance(divergence, str) else tuple(divergence)
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
        kinds = kinds_of(model, batch.targets)
        for name, target in batch.targets.items():
            if name in kinds:
                continue
            output = outputs[name]
            if output.shape != target.shape:  # torch would stretch one over the other
                place = PLACES.get(batch.on.get(name, ""), "")
                raise InputError(
                    f"loss '{self.name}': the model gives '{name}' in the shape "
                    f"{tuple(output.shape)}; expected {tuple(target.shape)}, that of the target"
                    + (
                        place
                        and f", which has {place}: take one at the nodes, or a model that gives it"
                    )
                )
            seen = compared(
                model, name, output, target, batch, whole=self.loss not in losses.ABSOLUTE
            )
            values.append(self._value(name, seen))
            weights.append(self.field_weights.get(name, 1.0))
        found = {self.name: _mean(values, weights)} if values else {}
        if self.divergence:
            found["divergence"] = divergence_loss(self.divergence, model, outputs, batch)
        return {**found, **cross_entropy(outputs, batch, kinds, self.field_weights)}

    def losses(self, setting: Setting) -> tuple[str, ...]:
        """Names of what it gives."""
        kinds = [bool(setting.field(name).categories) for name in setting.task.targets]
        named = (self.name,) * (not all(kinds)) + ("cross_entropy",) * any(kinds)
        return named + ("divergence",) * bool(self.divergence)

    def require(self, setting: Setting) -> None:
        """Raises :class:`InputError` for weights of what is no target, a loss of grids elsewhere."""
        require_targets(self.field_weights, setting.task.targets)
        if self.divergence:
            require_velocity(self.divergence, setting)
        if self.name in ("h1", "h1_spectral") and setting.scope is not None and not setting.axes:
            raise InputError(
                f"loss '{self.name}': fields on a domain of kind '{setting.scope.kind}'; expected a "
                "grid, or relative_l2 or mse"
            )

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


def left_out(objective: Objective) -> dict[str, tuple[int, int]]:
    """What a relative loss left out; see :meth:`Supervised.left_out`."""
    return objective.left_out() if hasattr(objective, "left_out") else {}


def without_norm(objective: Objective) -> list[str]:
    """Lines on what a relative loss left out of a training."""
    parts = objective.objectives.values() if isinstance(objective, Sum) else [objective]
    return [line for part in parts if hasattr(part, "left_out") for line in _left_out(part)]


def _left_out(objective: Supervised) -> list[str]:
    return [
        f"{objective.name}: {left} of the {count} targets of '{name}' that were asked for "
        f"({left / count:.1%}) do not differ from its mean and were left out; "
        + ("nothing of it was learned: drop it from the targets, or " if left == count else "")
        + "'mse' takes them in"
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
        return losses.Comparison(error, target, batch, None, weights, name)
    mean, deviation = normalizer.numbers(name)
    unit = deviation
    if getattr(model, "increment", False) and name in model.task.inputs:
        _, unit = normalizer.numbers(name, "increment")
    offset = normalizer.offset(name, batch)
    # Scaled before anything is squared: 1e25 squared is infinite in float32, 1e-25 nothing.
    error = _lowered(error.div_(unit), model)
    if whole:
        target = _lowered((target - (mean if offset is None else offset)).div_(unit), model)
    else:
        target = None
    return losses.Comparison(error, target, batch, deviation / unit, weights, name)


def field_weights_of(given: Mapping[str, float] | None) -> dict[str, float]:
    """Weights of fields, checked."""
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
    require_known("field_weights: no target", weights, targets)
    if targets and not any(weights.get(name, 1.0) for name in targets):
        raise InputError("field_weights: all are 0; expected one target with more, to learn at all")


class Sum:
    """All losses of several objectives, each on the batch of its source.

    Args:
        objectives: by name; the losses are called ``name.loss``.
        sources: of objectives, the name of the source of their batches; of the others, their own name.
    """

    def __init__(
        self, objectives: Mapping[str, Objective], sources: Mapping[str, str] | None = None
    ) -> None:
        self.objectives = dict(objectives)
        self._sources = {name: (sources or {}).get(name, name) for name in self.objectives}

    def __call__(self, model: nn.Module, batches: Mapping[str, Batch]) -> Losses:
        total: Losses = {}
        for name, objective in self.objectives.items():
            source = self._sources[name]
            if source not in batches:
                raise InputError(f"objective '{name}' has no source; {nearest(source, batches)}")
            found = objective(model, batches[source])
            total |= {f"{name}.{loss}": value for loss, value in found.items()}
        return total

    def source(self, name: str) -> str:
        """The source of an objective."""
        return self._sources[name]

    def left_out(self) -> dict[str, tuple[int, int]]:
        """As that of :class:`Supervised`, of those that have it."""
        parts = [one for one in self.objectives.values() if hasattr(one, "left_out")]
        return {name: counts for part in parts for name, counts in part.left_out().items()}

    def source_of(self, loss: str) -> str:
        """The source whose batches a loss is taken on."""
        name = loss.partition(".")[0]
        return self._sources.get(name, name)

    def losses(self, setting: Setting) -> tuple[str, ...]:
        """Names of what it gives, where all objectives know theirs; else none."""
        found = [(name, losses_of(one, setting)) for name, one in self.objectives.items()]
        if not all(losses for _, losses in found):
            return ()
        return tuple(f"{name}.{loss}" for name, losses in found for loss in losses)

    def require(self, setting: Setting) -> None:
        """Raises :class:`InputError` where one of them cannot do with the fields of a task."""
        for objective in self.objectives.values():
            if hasattr(objective, "require"):
                objective.require(setting)


def losses_of(objective: Objective, setting: Setting) -> tuple[str, ...]:
    """Names of the losses of an objective; none where it does not know them before it is called."""
    return objective.losses(setting) if hasattr(objective, "losses") else ()


def weighted(found: Losses, weights: Mapping[str, float]) -> Tensor:
    """Σ w·loss; a loss without a weight counts once. That of an objective of several is for all of its
    losses, ``physics`` for ``physics.equation`` and ``physics.boundary``.

    Raises:
        InputError: a weight for a loss that does not exist.
    """
    require_weights(weights, found)
    terms: Sequence[Tensor] = [
        torch.as_tensor(value if (w := weight_of(name, weights)) is None else w * value)
        for name, value in found.items()
    ]
    return terms[0] if len(terms) == 1 else torch.stack(terms).sum()


def require_weights(weights: Mapping[str, float], losses: Collection[str]) -> None:
    """Raises :class:`InputError` for a weight of a loss, or an objective, that does not exist."""
    known = dict.fromkeys(part for loss in losses for part in (loss.partition(".")[0], loss))
    require_known("weight for unknown loss", weights, known)


def weight_of(name: str, weights: Mapping[str, float]) -> float | None:
    """Of a loss, with that of its objective."""
    given = [weights[n] for n in dict.fromkeys((name, name.partition(".")[0])) if n in weights]
    return math.prod(given) if given else None


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
