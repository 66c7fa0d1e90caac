"""What is computed of pairs of particles: vectors, lengths, radial functions, sums on receivers."""

from __future__ import annotations

from math import pi, sqrt

import torch
from jaxtyping import Float, Int
from torch import Tensor


def vectors(
    positions: Float[Tensor, "particle d"],
    neighbours: Int[Tensor, "2 edge"],
    shift: Float[Tensor, "edge d"] | None = None,
) -> Float[Tensor, "edge d"]:
    """x_source + shift − x_receiver of each pair, differentiable by positions and by shifts.

    A strain reaches all that is computed of them by (1 + ε) x and (1 + ε) shift, by which a surrogate
    derives stress: models need not know of it.
    """
    source, receiver = neighbours
    found = positions.index_select(0, source) - positions.index_select(0, receiver)
    return found if shift is None else found + shift.to(found.dtype)


def lengths(vectors: Float[Tensor, "edge d"]) -> Float[Tensor, "edge 1"]:
    """|r|, whose gradient is 0 and not NaN where r is 0."""
    square = (vectors * vectors).sum(dim=-1, keepdim=True)
    nothing = square == 0
    return torch.where(nothing, 0.0, torch.where(nothing, 1.0, square).sqrt())


def summed(
    messages: Float[Tensor, "edge *channel"], receiver: Int[Tensor, " edge"], size: int
) -> Float[Tensor, "particle *channel"]:
    """Σ of the messages of each receiver; 0 for particles without neighbours."""
    return messages.new_zeros(size, *messages.shape[1:]).index_add(0, receiver, messages)


def envelope(r: Tensor, cutoff: float, p: int = 6) -> Tensor:
    """1 − (p+1)(p+2)/2 xᵖ + p(p+2) xᵖ⁺¹ − p(p+1)/2 xᵖ⁺², x = r / cutoff; 0 beyond.

    At the cutoff it vanishes with its first and second derivative. Source: J. Gasteiger and others,
    ICLR 2020, arXiv 2003.03123, eq. 8.
    """
    x = r / cutoff
    power = x**p
    inside = (
        1
        - (p + 1) * (p + 2) / 2 * power
        + p * (p + 2) * power * x
        - p * (p + 1) / 2 * power * x * x
    )
    return torch.where(x < 1, inside, 0.0)


def bessel(r: Float[Tensor, "edge 1"], cutoff: float, count: int) -> Float[Tensor, "edge count"]:
    """√(2/r_c) sin(n π r / r_c) / r, n = 1 … ``count``; in units of ``1 / √length³``."""
    n = torch.arange(1, count + 1, dtype=r.dtype, device=r.device)
    # sinc is what it should be where r is 0.
    return sqrt(2 / cutoff) * (pi * n / cutoff) * torch.sinc(n * r / cutoff)
