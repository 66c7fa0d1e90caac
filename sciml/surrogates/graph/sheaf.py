"""Neural sheaf diffusion: nodes have stalks, and edges say how they compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.errors import InputError
from sciml.surrogates.graph.links import Links, checked, links_of, unpacked
from sciml.surrogates.graph.maps import RestrictionMaps
from sciml.surrogates.graph.ode import Integration
from sciml.surrogates.graph.on_domain import graph_channels, on_domain
from sciml.surrogates.graph.sheaf_laplacian import SheafLaplacian, chebyshev
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import chose


class SheafDiffusion(nn.Module):
    """X ← (1 + ε) X − σ(p(Δ) (I ⊗ W₁) X W₂), ``layers`` times; or dX/dt = −σ(p(Δ) (I ⊗ W₁) X W₂).

    Each node has a stalk R^d of f features. Δ = C⁻¹ δᵀδ C⁻ᵀ is the normalised Laplacian of a sheaf
    whose restriction maps are learned from what is at the two ends of an edge, (δx)_e = F_{v⊴e} x_v −
    F_{u⊴e} x_u; see :class:`~sciml.surrogates.graph.maps.RestrictionMaps` and
    :class:`~sciml.surrogates.graph.sheaf_laplacian.SheafLaplacian`. It is never assembled. σ is ELU. ε
    is tanh of a number a dimension of the stalk, 0 at first. Variants:

    - ``maps="identity"``, the baseline: a graph convolution of the same weights;
    - ``degree`` K: p is a polynomial, Σ_k c_k T_k(Δ − I) by recurrence, with c learned and p(Δ) = Δ at
      first: one layer then sees K edges far. With 0, p(Δ) = Δ;
    - ``directed``: the sources of edges have maps S of their own, Δ_v x = Σ_{u→v} T_vᵀ (T_v x_v − S_u
      x_u) in the bases of C: what a node hears and what it says are two things, edges may have one
      direction only, and transport along them can be learned;
    - ``linear``: dX/dt = −c p(Δ) X, c > 0 learned: the heat equation of the sheaf;
    - ``of_edges``: maps are those of edges alone, of what is known of them: with ``linear`` the model is
      linear in X.

    Shapes: x ``(N, d·f)``, ``edge_index`` ``(2, E)`` with each edge both ways, ``edge_attr``
    ``(E, edge_channels)`` → ``(N, d·f)``. A layer for any network of torch_geometric: called with
    ``(x, edge_index)``, with :class:`~sciml.surrogates.graph.links.Links` in place of edges, or with a
    ``Data``. Nodes without edges are kept, but for ε.

    Args:
        stalk: d, without the fixed dimensions; :attr:`channels` counts them.
        features: f.
        layers: of the discrete form, with weights and maps of their own.
        maps: ``identity``, ``diagonal``, ``householder``, ``cayley``, ``exponential``, ``rotation``,
            ``general``.
        degree, directed, linear, of_edges: as above.
        time: T; above 0: the continuous form, of which W₁, W₂ and the maps' weights are one set.
        frozen: continuous: maps are those of X(0); else of X(t).
        dropout: discrete: of X before each layer, and of what later layers' maps see.
        options: of the maps: ``hidden``, ``bounded``, ``low_pass``, ``high_pass``, ``edge_weights``,
            ``edge_channels``.
        integration: options of :class:`~sciml.surrogates.graph.ode.Integration`.

    Raises:
        InputError: sizes below 1, unknown maps, a polynomial of a directed operator, ``linear``
            without a time; in use: edges that do not go both ways, loops, features of another shape or
            not finite.
        DivergedError: in use: the integration diverges.

    When it fails: on several public sets of heterophilous graphs learned maps are no better than the
    identity (arXiv 2603.05395): run that, too.

    Good values: stalks of 2 to 4, 2 to 4 layers; O(d) where features are vectors of frames that turn;
    diagonal maps and degree 4 to 8 where speed counts.

    Source: C. Bodnar et al., Neural sheaf diffusion, NeurIPS 2022, arXiv 2202.04579, eq. 3 to 5; the
    polynomial after A. Borgi et al., arXiv 2512.00242; directions after A. Ribeiro et al., arXiv
    2507.00647, whose maps are of nodes and not of edges.
    """

    #: A sheaf has no edge from a node to itself.
    loops = False

    def __init__(
        self,
        stalk: int,
        features: int,
        layers: int = 2,
        maps: str = "exponential",
        degree: int = 0,
        directed: bool = False,
        time: float = 0.0,
        frozen: bool = False,
        dropout: float = 0.0,
        options: Mapping[str, Any] | None = None,
        integration: Mapping[str, Any] | None = None,
        linear: bool = False,
        of_edges: bool = False,
    ) -> None:
        super().__init__()
        if linear and not time:
            raise InputError(
                "sheaf: linear=True with time=0; expected a time above 0: it is a flow"
            )
        if features < 1 or layers < 1 or degree < 0:
            raise InputError(
                f"sheaf: features={features}, layers={layers}, degree={degree}; expected 1 or more "
                "(degree 0: no polynomial)"
            )
        if degree and directed:
            raise InputError(
                "sheaf: degree with directed=True: the spectrum of a directed Laplacian has no bounds "
                "that the recurrence could do with; expected one of the two"
            )
        given = dict(options or {})
        d = stalk + given.get("low_pass", False) + given.get("high_pass", False)
        self.features, self.frozen, self.dropout = features, frozen, nn.Dropout(dropout)
        self.channels = d * features
        self.both_ways = "" if directed else "the Laplacian of a sheaf"
        self.integration = Integration(time, **(integration or {})) if time else None

        def learned(of_sources: bool = False) -> RestrictionMaps:
            channels = 0 if of_edges else self.channels
            return RestrictionMaps(maps, stalk, channels, **given, of_sources=of_sources)

        self.layers = nn.ModuleList(
            _SheafLayer(
                learned(), learned(True) if directed else None, features, degree, not time, linear
            )
            for _ in range(1 if time else layers)
        )

    def forward(
        self,
        x: Float[Tensor, "node channel"],
        edge_index: Tensor | Links | None = None,
        edge_attr: Float[Tensor, "edge value"] | None = None,
    ) -> Float[Tensor, "node channel"]:
        x, edge_index, edge_attr = unpacked(x, edge_index, edge_attr)
        x = checked("sheaf diffusion", x, self.channels, self)
        links = links_of(edge_index, len(x), self.both_ways, self.loops)
        edge_attr = links.sorted(edge_attr, self.layers[0].maps.edge_channels, self)
        h = x.unflatten(1, (-1, self.features))
        if self.integration is None:
            for n, layer in enumerate(self.layers):
                delta = layer.laplacian(self.dropout(h) if n else h, links, edge_attr)
                change = layer(self.dropout(h), delta, links)
                h = layer.epsilon.tanh().add(1)[:, None] * h - change
        else:
            [layer] = self.layers
            state = {"links": links, "edge_attr": edge_attr}
            if self.frozen:
                state |= layer.laplacian(h, links, edge_attr)._asdict()
            h = self.integration(_SheafFlow(layer), h, state, "sheaf diffusion")
        return h.flatten(1)


class _SheafLayer(nn.Module):
    """σ(p(Δ) (I ⊗ W₁) X W₂)."""

    def __init__(
        self,
        maps: RestrictionMaps,
        sources: RestrictionMaps | None,
        features: int,
        degree: int,
        discrete: bool,
        linear: bool,
    ) -> None:
        super().__init__()
        self.maps, self.sources, d = maps, sources, maps.dimension
        self.log_rate = nn.Parameter(torch.zeros(())) if linear else None
        if not linear:
            self.stalks = nn.Parameter(torch.eye(d))
            self.mixed = nn.Parameter(torch.empty(features, features))
            nn.init.orthogonal_(self.mixed)
        self.epsilon = nn.Parameter(torch.zeros(d)) if discrete else None
        start = torch.zeros(degree + 1)
        start[:2] = 1.0  # Δ = T_0 + T_1(Δ − I)
        self.coefficients = nn.Parameter(start) if degree else None

    def laplacian(self, h: Tensor, links: Links, edge_attr: Tensor | None) -> SheafLaplacian:
        """Δ of what is at the nodes."""
        seen = h.flatten(1)
        sources = None if self.sources is None else self.sources(seen, links, edge_attr)
        maps = self.maps(seen, links, edge_attr)
        return SheafLaplacian.normalised(maps, links, self.maps.conformal, sources)

    def forward(self, h: Tensor, delta: SheafLaplacian, links: Links) -> Tensor:
        if self.log_rate is not None:
            return self.log_rate.exp() * self._filtered(h, delta, links)
        # One product of matrices, since those of d × d are slow.
        both = torch.kron(self.stalks.T.contiguous(), self.mixed)
        h = (h.flatten(1) @ both).view_as(h)
        return F.elu(self._filtered(h, delta, links))

    def _filtered(self, h: Tensor, delta: SheafLaplacian, links: Links) -> Tensor:
        if self.coefficients is None:
            return delta.apply(h, links)
        return chebyshev(lambda y: delta.apply(y, links), h, self.coefficients)


class _SheafFlow(nn.Module):
    """−σ(p(Δ) (I ⊗ W₁) X W₂) as a vector field, with Δ given by ``blocks`` and ``diagonal``, or of X."""

    def __init__(self, layer: _SheafLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, t: float | Tensor, h: Tensor, state: Mapping[str, Any]) -> Tensor:
        links = state["links"]
        if "blocks" in state:
            delta = SheafLaplacian(state["blocks"], state["diagonal"])
        else:
            delta = self.layer.laplacian(h, links, state["edge_attr"])
        return -self.layer(h, delta, links)


def build(
    setting: Setting,
    *,
    stalk: int = 2,
    features: int = 32,
    layers: int = 4,
    maps: str = "exponential",
    degree: int = 0,
    directed: bool = False,
    maps_hidden: int = 0,
    bounded: bool = True,
    low_pass: bool = False,
    high_pass: bool = False,
    edge_weights: bool = False,
    time: float = 0.0,
    frozen: bool = False,
    method: str = "rk4",
    step: float | None = None,
    adjoint: bool = False,
    head: str = "linear",
    skip: bool = True,
    dropout: float = 0.0,
    undirected: bool = False,
    linear: bool = False,
    of_edges: bool = False,
    latent: bool = True,
    frames: str = "",
) -> nn.Module:
    """Sheaf diffusion between two linear layers, for meshes and graphs.

    Args:
        maps_hidden: width of a layer in between of the maps; 0: there is none.
        step: ``None``: half, or T where that is less.
        head: ``linear``, or ``flux``: outputs are sums of fluxes along edges.
        skip: whether the last layer sees the change by the diffusion, and what was before.
        undirected: whether edges are taken both ways.
        latent: ``False``: stalks are the fields themselves, in their units: vectors of as many
            components as a stalk has dimensions.
        frames: static field of two tangent axes of each node of a surface, in which edges are seen.

    Raises:
        InputError: no mesh or graph; options that cannot be.
    """
    seen = graph_channels("sheaf_diffusion", setting, frames)
    if not latent:
        features, rest = divmod(setting.channels[1], stalk)
        if rest or low_pass or high_pass:
            raise InputError(
                f"sheaf: latent=False, stalk={stalk}, {setting.channels[1]} channels that are wanted; "
                "expected vectors of as many components as a stalk has, and no fixed dimensions"
            )
    options = {
        "hidden": maps_hidden, "bounded": bounded, "low_pass": low_pass, "high_pass": high_pass,
        "edge_weights": edge_weights, "edge_channels": seen.edge_channels, "opposite": bool(frames),
    }  # fmt: skip
    if step is None:
        step = min(0.5, time) if time else 0.5
    layer = SheafDiffusion(
        stalk, features, layers, maps, degree, directed, time, frozen, dropout, options,
        {"method": method, "step": step, "adjoint": adjoint}, linear, of_edges,
    )  # fmt: skip
    model = on_domain(
        setting, seen, layer, layer.channels, head=head, skip=skip, dropout=dropout,
        undirected=undirected, latent=latent,
    )  # fmt: skip
    return chose(model, step=step)
