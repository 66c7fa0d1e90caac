"""The driven gravity pendulum: ds1/dt = s2, ds2/dt = −k sin s1 + u.

t is time (s), s1 the angle from rest (rad), s2 the angular velocity (rad s⁻¹), k gravity over length
(s⁻²), u the torque over the moment of inertia (s⁻²).

Source: L. D. Landau and E. M. Lifshitz, Mechanics, 3rd ed., Pergamon 1976, sec. 11.
"""

from __future__ import annotations

from typing import Any

from sciml.equations.array import namespace


def rate(s1: Any, s2: Any, u: Any, k: float) -> tuple[Any, Any]:
    """(ds1/dt, ds2/dt)."""
    return s2, u - k * namespace(s1).sin(s1)
