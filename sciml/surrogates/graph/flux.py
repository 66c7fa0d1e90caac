"""Outputs that are sums of fluxes along edges: what one node loses, another gains."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from sciml.surrogates.graph.links import Links, links_of


class FluxHead(nn.Module):
    """y_v = Σ_u J_uv / V_v, J_uv = φ(h_u, h_v, e_uv) − φ(h_v, h_u, e_vu) = −J_vu.

    Σ_v V_v y_v is 0 to rounding in each connected piece, whatever φ has learned: added to a field, y
    keeps its mass. V_v is 1 where nothing is given. φ is W₂ SiLU(W₁ [h_u ‖ h_v ‖ e_uv]).

    Shapes: h ``(N, channels)``, edges' values ``(E, edge_channels)``, V ``(N,)`` →
    ``(N, out_channels)``.

    Args:
        channels, out_channels: of a node.
        hidden: width of φ.
        edge_channels: values of an edge that it sees.

    Raises:
        InputError: in use: an edge without the reverse.

    When it fails: a field that gains mass, by a source or through a boundary, cannot be learned.

    Source: the finite-volume method, R. J. LeVeque, Cambridge 2002, section 4.1.
    """

    both_ways = "a flux (head='flux')"

    def __init__(
        self, channels: int, out_channels: int, hidden: int = 64, edge_channels: int = 0
    ) -> None:
        super().__init__()
        self.edge_channels = edge_channels
        # W₁ of h_u and h_v apart: computed at nodes, of which there are fewer.
        self.from_source = nn.Linear(channels, hidden)
        self.from_receiver = nn.Linear(channels, hidden, bias=False)
        self.from_edge = nn.Linear(edge_channels, hidden, bias=False) if edge_channels else None
        self.last = nn.Linear(hidden, out_channels, bias=False)

    def forward(
        self,
        h: Float[Tensor, "node channel"],
        edge_index: Tensor | Links,
        edge_attr: Tensor | None = None,
        volume: Float[Tensor, " node"] | None = None,
    ) -> Float[Tensor, "node wanted"]:
        links = links_of(edge_index, len(h), self.both_ways)
        at = self.from_source(h).index_select(0, links.source)
        at = at + self.from_receiver(h).index_select(0, links.receiver)
        if self.from_edge is not None:
            at = at + self.from_edge(links.sorted(edge_attr, self.edge_channels, self))
        phi = self.last(nn.functional.silu(at))
        gained = links.sum(phi - phi.index_select(0, links.reverse))
        return gained if volume is None else gained / volume[:, None]
