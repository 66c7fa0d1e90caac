"""Attention over the edges of a graph: dense attention whose mask is the adjacency, without the mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.surrogates.graph.aggregation import EdgeRows, compressed, plain
from sciml.surrogates.graph.links import Links


@dataclass(frozen=True, eq=False, slots=True)
class EdgeAttention:
    """o_v = Σ_u softmax_u(q_v · k_u / √c) v_u over the edges u → v, each head for itself.

    A graph with h heads is taken for one of h times as many nodes, node v of head i being v h + i: one
    product with compressed rows then does all heads, and nothing is as large as edges times channels.
    Made once for all layers that have the same edges.

    Shapes: q, k, v ``(N, h, c)`` → ``(N, h, c)``. A node without edges gets 0: join it with itself.

    Args:
        heads: h.
        rows: edges of all heads by receiver. back: by source. order: the place in ``rows`` of each of
            these.

    Source: P. Garnier et al., Training Transformers for Mesh-Based Simulations, 2025, arXiv 2508.18051,
    section 3: softmax over neighbours.
    """

    heads: int
    rows: EdgeRows
    back: EdgeRows
    order: Tensor

    @classmethod
    def of(cls, links: Links, heads: int) -> EdgeAttention:
        """That of some edges, by heads."""
        rows, own = _repeated(links.rows, heads)
        back, other = (rows, own) if links.symmetric else _repeated(links.back, heads)
        order = torch.empty_like(rows.own)
        order[other] = own.index_select(0, links.outgoing)
        return cls(heads, rows, back, order.flatten())

    def __call__(
        self,
        q: Float[Tensor, "node head c"],
        k: Float[Tensor, "node head c"],
        v: Float[Tensor, "node head c"],
    ) -> Float[Tensor, "node head c"]:
        flat = [t.reshape(-1, t.shape[-1]) for t in (q, k, v)]
        attend = _gathered if plain(q) else _Attend.apply
        return attend(*flat, self).view_as(v)


def _gathered(q: Tensor, k: Tensor, v: Tensor, edges: EdgeAttention) -> Tensor:
    """In 16 bits, and where a compiler is to see it."""
    own, other = edges.rows.own, edges.rows.other
    scores = (q.index_select(0, own) * k.index_select(0, other)).sum(1) * q.shape[1] ** -0.5
    scores = scores.float() if scores.dtype.itemsize < 4 else scores
    most = scores.new_full((len(q),), -torch.inf)
    most = most.scatter_reduce(0, own, scores.detach(), "amax")
    w = (scores - most.index_select(0, own)).exp()
    w = w / w.new_zeros(len(q)).index_add(0, own, w).index_select(0, own)
    along = w.to(v.dtype)[:, None] * v.index_select(0, other)
    return torch.zeros_like(v).index_add(0, own, along)


class _Attend(torch.autograd.Function):
    """Kept are q, k, v, the weights and what comes out."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, edges: EdgeAttention) -> Tensor:
        rows = edges.rows
        scores = _dots(q, k, rows, q.shape[1] ** -0.5)
        # A node without edges has −∞, which nothing is taken from.
        most = torch.segment_reduce(scores, "max", offsets=rows.starts, unsafe=True)
        w = scores.sub_(most.index_select(0, rows.own)).exp_()
        w /= torch.segment_reduce(w, "sum", offsets=rows.starts, unsafe=True).index_select(
            0, rows.own
        )
        found = compressed(rows.starts, rows.other, w, len(v)) @ v
        ctx.edges = edges
        ctx.save_for_backward(q, k, v, w, found)
        return found

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, w, found = ctx.saved_tensors
        rows, back, order = ctx.edges.rows, ctx.edges.back, ctx.edges.order
        above = above.contiguous()
        to_v = compressed(back.starts, back.other, w.index_select(0, order), len(v)) @ above
        # Σ_e w_e dw_e of a node is what comes out times what came back.
        mean = (above * found).sum(1).index_select(0, rows.own)
        to_scores = _dots(above, v, rows).sub_(mean).mul_(w).mul_(q.shape[1] ** -0.5)
        to_q = compressed(rows.starts, rows.other, to_scores, len(k)) @ k
        to_k = compressed(back.starts, back.other, to_scores.index_select(0, order), len(q)) @ q
        return to_q, to_k, to_v, None


def _dots(q: Tensor, k: Tensor, rows: EdgeRows, factor: float = 1.0) -> Tensor:
    """factor · q_{own(e)} · k_{other(e)} of each edge."""
    if q.is_cuda:  # slower there than to gather
        return (q.index_select(0, rows.own) * k.index_select(0, rows.other)).sum(1).mul_(factor)
    pattern = compressed(rows.starts, rows.other, q.new_zeros(len(rows.own)), len(k))
    return torch.sparse.sampled_addmm(pattern, q, k.T, beta=0.0, alpha=factor).values()


def _repeated(rows: EdgeRows, heads: int) -> tuple[EdgeRows, Tensor]:
    """Edges once for each head, and where those of each edge have come, ``(E, heads)``."""
    each = torch.arange(heads, device=rows.own.device)
    begin = rows.starts[:-1]
    count = rows.starts[1:] - begin
    starts = torch.cat(
        [(heads * begin[:, None] + count[:, None] * each).flatten(), heads * rows.starts[-1:]]
    )
    edge = torch.arange(len(rows.own), device=rows.own.device) + (heads - 1) * begin.index_select(
        0, rows.own
    )
    place = edge[:, None] + count.index_select(0, rows.own)[:, None] * each
    own, other = (torch.empty_like(place).flatten() for _ in range(2))
    own[place] = rows.own[:, None] * heads + each
    other[place] = rows.other[:, None] * heads + each
    return EdgeRows(starts, own, other), place
