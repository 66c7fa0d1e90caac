"""The shallow water equations over a flat bed.

∂h/∂t + ∇·(h v) = 0, ∂(h v)/∂t + ∇·(h v⊗v + ½ g h² 1) = 0: depth h (m), velocity v = (u, v) along x
and y (m s⁻¹), gravity g (m s⁻²). A state is q = (h, h u, h v), its first axis. Waves move at
v·n ± √(g h), and shear at v·n.

Source: E. F. Toro, Shock-Capturing Methods for Free-Surface Shallow Flows, Wiley 2001, ch. 3, 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

#: Which of (h, hu, hv) is the momentum along an axis of the plane (y, x).
ALONG = (2, 1)


def flux(q: np.ndarray, axis: int, gravity: float) -> np.ndarray:
    """F of a state q, (3, …), across ``axis``: 0 for y, 1 for x."""
    depth, normal = q[0], q[ALONG[axis]]
    out = q * (normal / depth)
    out[ALONG[axis]] += 0.5 * gravity * depth * depth
    return out


def wave_speeds(
    left: np.ndarray, right: np.ndarray, axis: int, gravity: float
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the slowest and the fastest wave between two states, from both of them.

    Source: S. F. Davis, SIAM J. Sci. Stat. Comput. 9 (1988) 445, eq. 4.5.
    """
    n = ALONG[axis]
    u_l, u_r = left[n] / left[0], right[n] / right[0]
    c_l, c_r = np.sqrt(gravity * left[0]), np.sqrt(gravity * right[0])
    return np.minimum(u_l - c_l, u_r - c_r), np.maximum(u_l + c_l, u_r + c_r)


def fastest(q: np.ndarray, gravity: float) -> tuple[float, float]:
    """max (|v| + √(g h)) along y and x."""
    c = np.sqrt(gravity * q[0])
    return tuple(float((np.abs(q[n] / q[0]) + c).max()) for n in ALONG)


def stable_step(speeds: Sequence[float], spacing: Sequence[float]) -> float:
    """1 / Σ_i (speed_i / h_i), the limit of strong stability of ``ssp-rk3``.

    Args:
        speeds: :func:`fastest` along each axis.
        spacing: h along each axis.
    """
    return 1.0 / sum(s / h for s, h in zip(speeds, spacing, strict=True))


def vortex(
    y: Any, x: Any, strength: float, radius: float, depth: float, gravity: float
) -> np.ndarray:
    """(h, u, v) of a vortex about the origin, which stays as it is: gravity balances the turning.

    v_θ = S (r/R) exp(½ − r²/2R²), h = H − S²/(2g) exp(1 − r²/R²).

    Args:
        y, x: positions; broadcast.
        strength: S, the largest velocity, m s⁻¹.
        radius: R, where it is reached, m.
        depth: H far away, m.
        gravity: g.
    """
    square = (x * x + y * y) / radius**2
    turning = strength / radius * np.exp(0.5 - 0.5 * square)
    h = depth - 0.5 * strength**2 / gravity * np.exp(1.0 - square)
    return np.stack([h, -turning * y + 0.0 * x, turning * x + 0.0 * y])


def conserved(primitive: np.ndarray) -> np.ndarray:
    """(h, hu, hv) from (h, u, v)."""
    h = primitive[:1]
    return np.concatenate([h, h * primitive[1:]])
