"""A network that passes messages between the points of a grid."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.domain import Grid
from sciml.errors import InputError
from sciml.surrogates.graph.links import Links
from sciml.surrogates.grid.geometry import with_coordinates
from sciml.surrogates.traits import Traits


class MessagesOnGrid(nn.Module):
    """A network of nodes and edges, ``net(x, links, away, graphs=)``, on the points of a grid.

    Neighbours are points at most ``reach`` spacings away, across periodic boundaries too; an edge has
    x_i − x_j, in spacings over ``reach``, so that no number of points makes it small. With coordinates
    off, whatever ``net`` is, it commutes with translations along periodic axes.

    Shapes: x ``(B, C, *space)`` → ``(B, C_out, *space)``.

    Args:
        net: the network; called with nodes ``(B n, C)``, those of a sample after one another.
        grid: where it lives.
        reach: spacings.
        positions: append the coordinates, from 0 to 1, as channels; ``None``: only if an axis is not
            periodic.

    Raises:
        InputError: a reach below 1, or of half a periodic axis; in use: a grid of another shape.
    """

    traits = Traits(any_resolution=False)  # neighbours count points

    def __init__(
        self, net: nn.Module, grid: Grid, reach: int = 3, positions: bool | None = None
    ) -> None:
        super().__init__()
        self.net, self.shape = net, grid.shape
        self.periodic = tuple(b == "periodic" for b in grid.boundary)
        self.positions = has_positions(grid, positions)
        source, receiver, away = neighbours(grid, reach)
        size, symmetric = grid.size, np.argsort(source * grid.size + receiver)
        self._edges = len(source), size
        for name, values in (
            ("source", source),
            ("receiver", receiver),
            ("outgoing", symmetric),
            ("away", away),
        ):
            self.register_buffer(name, torch.from_numpy(values), persistent=False)

    def forward(
        self, x: Float[Tensor, "batch channel *space"]
    ) -> Float[Tensor, "batch out *space"]:
        if tuple(x.shape[2:]) != self.shape:
            raise InputError(
                f"grid {tuple(x.shape[2:])}; expected {self.shape}, for which the neighbours were found"
            )
        if self.positions:
            x = with_coordinates(x, self.periodic)
        samples = x.shape[0]
        nodes = x.flatten(2).transpose(1, 2).flatten(0, 1)
        out = self.net(nodes, self._links(samples), self._away(samples, x), graphs=samples)
        return out.unflatten(0, (samples, -1)).transpose(1, 2).unflatten(2, self.shape)

    def _links(self, samples: int) -> Links:
        edges, nodes = self._edges
        sample = torch.arange(samples, device=self.source.device)[:, None]
        source, receiver = ((t + nodes * sample).flatten() for t in (self.source, self.receiver))
        outgoing = (self.outgoing + edges * sample).flatten()
        order = torch.arange(samples * edges, device=self.source.device)
        return Links(source, receiver, samples * nodes, order, outgoing, symmetric=True)

    def _away(self, samples: int, like: Tensor) -> Tensor:
        return self.away.to(like.dtype).repeat(samples, 1)


def has_positions(grid: Grid, wanted: bool | None) -> bool:
    """Whether coordinates are channels: as wanted, or where an axis is not periodic."""
    return any(b != "periodic" for b in grid.boundary) if wanted is None else wanted


def neighbours(grid: Grid, reach: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source and receiver of each pair of points that are near, sorted by receiver, then source; and
    (x_receiver − x_source) / reach, in spacings, ``(E, d)``.

    Raises:
        InputError: as :class:`MessagesOnGrid`.
    """
    periodic = [b == "periodic" for b in grid.boundary]
    room = min((n for n, p in zip(grid.shape, periodic, strict=True) if p), default=2 * reach + 1)
    if not 1 <= reach <= (room - 1) // 2:
        raise InputError(
            f"reach={reach} on a grid {grid.shape}; expected 1 or more, and less than half of each "
            "periodic axis, so that no point is a neighbour twice"
        )
    steps = [
        s
        for s in product(range(-reach, reach + 1), repeat=grid.ndim)
        if 0 < sum(k * k for k in s) <= reach * reach
    ]
    index = np.indices(grid.shape).reshape(grid.ndim, -1)  # of each receiver
    every: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for step in steps:
        there, inside = index - np.array(step)[:, None], np.ones(grid.size, bool)
        for axis, (n, wraps) in enumerate(zip(grid.shape, periodic, strict=True)):
            if wraps:
                there[axis] %= n
            else:
                inside &= (there[axis] >= 0) & (there[axis] < n)
        receiver = np.flatnonzero(inside)
        source = np.ravel_multi_index(tuple(there[:, inside]), grid.shape)
        away = np.full((len(receiver), grid.ndim), np.array(step, np.float64) / reach)
        every.append((source, receiver, away))
    source, receiver, away = (np.concatenate(parts) for parts in zip(*every, strict=True))
    order = np.lexsort((source, receiver))
    return source[order], receiver[order], away[order]
