"""Learning of what kind something is, by cross entropy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.batch import Batch
from sciml.surrogates.setting import Setting
from sciml.training.losses import entropies


class Classification:
    """Mean of −ln p(kind), p = softmax over the kinds of a categorical target, over its points.

    Targets of kinds alone; beside fields of numbers :class:`~sciml.training.objective.Supervised` does
    both.

    Gives ``{"cross_entropy": value}``, the mean over targets.

    Raises:
        InputError: in use: a target of numbers.
    """

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return cross_entropy(model(batch), batch, [*batch.targets])

    def losses(self, setting: Setting) -> tuple[str, ...]:
        """Names of what it gives."""
        return ("cross_entropy",)

    def require(self, setting: Setting) -> None:
        """Raises :class:`InputError` for targets that are numbers."""
        for name in setting.task.targets:
            if not setting.field(name).categories:
                raise InputError(
                    f"objective 'classification': target '{name}' is no field of kinds; expected "
                    "categories, or the objective 'supervised'"
                )


def kinds_of(model: nn.Module, names: Iterable[str]) -> list[str]:
    """Those of some targets that say of what kind something is."""
    setting = getattr(model, "setting", None)
    return [] if setting is None else [n for n in names if setting.field(n).categories]


def cross_entropy(
    outputs: Mapping[str, Tensor],
    batch: Batch,
    names: Iterable[str],
    field_weights: Mapping[str, float] | None = None,
) -> dict[str, Tensor]:
    """The loss of some targets by its name; nothing where there are none.

    Shapes: outputs with a number a kind in axis 2, targets without that axis.
    """
    values, shares = [], []
    for name in names:
        output, target = outputs[name], batch.targets[name]
        if output.ndim != target.ndim + 1 or output.shape[:2] != target.shape[:2]:
            raise InputError(
                f"cross entropy: the model gives '{name}' in the shape {tuple(output.shape)}; expected "
                f"that of the target, {tuple(target.shape)}, with a number a kind in axis 2"
            )
        found, weights = entropies(output, target), batch.weights.get(name)
        if weights is None:
            values.append(found.mean())
        else:
            weights = weights.to(found.dtype).expand_as(found)
            values.append((found * weights).sum() / weights.sum())
        shares.append((field_weights or {}).get(name, 1.0))
    if not values:
        return {}
    total = sum(shares) or 1.0
    return {
        "cross_entropy": torch.stack(
            [w / total * v for w, v in zip(shares, values, strict=True)]
        ).sum()
    }
