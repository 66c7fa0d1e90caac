"""Darcy's equation: −∇·(a ∇u) = f.

u is the pressure, a > 0 the permeability over viscosity, q = −a ∇u the flux and f a source, on a
box; everything is non-dimensional. Arrays may be numpy arrays or tensors; nothing here asks which.

Where a jumps, u and the flux across the jump are continuous and ∇u is not.

Source: J. Bear, Dynamics of Fluids in Porous Media, Elsevier 1972, ch. 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, prod
from typing import Any

from sciml.equations.array import namespace
from sciml.errors import InputError


def flux(a: Any, gradient: Sequence[Any]) -> tuple[Any, ...]:
    """q = −a ∇u, a component an axis; arguments broadcast."""
    return tuple(-a * slope for slope in gradient)


def residual(divergence: Any, f: Any) -> Any:
    """∇·q − f with q = −a ∇u, zero for a solution; arguments broadcast."""
    return divergence - f


def two_phase(g: Any, high: float, low: float) -> Any:
    """a = high where g ≥ 0, low elsewhere.

    Source: Z. Li et al., Fourier Neural Operator, ICLR 2021, sec. 5.2: values 12 and 3.
    """
    inside = (g >= 0) * 1.0
    return low + (high - low) * inside


def multiscale(x: Any, y: Any, frequencies: Sequence[float]) -> Any:
    """a = Π_k (1 + ½ cos(a_k π (x + y))) (1 + ½ sin(a_k π (y − 3 x))).

    Args:
        x, y: positions in the unit square; they broadcast.
        frequencies: a_k, six of them in the source, a_k ~ U[2^(k−1), 1.5 · 2^(k−1)].

    Source: X. Liu, B. Xu, S. Cao and L. Zhang, J. Comput. Phys. 506 (2024) 112944, sec. 4.
    """
    lib = namespace(x)
    return prod(
        (1.0 + 0.5 * lib.cos(k * pi * (x + y))) * (1.0 + 0.5 * lib.sin(k * pi * (y - 3.0 * x)))
        for k in frequencies
    )


def manufactured_coefficient(points: Sequence[Any]) -> Any:
    """a = 1 + ½ Π_i cos(π x_i) on the unit box; see :func:`manufactured_solution`."""
    return 1.0 + 0.5 * prod(namespace(x).cos(pi * x) for x in points)


def manufactured_solution(points: Sequence[Any]) -> Any:
    """u = Π_i sin(π x_i): zero on the boundary of the unit box.

    Args:
        points: x_i along each axis, arrays that broadcast against each other (``np.ix_``).
    """
    return prod(namespace(x).sin(pi * x) for x in points)


def manufactured_source(points: Sequence[Any]) -> Any:
    """f = −∇·(a ∇u) = π² d (a u + ½ Π_i sin(π x_i) cos(π x_i)) in d dimensions, for the two
    functions above."""
    d = len(points)
    mixed = prod(namespace(x).sin(pi * x) * namespace(x).cos(pi * x) for x in points)
    a, u = manufactured_coefficient(points), manufactured_solution(points)
    return pi**2 * d * (a * u + 0.5 * mixed)


def harmonic_mean(values: Sequence[float], widths: Sequence[float]) -> float:
    """Σ d_i / Σ (d_i / a_i): what a stack of layers conducts across them.

    Args:
        values: a_i > 0 of each layer.
        widths: d_i > 0.

    Raises:
        InputError: other than one width a layer.
    """
    if len(values) != len(widths) or not values:
        raise InputError(
            f"{len(values)} layers with {len(widths)} widths; expected one width for each layer"
        )
    return sum(widths) / sum(d / a for a, d in zip(values, widths, strict=True))


def layered_solution(
    x: Any, values: Sequence[float], widths: Sequence[float], ends: tuple[float, float]
) -> Any:
    """u across layers that begin at x = 0, without a source: linear in each, with one flux.

    The flux is −ā (u_1 − u_0) / Σ d_i with the harmonic mean ā.

    Args:
        x: position across the layers.
        values, widths: of the layers, in order; see :func:`harmonic_mean`.
        ends: u before the first and behind the last layer.
    """
    q = harmonic_mean(values, widths) * (ends[0] - ends[1]) / sum(widths)
    u, start = ends[0] + 0.0 * x, 0.0
    for a, d in zip(values, widths, strict=True):
        inside = namespace(x).clip(x - start, 0.0, d)
        u = u - q / a * inside
        start += d
    return u
