"""Diffusion with a quadratic reaction and a source: ∂s/∂t = D ∂²s/∂x² + k s² + u(x).

On 0 ≤ x ≤ 1 with s = 0 at both ends and at t = 0; without dimensions. u need not vanish at the ends:
then ∂s/∂t jumps there at t = 0, and layers of width √(D t) begin.

Source: L. Lu et al., Nature Machine Intelligence 3 (2021) 218, "Diffusion–reaction system".
"""

from __future__ import annotations

from math import pi
from typing import Any

from sciml.equations.array import namespace


def residual(s: Any, s_t: Any, s_xx: Any, u: Any, diffusivity: float, k: float) -> Any:
    """∂s/∂t − D ∂²s/∂x² − k s² − u, zero for a solution; arguments broadcast."""
    return s_t - diffusivity * s_xx - k * s * s - u


def linear_mode(x: Any, t: Any, mode: int, diffusivity: float) -> Any:
    """s for u = sin(mπx) and k = 0: (1 − exp(−λt)) / λ · sin(mπx) with λ = D (mπ)².

    Args:
        x, t: positions and times; they broadcast.
        mode: m, half waves.
        diffusivity: D > 0.
    """
    decay = diffusivity * (mode * pi) ** 2
    return (1.0 - namespace(t).exp(-decay * t)) / decay * namespace(x).sin(mode * pi * x)
