"""Sheaf neural network: a graph convolution whose edges have maps that are given."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.errors import InputError
from sciml.surrogates.graph.links import Links, checked, links_of, require_no_weights, unpacked
from sciml.surrogates.graph.on_domain import graph_channels, on_domain
from sciml.surrogates.graph.sheaf_laplacian import SheafLaplacian
from sciml.surrogates.setting import Setting


class SheafNN(nn.Module):
    """X ← σ(D (I ⊗ B) X A), ``layers`` times, with D = I − Δ or I − α δᵀδ of a sheaf that is given.

    Δ = C⁻¹ δᵀδ C⁻ᵀ is normalised, see :class:`~sciml.surrogates.graph.sheaf_laplacian.SheafLaplacian`.
    A and B are learned, σ is ELU. Without maps F is the identity: a graph convolution.

    Shapes: x ``(N, d·f)``, ``edge_index`` ``(2, E)`` with each edge both ways, maps ``(E, d, d)`` or,
    diagonal ones, ``(E, d)``: F_{v⊴e} at the receiver of each edge, in the order of ``edge_index`` →
    ``(N, d·f)``. A layer for any network of torch_geometric.

    Args:
        stalk: d.
        features: f.
        layers: how many.
        alpha: α; 0: D = I − Δ. Of use up to 1 / (the largest degree, for orthogonal maps).

    Raises:
        InputError: sizes below 1; in use: edges that do not go both ways, loops, maps or features of
            another shape, features that are not finite.

    When it fails: I − Δ smooths: many layers make neighbours agree, as far as the maps let them.

    Source: J. Hansen, T. Gebhart, Sheaf neural networks, arXiv 2012.06333, section 3.
    """

    loops = False
    both_ways = "the Laplacian of a sheaf"

    def __init__(self, stalk: int, features: int, layers: int = 2, alpha: float = 0.0) -> None:
        super().__init__()
        if min(stalk, features, layers) < 1:
            raise InputError(
                f"SheafNN: stalk={stalk}, features={features}, layers={layers}; expected 1 or more"
            )
        self.stalk, self.features, self.alpha = stalk, features, alpha
        self.channels = stalk * features
        self.stalks = nn.ParameterList(torch.eye(stalk) for _ in range(layers))
        self.mixed = nn.ModuleList(nn.Linear(features, features) for _ in range(layers))

    def forward(
        self,
        x: Float[Tensor, "node channel"],
        edge_index: Tensor | Links | None = None,
        edge_attr: Tensor | None = None,
        maps: Float[Tensor, "edge d *d"] | None = None,
    ) -> Float[Tensor, "node channel"]:
        x, edge_index, edge_attr = unpacked(x, edge_index, edge_attr)
        require_no_weights(edge_attr)
        x = checked("SheafNN", x, self.channels, self)
        links = links_of(edge_index, len(x), self.both_ways, self.loops)
        edges, d = len(links.source), self.stalk
        if maps is not None and tuple(maps.shape) not in ((edges, d), (edges, d, d)):
            raise InputError(
                f"SheafNN: maps {tuple(maps.shape)}; expected ({edges}, {d}, {d}) or ({edges}, {d})"
            )
        maps = x.new_ones(edges, d) if maps is None else links.sorted(maps)
        make = SheafLaplacian.of if self.alpha else SheafLaplacian.normalised
        laplacian, alpha = make(maps, links), self.alpha or 1.0
        h = x.unflatten(1, (d, self.features))
        for stalks, mixed in zip(self.stalks, self.mixed, strict=True):
            h = stalks @ mixed(h)
            h = F.elu(h - alpha * laplacian.apply(h, links))
        return h.flatten(1)


def build(
    setting: Setting,
    *,
    stalk: int = 2,
    features: int = 32,
    layers: int = 4,
    head: str = "linear",
    skip: bool = True,
    dropout: float = 0.0,
    undirected: bool = False,
) -> nn.Module:
    """A SheafNN of identity maps between two linear layers, for meshes and graphs.

    Args:
        head: ``linear``, or ``flux``: outputs are sums of fluxes along edges.
        skip: whether the last layer sees the change by the convolutions, and what was before.
        undirected: whether edges are taken both ways.

    Raises:
        InputError: no mesh or graph; options that cannot be.
    """
    seen, layer = graph_channels("sheaf_nn", setting), SheafNN(stalk, features, layers)
    return on_domain(
        setting, seen, layer, layer.channels, head=head, skip=skip, dropout=dropout,
        undirected=undirected,
    )  # fmt: skip
