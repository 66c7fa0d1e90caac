"""The networks of the family: fully connected, many of them side by side, and features of a torus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError, require_known
from sciml.surrogates.mlp import ACTIVATIONS


class Dense(nn.Sequential):
    """Layers one after the other, the last of them to be had by itself."""

    def inner(self, x: Tensor) -> Tensor:
        """What goes into the last layer."""
        for layer in list(self)[:-1]:
            x = layer(x)
        return x

    def weights(self) -> list[Tensor]:
        """As ``parameters()``, in a tenth of the time."""
        return [p for layer in self for p in layer._parameters.values()]


def dense(sizes: Sequence[int], activation: str, *, last: bool) -> Dense:
    """σ(W_n … σ(W_1 x + b_1) … + b_n), without the outermost σ unless ``last``.

    Shapes: x ``(*, sizes[0])`` → ``(*, sizes[-1])``. Weights by Glorot's normal law, biases zero.
    """
    sizes = tuple(int(s) for s in sizes)
    if len(sizes) < 2 or min(sizes) < 1:
        raise InputError(f"layers of sizes {sizes}; expected two or more, each at least 1")
    require_known("unknown activation", activation, ACTIVATIONS)
    make = ACTIVATIONS[activation]
    layers: list[nn.Module] = []
    for k, (width, size) in enumerate(pairwise(sizes)):
        linear = nn.Linear(width, size)
        nn.init.xavier_normal_(linear.weight)
        nn.init.zeros_(linear.bias)
        layers.append(linear)
        if last or k < len(sizes) - 2:
            # In place: nothing else needs what the linear layer before it gave.
            layers.append(nn.ReLU(inplace=True) if make is nn.ReLU else make())
    return Dense(*layers)


@torch.no_grad()
def spread(network: Dense, points: Tensor) -> Dense:
    """The network, each unit of its first layer bent at a point of its own: b_i = −w_i · x_i.

    With biases of zero all of them bend at the origin, a corner of the box of coordinates, and most
    of a training is spent on bringing the bends to where they are needed.

    Shapes: points ``(sizes[1], sizes[0])``, the x_i.

    Source: the box initialization of Cyr, Gulian, Patel, Perego, Trask, MSML 2020, arXiv 1912.04862,
    in its first layer.
    """
    first = network[0]
    first.bias.copy_(-(first.weight * points).sum(1))
    return network


def trunk_of(features: Features, sizes: Sequence[int], activation: str) -> Dense:
    """Basis functions of coordinates from 0 to 1, spread over them.

    Args:
        features: of the coordinates, which go into the first layer.
        sizes: of coordinates, layers and basis functions.
    """
    network = dense((features.width, *sizes[1:]), activation, last=True)
    return spread(network, features(torch.rand(sizes[1], sizes[0])))


class Stacked(nn.Module):
    """p networks of one output each, with weights of their own: the stacked branch.

    Shapes: x ``(B, sizes[0])`` → ``(B, sizes[-1])``; ``sizes[-1]`` networks, hidden layers
    ``sizes[1:-1]`` wide in each. All of them are evaluated together, a batched product a layer.
    """

    def __init__(self, sizes: Sequence[int], activation: str) -> None:
        super().__init__()
        *inner, nets = (int(s) for s in sizes)
        widths = (*inner, 1)
        require_known("unknown activation", activation, ACTIVATIONS)
        self.activation = ACTIVATIONS[activation]()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for width, size in pairwise(widths):
            spread = math.sqrt(2.0 / (width + size))
            self.weights.append(nn.Parameter(torch.randn(nets, width, size) * spread))
            self.biases.append(nn.Parameter(torch.zeros(nets, 1, size)))

    def forward(self, x: Float[Tensor, "batch given"]) -> Float[Tensor, "batch net"]:
        x = x.expand(self.weights[0].shape[0], *x.shape)
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)  # (net, B, size)
            if k + 1 < len(self.weights):
                x = self.activation(x)
        return x[..., 0].T


class SideBySide(nn.ModuleList):
    """Networks that see the same input; their outputs one after the other along the last axis."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([net(x) for net in self], dim=-1)

    def weights(self) -> list[Tensor]:
        return [p for net in self for p in net.weights()]


class Features(nn.Module):
    """y ↦ y, with cos 2πky and sin 2πky, k = 1 … harmonics, instead of a periodic coordinate.

    Shapes: y ``(*, d)`` → ``(*, width)``. Coordinates run from 0 to 1.

    Source: Lu et al., CMAME 393 (2022) 114778, arXiv 2111.05512, section 3.
    """

    def __init__(self, periodic: Sequence[bool], harmonics: int = 1) -> None:
        super().__init__()
        if harmonics < 1:
            raise InputError(f"harmonics={harmonics}; expected at least 1")
        self.periodic = tuple(bool(p) for p in periodic)
        self.harmonics = harmonics
        self.width = sum(2 * harmonics if p else 1 for p in self.periodic)

    def forward(self, y: Float[Tensor, "*points axis"]) -> Float[Tensor, "*points feature"]:
        if y.shape[-1] != len(self.periodic):
            raise InputError(
                f"points with {y.shape[-1]} coordinates; expected {len(self.periodic)}"
            )
        if not any(self.periodic):
            return y
        wave = torch.arange(1, self.harmonics + 1, dtype=y.dtype, device=y.device)
        columns = []
        for axis, wraps in enumerate(self.periodic):
            column = y[..., axis : axis + 1]
            if wraps:
                phase = 2 * math.pi * column * wave
                column = torch.cat([phase.cos(), phase.sin()], dim=-1)
            columns.append(column)
        return torch.cat(columns, dim=-1)
