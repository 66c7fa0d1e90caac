"""Basis functions that make a function of values on a grid, and smoothing by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from sciml.surrogates.grid.boundary import extend


def hat(s: float) -> float:
    """1 − |s| up to 1: straight lines between values."""
    return max(0.0, 1.0 - abs(s))


def keys(s: float) -> float:
    """Keys' cubic convolution: through the values, with a continuous slope, exact for quadratics.

    Its second moment is zero, so that smoothing by it changes a field by O(h₀⁴), by the hat O(h₀²).

    Source: Keys, IEEE Trans. Acoust. Speech Signal Process. 29 (1981) 1153, eq. (15).
    """
    s = abs(s)
    if s < 1.0:
        return (1.5 * s - 2.5) * s * s + 1.0
    return ((-0.5 * s + 2.5) * s - 4.0) * s + 2.0 if s < 2.0 else 0.0


#: Basis function and its radius in spacings, by name.
BASES: dict[str, tuple[Callable[[float], float], int]] = {"linear": (hat, 1), "cubic": (keys, 2)}


def taps(ratio: int, basis: str) -> list[float]:
    """φ(m/r)/r for all m where φ is not zero: they sum to one, at every r."""
    function, radius = BASES[basis]
    reach = radius * ratio - 1
    return [function(m / ratio) / ratio for m in range(-reach, reach + 1)]


def smooth(x: Tensor, ratio: Sequence[int], modes: Sequence[str], basis: str) -> Tensor:
    """(φ ∗ x)(s) = ∫ φ((s − t)/h₀) x(t) dt / h₀ by the trapezoidal rule, along each axis.

    Args:
        x: ``(B, C, *space)``.
        ratio: r = h₀ / h of each axis; 1 leaves it as it is.
        modes: how each axis goes on beyond its ends, as in
            :func:`~sciml.surrogates.grid.boundary.extend`.
        basis: ``linear`` or ``cubic``.
    """
    for axis, (r, mode) in enumerate(zip(ratio, modes, strict=True), start=2):
        if r > 1:
            reach = BASES[basis][1] * r - 1
            x = smooth_inside(extend(x, axis, reach, reach, mode), axis, r, basis)
    return x


def smooth_inside(x: Tensor, axis: int, ratio: int, basis: str) -> Tensor:
    """The same along one axis, where no points are added beyond its ends."""
    weights = taps(ratio, basis)
    n = x.shape[axis] - len(weights) + 1
    total = x.narrow(axis, 0, n) * weights[0]
    for m, weight in enumerate(weights[1:], start=1):
        total = total.add(x.narrow(axis, m, n), alpha=weight)
    return total
