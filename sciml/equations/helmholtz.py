"""Helmholtz' equation: −∇²u − k² u = f, k = ω / c.

u is the amplitude of a wave of angular frequency ω in a medium with wave speed c, on a box with
reflecting (Neumann) walls; everything is non-dimensional. Arrays may be numpy arrays or tensors.

With reflecting walls solutions are real, and unique unless k² is an eigenvalue of −∇²: close to one
the amplitude is large and depends sharply on c.

Source: F. Ihlenburg, Finite Element Analysis of Acoustic Scattering, Springer 1998, ch. 1, 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, prod
from typing import Any

from sciml.equations.array import namespace


def residual(laplacian: Any, u: Any, k: Any, f: Any = 0.0) -> Any:
    """−∇²u − k² u − f, zero for a solution; arguments broadcast."""
    return -laplacian - k * k * u - f


def points_per_wavelength(k: float, spacing: float) -> float:
    """2π / (k h) with the largest k."""
    return 2.0 * pi / (k * spacing)


def phase_error(k: float, spacing: float, distance: float = 1.0) -> float:
    """Radians by which waves along an axis are late over a distance: k (k h)⁴ / 480.

    That is of compact fourth-order differences on nine points. In other directions it is less. The
    error of a solution grows with it, however many points there are to a wavelength ("pollution").
    """
    return k * (k * spacing) ** 4 / 480.0 * distance


def standing_wave(y: Any, k: float) -> Any:
    """u = −cos(k y) / (k sin k) on [0, 1]: without a source, u' = 0 at 0 and 1 at 1."""
    lib = namespace(y)
    return -lib.cos(k * y) / (k * lib.sin(lib.zeros_like(y) + k))


def manufactured_solution(points: Sequence[Any], mode: Sequence[int]) -> Any:
    """u = Π_i cos(π m_i x_i): no slope at the walls of the unit box.

    Args:
        points: x_i along each axis, arrays that broadcast against each other (``np.ix_``).
        mode: half waves m_i along each axis.
    """
    return prod(namespace(x).cos(pi * m * x) for x, m in zip(points, mode, strict=True))


def manufactured_source(points: Sequence[Any], mode: Sequence[int], k: Any) -> Any:
    """f = (π² |m|² − k²) u for that solution; k may vary in space."""
    return (pi**2 * sum(m * m for m in mode) - k * k) * manufactured_solution(points, mode)
