"""Weights of edges from what is at their two nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError, require_known
from sciml.surrogates.graph.links import Links

#: Which weights add up to 1: those that come in at a node, those that go out from it; ``symmetric``:
#: none, w_uv = w_vu.
STOCHASTIC = ("row", "column", "symmetric", "degree")


def channels_of_head(width: int, heads: int) -> int:
    """Of ``width`` channels of all heads together.

    Raises:
        InputError: a width that is not divisible by the heads.
    """
    if heads < 1 or width < 1 or width % heads:
        raise InputError(
            f"attention: width={width} for heads={heads}; expected a multiple of the heads"
        )
    return width // heads


class Weights(NamedTuple):
    """A of an operator A x − x, without what a node keeps, which cancels.

    Args:
        edges: of each edge, ``(E,)``.
        leaves: what of x_v goes, ``(N, 1)``: the sum of the weights that are to add up to 1, without
            the node's own; 0 at a node without edges, which stays as it is.
    """

    edges: Float[Tensor, " edge"]
    leaves: Float[Tensor, "node 1"]

    def change(self, x: Tensor, links: Links) -> Tensor:
        """A x − x."""
        return links.weighted_sum(self.edges, x) - self.leaves * x

    def apply(self, x: Tensor, links: Links) -> Tensor:
        """A x."""
        return x + self.change(x, links)


#: What q and k are made of before their product, which is the score but for a factor.
_MADE: dict[str, Callable[[Tensor], Tensor]] = {
    "dot": lambda q: q,
    "cosine": lambda q: F.normalize(q, dim=-1),
    "pearson": lambda q: F.normalize(q - q.mean(-1, keepdim=True), dim=-1),
    "kernel": lambda q: q,
}
SCORES = (*_MADE, "none", "pair")


def squareplus(x: Tensor) -> Tensor:
    """(x + √(x² + 4)) / 2: positive, and linear where e^x explodes."""
    return 0.5 * (x + (x * x + 4.0).sqrt())


class Attention(nn.Module):
    """a_uv = w_uv / Σ w, w = exp(s_uv) or squareplus(s_uv), s_uv = score(W_q x_v, W_k x_u) + W_e e_uv.

    Scores, q and k being cut into heads of c channels: ``dot`` q·k/√c, ``cosine`` q·k/|q||k|,
    ``pearson`` the cosine of q and k less their means, ``kernel`` σ² exp(−|q − k|²/2ℓ²) with σ and ℓ
    learned, a head each; ``none``: 0, of nodes nothing is seen; ``pair``: a number of each pair of
    nodes, learned, of the one graph that there is. Weights are the mean over heads. With
    ``edge_hidden`` W_e is a network of one layer more.

    Rows are receivers. ``stochastic`` says which weights add up to 1:

    - ``row``: those that come in at a node. A x is a mean of neighbours: dx/dt = A x − x obeys the
      maximum principle, and keeps no mass.
    - ``column``: those that go out from a node. Σ_v (A x − x)_v = 0: mass is kept, and there is no
      maximum principle.
    - ``symmetric``: none. a_uv = a_vu = c sigmoid(s) or c squareplus(s), s the mean of both directions,
      c learned: a graph Laplacian, whose weights are conductances. Mass is kept and the maximum
      principle obeyed; needs each edge both ways. Rates of decay are up to twice the sum of weights at
      a node: steps are to be small enough. Where nodes have volumes V it is a_uv / V_v, and Σ V x is
      kept.

    - ``degree``: none. 1/√(d_u d_v) of the numbers of edges, whatever the score: x − A x is the
      normalised Laplacian of the graph.

    Shapes: x ``(N, C)``, edges' values ``(E, edge_channels)`` in the order of the links → weights
    ``(E,)``, what leaves ``(N, 1)``.

    Args:
        channels: C.
        width: channels of all heads together.
        heads: scores an edge.
        score: one of :data:`SCORES`.
        positive: ``softmax`` (exp) or ``squareplus``.
        stochastic: as above.
        itself: whether a node is among its own neighbours.
        edge_channels: values of an edge that are seen.
        edge_hidden: width of the layer in between; 0: there is none.
        pairs: nodes of the graph, for ``pair``.

    Raises:
        InputError: an unknown word; no channels; a width that is not divisible by the heads; ``pair``
            without the number of nodes.

    Source: B. Chamberlain et al., GRAND, ICML 2021, arXiv 2106.10934, eq. 5 (``squareplus`` and the
    other scores in its code; there the scores are less their maximum over the graph, which makes
    batches see each other under squareplus, and is left out here).
    """

    def __init__(
        self,
        channels: int,
        width: int = 32,
        heads: int = 4,
        score: str = "dot",
        positive: str = "softmax",
        stochastic: str = "row",
        itself: bool = True,
        edge_channels: int = 0,
        edge_hidden: int = 0,
        pairs: int = 0,
    ) -> None:
        super().__init__()
        for what, given, known in (
            ("score", score, SCORES),
            ("positive", positive, ("softmax", "squareplus")),
            ("stochastic", stochastic, STOCHASTIC),
        ):
            require_known(f"attention: unknown {what}", given, known)
        if channels < 1:
            raise InputError(f"attention: channels={channels}; expected 1 or more")
        channels_of_head(width, heads)
        self.heads, self.score, self.positive = heads, score, positive
        self.stochastic, self.itself, self.edge_channels = stochastic, itself, edge_channels
        if score == "pair":
            if not pairs:
                raise InputError(
                    "attention: score='pair' is for one graph, and graphs of other sizes came; expected "
                    "a score of what is at nodes, such as 'dot'"
                )
            self.table = nn.Parameter(torch.zeros(pairs, pairs))
        elif score != "none":
            self.query, self.key = nn.Linear(channels, width), nn.Linear(channels, width)
        self.edge = _of_edges(edge_channels, edge_hidden, heads) if edge_channels else None
        if stochastic == "symmetric":
            self.log_scale = nn.Parameter(torch.full((heads,), -1.5))
        if score == "kernel":
            self.log_sigma, self.log_length = (nn.Parameter(torch.zeros(heads)) for _ in range(2))

    @property
    def both_ways(self) -> str:
        """What needs each edge in both directions, for messages; empty where nothing does."""
        return "the diffusion (stochastic='symmetric')" if self.stochastic == "symmetric" else ""

    def forward(
        self,
        x: Tensor,
        links: Links,
        edge_attr: Tensor | None = None,
        volume: Tensor | None = None,
    ) -> Weights:
        if self.score in ("none", "pair"):
            scores, own = (x.new_zeros(n, self.heads) for n in (len(links.source), len(x)))
            if self.score == "pair":  # graphs of a batch are side by side
                n = len(self.table)
                scores = scores + self.table[links.receiver % n, links.source % n][:, None]
        else:
            q, k = (
                _MADE[self.score](p(x).unflatten(-1, (self.heads, -1)))
                for p in (self.query, self.key)
            )
            scores, own = links.dots(q, k), (q * k).sum(-1)
            if self.score == "dot":
                scores, own = (s * q.shape[-1] ** -0.5 for s in (scores, own))
            elif self.score == "kernel":
                q2, k2 = q.square().sum(-1), k.square().sum(-1)
                far = q2.index_select(0, links.receiver) + k2.index_select(0, links.source)
                scores, own = self._kernel(far - 2 * scores), self._kernel(q2 + k2 - 2 * own)
        if self.edge is not None:
            scores = scores + self.edge(edge_attr)
        if self.stochastic == "symmetric":
            return self._symmetric(scores, links, volume)
        if self.stochastic == "degree":
            over = links.degree(x.dtype).clamp(min=1).rsqrt()
            w = over.index_select(0, links.receiver) * over.index_select(0, links.source)
            return Weights(w, (links.degree(x.dtype) > 0).to(x.dtype)[:, None])
        by = links.receiver if self.stochastic == "row" else links.source
        return _normalised(scores, own if self.itself else None, by, links.nodes, self.positive)

    @property
    def by_volume(self) -> bool:
        """Whether it wants the volumes of nodes."""
        return self.stochastic == "symmetric"

    def _kernel(self, squared: Tensor) -> Tensor:
        near = squared.clamp(min=0) * (-2 * self.log_length).exp() / 2
        return (2 * self.log_sigma - near).exp()

    def _symmetric(self, scores: Tensor, links: Links, volume: Tensor | None) -> Weights:
        scores = 0.5 * (scores + scores.index_select(0, links.reverse))
        w = scores.sigmoid() if self.positive == "softmax" else squareplus(scores)
        w = (w * self.log_scale.exp()).mean(1)
        if volume is not None:
            w = w / volume.index_select(0, links.receiver)
        return Weights(w, links.sum(w)[:, None])


def _of_edges(channels: int, hidden: int, heads: int) -> nn.Module:
    if not hidden:
        return nn.Linear(channels, heads, bias=False)
    return nn.Sequential(nn.Linear(channels, hidden), nn.SiLU(), nn.Linear(hidden, heads))


def _normalised(
    scores: Tensor, own: Tensor | None, by: Tensor, nodes: int, positive: str
) -> Weights:
    """Weights that add up to 1 over the edges of one number in ``by``, and the node's own."""
    if positive == "softmax":
        most = scores.new_full((nodes, scores.shape[1]), -torch.inf) if own is None else own
        index = by[:, None].expand_as(scores)
        most = most.detach().scatter_reduce(0, index, scores.detach(), "amax")
        w = (scores - most.index_select(0, by)).exp()
        w_own = None if own is None else (own - most).exp()
    else:
        w, w_own = squareplus(scores), None if own is None else squareplus(own)
    total = w.new_zeros(nodes, w.shape[1]).index_add(0, by, w)
    every = total if w_own is None else total + w_own
    # A node without an edge has no weights to divide.
    every = every.clamp(min=torch.finfo(every.dtype).tiny)
    return Weights((w / every.index_select(0, by)).mean(1), (total / every).mean(1, keepdim=True))
