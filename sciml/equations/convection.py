"""Convection with reaction: ∂u/∂t + v·∇u = s(u), and its exact solutions along characteristics.

v is a constant speed along a line (m s⁻¹) or a solid-body rotation in the plane (rad s⁻¹), and
s = ρ u (1 − u) a logistic reaction (ρ in s⁻¹). Along dX/dt = v it is du/dt = s(u), so that
u(X(ξ, t), t) is u₀(ξ), or u₀ e^{ρt} / (1 − u₀ + u₀ e^{ρt}) with the reaction.

Where numbers of initial fields are parts of a side: 0 is its low end, 1 the high one.

Source: R. Courant and D. Hilbert, Methods of Mathematical Physics, vol. II, Wiley 1962, ch. 1;
A. S. Krishnapriyan et al., NeurIPS 2021, arXiv:2109.01050, for convection and reaction as a test.
"""

from __future__ import annotations

from math import pi
from typing import Any

from sciml.equations.advection_diffusion import gaussian
from sciml.equations.array import namespace
from sciml.equations.equation import Arrays, Sides
from sciml.equations.sines import Sines, three


def residual(u_t: Any, u_x: Any, speed_x: Any) -> Any:
    """∂u/∂t + v ∂u/∂x, zero for a solution; arguments broadcast."""
    return u_t + speed_x * u_x


def speed(speed_x: Any) -> dict[str, Any]:
    """v, the same everywhere."""
    return {"x": speed_x}


def reaction(u: Any, rho: Any) -> Any:
    """ρ u (1 − u)."""
    return rho * u * (1.0 - u)


def reacting_residual(u: Any, u_t: Any, u_x: Any, speed_x: Any, rho: Any) -> Any:
    """∂u/∂t + v ∂u/∂x − ρ u (1 − u), zero for a solution; arguments broadcast."""
    return residual(u_t, u_x, speed_x) - reaction(u, rho)


def turning_residual(
    u_t: Any, u_x: Any, u_y: Any, x: Any, y: Any, rotation: Any, center_x: Any = 0.0,
    center_y: Any = 0.0,
) -> Any:  # fmt: skip
    """∂u/∂t + v·∇u with v = Ω (−(y − y₀), x − x₀), zero for a solution; arguments broadcast."""
    v = turning(x, y, rotation, center_x, center_y)
    return u_t + v["x"] * u_x + v["y"] * u_y


def turning(
    x: Any, y: Any, rotation: Any, center_x: Any = 0.0, center_y: Any = 0.0
) -> dict[str, Any]:
    """v = Ω (−(y − y₀), x − x₀): a rotation from x to y."""
    return {"x": -rotation * (y - center_y), "y": rotation * (x - center_x)}


def wave(
    points: Arrays, time: Any, sides: Sides, *, speed_x: Any, mode: Any = 1, amplitude: Any = 1.0,
    phase: Any = 0.0, mean: Any = 0.0,
) -> Arrays:  # fmt: skip
    """m + A sin(k (x − low − vt) + φ) with k = 2π mode/L."""
    [(low, high)] = sides.values()
    start = Sines(low, ((2.0 * pi * mode / (high - low), amplitude, phase),), mean)
    return {"u": start(points["x"] - speed_x * time)}


def waves(
    points: Arrays, time: Any, sides: Sides, *, speed_x: Any, a1: Any = 1.0, a2: Any = 0.5,
    a3: Any = 0.25, p1: Any = 0.0, p2: Any = 0.0, p3: Any = 0.0,
) -> Arrays:  # fmt: skip
    """Σ_m a_m sin(2πm (x − low − vt)/L + p_m), m = 1, 2, 3."""
    [side] = sides.values()
    return {"u": three(side, a1, a2, a3, p1, p2, p3)(points["x"] - speed_x * time)}


def pulse(
    points: Arrays, time: Any, sides: Sides, *, speed_x: Any, at: Any = 0.5, width: Any = 0.1,
    amplitude: Any = 1.0, mean: Any = 0.0,
) -> Arrays:  # fmt: skip
    """m + A exp(−(x − x₀ − vt)²/2σ²), periodic; at and width are parts of the side, below 0.4."""
    [(low, high)] = sides.values()
    length = high - low
    center = low + at * length + speed_x * time
    return {
        "u": mean + amplitude * gaussian((points["x"],), 0.0, (center,), width * length, 0.0, (length,))
    }  # fmt: skip


def reacting_wave(
    points: Arrays, time: Any, sides: Sides, *, speed_x: Any, rho: Any, mode: Any = 1,
    amplitude: Any = 0.25, phase: Any = 0.0, mean: Any = 0.5,
) -> Arrays:  # fmt: skip
    """:func:`wave`, grown by the reaction; u₀ between 0 and 1."""
    carried = wave(
        points, time, sides, speed_x=speed_x, mode=mode, amplitude=amplitude, phase=phase, mean=mean
    )
    return {"u": grown(carried["u"], time, rho)}


def reacting_pulse(
    points: Arrays, time: Any, sides: Sides, *, speed_x: Any, rho: Any, at: Any = 0.5,
    width: Any = 0.1, amplitude: Any = 1.0, mean: Any = 0.0,
) -> Arrays:  # fmt: skip
    """:func:`pulse`, grown by the reaction; u₀ between 0 and 1."""
    carried = pulse(
        points, time, sides, speed_x=speed_x, at=at, width=width, amplitude=amplitude, mean=mean
    )
    return {"u": grown(carried["u"], time, rho)}


def grown(start: Any, time: Any, rho: Any) -> Any:
    """u₀ e^{ρt} / (1 + u₀ (e^{ρt} − 1)): du/dt = ρ u (1 − u) from u₀."""
    exponent = rho * time
    growth = namespace(exponent).exp(exponent)
    return start * growth / (1.0 + start * (growth - 1.0))


def turned_cone(
    points: Arrays, time: Any, sides: Sides, *, rotation: Any, center_x: Any = 0.0,
    center_y: Any = 0.0, at_x: Any = 0.75, at_y: Any = 0.5, radius: Any = 0.15, height: Any = 1.0,
) -> Arrays:  # fmt: skip
    """h max(0, 1 − r/R) about a point that turns; at and radius are parts of the sides (of x)."""
    square, radius = _away(
        points, time, sides, rotation, (center_x, center_y), (at_x, at_y), radius
    )
    # Not √ at 0: its slope there is infinite, and 0 · ∞ is no gradient.
    lib = namespace(square)
    distance = lib.sqrt(square + 1e-30)
    inside = 1.0 - distance / radius
    return {"u": height * lib.where(inside > 0.0, inside, 0.0 * inside)}


def turned_pulse(
    points: Arrays, time: Any, sides: Sides, *, rotation: Any, center_x: Any = 0.0,
    center_y: Any = 0.0, at_x: Any = 0.75, at_y: Any = 0.5, radius: Any = 0.1, height: Any = 1.0,
) -> Arrays:  # fmt: skip
    """h exp(−r²/2R²) about a point that turns; see :func:`turned_cone`."""
    square, radius = _away(
        points, time, sides, rotation, (center_x, center_y), (at_x, at_y), radius
    )
    exponent = -0.5 * square / (radius * radius)
    return {"u": height * namespace(exponent).exp(exponent)}


def _away(
    points: Arrays, time: Any, sides: Sides, rotation: Any, center: Any, at: Any, radius: Any
) -> tuple[Any, Any]:
    """Squares of distances, turned back to the first time, from where a field began; its radius."""
    angle = rotation * time
    lib = namespace(angle)
    cos, sin = lib.cos(angle), lib.sin(angle)
    dx, dy = points["x"] - center[0], points["y"] - center[1]
    (x0, x1), (y0, y1) = sides["x"], sides["y"]
    x = center[0] + cos * dx + sin * dy - (x0 + at[0] * (x1 - x0))
    y = center[1] + cos * dy - sin * dx - (y0 + at[1] * (y1 - y0))
    return x * x + y * y, radius * (x1 - x0)
