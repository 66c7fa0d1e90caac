"""The Lorenz equations: dX/dt = σ (Y − X), dY/dt = X (ρ − Z) − Y, dZ/dt = X Y − β Z.

Without dimensions. For σ = 10, ρ = 28, β = 8/3 almost all solutions tend to a chaotic attractor, on
which neighbors part like exp(0.906 t).

Source: E. N. Lorenz, J. Atmos. Sci. 20 (1963) 130.
"""

from __future__ import annotations

from typing import Any


def rate(x: Any, y: Any, z: Any, sigma: float, rho: float, beta: float) -> tuple[Any, Any, Any]:
    """(dX/dt, dY/dt, dZ/dt); arguments broadcast."""
    return sigma * (y - x), x * (rho - z) - y, x * y - beta * z
