"""GRAND: features of nodes diffuse along edges, as fast as attention says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.surrogates.graph.attention import Attention, Weights
from sciml.surrogates.graph.attention_flow import attention_flow
from sciml.surrogates.graph.links import Links, checked, links_of, unpacked
from sciml.surrogates.graph.ode import Integration
from sciml.surrogates.setting import Setting


class GRAND(nn.Module):
    """dx/dt = α (A(x) x − x) + β x(0) for t from 0 to T; gives x(T).

    A is the attention of :class:`~sciml.surrogates.graph.attention.Attention`: with ``row`` (the
    default) weights that come in at a node add up to 1, with ``column`` those that go out. α is from 0
    to 1 and β any number, 0 at first; both are learned. Nodes without edges stay as they are, but for
    β.

    Shapes: x ``(N, channels)``, ``edge_index`` ``(2, E)``, ``edge_attr`` ``(E, edge_channels)`` → ``(N,
    channels)``. A layer for any network of torch_geometric: called with ``(x, edge_index)``, with
    :class:`~sciml.surrogates.graph.links.Links` in place of edges, or with a ``Data``; batches are
    graphs side by side, as there.

    Args:
        channels: of a node.
        time: T. Where nothing is learned, features are spread over about √(α T) edges.
        nonlinear: A is computed at every t; else once, of x(0).
        source: whether there is β.
        detached: whether no gradient goes through x(0) in β x(0), as in the code of the publication.
        attention: options of the attention.
        integration: options of :class:`~sciml.surrogates.graph.ode.Integration`: ``step``, ``method``,
            ``adjoint``, ``rtol``, ``atol``.

    Raises:
        InputError: in use: features of another shape or not finite, edges that cannot be.
        DivergedError: in use: the integration diverges.

    When it fails: without β all features of a connected piece tend to one another; the larger T, the
    more. It has no directions: advection is for directed sheaves.

    Good values: T from 2 to 20, Euler or RK4 with steps of 1, stable since A is stochastic;
    ``symmetric`` weights are unbounded, and want smaller steps where they grow.

    Source: B. Chamberlain et al., GRAND: Graph neural diffusion, ICML 2021, arXiv 2106.10934.
    """

    def __init__(
        self,
        channels: int,
        time: float = 4.0,
        nonlinear: bool = False,
        source: bool = True,
        attention: Mapping[str, Any] | None = None,
        integration: Mapping[str, Any] | None = None,
        detached: bool = False,
    ) -> None:
        super().__init__()
        self.channels, self.nonlinear, self.detached = channels, nonlinear, detached
        self.integration = Integration(time, **(integration or {}))
        self.field = _Diffusion(Attention(channels, **(attention or {})), source)

    @property
    def both_ways(self) -> str:
        """What needs each edge in both directions; empty where nothing does."""
        return self.field.attention.both_ways

    @property
    def by_volume(self) -> bool:
        """Whether it wants the volumes of nodes."""
        return self.field.attention.by_volume

    def forward(
        self,
        x: Float[Tensor, "node channel"],
        edge_index: Tensor | Links | None = None,
        edge_attr: Float[Tensor, "edge value"] | None = None,
        volume: Float[Tensor, " node"] | None = None,
    ) -> Float[Tensor, "node channel"]:
        x, edge_index, edge_attr = unpacked(x, edge_index, edge_attr)
        x = checked("GRAND", x, self.channels, self)
        links = links_of(edge_index, len(x), self.both_ways)
        edge_attr = links.sorted(edge_attr, self.field.attention.edge_channels, self)
        state = {"links": links, "source": x.detach() if self.detached else x}
        if self.nonlinear:
            state |= {"edge_attr": edge_attr, "volume": volume}
        else:
            state |= self.field.attention(x, links, edge_attr, volume)._asdict()
        return self.integration(self.field, x, state, "GRAND")


class _Diffusion(nn.Module):
    """α (A x − x) + β x(0), with A given by ``edges`` and ``leaves``, or of x."""

    def __init__(self, attention: Attention, source: bool) -> None:
        super().__init__()
        self.attention = attention
        self.alpha = nn.Parameter(torch.zeros(()))
        self.beta = nn.Parameter(torch.zeros(())) if source else None

    def forward(self, t: float | Tensor, x: Tensor, state: Mapping[str, Any]) -> Tensor:
        links = state["links"]
        if "edges" in state:
            weights = Weights(state["edges"], state["leaves"])
        else:
            weights = self.attention(x, links, state["edge_attr"], state["volume"])
        change = self.alpha.sigmoid() * weights.change(x, links)
        return change if self.beta is None else change + self.beta * state["source"]


def build(
    setting: Setting,
    *,
    hidden: int = 64,
    time: float = 4.0,
    nonlinear: bool = False,
    rewired: bool = False,
    source: bool = True,
    heads: int = 4,
    width: int = 32,
    score: str = "dot",
    positive: str = "softmax",
    stochastic: str = "row",
    itself: bool = True,
    edge_hidden: int = 0,
    method: str = "rk4",
    step: float | None = None,
    adjoint: bool = False,
    head: str = "linear",
    skip: bool = True,
    dropout: float = 0.0,
    undirected: bool = False,
    frames: str = "",
    latent: bool = True,
    node_volume: float = 0.0,
) -> nn.Module:
    """GRAND between two linear layers, for meshes and graphs.

    Args:
        hidden: channels that diffuse.
        rewired: edges are those along which personalised PageRank of the graph is large.
        width, heads, score, positive, stochastic, itself, edge_hidden: of the attention.
        method, step, adjoint: of the integration.
        head: ``linear``, or ``flux``: outputs are sums of fluxes along edges.
        skip: whether the last layer sees the change by the diffusion, and what was before.
        undirected: whether edges are taken both ways.
        frames: static field of two tangent axes of each node of a surface, in which edges are seen.
        latent: ``False``: not channels of a linear layer, but the fields themselves, in their units;
            what is learned is then their equation, seen at its clearest with ``score='none'``.
        node_volume: of a node for which symmetric weights are divided by 1; 0: the mean of each mesh,
            which says nothing of how fine it is.

    Raises:
        InputError: no mesh or graph; options that cannot be.
    """
    return attention_flow("grand", GRAND, ("time", "nonlinear", "source"), **locals())
