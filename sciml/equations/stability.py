"""How long a step explicit time integrators can take.

A step of length dt is stable if dt·λ lies where |R(z)| ≤ 1, for every eigenvalue λ of the right-hand
side; R is the stability polynomial of the method.
"""

from __future__ import annotations

from sciml.errors import require_known

#: Where that region ends on the negative real axis, and on the imaginary one.
EXTENT: dict[str, tuple[float, float]] = {
    "euler": (2.0, 0.0),
    "heun": (2.0, 0.0),
    "ssp-rk3": (2.5127, 1.7320),
    "rk4": (2.7852, 2.8284),
}


def stable_step(method: str, decay: float, oscillation: float = 0.0) -> float:
    """Longest step with dt·decay / R + dt·oscillation / I ≤ 1: sufficient for all eigenvalues with
    −decay ≤ Re λ ≤ 0 and |Im λ| ≤ oscillation, and sharp where one of the two is zero.

    Args:
        method: explicit, a name of :data:`EXTENT`, whose (R, I) are taken.
        decay, oscillation: in 1/s.

    Returns:
        Infinity where nothing limits the step; 0 for oscillations with a method that has no part of
        the imaginary axis.

    Raises:
        InputError: unknown method.
    """
    require_known("unknown explicit method", method, EXTENT)
    real, imaginary = EXTENT[method]
    if oscillation > 0.0 and imaginary == 0.0:
        return 0.0
    rate = decay / real + (oscillation / imaginary if oscillation > 0.0 else 0.0)
    return 1.0 / rate if rate > 0.0 else float("inf")
