"""Explicit Runge–Kutta methods as Butcher tableaux."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sciml.solver.integrators.rows import Row


@dataclass(frozen=True)
class Explicit:
    """U_i = u + dt Σ_{j<i} a_ij F(t + c_j dt, U_j),  u⁺ = u + dt Σ_j b_j F_j, with F = L u + N.

    Args:
        name, order: see :class:`~sciml.solver.integrators.rows.Method`.
        a: rows of the tableau below the diagonal, for stages 1, 2, …
        b: weights of the new state.
    """

    name: str
    order: int
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    treats_linear = False

    def rows(self, z: Any = None) -> tuple[Row, ...]:
        return tuple(
            Row(1.0, tuple(w or None for w in weights), sum(weights))
            for weights in (*self.a, self.b)
        )


EULER = Explicit("euler", 1, (), (1.0,))

#: Heun's method, which is SSP-RK2.
HEUN = Explicit("heun", 2, ((1.0,),), (1 / 2, 1 / 2))

#: Strong stability preserving with CFL number 1. C.-W. Shu and S. Osher, J. Comput. Phys. 77 (1988)
#: 439, eq. 2.18, written as a Butcher tableau.
SSP_RK3 = Explicit("ssp-rk3", 3, ((1.0,), (1 / 4, 1 / 4)), (1 / 6, 1 / 6, 2 / 3))

RK4 = Explicit("rk4", 4, ((1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6))
