"""The Lorenz equations: dX/dt = σ (Y − X), dY/dt = X (ρ − Z) − Y, dZ/dt = X Y − β Z.

Without dimensions. For σ = 10, ρ = 28, β = 8/3 almost all solutions tend to a chaotic attractor, on
which neighbors part like exp(0.906 t).

Source: E. N. Lorenz, J. Atmos. Sci. 20 (1963) 130.
"""

from __future__ import annotations

from math import sqrt
from typing import Any


def rate(x: Any, y: Any, z: Any, sigma: float, rho: float, beta: float) -> tuple[Any, Any, Any]:
    """(dX/dt, dY/dt, dZ/dt); arguments broadcast."""
    return sigma * (y - x), x * (rho - z) - y, x * y - beta * z


def divergence(sigma: float, beta: float) -> float:
    """−(σ + 1 + β), at which the logarithm of every volume in phase space changes."""
    return -(sigma + 1.0 + beta)


def fixed_points(rho: float, beta: float) -> list[tuple[float, float, float]]:
    """(0, 0, 0), and for ρ > 1 (±√(β (ρ − 1)), ±√(β (ρ − 1)), ρ − 1)."""
    points = [(0.0, 0.0, 0.0)]
    if rho > 1.0:
        r = sqrt(beta * (rho - 1.0))
        points += [(r, r, rho - 1.0), (-r, -r, rho - 1.0)]
    return points


def rates_at_rest(sigma: float, rho: float, beta: float) -> tuple[float, float, float]:
    """Rates at which small disturbances of (0, 0, 0) grow: two in the plane of X and Y, largest first
    (with Y = (1 + rate/σ) X), and −β along Z."""
    root = sqrt((sigma - 1.0) ** 2 + 4.0 * sigma * rho)
    return (-(sigma + 1.0) + root) / 2.0, (-(sigma + 1.0) - root) / 2.0, -beta
