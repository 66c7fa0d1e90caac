"""A learned function of the position."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.surrogates.grid.operator.resampling import interpolate


class PositionalFunction(nn.Module):
    """p(x), piecewise linear, with learned values on a base grid.

    Shapes: any ``(B, C, *space)``, whose points are taken to fill the box → ``(1, channels, *space)``.

    Args:
        channels: values at a point.
        base: points along each axis that have a learned value.
        periodic: whether each axis is.
        std: of the values at first.
    """

    def __init__(
        self, channels: int, base: Sequence[int], periodic: Sequence[bool], std: float = 0.02
    ) -> None:
        super().__init__()
        self.periodic = tuple(periodic)
        self.table = nn.Parameter(std * torch.randn(1, channels, *base))

    def forward(self, like: Tensor) -> Float[Tensor, "1 channel *space"]:
        return interpolate(self.table, like.shape[2:], self.periodic)
