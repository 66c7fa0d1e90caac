"""A network around a layer that takes features of nodes to features of nodes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError, require_known
from sciml.surrogates.graph.flux import FluxHead
from sciml.surrogates.graph.links import Links, checked, links_of, unpacked

ACTIVATIONS = {"none": nn.Identity, "relu": nn.ReLU, "elu": nn.ELU, "tanh": nn.Tanh}


class GraphNetwork(nn.Module):
    """y = W_out σ(process(σ_in(W_in x))), with dropout in between.

    Shapes: x ``(N, in_channels)``, ``edge_index`` ``(2, E)``, ``edge_attr`` ``(E, edge_channels)`` →
    ``(N, out_channels)``; or a ``Data`` of torch_geometric.

    Args:
        in_channels, out_channels: of a node.
        process: the layer in between, ``(x, links, edge_attr)`` → x, of ``hidden`` channels.
        hidden: channels in between.
        activation, input_activation: ``none``, ``relu``, ``elu`` or ``tanh``, after and before it.
        dropout, first_dropout, input_dropout: before the last layer, after the first, and before it.
        skip: whether the last layer sees what went into ``process``, and by how much that changed it: of
            increments most of what there is to know; else it sees what came out.
        head: ``linear``, or ``flux``: see :class:`~sciml.surrogates.graph.flux.FluxHead`.
        edge_channels: values of an edge that a flux sees.

    Raises:
        InputError: unknown words; a layer without channels; in use: as ``process``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        process: nn.Module,
        hidden: int = 64,
        *,
        activation: str = "none",
        input_activation: str = "none",
        dropout: float = 0.0,
        first_dropout: float = 0.0,
        input_dropout: float = 0.0,
        skip: bool = False,
        head: str = "linear",
        edge_channels: int = 0,
    ) -> None:
        super().__init__()
        require_known("unknown activation", (activation, input_activation), ACTIVATIONS)
        require_known("unknown head", head, ("linear", "flux"))
        if min(in_channels, out_channels, hidden) < 1:
            raise InputError(
                f"channels {in_channels} in, {hidden} hidden, {out_channels} out; expected 1 or more"
            )
        self.in_channels, self.skip = in_channels, skip
        drops = (input_dropout, first_dropout, dropout)
        self.input_dropout, self.first_dropout, self.dropout = map(nn.Dropout, drops)
        self.encode = nn.Linear(in_channels, hidden)
        self.input_activation = ACTIVATIONS[input_activation]()
        self.process, self.activation = process, ACTIVATIONS[activation]()
        seen = 2 * hidden if skip else hidden
        self.decode = (
            nn.Linear(seen, out_channels)
            if head == "linear"
            else FluxHead(seen, out_channels, hidden, edge_channels)
        )

    @property
    def both_ways(self) -> str:
        """What needs each edge in both directions; empty where nothing does."""
        parts = (self.process, self.decode)
        return next(filter(None, (getattr(part, "both_ways", "") for part in parts)), "")

    def forward(
        self,
        x: Float[Tensor, "node given"],
        edge_index: Tensor | Links | None = None,
        edge_attr: Float[Tensor, "edge value"] | None = None,
        volume: Float[Tensor, " node"] | None = None,
    ) -> Float[Tensor, "node wanted"]:
        x, edge_index, edge_attr = unpacked(x, edge_index, edge_attr)
        x = checked(type(self.process).__name__, x, self.in_channels, self)
        links = links_of(edge_index, len(x), self.both_ways)
        h = self.first_dropout(self.input_activation(self.encode(self.input_dropout(x))))
        by_volume = getattr(self.process, "by_volume", False)
        sized = (volume,) if by_volume else ()
        found = self.dropout(self.activation(self.process(h, links, edge_attr, *sized)))
        found = torch.cat([found - h, h], dim=1) if self.skip else found
        if isinstance(self.decode, FluxHead):
            return self.decode(found, links, edge_attr, volume)
        return self.decode(found)
