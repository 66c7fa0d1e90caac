"""Fully connected network."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError, require_known
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits

ACTIVATIONS = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


class MLP(nn.Module):
    """y = W_n σ(… σ(W_1 x + b_1) …) + b_n, reshaped to ``out_shape``.

    Shapes: x ``(B, *)`` with ``in_features`` values a sample → y ``(B, *out_shape)``.

    From parameters and time to a whole field this is the surrogate of the paper that began online
    training; from features to features it is any fully connected network.

    Args:
        in_features: values of one input.
        out_shape: shape of one output, e.g. ``(fields, ny, nx)``, or a number of features.
        hidden: widths of the hidden layers.
        activation: ``relu``, ``gelu``, ``silu`` or ``tanh``.

    Raises:
        InputError: an unknown activation, a layer without a unit.

    Fails where: resolution is fixed, and the last layer holds ``hidden[-1]`` weights a grid point:
    fields of more than about 10⁵ points want another family.

    Source: Meyer et al., ICML 2023, arXiv 2306.16133 (6 → 256 → 256 → N).
    """

    traits = Traits(any_resolution=False)

    def __init__(
        self,
        in_features: int,
        out_shape: Sequence[int] | int,
        hidden: Sequence[int] = (256, 256),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        require_known("MLP: unknown activation", activation, ACTIVATIONS)
        if any(size < 1 for size in hidden):
            raise InputError(f"MLP: hidden={tuple(hidden)}; expected widths of 1 or more")
        self.out_shape = (out_shape,) if isinstance(out_shape, int) else tuple(out_shape)
        self.in_features = in_features
        layers: list[nn.Module] = []
        width = in_features
        for size in hidden:
            layers += [nn.Linear(width, size), ACTIVATIONS[activation]()]
            width = size
        self.layers = nn.Sequential(*layers, nn.Linear(width, prod(self.out_shape)))

    def forward(self, x: Float[Tensor, " batch *features"]) -> Float[Tensor, " batch *out"]:
        x = torch.flatten(x, start_dim=1)
        if x.shape[1] != self.in_features:
            raise InputError(
                f"MLP: {x.shape[1]} values a sample; it was built for {self.in_features}. "
                "Its grid and channels are fixed; a family such as 'fno' takes other grids"
            )
        return self.layers(x).reshape(-1, *self.out_shape)


def build(
    setting: Setting,
    *,
    hidden: Sequence[int] = (256, 256),
    activation: str = "relu",
) -> MLP:
    """An MLP for a setting: parameters and time, or the whole input field, → field."""
    grid, task = setting.grid("mlp"), setting.task
    given, wanted = setting.channels
    points = 1 if task.history == 0 and not task.static else grid.size
    return MLP(given * points, (wanted, *grid.shape), tuple(hidden), activation)
