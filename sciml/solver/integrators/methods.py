"""All methods by name."""

from __future__ import annotations

from sciml.solver.integrators.explicit import EULER, HEUN, RK4, SSP_RK3
from sciml.solver.integrators.exponential import ETDRK2, ETDRK4
from sciml.solver.integrators.implicit_explicit import ARS_222, ARS_443, CN_EULER, CN_HEUN
from sciml.solver.integrators.rows import Method

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        EULER, HEUN, SSP_RK3, RK4, CN_EULER, CN_HEUN, ARS_222, ARS_443, ETDRK2, ETDRK4,
    )
}  # fmt: skip
