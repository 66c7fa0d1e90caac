"""The inviscid Burgers equation: ∂u/∂t + ∂/∂x (u²/2) = 0.

u is a velocity (m s⁻¹), and its own characteristic speed: u is constant along x = ξ + u₀(ξ) t until
characteristics meet, at t* = −1 / min u₀′, and a shock forms. A shock from u_l to u_r < u_l moves at
(u_l + u_r)/2; for u_l < u_r the step opens into a fan, u = x/t.

Source: R. J. LeVeque, Finite Volume Methods for Hyperbolic Problems, Cambridge 2002, ch. 11.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sciml.errors import InputError


def flux(u: Any) -> Any:
    """u²/2."""
    return 0.5 * u * u


def residual(u_t: Any, u: Any, u_x: Any) -> Any:
    """∂u/∂t + u ∂u/∂x, zero for a smooth solution; arguments broadcast."""
    return u_t + u * u_x


def speed(u: Any) -> dict[str, Any]:
    """That of characteristics, u."""
    return {"x": u}


def wave_speeds(left: Any, right: Any) -> tuple[Any, Any]:
    """The slowest and the fastest wave between two states."""
    return np.minimum(left, right), np.maximum(left, right)


def stable_step(speed: float, spacing: float) -> float:
    """h / max|u|: a step in which no wave crosses more than a cell, the limit of strong stability
    of ``ssp-rk3``. max|u| does not grow, so the limit for the initial field holds.

    Args:
        speed: max|u|; infinity for a field at rest.
        spacing: h.
    """
    return spacing / speed if speed > 0.0 else float("inf")


def breaking_time(slope: np.ndarray) -> float:
    """−1 / min u₀′, when the first shock forms; infinity if u₀ falls nowhere.

    Args:
        slope: u₀′ on a fine grid.
    """
    steepest = float(np.min(slope))
    return -1.0 / steepest if steepest < 0.0 else float("inf")


def smooth(
    x: np.ndarray,
    time: Any,
    initial: Callable[[np.ndarray], np.ndarray],
    slope: Callable[[np.ndarray], np.ndarray],
    fastest: Any = None,
) -> np.ndarray:
    """u(x, t) before the breaking time, by Newton's method along characteristics.

    Args:
        x: positions.
        time: t < t*, a number or one for each position.
        initial: u₀, bounded, on the whole line.
        slope: u₀′.
        fastest: max|u₀|; ``None``: looked for between the positions.

    Raises:
        InputError: no convergence, since characteristics have met.
    """
    # Feet of the characteristics lie within max|u₀| t; a bracket keeps Newton's steps in.
    foot = np.array(x, float)
    if fastest is None:
        fastest = np.abs(initial(np.linspace(x.min(), x.max(), 4096))).max()
    reach = time * (fastest + 1e-300) * 1.5
    low, high = x - reach, x + reach
    for _ in range(200):
        miss = foot + time * initial(foot) - x
        if np.abs(miss).max() <= 1e-14 * (np.abs(x).max() + np.max(reach)):
            return initial(foot)
        low, high = np.where(miss < 0.0, foot, low), np.where(miss < 0.0, high, foot)
        rate = 1.0 + time * slope(foot)
        ahead = foot - miss / np.where(rate > 0.0, rate, 1.0)
        inside = (rate > 0.0) & (low < ahead) & (ahead < high)
        foot = np.where(inside, ahead, 0.5 * (low + high))
    raise InputError(
        f"smooth: characteristics do not lead back at t={np.max(time):g}; expected a time before the "
        "first shock, breaking_time(u₀′)"
    )


def riemann(x: np.ndarray, time: float, left: float, right: float) -> np.ndarray:
    """u(x, t) from a step at x = 0, t > 0: a shock if left > right, else a fan."""
    if left > right:
        return np.where(x < 0.5 * (left + right) * time, left, right)
    return np.clip(x / time, left, right)
