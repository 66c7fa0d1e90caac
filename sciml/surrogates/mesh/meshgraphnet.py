"""MeshGraphNet: what is at nodes and on edges passes messages, as often as there are layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.graph.links import Links, checked, links_of, owner_of, unpacked
from sciml.surrogates.graph.on_domain import OnDomain, graph_channels, ways
from sciml.surrogates.mesh.bistride import (
    BiStride,
    CoarserMesh,
    levels_of_layers,
    on_levels,
    walked,
)
from sciml.surrogates.mesh.virtual_node import VirtualNode
from sciml.surrogates.setting import Setting


class MeshGraphNet(nn.Module):
    """e_uv ← e_uv + φ_e(e_uv, h_u, h_v), h_v ← h_v + φ_v(h_v, Σ_u e_uv), ``layers`` times.

    Between encoders of nodes and edges and a decoder of nodes; all, and each φ, are networks of two
    hidden layers of ReLU, behind which, but for the decoder, features of a node or an edge are
    normalized (LayerNorm). No weights are shared between layers.

    With ``coarsening`` layers go down to coarser meshes and up again, each level with edges of its own.

    Shapes: x ``(N, in_channels)``, ``edge_index`` ``(2, E)``, ``edge_attr`` ``(E, edge_channels)``,
    ``owner`` ``(N,)`` → ``(N, out_channels)``; or a ``Data`` or
    ``Batch`` of torch_geometric.

    Args:
        in_channels, out_channels: of a node.
        edge_channels: values of an edge that are seen; 0: none.
        hidden: channels in between, of nodes and of edges.
        layers: messages.
        virtual_node: whether all nodes of a graph share one more, which is updated after each message.
        coarsening: coarser meshes, which are then given as ``levels``.
        ndim: d, of the edges of coarser meshes; 0: they carry nothing.

    Raises:
        InputError: sizes below 1, fewer layers than levels need; in use: features of another shape or
            not finite, edges that cannot be.

    When it fails: a node sees as many edges far as there are layers, without a virtual node or coarser
    meshes.

    Good values: 15 layers, 128 channels, and noise on inputs where rollouts are long.

    Source: T. Pfaff et al., Learning mesh-based simulation with graph networks, ICLR 2021, arXiv
    2010.03409, section 3.2 and appendix A.1; C. Cai et al., ICML 2023, arXiv 2301.11956 (a virtual node
    beside message passing); Y. Cao et al., ICML 2023, arXiv 2210.02573 (coarser meshes).
    """

    #: It sees whose each node is.
    by_graph = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        edge_channels: int = 0,
        hidden: int = 128,
        layers: int = 15,
        virtual_node: bool = False,
        coarsening: BiStride | None = None,
        ndim: int = 0,
    ) -> None:
        super().__init__()
        if min(in_channels, out_channels, hidden, layers) < 1:
            raise InputError(
                f"MeshGraphNet: channels {in_channels} in, {hidden} hidden, {out_channels} out, "
                f"{layers} layers; expected 1 or more"
            )
        self.in_channels, self.edge_channels = in_channels, edge_channels
        self.coarsening, levels = coarsening, coarsening.levels if coarsening else 0
        self.layers = levels_of_layers(layers, levels)
        self.reach = None if virtual_node or levels else layers
        self.nodes, self.decode = (
            _network(in_channels, hidden),
            _network(hidden, hidden, out_channels),
        )
        along = [edge_channels] + [ndim + 1 if ndim else 0] * levels
        self.edges = _network(edge_channels, hidden) if edge_channels else None
        self.coarse_edges = nn.ModuleList(_network(c, hidden) for c in along[1:] if c)
        # The first message of a level whose edges carry nothing has none to add to.
        carry, widths = [c > 0 for c in along], []
        for level in self.layers:
            widths.append(3 * hidden if carry[level] else 2 * hidden)
            carry[level] = True
        self.on_edges = nn.ModuleList(_network(w, hidden) for w in widths)
        self.on_nodes = nn.ModuleList(_network(2 * hidden, hidden) for _ in range(layers))
        self.shared = nn.ModuleList(VirtualNode(hidden) for _ in range(layers * virtual_node))

    def forward(
        self,
        x: Float[Tensor, "node given"],
        edge_index: Tensor | Links | None = None,
        edge_attr: Float[Tensor, "edge value"] | None = None,
        owner: Int[Tensor, " node"] | None = None,
        levels: Sequence[CoarserMesh] = (),
    ) -> Float[Tensor, "node wanted"]:
        owner = owner_of(x, owner)
        x, edge_index, edge_attr = unpacked(x, edge_index, edge_attr)
        x = checked("MeshGraphNet", x, self.in_channels, self)
        every = [links_of(edge_index, len(x)), *(level.links for level in levels)]
        along = every[0].sorted(edge_attr, self.edge_channels, self)
        # Of each level, as far as they have come.
        edges = [None if self.edges is None else self.edges(along)] + [None] * len(levels)
        for level, encode in enumerate(self.coarse_edges, start=1):
            ends = every[level].source, every[level].receiver
            edges[level] = encode(ways(levels[level - 1].away, ends).to(x.dtype))
        owners, shared = on_levels(owner, levels), None

        def message(layer: int, level: int, h: Tensor) -> Tensor:
            nonlocal shared
            links, e = every[level], edges[level]
            ends = [h.index_select(0, links.source), h.index_select(0, links.receiver)]
            change = self.on_edges[layer](torch.cat(ends if e is None else [e, *ends], dim=1))
            edges[level] = e = change if e is None else e + change
            h = h + self.on_nodes[layer](torch.cat([h, links.sum(e)], dim=1))
            if self.shared:
                shared = VirtualNode.start(h, owner) if shared is None else shared
                h, shared = self.shared[layer](h, shared, owners[level])
            return h

        return self.decode(walked(self.nodes(x), self.layers, levels, message))


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
    groups: bool = True,
    virtual_node: bool = False,
    levels: int = 0,
) -> nn.Module:
    """A MeshGraphNet, for meshes and graphs.

    Args:
        undirected: whether edges are taken both ways.
        frames: static field of two tangent axes of each node of a surface, in which edges are seen.
        groups: whether nodes see in which groups of the mesh they are.
        virtual_node: one more node, updated after each message.
        levels: coarser meshes, each some half of the one before, to which layers go down, and up again.

    Raises:
        InputError: no mesh or graph; options that cannot be.
    """
    seen = graph_channels("meshgraphnet", setting, frames, groups=groups)
    net = MeshGraphNet(
        seen.channels,
        setting.channels[1],
        seen.edge_channels,
        hidden,
        layers,
        virtual_node,
        BiStride(levels, undirected=undirected) if levels else None,
        seen.ndim,
    )
    return OnDomain(net, seen, undirected)
