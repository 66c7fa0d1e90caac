"""The Gray–Scott reaction: U + 2V → 3V, V → P, fed with U and drained.

∂u/∂t = δ_u ∇²u − u v² + F (1 − u),  ∂v/∂t = δ_v ∇²v + u v² − (F + k) v.

Without dimensions; u and v are concentrations, F the feed rate and k the kill rate.

Source: J. E. Pearson, Science 261 (1993) 189.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

#: (F, k) of six patterns, as The Well names them (Ohana et al., NeurIPS 2024, arXiv:2412.00568).
REGIMES: dict[str, tuple[float, float]] = {
    "gliders": (0.014, 0.054),
    "bubbles": (0.098, 0.057),
    "maze": (0.029, 0.057),
    "worms": (0.058, 0.065),
    "spirals": (0.018, 0.051),
    "spots": (0.030, 0.062),
}


def reaction(u: Any, v: Any, feed: float, kill: float) -> tuple[Any, Any]:
    """Rates of u and v without diffusion."""
    uvv = u * v * v
    return feed * (1.0 - u) - uvv, uvv - (feed + kill) * v


def steady_states(feed: float, kill: float) -> list[tuple[float, float]]:
    """Homogeneous states (u, v) whose reaction rates are zero: (1, 0), and two more if
    F ≥ 4 (F + k)²."""
    states = [(1.0, 0.0)]
    inside = 1.0 - 4.0 * (feed + kill) ** 2 / feed
    if inside >= 0.0:
        for sign in (-1.0, 1.0):
            u = 0.5 * (1.0 + sign * sqrt(inside))
            states.append((u, feed * (1.0 - u) / (feed + kill)))
    return states
