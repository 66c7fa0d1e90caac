"""Helmholtz' equation: −∇²u − k² u = f, k = ω / c.

u is the amplitude of a wave of angular frequency ω in a medium with wave speed c, on a box with
reflecting (Neumann) walls; everything is non-dimensional. Arrays may be numpy arrays or tensors.

With reflecting walls solutions are real, and unique unless k² is an eigenvalue of −∇²: close to one
the amplitude is large and depends sharply on c.

Source: F. Ihlenburg, Finite Element Analysis of Acoustic Scattering, Springer 1998, ch. 1, 4.
"""

from __future__ import annotations

from math import pi
from typing import Any


def residual(laplacian: Any, u: Any, k: Any, f: Any = 0.0) -> Any:
    """−∇²u − k² u − f, zero for a solution; arguments broadcast."""
    return -laplacian - k * k * u - f


def points_per_wavelength(k: float, spacing: float) -> float:
    """2π / (k h) with the largest k."""
    return 2.0 * pi / (k * spacing)
