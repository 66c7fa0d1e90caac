"""Sums over neighbours of three factors, without an array as long as there are pairs but in the cache.

What autograd keeps of a product is its factors, each as long as all pairs times all paths and channels:
most of the memory and, since memory must be found, of the time. Here only what comes in is kept, and
receivers are taken some at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Numbers of a product of some receivers that are at hand at once: 1 MB in float32. With more they leave
#: the cache, with fewer calls cost more than what they compute.
AT_ONCE = 1 << 18


@dataclass(frozen=True, slots=True)
class Term:
    """Paths from one irrep of features and one degree.

    Args:
        given, around: components of both.
        paths: of the radial functions.
        rows: of what comes out, by component of ``around``, path, component of ``given``.
    """

    given: slice
    around: slice
    paths: slice
    rows: slice

    @property
    def width(self) -> int:
        """Products of a pair and a channel."""
        return (self.paths.stop - self.paths.start) * (self.given.stop - self.given.start)


Terms = tuple[Term, ...]


class NeighbourSum(torch.autograd.Function):
    """S_{n m p i c} = Σ_s Y_{n s m} R_{pair(n, s) p c} h_{source(n, s) i c}, of each term its rows.

    Shapes: Y ``(N, slots, components)``, R ``(pairs, paths, C)``, h ``(N, components, C)``, pair and
    source ``(N · slots,)``; gives ``(N, rows, C)``. Differentiable twice.
    """

    @staticmethod
    def forward(
        ctx: Any, y: Tensor, r: Tensor, h: Tensor, pair: Tensor, source: Tensor, terms: Terms
    ) -> Tensor:
        ctx.save_for_backward(y, r, h, pair, source)
        ctx.terms = terms
        return _sums(y, r, h, pair, source, terms)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        y, r, h, pair, source = ctx.saved_tensors
        return (*_Slopes.apply(y, r, h, g, pair, source, ctx.terms), None, None, None)


class _Slopes(torch.autograd.Function):
    """Gradients of Σ g S by Y, R and h, each of the other two and of g."""

    @staticmethod
    def forward(
        ctx: Any,
        y: Tensor,
        r: Tensor,
        h: Tensor,
        g: Tensor,
        pair: Tensor,
        source: Tensor,
        terms: Terms,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(y, r, h, g, pair, source)
        ctx.terms = terms
        return _slopes(y, r, h, g, pair, source, terms)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, dr: Tensor, dh: Tensor) -> tuple[Tensor | None, ...]:
        return (*_curvatures(*ctx.saved_tensors, ctx.terms, (dy, dr, dh)), None, None, None)


def _some(y: Tensor, channels: int, terms: Terms) -> Iterator[tuple[slice, slice]]:
    """Receivers, and their slots."""
    nodes, width = y.shape[:2]
    step = max(1, AT_ONCE // max(1, width * channels * max(t.width for t in terms)))
    for start in range(0, nodes, step):
        stop = min(start + step, nodes)
        yield slice(start, stop), slice(start * width, stop * width)


def _sums(y: Tensor, r: Tensor, h: Tensor, pair: Tensor, source: Tensor, terms: Terms) -> Tensor:
    nodes, width, channels = *y.shape[:2], h.shape[2]
    out = y.new_empty(nodes, terms[-1].rows.stop, channels)
    for some, slots in _some(y, channels, terms):
        count, around = some.stop - some.start, y[some].transpose(1, 2)
        rs, hs = r.index_select(0, pair[slots]), h.index_select(0, source[slots])
        for t in terms:
            product = rs[:, t.paths].unsqueeze(2) * hs[:, t.given].unsqueeze(1)
            product = product.view(count, width, t.width * channels)
            found = torch.bmm(around[:, t.around], product)
            out[some, t.rows] = found.view(count, -1, channels)
    return out


def _slopes(
    y: Tensor, r: Tensor, h: Tensor, g: Tensor, pair: Tensor, source: Tensor, terms: Terms
) -> tuple[Tensor, Tensor, Tensor]:
    width, channels = y.shape[1], h.shape[2]
    gy, gr, gh = torch.zeros_like(y), torch.zeros_like(r), torch.zeros_like(h)
    for some, slots in _some(y, channels, terms):
        count, around = some.stop - some.start, y[some]
        rs, hs = r.index_select(0, pair[slots]), h.index_select(0, source[slots])
        to_r, to_h = torch.empty_like(rs), torch.zeros_like(hs)
        for t in terms:
            rt, ht = rs[:, t.paths].unsqueeze(2), hs[:, t.given].unsqueeze(1)
            slope = g[some, t.rows].reshape(count, -1, t.width * channels)
            product = (rt * ht).view(count, width, t.width * channels)
            gy[some, :, t.around] += torch.bmm(product, slope.transpose(1, 2))
            back = torch.bmm(around[..., t.around], slope)
            back = back.view(count * width, rt.shape[1], ht.shape[2], channels)
            to_r[:, t.paths] = _added(back * ht, 2)
            to_h[:, t.given] += _added(back * rt, 1)
        gr.index_add_(0, pair[slots], to_r)
        gh.index_add_(0, source[slots], to_h)
    return gy, gr, gh


def _curvatures(
    y: Tensor,
    r: Tensor,
    h: Tensor,
    g: Tensor,
    pair: Tensor,
    source: Tensor,
    terms: Terms,
    along: tuple[Tensor, Tensor, Tensor],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients by Y, R, h and g of what :func:`_slopes` gives times ``along``.

    The sum is linear in each of Y, R and h: its change along them is that with one put for the other.
    """
    dy, dr, dh = along
    width, channels = y.shape[1], h.shape[2]
    gy, gr, gh, gg = map(torch.zeros_like, (y, r, h, g))
    for some, slots in _some(y, channels, terms):
        count, around, turned = some.stop - some.start, y[some], dy[some]
        rs, drs = r.index_select(0, pair[slots]), dr.index_select(0, pair[slots])
        hs, dhs = h.index_select(0, source[slots]), dh.index_select(0, source[slots])
        to_r, to_h = torch.empty_like(rs), torch.zeros_like(hs)
        for t in terms:
            rt, drt = rs[:, t.paths].unsqueeze(2), drs[:, t.paths].unsqueeze(2)
            ht, dht = hs[:, t.given].unsqueeze(1), dhs[:, t.given].unsqueeze(1)
            shape = count, width, t.width * channels
            product = (rt * ht).view(shape)
            change = (drt * ht).addcmul_(rt, dht).view(shape)
            slope = g[some, t.rows].reshape(count, -1, t.width * channels)
            gy[some, :, t.around] += torch.bmm(change, slope.transpose(1, 2))
            found = torch.bmm(turned[..., t.around].transpose(1, 2), product)
            found.baddbmm_(around[..., t.around].transpose(1, 2), change)
            gg[some, t.rows] = found.view(count, -1, channels)
            shape = count * width, rt.shape[1], ht.shape[2], channels
            back = torch.bmm(around[..., t.around], slope).view(shape)
            again = torch.bmm(turned[..., t.around], slope).view(shape)
            to_r[:, t.paths] = _added((back * dht).addcmul_(again, ht), 2)
            to_h[:, t.given] += _added(back.mul_(drt).addcmul_(again, rt), 1)
        gr.index_add_(0, pair[slots], to_r)
        gh.index_add_(0, source[slots], to_h)
    return gy, gr, gh, gg


def _added(x: Tensor, axis: int) -> Tensor:
    return x.squeeze(axis) if x.shape[axis] == 1 else x.sum(axis)
