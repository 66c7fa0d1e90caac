"""Noise on the inputs, so that a model learns to take its own errors back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from sciml.errors import InputError
from sciml.surrogates.batch import Batch
from sciml.surrogates.option_types import require_types
from sciml.surrogates.structure import onward


@dataclass(frozen=True, slots=True)
class Noise:
    """x̂ + std · ε, ε ~ N(0, 1) at each point of each input, x̂ the normalized field.

    Targets stay as they are: a model of increments is thereby asked to undo the noise as well. Static
    fields and parameters stay, too, and so do points at which a field is prescribed, which are exact in
    rollouts. ε comes from torch's global generator, whose state is in every
    checkpoint.

    Args:
        std: in units of the field's standard deviation.

    Raises:
        InputError: a negative std, a model without normalizer.

    Good values: the one-step error, or a little more; a rollout then starts each of its steps from
    inputs like those of the training. Too much of it costs one-step accuracy.

    Source: Sanchez-Gonzalez et al., ICML 2020, arXiv 2002.09405, section 4.3 (there as a random walk
    over the history; here independent for each of its frames); Pfaff et al., ICLR 2021,
    arXiv 2010.03409, section 3.2.
    """

    std: float

    def __post_init__(self) -> None:
        require_types("noise", self)
        if not self.std > 0:
            raise InputError(f"noise: std={self.std}; expected more than 0, such as 0.01")

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> Batch:
        normalizer = getattr(model, "normalizer", None)
        if normalizer is None:
            raise InputError(
                "noise: the model has no normalizer whose units it could be in; give a Surrogate "
                "with one"
            )
        inputs = {}
        for name, values in batch.inputs.items():
            noise = self.std * normalizer.std(name).to(values.dtype) * torch.randn_like(values)
            if name in batch.fixed:
                noise = noise.masked_fill(batch.fixed[name], 0.0)
            inputs[name] = values + noise
        return onward(batch, inputs, getattr(model, "structures", ()))
