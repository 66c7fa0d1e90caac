"""A network of place, time and parameters, in the frame of the box."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.domain import Grid
from sciml.errors import InputError
from sciml.surrogates.pinn.network import Columns, JetNetwork
from sciml.surrogates.pinn.taylor import Word
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits


class PINN(nn.Module):
    """u(x, t; p), a fully connected network, which sees cosines and sines of periodic axes.

    Shapes: scalars ``(B, P)``, parameters and time; y ``(B, Q, d)`` or ``(Q, d)``, points from 0 to 1
    along each axis → ``(B, outputs, Q)``; without y the points of the grid → ``(B, outputs, *space)``.

    Args:
        network: of columns y, scalars.
        shape, periodic: of the grid.

    When it fails: where a solution is carried far, such as u_t + c u_x = 0 for c ≥ 30 and t ≤ 1, the
    loss becomes small and the error does not: take :class:`~sciml.surrogates.pinn.lpinn.LPINN`.

    Source: Raissi, Perdikaris and Karniadakis, J. Comput. Phys. 378 (2019) 686; periodic features: Dong
    and Ni, J. Comput. Phys. 435 (2021) 110242.
    """

    traits = Traits(any_resolution=True, pointwise=True, jets=True, forms=True)

    def __init__(self, network: JetNetwork, shape: Sequence[int], periodic: Sequence[bool]) -> None:
        super().__init__()
        self.network, self.shape, self.periodic = network, tuple(shape), tuple(periodic)

    def forward(
        self, scalars: Float[Tensor, "batch scalar"], y: Tensor | None = None
    ) -> Float[Tensor, "batch output *space"]:
        space = self.shape if y is None else (y.shape[-2],)
        y = lattice(self.shape, self.periodic, scalars) if y is None else y
        found = self.network(joined(y, scalars))
        return found.unflatten(0, (scalars.shape[0], -1)).movedim(2, 1).unflatten(2, space)

    def jets(
        self,
        scalars: Float[Tensor, "point scalar"],
        y: Float[Tensor, "point axis"],
        words: Iterable[Word],
        form: Mapping[Word, Tensor] | None = None,
    ) -> dict[Word, Float[Tensor, "point output"]]:
        """Derivatives by columns, axes first, then scalars, of order 2 at most: ``(0,)`` is ∂/∂y_0;
        ``form``: see :meth:`~sciml.surrogates.pinn.network.JetNetwork.jet`."""
        return self.network.jet(torch.cat([y, scalars], dim=1), words, form)


def joined(y: Tensor, scalars: Tensor) -> Tensor:
    """Columns of all points of all samples, ``(B · Q, d + P)``."""
    y = y.expand(scalars.shape[0], -1, -1)
    return torch.cat([y, scalars[:, None].expand(-1, y.shape[1], -1)], dim=2).flatten(0, 1)


def lattice(shape: Sequence[int], periodic: Sequence[bool], like: Tensor) -> Tensor:
    """Points of a grid from 0 to 1, ``(points, d)``; the last of a periodic axis is not there twice."""
    lines = [
        torch.arange(n, dtype=like.dtype, device=like.device) / (n if wraps else max(1, n - 1))
        for n, wraps in zip(shape, periodic, strict=True)
    ]
    return torch.cartesian_prod(*lines).reshape(-1, len(lines))


def grid_of(name: str, setting: Setting) -> Grid:
    """The grid of a model of points.

    Raises:
        InputError: no grid; fields that go in.
    """
    task, grid = setting.task, setting.grid(name)
    if task.inputs or task.static or task.forcing:
        raise InputError(
            f"model '{name}' sees places, times and parameters; expected a task with history: 0 and "
            f"time: true, got the inputs {', '.join((*task.inputs, *task.static, *task.forcing))}"
        )
    return grid


def build(
    setting: Setting,
    *,
    hidden: Sequence[int] = (50, 50, 50, 50),
    activation: str = "tanh",
    harmonics: int = 1,
    fourier: int = 0,
    scale: float = 1.0,
) -> PINN:
    """A PINN for a setting without inputs.

    Args:
        hidden: widths of the layers.
        activation: ``tanh``, ``sine`` or ``silu``.
        harmonics: waves of a periodic axis that it sees; 0: the coordinate itself, so that points of
            the ``seam`` have to ask for what is periodic.
        fourier: random waves of all that it sees, so many; 0: none.
        scale: their standard deviation.

    Raises:
        InputError: no grid, fields that go in.
    """
    grid, (scalars, outputs) = grid_of("pinn", setting), setting.channels
    periodic = [kind == "periodic" for kind in grid.boundary]
    columns = Columns(periodic, scalars, harmonics)
    network = JetNetwork(columns, hidden, outputs, activation, fourier, scale)
    return PINN(network, grid.shape, periodic)
