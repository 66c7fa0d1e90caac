"""A small network of a point, a time and parameters, u(x, t; p): a model of a user's own."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits


class PointNet(nn.Module):
    """u = W_n tanh(… tanh(W_1 [features of y, scalars])).

    Shapes: scalars ``(B, P)``, parameters and time; y ``(B, Q, d)`` or ``(Q, d)``, points from 0 to 1
    along each axis → ``(B, out, Q)``; without y the points of the grid → ``(B, out, *space)``. Of a
    periodic axis the network sees cosine and sine, and is periodic by itself.
    """

    traits = Traits(any_resolution=True, pointwise=True)

    def __init__(self, scalars: int, outputs: int, shape, periodic, width: int, depth: int) -> None:
        super().__init__()
        self.shape, self.periodic = tuple(shape), tuple(periodic)
        sizes = [scalars + len(periodic) + sum(periodic), *[width] * depth]
        layers = []
        for one, other in pairwise(sizes):
            layers += [nn.Linear(one, other), nn.Tanh()]
        self.layers = nn.Sequential(*layers, nn.Linear(width, outputs))
        for layer in self.layers[::2]:  # Glorot's: what tanh wants
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, scalars: Tensor, y: Tensor | None = None) -> Tensor:
        space = (y.shape[-2],) if y is not None else self.shape
        y = self.grid(scalars) if y is None else y
        y = y.expand(len(scalars), -1, -1)
        columns = []
        for axis, wraps in enumerate(self.periodic):
            if wraps:
                angle = 2 * torch.pi * y[..., axis]
                columns += [angle.cos(), angle.sin()]
            else:
                columns.append(2 * y[..., axis] - 1)
        seen = [torch.stack(columns, dim=-1), scalars[:, None].expand(-1, y.shape[1], -1)]
        return self.layers(torch.cat(seen, dim=-1)).movedim(2, 1).unflatten(2, space)

    def grid(self, like: Tensor) -> Tensor:
        """Points of the grid, ``(points, d)``."""
        lines = [
            torch.arange(n, dtype=like.dtype, device=like.device) / (n if wraps else n - 1)
            for n, wraps in zip(self.shape, self.periodic, strict=True)
        ]
        return torch.cartesian_prod(*lines).reshape(-1, len(lines))


def build(setting: Setting, *, width: int = 32, depth: int = 3) -> PointNet:
    """For a task without inputs, on a grid."""
    if setting.task.inputs or setting.task.static:
        raise InputError("net.py sees parameters and time, no fields; expected history: 0")
    grid, (scalars, outputs) = setting.grid("net.py"), setting.channels
    periodic = [kind == "periodic" for kind in grid.boundary]
    return PointNet(scalars, outputs, grid.shape, periodic, width, depth)
