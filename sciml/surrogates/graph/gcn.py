"""Graph convolutional network: what every model of graphs is measured against."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError, require_known
from sciml.surrogates.graph.links import Links, checked, links_of, require_no_weights, unpacked
from sciml.surrogates.graph.network import ACTIVATIONS
from sciml.surrogates.graph.on_domain import graph_channels, on_domain
from sciml.surrogates.setting import Setting


class GCN(nn.Module):
    """X ← σ(D^−½ (A + I) D^−½ X W + b), ``layers`` times, σ but for the last; D counts edges and 1.

    With ``neighbours=False`` it is X ← σ(X W + b): a network that sees each node alone.

    Shapes: x ``(N, channels[0])``, ``edge_index`` ``(2, E)`` → ``(N, channels[-1])``. A layer for any
    network of torch_geometric: called with ``(x, edge_index)``, with
    :class:`~sciml.surrogates.graph.links.Links` in place of edges, or with a ``Data``.

    Args:
        channels: of a node, before each layer and after the last.
        activation: σ, ``relu``, ``elu``, ``tanh`` or ``none``.
        dropout: before each layer.
        neighbours: whether there is an A.

    Raises:
        InputError: fewer than two numbers of channels, an unknown activation; in use: features of
            another shape or not finite, edges that cannot be.

    When it fails: a layer sees one edge far, and many layers make all nodes alike.

    Source: T. Kipf, M. Welling, ICLR 2017, arXiv 1609.02907.
    """

    def __init__(
        self,
        channels: Sequence[int],
        activation: str = "relu",
        dropout: float = 0.0,
        neighbours: bool = True,
    ) -> None:
        super().__init__()
        if len(channels) < 2 or min(channels) < 1:
            raise InputError(f"GCN: channels={tuple(channels)}; expected two numbers of 1 or more")
        require_known("GCN: unknown activation", activation, ACTIVATIONS)
        self.channels, self.neighbours = tuple(channels), neighbours
        sizes = pairwise(channels)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in sizes)
        self.activation, self.dropout = ACTIVATIONS[activation](), nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "node given"],
        edge_index: Tensor | Links | None = None,
        edge_attr: Tensor | None = None,
    ) -> Float[Tensor, "node wanted"]:
        x, edge_index, edge_attr = unpacked(x, edge_index, edge_attr)
        require_no_weights(edge_attr)
        x = checked("GCN", x, self.channels[0], self)
        links = links_of(edge_index, len(x))
        over = (links.degree(x.dtype) + 1).rsqrt()
        weights = over.index_select(0, links.source) * over.index_select(0, links.receiver)
        for n, layer in enumerate(self.layers):
            x = layer(self.dropout(self.activation(x) if n else x))
            if self.neighbours:
                x = links.weighted_sum(weights, x) + (over * over)[:, None] * x
        return x


def build(
    setting: Setting,
    *,
    hidden: int = 64,
    layers: int = 4,
    activation: str = "relu",
    neighbours: bool = True,
    head: str = "linear",
    skip: bool = True,
    dropout: float = 0.0,
    undirected: bool = False,
    frames: str = "",
) -> nn.Module:
    """A GCN between two linear layers, for meshes and graphs.

    Args:
        neighbours: without, each node is seen alone.
        head: ``linear``, or ``flux``: outputs are sums of fluxes along edges.
        skip: whether the last layer sees the change by the convolutions, and what was before.
        undirected: whether edges are taken both ways.
        frames: static field of two tangent axes of each node of a surface, in which edges are seen.

    Raises:
        InputError: no mesh or graph; options that cannot be.
    """
    seen = graph_channels("gcn", setting, frames)
    layer = GCN((hidden,) * (layers + 1), activation, dropout, neighbours)
    return on_domain(
        setting, seen, layer, hidden, head=head, skip=skip, dropout=dropout,
        undirected=undirected,
    )  # fmt: skip
