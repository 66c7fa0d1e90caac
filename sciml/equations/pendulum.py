"""The driven gravity pendulum: ds1/dt = s2, ds2/dt = −k sin s1 + u.

t is time (s), s1 the angle from rest (rad), s2 the angular velocity (rad s⁻¹), k gravity over length
(s⁻²), u the torque over the moment of inertia (s⁻²).

Source: L. D. Landau and E. M. Lifshitz, Mechanics, 3rd ed., Pergamon 1976, sec. 11.
"""

from __future__ import annotations

from math import cos, pi, sqrt
from typing import Any

from sciml.equations.array import namespace
from sciml.errors import InputError


def rate(s1: Any, s2: Any, u: Any, k: float) -> tuple[Any, Any]:
    """(ds1/dt, ds2/dt)."""
    return s2, u - k * namespace(s1).sin(s1)


def energy(s1: Any, s2: Any, k: float) -> Any:
    """½ s2² + k (1 − cos s1) in s⁻²; it changes at the rate u s2."""
    return 0.5 * s2 * s2 + k * (1.0 - namespace(s1).cos(s1))


def period(angle: float, k: float) -> float:
    """Time of one swing, let go at rest at ``angle``, without torque: 4 K(sin ½ angle) / √k.

    By the arithmetic–geometric mean, 2π / (√k · agm(1, cos ½ angle)).

    Raises:
        InputError: |angle| ≥ π or k ≤ 0, where there is no swing.
    """
    if not (abs(angle) < pi and k > 0.0):
        raise InputError(f"pendulum: angle={angle:g}, k={k:g}; expected |angle| < π and k > 0")
    a, b = 1.0, cos(0.5 * angle)
    while a - b > 1e-15 * a:
        a, b = 0.5 * (a + b), sqrt(a * b)
    return 2.0 * pi / (sqrt(k) * a)
