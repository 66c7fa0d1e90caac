"""Incompressible flow in two dimensions, by its vorticity: ∂ω/∂t + u·∇ω = ν ∇²ω + f.

ω = ∂v/∂x − ∂u/∂y (s⁻¹), ν the viscosity (m² s⁻¹). The stream function solves ∇²ψ = −ω, and the
velocity is (u, v) = (∂ψ/∂y, −∂ψ/∂x). Without viscosity and force, energy ⟨u²+v²⟩/2 and enstrophy
⟨ω²⟩/2 are conserved.
"""

from __future__ import annotations

from math import pi
from typing import Any

from sciml.equations.array import namespace


def taylor_green(
    x: Any, y: Any, time: Any, nu: float, *, length: float, waves: int = 1, speed: float = 0.0
) -> Any:
    """ω = 2 k cos k(x − Ut) cos k(y − Ut) e^{−2νk²t}, k = 2π·waves/length: vortices that decay where
    they are, or carried by a mean flow (U, U), which makes the nonlinear term work.

    Args:
        x, y, time: broadcast.
        nu: viscosity.
        length: side of the periodic square.
        waves: along each side.
        speed: U, along both axes.

    Source: G. I. Taylor and A. E. Green, Proc. R. Soc. A 158 (1937) 499.
    """
    k = 2.0 * pi * waves / length
    m = namespace(x)
    decay = m.exp(-2.0 * nu * k * k * (time + 0.0 * x))
    return 2.0 * k * m.cos(k * (x - speed * time)) * m.cos(k * (y - speed * time)) * decay


def fno_force(x: Any, y: Any) -> Any:
    """f = 0.1 (sin 2π(x + y) + cos 2π(x + y)) on the unit square.

    Source: Z. Li et al., Fourier Neural Operator, ICLR 2021, arXiv:2010.08895, sec. 5.3.
    """
    angle = 2.0 * pi * (x + y)
    m = namespace(angle)
    return 0.1 * (m.sin(angle) + m.cos(angle))


def kolmogorov_force(y: Any, waves: int, length: float, size: float) -> Any:
    """f = −A k cos(k y), the curl of the body force A sin(k y) along x; k = 2π·waves/length."""
    k = 2.0 * pi * waves / length
    return -size * k * namespace(y).cos(k * y)
