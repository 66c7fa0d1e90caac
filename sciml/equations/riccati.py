"""The driven Riccati equation: ds/dt = −s² + u.

t is time (s), s a rate (s⁻¹), u the input (s⁻²). With s = (dy/dt) / y it is the linear equation
d²y/dt² = u y: where y becomes zero, s goes to −∞.

Source: E. L. Ince, Ordinary Differential Equations, Longmans 1927, sec. 2.15.
"""

from __future__ import annotations

from math import atan, atanh, inf, pi, sqrt
from typing import Any

from sciml.equations.array import namespace


def rate(s: Any, u: Any) -> Any:
    """ds/dt."""
    return u - s * s


def residual(s: Any, s_t: Any, u: Any) -> Any:
    """ds/dt + s² − u, zero for a solution; arguments broadcast."""
    return s_t + s * s - u


def constant_input(t: Any, u: float, start: float) -> Any:
    """s(t) for constant u: (start · C + u S) / (C + start · S), with C = cosh ct, S = sinh(ct) / c and
    c = √u; cos and sin where u < 0.

    Args:
        t: times from 0 on, before :func:`blow_up`.
        u: the input.
        start: s at time 0.
    """
    lib, c = namespace(t), sqrt(abs(u))
    if u > 0.0:
        even, odd = lib.cosh(c * t), lib.sinh(c * t) / c
    elif u < 0.0:
        even, odd = lib.cos(c * t), lib.sin(c * t) / c
    else:
        even, odd = 1.0 + 0.0 * t, t
    return (start * even + u * odd) / (even + start * odd)


def blow_up(u: float, start: float) -> float:
    """Time at which s(t) goes to −∞ for constant u; infinite if it never does."""
    c = sqrt(abs(u))
    if u < 0.0:
        # cos ct + (start / c) sin ct = 0.
        return (pi / 2.0 + atan(start / c)) / c
    if start >= -c:
        return inf
    if u == 0.0:
        return -1.0 / start
    # tanh ct = −c / start.
    return atanh(-c / start) / c
