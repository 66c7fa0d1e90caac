"""Sums over the edges of each node, as products with compressed sparse rows where there are any.

Nothing of the size of edges times features is then made, on the way back neither: several times as fast
on a processor as to gather, multiply and add at places, and on accelerators always summed in one order.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

#: Of which there are compressed rows.
_DTYPES = (torch.float32, torch.float64)


class EdgeRows(NamedTuple):
    """Edges sorted by the node that sums over them.

    Args:
        starts: where those of each node begin, ``(N + 1,)``.
        own: that node, of each edge.
        other: the node at its other end.
    """

    starts: Tensor
    own: Tensor
    other: Tensor


def sum_at(values: Tensor, rows: EdgeRows) -> Tensor:
    """Σ of values ``(E, …)`` at each node, ``(N, …)``."""
    if plain(values):
        nodes = rows.starts.shape[0] - 1
        return values.new_zeros(nodes, *values.shape[1:]).index_add(0, rows.own, values)
    return _Sum.apply(values, rows)


def block_sum_at(
    blocks: Tensor, x: Tensor, rows: EdgeRows, back: EdgeRows, order: Tensor
) -> Tensor:
    """Σ_e G_e x_{other(e)} at each node, ``(N, d, f)``.

    Args:
        blocks: G, ``(E, d, d)``.
        x: ``(N, d, f)``.
        back: the same edges the other way round, by which derivatives go.
        order: the place in ``rows`` of each of these.
    """
    if plain(x) or blocks.dtype != x.dtype:
        return sum_at(torch.bmm(blocks, x.index_select(0, rows.other)), rows)
    return _BlockSum.apply(blocks, x, rows, back, order)


def dots_at(q: Tensor, k: Tensor, rows: EdgeRows, back: EdgeRows, order: Tensor) -> Tensor:
    """q_{own(e)} · k_{other(e)} of each edge and head, ``(E, heads)``, from ``(N, heads, c)`` both."""
    if plain(q) or q.dtype != k.dtype or q.is_cuda:
        return (q.index_select(0, rows.own) * k.index_select(0, rows.other)).sum(-1)
    return _Dots.apply(q, k, rows, back, order)


def plain(x: Tensor) -> bool:
    """Whether there are no compressed rows for it: it is gathered and added at places."""
    return (
        x.dtype not in _DTYPES
        or x.device.type not in ("cpu", "cuda")
        or torch.compiler.is_compiling()
        or torch.is_autocast_enabled(x.device.type)  # products would be in bfloat16
    )


def compressed(starts: Tensor, columns: Tensor, values: Tensor, width: int) -> Tensor:
    """A matrix with compressed sparse rows."""
    _warned_once()
    shape = (len(starts) - 1, width)
    return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)


@cache
def _warned_once() -> None:
    """torch says once a process that compressed rows are new: here, where nobody need hear it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        none = torch.zeros(1, dtype=torch.long)
        torch.sparse_csr_tensor(none, none[:0], torch.zeros(0), (0, 0), check_invariants=False)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, rows: EdgeRows) -> Tensor:
        ctx.own = rows.own
        flat = values[:, None] if values.ndim == 1 else values.flatten(1)
        edges = torch.arange(len(values), device=values.device)
        found = compressed(rows.starts, edges, flat.new_ones(len(flat)), len(flat)) @ flat
        return found.reshape(len(rows.starts) - 1, *values.shape[1:])

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, None]:
        return above.index_select(0, ctx.own), None


class _BlockSum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, blocks: Tensor, x: Tensor, rows: EdgeRows, back: EdgeRows, order: Tensor
    ) -> Tensor:
        ctx.save_for_backward(blocks, x)
        ctx.edges = rows, back, order
        return _products(blocks, x, rows)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:
        blocks, x = ctx.saved_tensors
        rows, back, order = ctx.edges
        to_blocks = to_x = None
        if ctx.needs_input_grad[0]:
            to_blocks = _outer(above, x, rows)
        if ctx.needs_input_grad[1]:
            to_x = _products(blocks.index_select(0, order).mT, above, back)
        return to_blocks, to_x, None, None, None


class _Dots(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, rows: EdgeRows, back: EdgeRows, order: Tensor
    ) -> Tensor:
        ctx.save_for_backward(q, k)
        ctx.edges = rows, back, order
        heads = zip(q.unbind(1), k.unbind(1), strict=True)
        found = [_outer(a[:, None], b[:, None], rows)[:, 0, 0] for a, b in heads]
        return torch.stack(found, dim=1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:
        q, k = ctx.saved_tensors
        rows, back, order = ctx.edges
        to_q, to_k = [], []
        for weights, a, b in zip(above.unbind(1), q.unbind(1), k.unbind(1), strict=True):
            to_q.append(_products(weights[:, None, None], b[:, None], rows))
            there = weights.index_select(0, order)[:, None, None]
            to_k.append(_products(there, a[:, None], back))
        return torch.cat(to_q, dim=1), torch.cat(to_k, dim=1), None, None, None


def _columns(rows: EdgeRows, d: int) -> tuple[Tensor, Tensor]:
    """Starts and columns of a row of all blocks, which are as one with d entries an edge."""
    if d == 1:
        return rows.starts, rows.other
    along = torch.arange(d, device=rows.other.device)
    return rows.starts * d, (rows.other[:, None] * d + along).flatten()


def _products(blocks: Tensor, x: Tensor, rows: EdgeRows) -> Tensor:
    """Σ_e G_e x_{other(e)}, a row of the blocks after the other."""
    nodes, d, features = x.shape
    starts, columns = _columns(rows, d)
    flat = x.reshape(nodes * d, features)
    found = [
        compressed(starts, columns, blocks[:, i].reshape(-1), nodes * d) @ flat for i in range(d)
    ]
    return torch.stack(found, dim=1)


def _outer(above: Tensor, x: Tensor, rows: EdgeRows) -> Tensor:
    """g_{own(e)} x_{other(e)}ᵀ of each edge, ``(E, d, d)``."""
    nodes, d, features = x.shape
    if x.is_cuda:
        return torch.bmm(above.index_select(0, rows.own), x.index_select(0, rows.other).mT)
    starts, columns = _columns(rows, d)
    flat, zeros = x.reshape(nodes * d, features).T, x.new_zeros(len(columns))
    pattern = compressed(starts, columns, zeros, nodes * d)
    found = [
        torch.sparse.sampled_addmm(pattern, above[:, i].contiguous(), flat, beta=0.0).values()
        for i in range(d)
    ]
    return torch.stack([row.view(-1, d) for row in found], dim=1)
