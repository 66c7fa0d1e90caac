"""The Allen–Cahn equation: ∂u/∂t = D ∇²u + r (u − u³).

Without dimensions. u = ±1 are stable, 0 is not; fronts between them are √(D/r) wide and move by their
curvature: a disc of radius R shrinks as R² = R₀² − 2 D t. The energy ∫ ½D|∇u|² + ¼r(1 − u²)² falls.

Source: S. M. Allen and J. W. Cahn, Acta Metall. 27 (1979) 1085.
"""

from __future__ import annotations

from typing import Any


def residual(u: Any, u_t: Any, laplacian: Any, diffusivity: float, rate: float) -> Any:
    """∂u/∂t − D ∇²u − r (u − u³), zero for a solution; arguments broadcast."""
    return u_t - diffusivity * laplacian - rate * (u - u * u * u)


def growth_rate(k: Any, diffusivity: float, rate: float) -> Any:
    """r − D k²: a small wave grows as exp of it times t."""
    return rate - diffusivity * k**2
