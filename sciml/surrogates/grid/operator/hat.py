"""Smoothing by a hat function, which makes point values of a kernel a piecewise-linear one."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from sciml.surrogates.grid.boundary import extend


def hat(ratio: int) -> list[float]:
    """h/h₀ · φ(m h / h₀) for m = 1 − r … r − 1, φ(s) = max(0, 1 − |s|), r = h₀/h: sums to one."""
    return [(1.0 - abs(m) / ratio) / ratio for m in range(1 - ratio, ratio)]


def smooth(x: Tensor, ratio: Sequence[int], modes: Sequence[str]) -> Tensor:
    """(φ ∗ x)(s) = ∫ φ((s − t)/h₀) x(t) dt / h₀ by the trapezoidal rule, along each axis.

    Args:
        x: ``(B, C, *space)``.
        ratio: r = h₀ / h of each axis; 1 leaves it as it is.
        modes: how each axis goes on beyond its ends, as in
            :func:`~sciml.surrogates.grid.boundary.extend`.
    """
    for axis, (r, mode) in enumerate(zip(ratio, modes, strict=True), start=2):
        if r > 1:
            x = smooth_inside(extend(x, axis, r - 1, r - 1, mode), axis, r)
    return x


def smooth_inside(x: Tensor, axis: int, ratio: int) -> Tensor:
    """The same along one axis, where all points that it takes are there: r − 1 fewer on each side."""
    n = x.shape[axis] - 2 * (ratio - 1)
    weights = hat(ratio)
    total = x.narrow(axis, 0, n) * weights[0]
    for m, weight in enumerate(weights[1:], start=1):
        total = total.add(x.narrow(axis, m, n), alpha=weight)
    return total
