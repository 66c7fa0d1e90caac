"""The driven Riccati equation: ds/dt = −s² + u.

t is time (s), s a rate (s⁻¹), u the input (s⁻²). With s = (dy/dt) / y it is the linear equation
d²y/dt² = u y: where y becomes zero, s goes to −∞.

Source: E. L. Ince, Ordinary Differential Equations, Longmans 1927, sec. 2.15.
"""

from __future__ import annotations

from typing import Any


def rate(s: Any, u: Any) -> Any:
    """ds/dt."""
    return u - s * s
