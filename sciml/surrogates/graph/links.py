"""Edges as operators on graphs need them: checked, sorted by receiver, each with its reverse."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from sciml.errors import InputError
from sciml.surrogates.batch import weights_dtype
from sciml.surrogates.graph.aggregation import EdgeRows, block_sum_at, dots_at, sum_at


@dataclass(frozen=True, eq=False, slots=True)
class Links:
    """Edges sorted by receiver, then source.

    Any layer of this family takes one in place of an ``edge_index``, and then checks nothing: what is
    compiled, or called with the same edges again and again, is given these.

    Args:
        source, receiver: nodes of each edge, int64 ``(E,)``. nodes: how many there are. order: place of
            each edge in the list that came. outgoing: the edges sorted by source, then receiver; of
            those that are symmetric, the place of the reverse of each.
        symmetric: whether each has its reverse.
        loops: whether one may join a node with itself.
    """

    source: Int[Tensor, " edge"]
    receiver: Int[Tensor, " edge"]
    nodes: int
    order: Int[Tensor, " edge"]
    outgoing: Int[Tensor, " edge"]
    symmetric: bool
    loops: bool = False
    #: Where the edges that come in at each node begin, and those that go out.
    starts: Int[Tensor, " bound"] = field(init=False)
    ends: Int[Tensor, " bound"] = field(init=False)

    def __post_init__(self) -> None:
        bounds = torch.arange(self.nodes + 1, device=self.source.device)
        starts = ends = torch.searchsorted(self.receiver, bounds)
        if not self.symmetric:
            ends = torch.searchsorted(self.source.index_select(0, self.outgoing), bounds)
        object.__setattr__(self, "starts", starts)
        object.__setattr__(self, "ends", ends)

    @property
    def reverse(self) -> Int[Tensor, " edge"]:
        """Place of the edge the other way round; for those that are symmetric."""
        return self.outgoing

    def sum(self, values: Float[Tensor, "edge *rest"]) -> Float[Tensor, "node *rest"]:
        """Σ over the edges that come in, 0 where none does."""
        return sum_at(values, self.rows)

    def weighted_sum(
        self, weights: Float[Tensor, " edge"], x: Float[Tensor, "node channel"]
    ) -> Float[Tensor, "node channel"]:
        """Σ_u w_uv x_u over the edges that come in at each node v."""
        return self.block_sum(weights[:, None, None], x[:, None])[:, 0]

    def block_sum(
        self, blocks: Float[Tensor, "edge d *d"], x: Float[Tensor, "node d feature"]
    ) -> Float[Tensor, "node d feature"]:
        """Σ_u G_uv x_u over the edges that come in at each node v; diagonal G are ``(E, d)``."""
        if blocks.ndim == 2:
            parts = zip(blocks.unbind(1), x.unbind(1), strict=True)
            return torch.stack([self.weighted_sum(w, y) for w, y in parts], dim=1)
        return block_sum_at(blocks, x, self.rows, self.back, self.outgoing)

    def dots(
        self, q: Float[Tensor, "node head c"], k: Float[Tensor, "node head c"]
    ) -> Float[Tensor, "edge head"]:
        """q_v · k_u of each edge from u to v."""
        return dots_at(q, k, self.rows, self.back, self.outgoing)

    @property
    def rows(self) -> EdgeRows:
        """By receiver."""
        return EdgeRows(self.starts, self.receiver, self.source)

    @property
    def back(self) -> EdgeRows:
        """The other way round, by source: in the order of ``outgoing``."""
        if self.symmetric:
            return self.rows
        return EdgeRows(self.ends, *(v[self.outgoing] for v in (self.source, self.receiver)))

    def degree(self, dtype: torch.dtype) -> Float[Tensor, " node"]:
        """Edges that come in."""
        return self.sum(torch.ones_like(self.receiver, dtype=dtype))

    def sorted(
        self, values: Tensor | None, channels: int | None = None, layer: nn.Module | None = None
    ) -> Tensor | None:
        """Values of edges, given in the order of the list that came, in that of the links.

        Args:
            channels: numbers of an edge that are wanted; ``None``: any.
            layer: whose weights multiply them.

        Raises:
            InputError: of another shape or precision, not finite, or not wanted: they would be taken for
                seen.
        """
        edges = self.order.shape[0]
        if values is None and not channels:
            return None
        if channels == 0:
            raise InputError(
                f"values of edges {tuple(values.shape)}, of a layer built to see none; expected "
                "one with edge_channels, or no values: del data.edge_attr"
            )
        shape = None if values is None else tuple(values.shape)
        if not shape or shape[0] != edges or (channels and shape != (edges, channels)):
            got = "none" if shape is None else shape
            raise InputError(
                f"values of edges: {got}; expected ({edges}, {channels or '…'}), a row for each edge, "
                "such as data.edge_attr"
            )
        require_precision("values of edges", values, layer)
        if not torch.compiler.is_compiling() and not values.is_meta:
            wrong = ~values.isfinite()
            if bool(wrong.any()):
                raise InputError(
                    f"{int(wrong.sum())} values of edges are not finite, the first at edge "
                    f"{int(wrong.nonzero()[0, 0])}; expected numbers: fill them, or leave the edges out"
                )
        return values.index_select(0, self.order)


def links_of(edges: Tensor | Links, nodes: int, both_ways: str = "", loops: bool = True) -> Links:
    """The links of an ``edge_index``; those of the same tensor are made once.

    Args:
        edges: whole numbers ``(2, E)``, sources and receivers.
        nodes: how many there are.
        both_ways: what needs each edge in both directions, for the message; empty: nothing does.
        loops: whether a node may be joined with itself.

    Raises:
        InputError: no list of edges; nodes that are not there; an edge that is there twice, lacks its
            reverse, or joins a node with itself.
    """
    if isinstance(edges, Links):
        if edges.nodes != nodes:
            raise InputError(f"edges: links of {edges.nodes} nodes; there are {nodes}")
        if edges.loops and not loops:
            _require_no_loops(edges.source, edges.receiver)
        _require(edges, both_ways)
        return edges
    _require_list(edges)
    if edges.is_inference():  # it does not count its changes
        return _made(edges, nodes, both_ways, loops)
    kept, key = _known.setdefault(edges, {}), (edges._version, nodes, loops)
    # What numpy or another process writes to memory that it shares counts no version.
    shared = not edges.untyped_storage().resizable()
    if key not in kept or (shared and not torch.equal(edges, kept[key][1])):
        kept.clear()
        kept[key] = _made(edges, nodes, both_ways, loops), edges.detach().clone()
    links, _ = kept[key]
    _require(links, both_ways)
    return links


def require_edges(edges: Tensor, nodes: int) -> None:
    """That edges are a list ``(2, E)`` of nodes that there are.

    Raises:
        InputError: another list; nodes that are not there.
    """
    _require_list(edges)
    if edges.numel():
        least, most = int(edges.min()), int(edges.max())
        if least < 0 or most >= nodes:
            raise InputError(f"edges: nodes {least} to {most} are named; there are {nodes}")


def _require_list(edges: object) -> None:
    if not isinstance(edges, Tensor) or edges.ndim != 2 or edges.shape[0] != 2 or _is_real(edges):
        raise InputError(
            f"edges: got {_words(edges)}; expected whole numbers (2, E), sources and receivers, such as "
            "data.edge_index"
        )


#: By the tensor that they were made of, as long as there is one.
_known: WeakIdKeyDictionary = WeakIdKeyDictionary()


def _words(given: object) -> str:
    return (
        f"{given.dtype} {tuple(given.shape)}" if isinstance(given, Tensor) else type(given).__name__
    )


def _is_real(edges: Tensor) -> bool:
    return edges.is_floating_point() or edges.is_complex() or edges.dtype == torch.bool


def _require(links: Links, both_ways: str) -> None:
    if both_ways and not links.symmetric:
        known = {*zip(links.source.tolist(), links.receiver.tolist(), strict=True)}
        lone = next(((u, v) for u, v in sorted(known) if (v, u) not in known), None)
        edge = "some edges" if lone is None else f"the edge {lone[0]} → {lone[1]}"
        raise InputError(
            f"edges: {edge} without the reverse, and {both_ways} is symmetric; make them go both ways "
            "(undirected=True in a study, sciml.surrogates.undirected(edge_index)), or take a model of "
            "directed edges: sheaf_diffusion with directed=True, or grand"
        )


def _made(edges: Tensor, nodes: int, both_ways: str, loops: bool) -> Links:
    edges = edges.detach().long()
    require_edges(edges, nodes)
    source, receiver = edges[0], edges[1]
    if not loops:
        _require_no_loops(source, receiver)
    places, order = torch.sort(receiver * nodes + source, stable=True)
    if bool((twice := places[1:] == places[:-1]).any()):
        first = int(places[1:][twice][0])
        raise InputError(
            f"edges: {int(twice.sum())} are there twice, {first % nodes} → {first // nodes} first; "
            "expected each once: edge_index.unique(dim=1)"
        )
    source, receiver = source[order], receiver[order]
    back = source * nodes + receiver
    outgoing = torch.argsort(back)
    symmetric = bool((back[outgoing] == places).all())
    links = Links(source, receiver, nodes, order, outgoing, symmetric, loops)
    _require(links, both_ways)
    return links


def _require_no_loops(source: Tensor, receiver: Tensor) -> None:
    if bool((same := source == receiver).any()):
        raise InputError(
            f"edges: node {int(source[same][0])} is joined with itself; expected two nodes an edge: "
            "drop such edges, edge_index[:, edge_index[0] != edge_index[1]]"
        )


def undirected(edge_index: Int[Tensor, "2 edge"]) -> Int[Tensor, "2 both"]:
    """Edges in both directions, each once, without those from a node to itself."""
    both = torch.cat([edge_index, edge_index.flip(0)], dim=1)
    return both[:, both[0] != both[1]].unique(dim=1)


def unpacked(x: Any, edges: Any, attributes: Any) -> tuple[Tensor, Any, Tensor | None]:
    """Features, edges and their values, out of a ``torch_geometric.data.Data`` where that came.

    Raises:
        InputError: no edges; weights of edges, which no layer here multiplies by.
    """
    if edges is None and hasattr(x, "edge_index"):
        weights = getattr(x, "edge_weight", None)
        require_no_weights(None if weights is None else weights.flatten())
        x, edges, attributes = x.x, x.edge_index, getattr(x, "edge_attr", None)
    if edges is None:
        raise InputError(
            f"got {type(x).__name__} alone; expected model(x, edge_index) or model(data), with data.x "
            "and data.edge_index"
        )
    return x, edges, attributes


def require_no_weights(given: Tensor | None) -> None:
    """Raises :class:`InputError` where there is a number of each edge."""
    if given is not None and given.ndim == 1:
        raise InputError(
            f"a number of each edge, {tuple(given.shape)}, as weights are; expected values of edges "
            "(edges, channels) of a layer with edge_channels, which learns what they say, or none"
        )


def owner_of(x: Any, owner: Tensor | None) -> Tensor | None:
    """The graph of each node: as it is said, or as a ``Batch`` of torch_geometric has it.

    Raises:
        InputError: not one for each node; not ascending: graphs would be taken for others.
    """
    owner = getattr(x, "batch", None) if owner is None else owner
    if owner is None or torch.compiler.is_compiling() or owner.is_meta:
        return owner
    nodes = x.num_nodes if hasattr(x, "num_nodes") else len(x)
    if owner.shape != (nodes,) or bool((owner.diff() < 0).any()):
        got = "falls somewhere" if owner.shape == (nodes,) else f"is {tuple(owner.shape)}"
        raise InputError(
            f"owner {got}; expected ({nodes},), the graph of each node, ascending: put nodes of a graph "
            "one after the other"
        )
    return owner


def points_of(x: Any, points: Tensor | None) -> Tensor | None:
    """Coordinates of the nodes: as they are said, or ``data.pos`` of torch_geometric."""
    return getattr(x, "pos", None) if points is None else points


def require_precision(what: str, x: Tensor, layer: nn.Module | None) -> None:
    """Raises :class:`InputError` where numbers have another one than the weights, and nothing casts
    them."""
    if layer is None or torch.is_autocast_enabled(x.device.type):
        return
    own = weights_dtype(layer) or x.dtype
    if x.dtype != own:
        raise InputError(
            f"{what} are {x.dtype}, and weights {own}; expected one of them: x.to({own}), or "
            f"layer.to({x.dtype})"
        )


def checked(name: str, x: Tensor, channels: int, layer: nn.Module) -> Tensor:
    """Features that a layer can work on.

    Args:
        layer: whose weights multiply them.

    Raises:
        InputError: another shape, or another precision than the weights have; values that are not
            finite.
    """
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise InputError(
            f"{name}: features are {_words(x)}; expected a tensor of real numbers (nodes, {channels}), "
            "such as torch.as_tensor(x).float()"
        )
    if x.ndim != 2 or x.shape[1] != channels:
        raise InputError(
            f"{name}: features {tuple(x.shape)}; expected (nodes, {channels}), as it was built for"
        )
    require_precision(f"{name}: features", x, layer)
    if not torch.compiler.is_compiling() and not x.is_meta:
        wrong = ~x.isfinite()
        if bool(wrong.any()):
            node, channel = wrong.nonzero()[0].tolist()
            raise InputError(
                f"{name}: {int(wrong.sum())} features are not finite, the first is {x[node, channel]} "
                f"at node {node}, channel {channel}; expected numbers: fill them, or leave the nodes out"
            )
    return x
