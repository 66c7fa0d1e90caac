"""Weights with which sums over points are integrals."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sciml.surrogates.grid.operator.refinement import Refinement


def trapezoidal(n: int, periodic: bool, like: Tensor) -> Tensor:
    """Weights of the trapezoidal rule on an axis of length 1: equal, but halves at ends: ``(n,)``."""
    weights = torch.ones(n, dtype=like.dtype, device=like.device)
    if not periodic:
        weights[0] = weights[-1] = 0.5
    return weights / weights.sum()


def refined(n0: int, ratio: int, periodic: bool, like: Tensor) -> Tensor:
    """Weights of the mean over n₀ points of the base, on a grid ``ratio`` times as fine: ``(n,)``.

    mean u = Σ_j ū_j / n₀, ū_j = ∫ φ_j u dx / ∫ φ_j dx with the hat function φ_j of point j of the
    base, cut off at the ends; integrals by the trapezoidal rule. At ratio 1 all are 1/n₀, and under
    refinement they converge to a density of second order, which equal weights do not on an axis
    that holds both ends.
    """
    if periodic or ratio == 1:
        n = n0 * ratio
        return torch.full((n,), 1.0 / n, dtype=like.dtype, device=like.device)
    n = ratio * (n0 - 1) + 1
    # In bfloat16 points of a fine grid would lie beside the hats that they are under.
    exact = torch.zeros(
        (), dtype=torch.promote_types(like.dtype, torch.float32), device=like.device
    )
    points = torch.arange(n, dtype=exact.dtype, device=like.device) / ratio
    base = torch.arange(n0, dtype=exact.dtype, device=like.device)
    hats = (1.0 - (points - base[:, None]).abs()).clamp(min=0.0)  # (n0, n)
    hats = hats * trapezoidal(n, False, exact)
    return (hats / hats.sum(1, keepdim=True)).mean(0).to(like.dtype)


def grid_weights(space: Sequence[int], refinement: Refinement, like: Tensor) -> Tensor | None:
    """Product of :func:`refined` over the axes, ``(*space)``, or ``None`` where all are equal."""
    axes = list(zip(space, refinement.ratios_at(space), refinement.periodic, strict=True))
    if all(ratio == 1 or periodic for _, ratio, periodic in axes):
        return None
    weights = torch.ones((), dtype=like.dtype, device=like.device)
    for axis, (n, ratio, periodic) in enumerate(axes):
        line = refined(refinement.coarse(n, axis), ratio, periodic, like)
        weights = weights.unsqueeze(-1) * line
    return weights
