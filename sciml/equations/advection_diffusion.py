"""Advection and diffusion: ∂u/∂t + ∇·(v u) = κ ∇²u.

u is a concentration, κ the diffusivity (m² s⁻¹), v a velocity without divergence (m s⁻¹): constant,
or a rotation about a point, v = Ω (−(y − y₀), x − x₀), with Ω in rad s⁻¹. Axes go slowest first,
(y, x), as everywhere. A Gaussian is carried along and spreads: its variance grows by 2κ each second.

Source: C. Hirsch, Numerical Computation of Internal and External Flows, 2nd ed., Elsevier 2007, ch. 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi, sin
from typing import Any

from sciml.equations.array import namespace
from sciml.equations.heat import periodic_mode
from sciml.equations.stability import stable_step as explicit_step
from sciml.errors import InputError


def residual(u_t: Any, advection: Any, laplacian: Any, kappa: float) -> Any:
    """∂u/∂t + v·∇u − κ ∇²u, zero for a solution; arguments broadcast."""
    return u_t + advection - kappa * laplacian


def rotation(points: Sequence[Any], rate: float, center: Sequence[float]) -> tuple[Any, Any]:
    """(v_y, v_x) of a rotation by ``rate`` (rad/s, x towards y) about ``center``; (y, x)."""
    (y, x), (y0, x0) = points, center
    return rate * (x - x0), -rate * (y - y0)


def rotated(at: Sequence[float], angle: float, center: Sequence[float]) -> tuple[float, float]:
    """Where the point ``at``, (y, x), is after a rotation by ``angle`` (rad, x towards y)."""
    (y, x), (y0, x0) = at, center
    dy, dx = y - y0, x - x0
    return y0 + sin(angle) * dx + cos(angle) * dy, x0 + cos(angle) * dx - sin(angle) * dy


def gaussian(
    points: Sequence[Any],
    time: Any,
    at: Sequence[Any],
    width: float,
    kappa: float,
    length: Sequence[float] | None = None,
) -> Any:
    """(σ/s)^d exp(−|x − at|²/2s²) with s² = σ² + 2κt: a Gaussian of height 1 that has spread for t.

    Args:
        points: x_i along each axis, arrays that broadcast against each other.
        time: t, s.
        at: its center now: where it began, plus v t, or :func:`rotated`.
        width: σ at time 0, m.
        kappa: diffusivity, m² s⁻¹.
        length: sides of a periodic box, with images up to two boxes away: good for s < L/2.

    Raises:
        InputError: lengths differ.
    """
    if len(points) != len(at):
        raise InputError(f"gaussian: {len(points)} axes and a center {tuple(at)}; expected as many")
    variance = width**2 + 2.0 * kappa * time
    total: Any = (width**2 / variance) ** (0.5 * len(at))
    for axis, (x, a) in enumerate(zip(points, at, strict=True)):
        distance, images = x - a, [0.0]
        if length is not None:
            side = length[axis]
            # From the nearest image on, wherever the center has gone.
            distance = distance - side * namespace(distance).round(distance / side)
            images = [n * side for n in (-2, -1, 0, 1, 2)]
        exponents = [-((distance - image) ** 2) / (2.0 * variance) for image in images]
        total = total * sum(namespace(e).exp(e) for e in exponents)
    return total


def wave(
    points: Sequence[Any],
    time: Any,
    mode: Sequence[int],
    length: Sequence[float],
    velocity: Sequence[float],
    kappa: float,
) -> Any:
    """exp(−κ|k|²t) cos(k·(x − v t)): a wave carried by a constant velocity on the periodic box."""
    phase = -sum(2.0 * pi * m / side * v for m, side, v in zip(mode, length, velocity, strict=True))
    return periodic_mode(points, time, mode, length, kappa, phase * time)


def cell_peclet(speed: float, spacing: float, kappa: float) -> float:
    """|v| h / κ; above 2, centered differences let fields oscillate that are not smooth."""
    return speed * spacing / kappa if kappa > 0.0 else float("inf")


def stable_step(
    method: str, speeds: Sequence[float], kappa: float, spacing: Sequence[float]
) -> float:
    """Longest step with centered differences: eigenvalues reach −4κ Σ1/h² and ± i Σ|v|/h.

    Args:
        method: explicit, ``ssp-rk3`` or ``rk4``.
        speeds: largest |v_i| along each axis.
        kappa, spacing: as above.
    """
    decay = 4.0 * kappa * sum(h**-2 for h in spacing)
    return explicit_step(method, decay, sum(v / h for v, h in zip(speeds, spacing, strict=True)))
