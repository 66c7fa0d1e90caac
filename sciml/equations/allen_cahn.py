"""The Allen–Cahn equation: ∂u/∂t = D ∇²u + r (u − u³).

Without dimensions. u = ±1 are stable, 0 is not; fronts between them are √(D/r) wide and move by their
curvature: a disc of radius R shrinks as R² = R₀² − 2 D t. The energy ∫ ½D|∇u|² + ¼r(1 − u²)² falls.

Source: S. M. Allen and J. W. Cahn, Acta Metall. 27 (1979) 1085.
"""

from __future__ import annotations

from typing import Any

from sciml.equations.array import namespace


def residual(u: Any, u_t: Any, laplacian: Any, diffusivity: float, rate: float) -> Any:
    """∂u/∂t − D ∇²u − r (u − u³), zero for a solution; arguments broadcast."""
    return u_t - diffusivity * laplacian - rate * (u - u * u * u)


def uniform(start: Any, time: float, rate: float) -> Any:
    """u(t) where it is the same everywhere: u₀ / √(u₀² + (1 − u₀²) e^{−2rt})."""
    return start / (start**2 + (1.0 - start**2) * namespace(time).exp(-2.0 * rate * time)) ** 0.5


def growth_rate(k: Any, diffusivity: float, rate: float) -> Any:
    """r − D k²: a small wave grows as exp of it times t."""
    return rate - diffusivity * k**2


def front(distance: Any, diffusivity: float, rate: float) -> Any:
    """tanh(d / √(2D/r)): a straight front at rest.

    Args:
        distance: d from it, positive where u = 1.
        diffusivity: D.
        rate: r.
    """
    return namespace(distance).tanh(distance * (0.5 * rate / diffusivity) ** 0.5)


def energy(u: Any, gradient_squared: Any, diffusivity: float, rate: float) -> Any:
    """Density ½D|∇u|² + ¼r(1 − u²)²; its integral falls."""
    return 0.5 * diffusivity * gradient_squared + 0.25 * rate * (1.0 - u * u) ** 2
