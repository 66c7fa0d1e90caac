"""Restriction maps of a sheaf: what each end of an edge sees of its node's stalk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sciml.errors import InputError, require_known
from sciml.surrogates.graph.links import Links


def _skew(numbers: Tensor, d: int) -> Tensor:
    """A = −Aᵀ with these numbers below the diagonal."""
    i, j = torch.tril_indices(d, d, -1, device=numbers.device)
    lower = numbers.new_zeros(*numbers.shape[:-1], d, d)
    lower[..., i, j] = numbers
    return lower - lower.mT


def _householder(numbers: Tensor, d: int) -> Tensor:
    """H_1 … H_{d−1}, H_k = I − 2 v vᵀ/|v|², v = (0, …, 0, 1, numbers…): |v| ≥ 1, so none is singular."""
    found = torch.eye(d, dtype=numbers.dtype, device=numbers.device).expand(
        *numbers.shape[:-1], d, d
    )
    begin = 0
    for k in range(d - 1):
        rest = numbers[..., begin : begin + d - 1 - k]
        begin += d - 1 - k
        v = torch.cat(
            [rest.new_zeros(*rest.shape[:-1], k), rest.new_ones(*rest.shape[:-1], 1), rest], -1
        )
        over = 2.0 / v.square().sum(-1)
        found = found - (found @ v[..., None]) @ (over[..., None] * v)[..., None, :]
    return found


def _rotation(numbers: Tensor, d: int) -> Tensor:
    """(a, −b; b, a) / √(a² + b²)."""
    squared = numbers.square().sum(-1, keepdim=True) + torch.finfo(numbers.dtype).tiny
    a, b = (numbers / squared.sqrt()).unbind(-1)
    return torch.stack([a, -b, b, a], -1).unflatten(-1, (2, 2))


def _cayley(numbers: Tensor, d: int) -> Tensor:
    """(I + A)⁻¹ (I − A)."""
    skew = _skew(numbers, d)
    one = torch.eye(d, dtype=numbers.dtype, device=numbers.device)
    return torch.linalg.solve(one + skew, one - skew)


def _exponential(numbers: Tensor, d: int) -> Tensor:
    """exp(A); in the plane a rotation, in space I + sin θ/θ A + (1 − cos θ)/θ² A²."""
    if d == 2:
        cos, sin = numbers[..., 0].cos(), numbers[..., 0].sin()
        return torch.stack([cos, -sin, sin, cos], -1).unflatten(-1, (2, 2))
    skew = _skew(numbers, d)
    if d == 3:
        squared = (
            numbers.square().sum(-1) + torch.finfo(numbers.dtype).tiny
        )  # θ has a derivative at 0
        turn = (squared.sqrt() / torch.pi)[..., None, None]
        one = torch.eye(3, dtype=numbers.dtype, device=numbers.device)
        return one + turn.sinc() * skew + 0.5 * (turn / 2).sinc().square() * (skew @ skew)
    # Padé's approximant of order 3 at A/8, squared three times: orthogonal for every A, off by 1e-7 for
    # numbers up to 1. torch's matrix_exp takes ten times as long, and on the way back as much again.
    part = skew / 8
    two = part @ part
    even, odd = 12 * two, part @ (two + 60 * torch.eye(d, dtype=two.dtype, device=two.device))
    even = even + 120 * torch.eye(d, dtype=two.dtype, device=two.device)
    found = torch.linalg.solve(even - odd, even + odd)
    for _ in range(3):
        found = found @ found
    return 1.5 * found - 0.5 * found @ (
        found.mT @ found
    )  # one step of Newton's to FᵀF = I: rounding


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of restriction maps.

    Args:
        numbers: that make a map of a stalk of dimension d.
        make: maps ``(…, d, d)``, or ``(…, d)`` of diagonal ones, from numbers ``(…, n)``.
        orthogonal: whether FᵀF = I.
    """

    numbers: Callable[[int], int]
    make: Callable[[Tensor, int], Tensor]
    orthogonal: bool = False


def _below(d: int) -> int:
    return d * (d - 1) // 2


KINDS = {
    "identity": Kind(lambda d: 0, lambda n, d: n.new_ones(*n.shape[:-1], d), True),
    "diagonal": Kind(lambda d: d, lambda n, d: n),
    "householder": Kind(_below, _householder, True),
    "cayley": Kind(_below, _cayley, True),
    "exponential": Kind(_below, _exponential, True),
    "rotation": Kind(lambda d: 2, _rotation, True),
    "general": Kind(lambda d: d * d, lambda n, d: n.unflatten(-1, (d, d))),
}


class RestrictionMaps(nn.Module):
    """F_{v⊴e} = make(σ(V [x_v ‖ x_u ‖ e_uv])), for each end v of each edge e, u being the other.

    Kinds: ``identity``; ``diagonal``; O(d) by ``householder`` (d − 1 reflections), ``cayley``
    (I + A)⁻¹(I − A) or ``exponential`` exp(A), A skew; in the plane ``rotation`` by a complex number
    over its size, which turns with what it is linear in; ``general``. σ is tanh, or nothing; with
    ``hidden`` there is a layer more, V₂ tanh(V₁ …). Without channels maps are those of edges alone.

    A stalk may have two more dimensions, which learn nothing: in ``low_pass`` both ends are mapped by 1,
    in ``high_pass`` one by 1 and the other by −1, so that neighbours there are pulled apart.

    Shapes: x ``(N, channels)``, edges' values ``(E, edge_channels)`` in the order of the links → maps
    ``(E, d)`` of diagonal kinds, ``(E, d, d)`` of others: of each edge the one at its *receiver*. d
    counts the fixed dimensions.

    Args:
        kind: as above.
        stalk: dimension that is learned.
        channels: of a node; 0: nodes are not seen.
        edge_channels: values of an edge that are seen.
        hidden: width of the layer in between; 0: there is none.
        bounded: whether σ is tanh.
        low_pass, high_pass: whether there are the fixed dimensions.
        edge_weights: whether maps are times a weight of their edge, from 0 to 1 and learned likewise,
            sigmoid(w [x_v ‖ x_u]) of one end times that of the other, of e_uv where nodes are not seen:
            edges may then be cut.
        opposite: whether maps of the two ends of an edge, but for diagonal ones, have opposite signs:
            for what is known of an edge that points away from either end, as its direction does.
        of_sources: whether these are the maps at the sources of directed edges, with their signs.

    Raises:
        InputError: an unknown kind, a stalk without dimension, O(1), which is ±1 and cannot be learned,
            rotations elsewhere than in the plane, maps that see nothing.

    When it fails: products of d − 1 reflections have one determinant, and so do the two others. What
    carries from one end to the other, FᵀF, is a rotation; mirrors between nodes are for ``general``.

    Source: C. Bodnar et al., Neural sheaf diffusion, NeurIPS 2022, arXiv 2202.04579, sections 4 and 5.
    """

    def __init__(
        self,
        kind: str,
        stalk: int,
        channels: int,
        edge_channels: int = 0,
        hidden: int = 0,
        bounded: bool = True,
        low_pass: bool = False,
        high_pass: bool = False,
        edge_weights: bool = False,
        opposite: bool = False,
        of_sources: bool = False,
    ) -> None:
        super().__init__()
        require_known("unknown maps", kind, KINDS)
        if stalk < 1:
            raise InputError(f"stalk={stalk}; expected a dimension of 1 or more")
        if stalk == 1 and KINDS[kind].numbers is _below:
            raise InputError(
                f"maps '{kind}' with stalk=1: O(1) is 1 and −1, which cannot be learned; expected a "
                "stalk of 2 or more, or the maps 'diagonal'"
            )
        if kind == "rotation" and stalk != 2:
            raise InputError(
                f"maps 'rotation' with stalk={stalk}; expected 2, or the maps 'exponential'"
            )
        if not channels and not edge_channels and kind != "identity":
            raise InputError(
                f"maps '{kind}' of edges alone, and nothing is known of edges; expected a mesh, or a "
                "field on edges among the static ones"
            )
        self.kind, self.stalk, self.bounded, self.channels = kind, stalk, bounded, channels
        self.fixed, self.edge_channels = low_pass + high_pass, edge_channels
        self.low_pass, self.high_pass = low_pass, high_pass
        numbers = KINDS[kind].numbers(stalk)
        if numbers:
            width = hidden or numbers
            # V of x_v and of x_u apart: computed at nodes, of which there are fewer than edges.
            if channels:
                self.at_receiver = nn.Linear(channels, width, bias=bool(hidden))
                self.at_source = nn.Linear(channels, width, bias=False)
            bias = bool(hidden) and not channels
            self.of_edge = nn.Linear(edge_channels, width, bias=bias) if edge_channels else None
            self.last = nn.Linear(hidden, numbers) if hidden else None

        self.of_sources = of_sources
        self.opposite = opposite and kind not in ("identity", "diagonal")
        self.weight = nn.Linear(2 * channels or edge_channels, 1) if edge_weights else None

    @property
    def dimension(self) -> int:
        """Of the whole stalk."""
        return self.stalk + self.fixed

    @property
    def conformal(self) -> bool:
        """Whether FᵀF of all is a number times I."""
        return KINDS[self.kind].orthogonal and (self.weight is None or not self.fixed)

    def forward(self, x: Tensor, links: Links, edge_attr: Tensor | None = None) -> Tensor:
        kind, edges = KINDS[self.kind], len(links.source)
        if kind.numbers(self.stalk):
            at = 0.0
            if self.channels:
                at = self.at_receiver(x).index_select(0, links.receiver)
                at = at + self.at_source(x).index_select(0, links.source)
            if self.of_edge is not None:
                at = at + self.of_edge(edge_attr)
            if self.last is not None:
                at = self.last(at.tanh())
            numbers = at.tanh() if self.bounded else at
        else:
            numbers = x.new_empty(edges, 0)
        maps = kind.make(numbers, self.stalk)
        if self.opposite:
            maps = maps * self._signs(links, maps)[:, None]
        if self.weight is not None:
            one = self._one_way(x, links, edge_attr).sigmoid()
            both = one * one.index_select(0, links.outgoing) if links.symmetric else one
            maps = maps * both.view(-1, *(1,) * (maps.ndim - 1))
        return self._with_fixed(maps, links)

    def _one_way(self, x: Tensor, links: Links, edge_attr: Tensor | None) -> Tensor:
        if not self.channels:
            return self.weight(edge_attr)[:, 0]
        at_receiver, at_source = self.weight.weight[0].chunk(2)
        score = (x @ at_receiver).index_select(0, links.receiver) + self.weight.bias
        return score + (x @ at_source).index_select(0, links.source)

    def _with_fixed(self, maps: Tensor, links: Links) -> Tensor:
        if not self.fixed:
            return maps
        ones = maps.new_ones(len(maps), 1)
        extra = [ones] * self.low_pass + [self._signs(links, maps)] * self.high_pass
        extra = torch.cat(extra, dim=1)
        if maps.ndim == 2:
            return torch.cat([maps, extra], dim=1)
        d = self.stalk
        whole = torch.nn.functional.pad(maps, (0, self.fixed, 0, self.fixed))
        across = torch.nn.functional.pad(torch.diag_embed(extra), (d, 0, d, 0))
        return whole + across

    def _signs(self, links: Links, like: Tensor) -> Tensor:
        """1 at one end of an edge, −1 at the other, ``(E, 1)``."""
        up = links.source > links.receiver if self.of_sources else links.source < links.receiver
        return 2 * up.to(like.dtype)[:, None] - 1
