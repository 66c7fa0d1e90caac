"""The wave equation in a medium that varies: ∂²u/∂t² = ∇·(c² ∇u).

u is a displacement (m), c the speed (m s⁻¹). The energy ½ ∫ ((∂u/∂t)² + c² |∇u|²) is kept. Where c is
constant each Fourier mode swings at ω = c |k|, with the wave numbers of :mod:`sciml.equations.heat`.

Source: R. Courant and D. Hilbert, Methods of Mathematical Physics, vol. II, Wiley 1962, ch. 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt
from typing import Any

from sciml.equations.array import namespace
from sciml.equations.heat import dirichlet_wavenumbers, periodic_wavenumbers
from sciml.equations.stability import EXTENT
from sciml.errors import require_known

#: Longest dt ω of each scheme.
LIMIT = {"leapfrog": 2.0, "rk4": EXTENT["rk4"][1]}


def residual(u_tt: Any, divergence: Any) -> Any:
    """∂²u/∂t² − ∇·(c² ∇u), zero for a solution; arguments broadcast."""
    return u_tt - divergence


def standing(
    points: Sequence[Any],
    time: Any,
    mode: Sequence[int],
    length: Sequence[float],
    speed: float,
    *,
    periodic: bool = True,
) -> tuple[Any, Any]:
    """(u, ∂u/∂t) of a standing wave cos(ω t) Π cos(k_i x_i), or Π sin where it is held at the sides.

    Args:
        points: x_i along each axis, from 0 on, arrays that broadcast against each other.
        time: t.
        mode: whole waves along each axis, or half waves if not ``periodic``.
        length: sides of the box.
        speed: c.
        periodic: cosines; else sines, zero on the boundary.
    """
    k = (periodic_wavenumbers if periodic else dirichlet_wavenumbers)(mode, length)
    factors = [
        namespace(x).cos(ki * x) if periodic else namespace(x).sin(ki * x)
        for ki, x in zip(k, points, strict=True)
    ]
    omega = speed * sqrt(sum(ki * ki for ki in k))
    # A plain number is an array of none.
    angle, shape = omega * time, prod(factors)
    library = namespace(angle)
    return library.cos(angle) * shape, -omega * library.sin(angle) * shape


def stable_step(scheme: str, speed: float, spacing: Sequence[float]) -> float:
    """Longest stable step with centered differences, whose ω ≤ 2 c √(Σ 1/h²).

    Args:
        scheme: ``leapfrog`` or ``rk4``.
        speed: largest c.
        spacing: h along each axis.

    Raises:
        InputError: unknown scheme.
    """
    require_known("unknown scheme", scheme, LIMIT)
    return LIMIT[scheme] / (2.0 * speed * sqrt(sum(h**-2 for h in spacing)))
