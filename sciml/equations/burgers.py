"""The viscous Burgers equation: ∂u/∂t + ∂(u²/2)/∂x = ν ∂²u/∂x².

u is a velocity (m s⁻¹), ν the viscosity (m² s⁻¹). Steep fronts have a width of about 4ν/Δu.

The substitution u = −2ν ∂(ln θ)/∂x makes it the heat equation for θ.

Source: E. Hopf, Comm. Pure Appl. Math. 3 (1950) 201; J. D. Cole, Quart. Appl. Math. 9 (1951) 225.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sciml.equations.sines import Sines


def residual(u: Any, u_t: Any, u_x: Any, u_xx: Any, nu: float) -> Any:
    """∂u/∂t + u ∂u/∂x − ν ∂²u/∂x², zero for a solution; arguments broadcast."""
    return u_t + u * u_x - nu * u_xx


def speed(u: Any) -> dict[str, Any]:
    """That of characteristics, u."""
    return {"x": u}


def flux(u: Any) -> Any:
    """u²/2, for which ∂u/∂t + ∂flux/∂x = 0 without viscosity."""
    return 0.5 * u * u


def cole_hopf(
    x: np.ndarray,
    time: Any,
    initial: Callable[[np.ndarray], np.ndarray],
    potential: Callable[[np.ndarray], np.ndarray],
    nu: Any,
    points: int = 20_001,
    fall: Any = None,
) -> np.ndarray:
    """The exact solution on the whole line, or of a periodic field with zero mean.

    u(x, t) = ∫ u₀(y) w(y) dy / ∫ w(y) dy,  w(y) = exp(−U(y)/2ν − (x − y)²/4νt),  U' = u₀.

    The weight w is not centered at x: where U falls by ΔU it peaks as far as √(2 t ΔU) away. The
    quadrature (trapezoidal, exponentially accurate here) spans that and twelve widths √(2νt) more;
    the common Gauss–Hermite rule around x misses the peak for small ν.

    Args:
        x: positions, (n).
        time: > 0, a number or (n, 1).
        initial: u₀, a function of position, (n, points).
        potential: U, an integral of u₀; bounded.
        nu: viscosity, a number or (n, 1).
        points: of the quadrature.
        fall: largest difference of U, a number or (n, 1); ``None``: looked for near x.

    When it fails: when the span is so wide that the points are further apart than √(2νt)/2.
    """
    width = np.sqrt(2.0 * nu * time)
    if fall is None:
        scan = np.linspace(x.min() - 4.0, x.max() + 4.0, 4001)
        fall = float(np.ptp(potential(scan)))
    reach = np.sqrt(2.0 * time * fall) + 12.0 * width
    s = reach * np.linspace(-1.0, 1.0, points)
    y = x[:, None] + s
    exponent = -potential(y) / (2.0 * nu) - s**2 / (4.0 * nu * time)
    weight = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    return (initial(y) * weight).sum(axis=1) / weight.sum(axis=1)


def from_sines(start: Sines, x: np.ndarray, time: np.ndarray, nu: np.ndarray) -> np.ndarray:
    """:func:`cole_hopf` from a sum of sines of mean 0, in as few points as give all digits.

    Args:
        start: u₀, its numbers (n, 1) or plain.
        x: positions, (n).
        time, nu: (n, 1); at time 0 it is u₀.
    """
    moves = time[:, 0] > 0.0
    t = np.where(moves[:, None], time, 1.0)
    _, slope, integral = start.bounds()
    fall = 2.0 * integral
    # The sharpest peak of w is this wide; five points a width leave an error of exp(−2·5²·π²/2).
    peak = (slope / (2.0 * nu) + 1.0 / (2.0 * nu * t)) ** -0.5
    reach = np.sqrt(2.0 * t * fall) + 12.0 * np.sqrt(2.0 * nu * t)
    points = int(np.ceil(10.0 * np.max(reach / peak))) + 1
    found = cole_hopf(x, t, start, start.integral, nu, points, fall)
    return np.where(moves, found, start(x[:, None])[:, 0])
