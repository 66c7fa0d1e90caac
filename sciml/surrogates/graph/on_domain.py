"""A network of this family on our meshes and graphs, called as :mod:`sciml.surrogates.call` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.domain import Domain, Graph, Mesh
from sciml.errors import DomainError, InputError, nearest
from sciml.surrogates.graph.field_flow import FieldFlow
from sciml.surrogates.graph.flux import FluxHead
from sciml.surrogates.graph.links import Links, links_of, undirected
from sciml.surrogates.graph.network import GraphNetwork
from sciml.surrogates.graph.rewiring import rewired
from sciml.surrogates.graph.volumes import cotangents, node_volumes
from sciml.surrogates.scales import Scales
from sciml.surrogates.setting import Setting
from sciml.surrogates.structure import POINT, DomainStructure, Part
from sciml.surrogates.traits import Traits


@dataclass(frozen=True, slots=True)
class SortedEdges(DomainStructure):
    """Edges of a domain as :class:`~sciml.surrogates.graph.links.Links` hold them: ``links (2, E)``,
    ``order (E,)``, ``outgoing (E,)``; of a mesh ``away (E, d)``, from receivers to sources.

    Args:
        both_ways: what needs each edge in both directions, for the message.
        loops: whether a node may be joined with itself.
        undirected: take every edge both ways.
        rewired: take pairs that diffusion joins instead.
        volumes: give ``volume (N,)`` of a mesh besides, over its mean or ``node_volume``.
        node_volume: as above; 0: the mean.
        cotangents: give ``cotangent (E,)`` of triangles besides, the weights of linear elements.
    """

    both_ways: str = ""
    loops: bool = True
    undirected: bool = False
    rewired: bool = False
    volumes: bool = False
    node_volume: float = 0.0
    cotangents: bool = False

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
        if isinstance(domain, Mesh):
            found["away"] = Part(away_of(domain.points, *found["links"].values))
        if self.volumes and isinstance(domain, Mesh):
            volumes = node_volumes(domain)
            found["volume"] = Part(volumes / (self.node_volume or volumes.mean()))
        if self.cotangents:
            found["cotangent"] = Part(cotangents(domain, *found["links"].values))
        return found


@dataclass(frozen=True, slots=True)
class GraphChannels:
    """What there is at nodes and edges of a setting.

    Args:
        channels: of a node: those of the setting, and fields in cells, as means at their corners.
        edge_channels: of an edge: fields on edges, and, on meshes, means of fields in the cells beside
            it, direction and length; of triangles, the weight of linear elements.
        cells, edges: static fields there.
        ndim: of a mesh; 0 of a graph.
        triangles: whether it is of triangles alone.
        nodes: how many all have; 0: they differ.
        frames: the static field of the nodes' axes, and where its channels begin.
        groups: of nodes, that are among their channels.
    """

    channels: int
    edge_channels: int
    cells: tuple[str, ...]
    edges: tuple[str, ...]
    ndim: int
    triangles: bool
    nodes: int
    frames: tuple[str, int] | None = None
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeGroups(DomainStructure):
    """Which nodes are in groups of a mesh, ``node_groups (N, groups)``: 1, or 0.

    Args:
        names: of groups; one that a mesh does not have has no nodes there.
    """

    names: tuple[str, ...]

    def parts(self, domain: Domain) -> dict[str, Part]:
        inside = np.zeros((domain.size, len(self.names)), np.float32)
        for column, name in enumerate(self.names):
            inside[domain.groups.get(name, []), column] = 1.0
        return {"node_groups": Part(inside)}


def graph_channels(
    model: str, setting: Setting, frames: str = "", groups: bool = False
) -> GraphChannels:
    """What a model of this family sees.

    Args:
        frames: a static field of two tangent axes of each node of a surface, one after the other: edges
            are then seen in them, and it is no channel of nodes.
        groups: whether groups of a mesh are channels of nodes.

    Raises:
        InputError: no mesh or graph; frames that are none.
    """
    scope = setting.scope
    if scope is None or scope.kind not in ("mesh", "graph"):
        kind = "no domain" if scope is None else f"a {scope.kind}"
        raise InputError(f"model '{model}': got {kind}; expected a mesh or a graph")
    on = {name: setting.field(name).on for name in setting.task.static}
    cells, edges = (tuple(n for n in on if on[n] == place) for place in ("cell", "edge"))
    ndim = scope.ndim if scope.kind == "mesh" else 0
    triangles = scope.cell_types == ("triangle",)
    nodes = setting.channels[0] + sum(map(setting.width, cells))
    along = sum(map(setting.width, (*cells, *edges)))
    axes = None
    if frames:
        before = setting.task.history * sum(map(setting.width, setting.task.inputs))
        for name in on:
            if name == frames:
                axes = (name, before)
            before += 0 if name in (*cells, *edges) else setting.width(name)
        if axes is None or on[frames] != "point" or setting.width(frames) != 2 * ndim:
            raise InputError(
                f"frames='{frames}'; expected a static field of two axes a node, {2 * ndim} components, "
                f"on a mesh; {nearest(frames, list(on))}"
            )
        nodes -= 2 * ndim
    if ndim:
        along += (4 if frames else ndim) + 1 + triangles
    names = scope.groups if groups and ndim else ()
    nodes += len(names)
    same = scope.most if scope.least == scope.most else 0
    return GraphChannels(nodes, along, cells, edges, ndim, triangles, same, axes, names)


class OnDomain(nn.Module):
    """A :class:`GraphNetwork` that gets edges from a structure, and what is on them from the domain.

    On a mesh an edge has the unit vector from receiver to source and the logarithm of its length, so
    that the units of lengths add a constant; where nodes have frames, cosine and sine of its direction
    at the receiver and at the source; of triangles, half the sum of the cotangents opposite to it; and
    the means of fields in the cells beside it.

    Args:
        net: the network.
        seen: what there is.
        undirected, rewired: as in :class:`SortedEdges`.

    Raises:
        InputError: fields on edges that are not those of the domain; a volume that nobody asks for.
    """

    def __init__(
        self,
        net: nn.Module,
        seen: GraphChannels,
        undirected: bool = False,
        rewired: bool = False,
        node_volume: float = 0.0,
    ) -> None:
        super().__init__()
        if seen.edges and (undirected or rewired):
            raise InputError(
                f"undirected or rewired edges, and a field on edges, '{seen.edges[0]}', which says "
                "nothing of edges that are added; drop one of them"
            )
        self.net, self.seen = net, seen
        both_ways = getattr(net, "both_ways", "")
        # Those of meshes go both ways; of graphs that is known where it was asked for.
        self.symmetric = bool(both_ways or seen.ndim or undirected or rewired)
        process = getattr(net, "process", net)
        loops = getattr(process, "loops", True)
        fluxes = isinstance(getattr(net, "decode", None), FluxHead)
        volumes = fluxes or getattr(process, "by_volume", False)
        if node_volume and not volumes:
            raise InputError(
                f"node_volume={node_volume:g}, and nothing is divided by volumes; expected "
                "stochastic='symmetric', head='flux', or no node_volume"
            )
        edges = SortedEdges(
            both_ways, loops, undirected, rewired, volumes, node_volume, seen.triangles
        )
        self.in_units = isinstance(net, FieldFlow)
        self.by_graph = getattr(net, "by_graph", False)
        self.coarsening = getattr(net, "coarsening", None)
        more = () if self.coarsening is None else (self.coarsening,)
        more += (NodeGroups(seen.groups),) if seen.groups else ()
        self.traits = Traits(
            structures=(edges, *more),
            conserves=fluxes,
            takes_scales=self.in_units or seen.frames is not None,
            reach=getattr(net, "reach", None),
            groups=seen.groups,
        )

    def forward(
        self,
        x: Tensor,
        *where: Tensor,
        links: Tensor,
        order: Tensor,
        outgoing: Tensor,
        away: Tensor | None = None,
        volume: Tensor | None = None,
        cotangent: Tensor | None = None,
        scales: Scales | None = None,
        **static: Tensor,
    ) -> Tensor:
        made = Links(links[0], links[1], len(x), order, outgoing, self.symmetric)
        more = {}
        if self.coarsening is not None:
            more["levels"] = self.coarsening.taken(static, len(x), self.symmetric)
        given, along, axes = x, [], None
        if self.seen.frames is not None:
            name, begin = self.seen.frames
            end = begin + 2 * self.seen.ndim
            mean, deviation = scales.static[name]
            axes = (mean + deviation * x[:, begin:end]).unflatten(1, (2, -1))
            x = torch.cat([x[:, :begin], x[:, end:]], dim=1)
        unsorted = torch.argsort(
            order
        )  # in the order of the list that came, as fields on edges are
        for name in self.seen.cells:
            x = torch.cat([x, at_corners(static[name], static["cells"], len(x))], dim=1)
            along.append(_beside(static[name], static["cells"], links, len(x))[unsorted])
        for name in self.seen.edges:
            values = static[name] if static[name].ndim > 1 else static[name][:, None]
            if "sides" in static:
                values = values[_side_of_edge(where[1], static["sides"], len(x))]
            along.append(values)
        if self.seen.groups:
            x = torch.cat([x, static["node_groups"].to(x.dtype)], dim=1)
        if self.seen.ndim:
            along.append(ways(away, links, axes)[unsorted])
        if cotangent is not None:
            along.append(cotangent[unsorted, None])
        values = torch.cat(along, dim=1) if along else None
        if self.in_units:
            return self.net(given, made, values, volume, scales)
        if self.by_graph:
            return self.net(x, made, values, owner=where[-1], **more)
        return self.net(x, made, values, volume)


def away_of(
    points: Float[np.ndarray, "node d"], source: np.ndarray, receiver: np.ndarray
) -> Float[np.ndarray, "edge d"]:
    """From receivers to sources, in float32: where a mesh lies far from the origin, as one of a map
    does, points have no digits left for the difference."""
    return (points[source] - points[receiver]).astype(np.float32)


def ways(away: Tensor, links: Tensor, axes: Tensor | None = None) -> Tensor:
    """The unit vector from receiver to source, or its parts along the axes of both, and log length."""
    length = away.norm(dim=1, keepdim=True)
    way = [away / length]
    if axes is not None:  # at the receiver, and at the source on the way back
        there = [
            (axes[n] @ v[:, :, None].to(axes.dtype))[..., 0]
            for n, v in ((links[1], away), (links[0], -away))
        ]
        way = [torch.nn.functional.normalize(v, dim=1) for v in there]
    return torch.cat([*way, length.log()], dim=1)


def _beside(values: Tensor, cells: Tensor, links: Tensor, nodes: int) -> Tensor:
    """Means over the cells that both ends of an edge belong to; 0 where there is none."""
    values = values if values.ndim > 1 else values[:, None]
    width = cells.shape[1]
    one, two = (
        torch.tensor(k, device=cells.device)
        for k in zip(*((i, j) for i in range(width) for j in range(width) if i != j), strict=True)
    )
    wanted = (cells[:, one] * nodes + cells[:, two]).reshape(-1)
    known = links[1] * nodes + links[0]
    place = torch.searchsorted(known, wanted).clamp(max=len(known) - 1)
    there = (known[place] == wanted) & ((cells[:, one] >= 0) & (cells[:, two] >= 0)).reshape(-1)
    each, place = values.repeat_interleave(len(one), dim=0)[there], place[there]
    count = values.new_zeros(len(known), 1).index_add(0, place, torch.ones_like(each[:, :1]))
    total = values.new_zeros(len(known), values.shape[1]).index_add(0, place, each)
    return total / count.clamp(min=1)


def at_corners(values: Tensor, cells: Tensor, nodes: int) -> Tensor:
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
    latent: bool = True,
    node_volume: float = 0.0,
    **options: Any,
) -> OnDomain:
    """A layer between two linear ones, as a model of a setting.

    Args:
        layer, hidden: as in :class:`GraphNetwork`, and ``options`` besides.
        undirected, rewired, node_volume: as in :class:`SortedEdges`.
        latent: ``False``: fields go through the layer as they are, in units; there are no linear ones.

    Raises:
        InputError: a task or options that cannot be.
    """
    wanted, along = setting.channels[1], seen.edge_channels
    if not latent:
        if options.get("head", "linear") != "linear":
            raise InputError(
                f"latent=False with head='{options['head']}'; expected the head 'linear': fields go "
                "through the layer as they are"
            )
        if options.get("dropout"):
            raise InputError(
                f"latent=False with dropout={options['dropout']:g}; expected none: fields go through "
                "the layer as they are"
            )
        return OnDomain(FieldFlow(layer, setting), seen, undirected, rewired, node_volume)
    net = GraphNetwork(seen.channels, wanted, layer, hidden, edge_channels=along, **options)
    return OnDomain(net, seen, undirected, rewired, node_volume)
