"""A network of this family on our meshes and graphs, called as :mod:`sciml.surrogates.calling` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sciml.domain import Domain, Graph, Mesh
from sciml.errors import DomainError, InputError
from sciml.surrogates.graph.flux import FluxHead
from sciml.surrogates.graph.links import Links, links_of, undirected
from sciml.surrogates.graph.network import GraphNetwork
from sciml.surrogates.graph.rewiring import rewired
from sciml.surrogates.graph.volumes import node_volumes
from sciml.surrogates.setting import Setting
from sciml.surrogates.structure import POINT, DomainStructure, Part
from sciml.surrogates.traits import Traits


@dataclass(frozen=True, slots=True)
class SortedEdges(DomainStructure):
    """Edges of a domain as :class:`~sciml.surrogates.graph.links.Links` hold them: ``links (2, E)``,
    ``order (E,)``, ``outgoing (E,)``.

    Args:
        both_ways: what needs each edge in both directions, for the message.
        loops: whether a node may be joined with itself.
        undirected: take every edge both ways.
        rewired: take pairs that diffusion joins instead.
        volumes: give ``volume (N,)`` of a mesh besides, over its mean.
    """

    both_ways: str = ""
    loops: bool = True
    undirected: bool = False
    rewired: bool = False
    volumes: bool = False

    def parts(self, domain: Domain) -> dict[str, Part]:
        if not isinstance(domain, Mesh | Graph):
            raise DomainError(f"edges of a {domain.kind}; expected a mesh or a graph")
        edges = domain.edges
        if self.rewired:
            edges = rewired(edges, domain.size)
        edges = torch.from_numpy(edges)
        if self.undirected:
            edges = undirected(edges)
        links = links_of(edges, domain.size, self.both_ways, self.loops)
        found = {
            "links": Part(torch.stack([links.source, links.receiver]).numpy(), 1, POINT),
            "order": Part(links.order.numpy(), counts="links"),
            "outgoing": Part(links.outgoing.numpy(), counts="links"),
        }
        if self.volumes and isinstance(domain, Mesh):
            volumes = node_volumes(domain)
            found["volume"] = Part(volumes / volumes.mean())
        return found


@dataclass(frozen=True, slots=True)
class GraphChannels:
    """What there is at nodes and edges of a setting.

    Args:
        channels: of a node: those of the setting, and fields in cells, as means at their corners.
        edge_channels: of an edge: fields on edges, and, on meshes, direction and length.
        cells, edges: static fields there.
        ndim: of a mesh; 0 of a graph.
    """

    channels: int
    edge_channels: int
    cells: tuple[str, ...]
    edges: tuple[str, ...]
    ndim: int


def graph_channels(model: str, setting: Setting) -> GraphChannels:
    """What a model of this family sees.

    Raises:
        InputError: no mesh or graph.
    """
    scope = setting.scope
    if scope is None or scope.kind not in ("mesh", "graph"):
        kind = "no domain" if scope is None else f"a {scope.kind}"
        raise InputError(f"model '{model}': got {kind}; expected a mesh or a graph")
    on = {name: setting.field(name).on for name in setting.task.static}
    cells, edges = (tuple(n for n in on if on[n] == place) for place in ("cell", "edge"))
    ndim = scope.ndim if scope.kind == "mesh" else 0
    return GraphChannels(
        setting.channels[0] + sum(map(setting.width, cells)),
        sum(map(setting.width, edges)) + (ndim + 1 if ndim else 0),
        cells,
        edges,
        ndim,
    )


class OnDomain(nn.Module):
    """A :class:`GraphNetwork` that gets edges from a structure, and what is on them from the domain.

    On a mesh an edge has the unit vector from receiver to source and the logarithm of its length, so
    that the units of lengths add a constant.

    Args:
        net: the network.
        seen: what there is.
        undirected, rewired: as in :class:`SortedEdges`.

    Raises:
        InputError: fields on edges that are not those of the domain.
    """

    def __init__(
        self,
        net: GraphNetwork,
        seen: GraphChannels,
        undirected: bool = False,
        rewired: bool = False,
    ) -> None:
        super().__init__()
        if seen.edges and (undirected or rewired):
            raise InputError(
                f"undirected or rewired edges, and a field on edges, '{seen.edges[0]}', which says "
                "nothing of edges that are added; drop one of them"
            )
        self.net, self.seen = net, seen
        # Those of meshes go both ways; of graphs that is known where it was asked for.
        self.symmetric = bool(net.both_ways or seen.ndim or undirected or rewired)
        loops = getattr(net.process, "loops", True)
        fluxes = isinstance(net.decode, FluxHead)
        edges = SortedEdges(net.both_ways, loops, undirected, rewired, fluxes)
        self.traits = Traits(structures=(edges,), conserves=fluxes)

    def forward(
        self,
        x: Tensor,
        *where: Tensor,
        links: Tensor,
        order: Tensor,
        outgoing: Tensor,
        volume: Tensor | None = None,
        **static: Tensor,
    ) -> Tensor:
        made = Links(links[0], links[1], len(x), order, outgoing, self.symmetric)
        for name in self.seen.cells:
            x = torch.cat([x, _at_corners(static[name], static["cells"], len(x))], dim=1)
        along = []
        for name in self.seen.edges:
            values = static[name] if static[name].ndim > 1 else static[name][:, None]
            if "sides" in static:
                values = values[_side_of_edge(where[1], static["sides"], len(x))]
            along.append(values)
        if self.seen.ndim:
            # In the order of the list that came, as fields on edges are.
            along.append(_ways(where[0], links)[torch.argsort(order)])
        return self.net(x, made, torch.cat(along, dim=1) if along else None, volume)


def _ways(points: Tensor, links: Tensor) -> Tensor:
    away = points[links[0]] - points[links[1]]
    length = away.norm(dim=1, keepdim=True)
    return torch.cat([away / length, length.log()], dim=1)


def _at_corners(values: Tensor, cells: Tensor, nodes: int) -> Tensor:
    """Means over the cells of each node; −1 pads cells."""
    values = values if values.ndim > 1 else values[:, None]
    there = (cells >= 0).reshape(-1)
    corners = cells.reshape(-1)[there]
    each = values.repeat_interleave(cells.shape[1], dim=0)[there]
    count = values.new_zeros(nodes, 1).index_add(0, corners, torch.ones_like(each[:, :1]))
    return values.new_zeros(nodes, values.shape[1]).index_add(0, corners, each) / count.clamp(min=1)


def _side_of_edge(edges: Tensor, sides: Tensor, nodes: int) -> Tensor:
    """The side that each edge goes along; sides have their lower node first, sorted."""
    low, high = edges.min(dim=0).values, edges.max(dim=0).values
    return torch.searchsorted(sides[:, 0] * nodes + sides[:, 1], low * nodes + high)


def on_domain(
    setting: Setting,
    seen: GraphChannels,
    layer: nn.Module,
    hidden: int,
    *,
    undirected: bool = False,
    rewired: bool = False,
    **options: Any,
) -> OnDomain:
    """A layer between two linear ones, as a model of a setting.

    Args:
        layer, hidden: as in :class:`GraphNetwork`, and ``options`` besides.
        undirected, rewired: as in :class:`SortedEdges`.
    """
    wanted, along = setting.channels[1], seen.edge_channels
    net = GraphNetwork(seen.channels, wanted, layer, hidden, edge_channels=along, **options)
    return OnDomain(net, seen, undirected, rewired)
