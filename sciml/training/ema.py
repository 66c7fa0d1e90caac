"""An exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.option_types import require_types


@dataclass(frozen=True, slots=True)
class EMA:
    """θ̄ₙ = dₙ θ̄ₙ₋₁ + (1 − dₙ) θₙ after each step, with dₙ = min(decay, (1 + n) / (10 + n)); θ̄₁ = θ₁.

    The first step's weights begin it, since a model may scale them by the first batch that it sees. The
    average is what is validated, what a checkpoint's ``model.safetensors`` and a saved surrogate
    hold, and what the model has when training ends; the optimizer goes on from the weights
    themselves, which a checkpoint keeps besides. Buffers are not averaged.

    Args:
        decay: from 0 to below 1; the average reaches back 1/(1 − decay) steps.
        warmup: let dₙ rise as above, so that the first weights, nearly random, are soon forgotten;
            ``False``: dₙ = decay.

    Good values: 0.99 for a thousand steps, 0.999 for ten thousand. With a schedule that ends near 0 it
    gains little, since the last weights hardly move.

    Source: Polyak and Juditsky, SIAM J. Control Optim. 30 (1992); the rise of d as in TensorFlow's
    ``ExponentialMovingAverage``.
    """

    decay: float = 0.999
    warmup: bool = True

    def __post_init__(self) -> None:
        require_types("ema", self)
        if not 0 <= self.decay < 1:
            raise InputError(f"ema: decay={self.decay}; expected 0 to below 1, such as 0.999")


class Average:
    """The moving average of one model.

    Args:
        model: its weights are the average before the first step.
        ema: how to average.
    """

    def __init__(self, model: nn.Module, ema: EMA) -> None:
        self.ema = ema
        self.updates = 0
        self._weights = weights_of(model)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the weights of a step in."""
        self.updates += 1
        decay = self.ema.decay
        if self.updates == 1:
            decay = 0.0
        elif self.ema.warmup:
            decay = min(decay, (1 + self.updates) / (10 + self.updates))
        now = [p.detach() for _, p in model.named_parameters()]
        torch._foreach_lerp_(list(self._weights.values()), now, 1 - decay)

    def copy_to(self, model: nn.Module) -> None:
        """Make the average the weights of ``model``."""
        set_weights(model, self._weights)

    def follow(self, model: nn.Module) -> None:
        """Be in the dtypes that the weights of ``model`` have from now on."""
        dtypes = {name: p.dtype for name, p in model.named_parameters()}
        self._weights = {name: w.to(dtypes[name]) for name, w in self._weights.items()}

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """``model`` has the average for a while, and its own weights, bit for bit, afterwards."""
        own = weights_of(model)
        self.copy_to(model)
        try:
            yield
        finally:
            set_weights(model, own)

    def state_dict(self, model: nn.Module) -> dict[str, Any]:
        """What a checkpoint needs besides the average itself, which is its ``model.safetensors``."""
        return {"updates": self.updates, "own": weights_of(model)}


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of all parameters by name."""
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@torch.no_grad()
def set_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy values into the parameters of ``model``, in place."""
    for name, p in model.named_parameters():
        p.copy_(weights[name])
