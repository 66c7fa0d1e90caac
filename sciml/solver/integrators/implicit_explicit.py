"""Implicit–explicit Runge–Kutta methods: L u by the implicit tableau, N by the explicit one."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

from sciml.solver.integrators.rows import Row, prune


@dataclass(frozen=True)
class ImplicitExplicit:
    """U_i = u + dt Σ_{j<i} a_ij N_j + dt Σ_{j≤i} ã_ij L U_j, and u⁺ likewise with b, b̃.

    As L is diagonal, each stage is solved by a division: with z = dt L,
    U_i = S_i(z) u + dt Σ_j A_ij(z) N_j, where S_i = (1 + z Σ_{j<i} ã_ij S_j) / (1 − ã_ii z) and
    A_ij = (a_ij + z Σ_{l<i} ã_il A_lj) / (1 − ã_ii z).

    Args:
        name, order: see :class:`~sciml.solver.integrators.rows.Method`.
        a: explicit tableau below the diagonal, for stages 1, 2, …
        implicit: implicit tableau with its diagonal, for stages 1, 2, …; stage 0 is explicit.
        b, b_implicit: weights of the new state.
    """

    name: str
    order: int
    a: tuple[tuple[float, ...], ...]
    implicit: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    b_implicit: tuple[float, ...]
    treats_linear = True

    def rows(self, z: Any) -> tuple[Row, ...]:
        stages = [Row(1.0, (), 0.0)]
        for weights, implicit in zip(self.a, self.implicit, strict=True):
            stages.append(_row(stages, z, weights, implicit[:-1], implicit[-1]))
        stages.append(_row(stages, z, self.b, self.b_implicit, 0.0))
        return prune(stages[1:])


def _row(
    stages: list[Row], z: Any, explicit: tuple[float, ...], implicit: tuple[float, ...], own: float
) -> Row:
    """The stage after ``stages``, solved for."""
    pivot = 1.0 / (1.0 - own * z)
    factor = 1.0 + z * sum(w * stage.factor for w, stage in zip(implicit, stages, strict=True))
    weights = []
    for j, a in enumerate(explicit):
        # Stages after j have seen N_j through L.
        seen = [
            w * stage.weights[j]
            for w, stage in zip(implicit[j + 1 :], stages[j + 1 :], strict=True)
            if w and stage.weights[j] is not None
        ]
        weights.append(pivot * (a + z * sum(seen)) if a or seen else None)
    return Row(pivot * factor, tuple(weights), sum(explicit))


#: Crank–Nicolson for L, forward Euler for N; the scheme of the FNO data.
CN_EULER = ImplicitExplicit("cn-euler", 1, ((1.0,),), ((1 / 2, 1 / 2),), (1.0, 0.0), (1 / 2, 1 / 2))

#: Crank–Nicolson for L, Heun for N.
CN_HEUN = ImplicitExplicit(
    "cn-heun",
    2,
    ((1.0,), (1 / 2, 1 / 2)),
    ((1 / 2, 1 / 2), (1 / 2, 0.0, 1 / 2)),
    (1 / 2, 1 / 2, 0.0),
    (1 / 2, 0.0, 1 / 2),
)

_G = 1.0 - 1.0 / sqrt(2.0)
_D = 1.0 - 1.0 / (2.0 * _G)

#: L-stable. U. M. Ascher, S. J. Ruuth and R. J. Spiteri, Appl. Numer. Math. 25 (1997) 151, sec. 2.6.
ARS_222 = ImplicitExplicit(
    "ars-222", 2, ((_G,), (_D, 1.0 - _D)), ((0.0, _G), (0.0, 1.0 - _G, _G)),
    (_D, 1.0 - _D, 0.0), (0.0, 1.0 - _G, _G),
)  # fmt: skip

#: L-stable; ibid., sec. 2.8.
ARS_443 = ImplicitExplicit(
    "ars-443",
    3,
    (
        (1 / 2,),
        (11 / 18, 1 / 18),
        (5 / 6, -5 / 6, 1 / 2),
        (1 / 4, 7 / 4, 3 / 4, -7 / 4),
    ),
    (
        (0.0, 1 / 2),
        (0.0, 1 / 6, 1 / 2),
        (0.0, -1 / 2, 1 / 2, 1 / 2),
        (0.0, 3 / 2, -3 / 2, 1 / 2, 1 / 2),
    ),
    (1 / 4, 7 / 4, 3 / 4, -7 / 4, 0.0),
    (0.0, 3 / 2, -3 / 2, 1 / 2, 1 / 2),
)
