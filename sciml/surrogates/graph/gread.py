"""GREAD: features of nodes diffuse along edges, and react."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import require_known
from sciml.surrogates.graph.attention import Attention, Weights
from sciml.surrogates.graph.attention_flow import attention_flow
from sciml.surrogates.graph.links import Links, checked, links_of, unpacked
from sciml.surrogates.graph.ode import Integration
from sciml.surrogates.setting import Setting

#: r(h) by name, given h, h(0), L h = h − A h, and A.
Reaction = Callable[[Tensor, Tensor, Tensor, Callable[[Tensor], Tensor]], Tensor]
REACTIONS: dict[str, Reaction] = {
    "fisher": lambda h, h0, lh, a: h * (1 - h),
    "allen_cahn": lambda h, h0, lh, a: h * (1 - h * h),
    "zeldovich": lambda h, h0, lh, a: h * (h - h * h),
    "source": lambda h, h0, lh, a: h0,
    "blurring_sharpening": lambda h, h0, lh, a: a(lh),  # (A − A²) h = A (h − A h)
    "filter_bank": lambda h, h0, lh, a: lh,
    "filter_bank_identity": lambda h, h0, lh, a: lh + h,
}


#: Those that run away where β < 0.
RUNAWAY = ("fisher", "allen_cahn", "zeldovich")
PER_CHANNEL = ("none", "beta", "both")


class GREAD(nn.Module):
    """dh/dt = −α L h + β r(h) for t from 0 to T, L = I − A; gives h(T).

    ======================== ==================
    reaction                 r(h)
    ======================== ==================
    ``fisher``               h (1 − h)
    ``allen_cahn``           h (1 − h²)
    ``zeldovich``            h (h − h²)
    ``source``               h(0)
    ``blurring_sharpening``  (A − A²) h
    ``filter_bank``          L h
    ``filter_bank_identity`` L h + h
    ======================== ==================

    A is the attention of :class:`~sciml.surrogates.graph.attention.Attention` at t = 0, row-stochastic
    by default. α is from 0 to 1, β any number; both are learned, one each or one a channel. Of nodes
    without edges L h is 0: they react alone.

    Shapes: x ``(N, channels)``, ``edge_index`` ``(2, E)``, ``edge_attr`` ``(E, edge_channels)`` →
    ``(N, channels)``. A layer for any network of torch_geometric: called with ``(x, edge_index)``, with
    :class:`~sciml.surrogates.graph.links.Links` in place of edges, or with a ``Data``.

    Args:
        channels: of a node.
        time: T.
        reaction: as above.
        per_channel: which of α and β are one a channel: ``none``, ``beta`` or ``both``. Of linear
            reactions such β are drawn from −1 to 1; other β are 0.1 at first.
        attention: options of the attention.
        integration: options of :class:`~sciml.surrogates.graph.ode.Integration`.

    Raises:
        InputError: an unknown reaction; in use: features of another shape or not finite, edges that
            cannot be.
        DivergedError: in use: the integration diverges.

    When it fails: below 0, ``fisher`` and, where β < 0, ``allen_cahn`` and ``zeldovich`` run away in
    finite time; so does ``filter_bank`` for β > α, which is then diffusion backwards.

    Good values: T from 1 to 4, RK4 with steps of 0.5.

    Source: J. Choi et al., GREAD: Graph neural reaction-diffusion networks, ICML 2023, arXiv 2211.14208,
    table 1; the filter banks with the sign of the paper.
    """

    def __init__(
        self,
        channels: int,
        time: float = 2.0,
        reaction: str = "blurring_sharpening",
        per_channel: str = "none",
        attention: Mapping[str, Any] | None = None,
        integration: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        require_known("unknown reaction", reaction, REACTIONS)
        require_known("unknown per_channel", per_channel, PER_CHANNEL)
        self.channels = channels
        self.integration = Integration(time, **(integration or {}))
        self.attention = Attention(channels, **(attention or {}))
        self.field = _ReactionDiffusion(
            reaction,
            channels if per_channel == "both" else 1,
            channels if per_channel != "none" else 1,
        )

    @property
    def both_ways(self) -> str:
        """What needs each edge in both directions; empty where nothing does."""
        return self.attention.both_ways

    @property
    def by_volume(self) -> bool:
        """Whether it wants the volumes of nodes."""
        return self.attention.by_volume

    def forward(
        self,
        x: Float[Tensor, "node channel"],
        edge_index: Tensor | Links | None = None,
        edge_attr: Float[Tensor, "edge value"] | None = None,
        volume: Float[Tensor, " node"] | None = None,
    ) -> Float[Tensor, "node channel"]:
        x, edge_index, edge_attr = unpacked(x, edge_index, edge_attr)
        x = checked("GREAD", x, self.channels, self)
        links = links_of(edge_index, len(x), self.both_ways)
        edge_attr = links.sorted(edge_attr, self.attention.edge_channels, self)
        weights = self.attention(x, links, edge_attr, volume)
        state = {"links": links, "source": x, **weights._asdict()}
        return self.integration(self.field, x, state, "GREAD")


class _ReactionDiffusion(nn.Module):
    """−α L h + β r(h)."""

    def __init__(self, reaction: str, alphas: int, betas: int) -> None:
        super().__init__()
        self.reaction = reaction
        self.alpha = nn.Parameter(torch.zeros(alphas))
        self.beta = nn.Parameter(torch.full((betas,), 0.1))
        if betas > 1 and reaction not in RUNAWAY:
            nn.init.uniform_(self.beta, -1, 1)

    def forward(self, t: float | Tensor, h: Tensor, state: Mapping[str, Any]) -> Tensor:
        weights, links = Weights(state["edges"], state["leaves"]), state["links"]
        lh = -weights.change(h, links)
        r = REACTIONS[self.reaction](h, state["source"], lh, lambda g: weights.apply(g, links))
        return self.beta * r - self.alpha.sigmoid() * lh

    def extra_repr(self) -> str:
        return self.reaction


def build(
    setting: Setting,
    *,
    hidden: int = 64,
    time: float = 2.0,
    reaction: str = "blurring_sharpening",
    per_channel: str = "none",
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
    """GREAD between two linear layers, for meshes and graphs.

    Args:
        hidden: channels that diffuse and react.
        width, heads, score, positive, stochastic, itself, edge_hidden: of the attention.
        method, step, adjoint: of the integration.
        head: ``linear``, or ``flux``: outputs are sums of fluxes along edges.
        skip: whether the last layer sees the change, and what was before.
        undirected: whether edges are taken both ways.
        frames: static field of two tangent axes of each node of a surface, in which edges are seen.
        latent: ``False``: not channels of a linear layer, but the fields themselves, in their units;
            what is learned is then their equation, seen at its clearest with ``score='none'``.
        node_volume: of a node for which symmetric weights are divided by 1; 0: the mean of each mesh,
            which says nothing of how fine it is.

    Raises:
        InputError: no mesh or graph; options that cannot be.
    """
    return attention_flow("gread", GREAD, ("time", "reaction", "per_channel"), **locals())
