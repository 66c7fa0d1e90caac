"""MeshGraphNet: what is at nodes and on edges passes messages, as often as there are layers."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.graph.links import Links, checked, links_of, unpacked
from sciml.surrogates.graph.on_domain import OnDomain, graph_channels
from sciml.surrogates.setting import Setting


class MeshGraphNet(nn.Module):
    """e_uv ← e_uv + φ_e(e_uv, h_u, h_v), h_v ← h_v + φ_v(h_v, Σ_u e_uv), ``layers`` times.

    Between encoders of nodes and edges and a decoder of nodes; all, and each φ, are networks of two
    hidden layers of ReLU, behind which, but for the decoder, features of a node or an edge are
    normalized (LayerNorm). No weights are shared between layers.

    Shapes: x ``(N, in_channels)``, ``edge_index`` ``(2, E)``, ``edge_attr`` ``(E, edge_channels)`` →
    ``(N, out_channels)``; or a ``Data`` of torch_geometric.

    Args:
        in_channels, out_channels: of a node.
        edge_channels: values of an edge that are seen; 0: none.
        hidden: channels in between, of nodes and of edges.
        layers: messages.

    Raises:
        InputError: sizes below 1; in use: features of another shape or not finite, edges that cannot be.

    When it fails: a node sees as many edges far as there are layers.

    Good values: 15 layers, 128 channels, and noise on inputs where rollouts are long.

    Source: T. Pfaff et al., Learning mesh-based simulation with graph networks, ICLR 2021, arXiv
    2010.03409, section 3.2 and appendix A.1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        edge_channels: int = 0,
        hidden: int = 128,
        layers: int = 15,
    ) -> None:
        super().__init__()
        if min(in_channels, out_channels, hidden, layers) < 1:
            raise InputError(
                f"MeshGraphNet: channels {in_channels} in, {hidden} hidden, {out_channels} out, "
                f"{layers} layers; expected 1 or more"
            )
        self.in_channels, self.edge_channels = in_channels, edge_channels
        self.nodes, self.decode = (
            _network(in_channels, hidden),
            _network(hidden, hidden, out_channels),
        )
        self.edges = _network(edge_channels, hidden) if edge_channels else None
        width = 3 * hidden if edge_channels else 2 * hidden
        widths = [width] + [3 * hidden] * (layers - 1)
        self.on_edges = nn.ModuleList(_network(w, hidden) for w in widths)
        self.on_nodes = nn.ModuleList(_network(2 * hidden, hidden) for _ in range(layers))

    def forward(
        self,
        x: Float[Tensor, "node given"],
        edge_index: Tensor | Links | None = None,
        edge_attr: Float[Tensor, "edge value"] | None = None,
        volume: Tensor | None = None,
    ) -> Float[Tensor, "node wanted"]:
        x, edge_index, edge_attr = unpacked(x, edge_index, edge_attr)
        x = checked("MeshGraphNet", x, self.in_channels)
        links = links_of(edge_index, len(x))
        h = self.nodes(x)
        e = None if self.edges is None else self.edges(links.sorted(edge_attr, self.edge_channels))
        for on_edges, on_nodes in zip(self.on_edges, self.on_nodes, strict=True):
            ends = [h.index_select(0, links.source), h.index_select(0, links.receiver)]
            change = on_edges(torch.cat(ends if e is None else [e, *ends], dim=1))
            e = change if e is None else e + change
            h = h + on_nodes(torch.cat([h, links.sum(e)], dim=1))
        return self.decode(h)


def _network(given: int, hidden: int, wanted: int = 0) -> nn.Sequential:
    """Two hidden layers; normalized where nothing is said of outputs."""
    layers = [nn.Linear(given, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()]
    layers += (
        [nn.Linear(hidden, wanted)] if wanted else [nn.Linear(hidden, hidden), nn.LayerNorm(hidden)]
    )
    return nn.Sequential(*layers)


def build(
    setting: Setting,
    *,
    hidden: int = 128,
    layers: int = 15,
    undirected: bool = False,
    frames: str = "",
) -> nn.Module:
    """A MeshGraphNet, for meshes and graphs.

    Args:
        undirected: whether edges are taken both ways.
        frames: static field of two tangent axes of each node of a surface, in which edges are seen.

    Raises:
        InputError: no mesh or graph; options that cannot be.
    """
    seen = graph_channels("meshgraphnet", setting, frames)
    net = MeshGraphNet(seen.channels, setting.channels[1], seen.edge_channels, hidden, layers)
    return OnDomain(net, seen, undirected)
