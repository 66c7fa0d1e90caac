"""Exponential time differencing: L u exactly, N by a Runge–Kutta method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciml.solver.integrators.rows import Row

#: Points on the circle over which φ is averaged; 32 leave rounding errors alone.
_POINTS = 32


def phi(order: int, z: Any) -> np.ndarray:
    """φ_0 = eᶻ, φ_k(z) = (φ_{k−1}(z) − 1/(k−1)!) / z, without cancellation near z = 0.

    The quotient loses all digits for small z. By Cauchy's theorem φ_k(z), which is entire, is the
    mean of φ_k over a circle around z, and on a circle of radius 1 no point is near 0 twice.

    Args:
        order: k, 0 to 3.
        z: real or complex; the result is of the same kind.

    Source: A.-K. Kassam and L. N. Trefethen, SIAM J. Sci. Comput. 26 (2005) 1214, sec. 2.
    """
    z = np.asarray(z)
    if order == 0:
        return np.exp(z)
    total = np.zeros(z.shape, complex)
    for point in np.exp(2j * np.pi * (np.arange(_POINTS) + 0.5) / _POINTS):
        w = z + point
        value, factorial = np.exp(w), 1.0
        for k in range(1, order + 1):
            value = (value - 1.0 / factorial) / w
            factorial *= k
        total += value
    total /= _POINTS
    return total if np.iscomplexobj(z) else total.real


@dataclass(frozen=True)
class Exponential:
    """U_i = e^{c_i z} u + dt Σ_j A_ij(z) N_j, u⁺ = eᶻ u + dt Σ_j B_j(z) N_j, with z = dt L.

    Args:
        name, order: see :class:`~sciml.solver.integrators.rows.Method`.
        table: z → rows.
    """

    name: str
    order: int
    table: Callable[[Any], tuple[Row, ...]]
    treats_linear = True

    def rows(self, z: Any) -> tuple[Row, ...]:
        return self.table(z)


def _etdrk2(z: Any) -> tuple[Row, ...]:
    whole, one, two = phi(0, z), phi(1, z), phi(2, z)
    return Row(whole, (one,), 1.0), Row(whole, (one - two, two), 1.0)


def _etdrk4(z: Any) -> tuple[Row, ...]:
    half, whole = phi(0, z / 2), phi(0, z)
    q = phi(1, z / 2) / 2
    one, two, three = phi(1, z), phi(2, z), phi(3, z)
    middle = 2 * two - 4 * three
    return (
        Row(half, (q,), 0.5),
        Row(half, (None, q), 0.5),
        Row(whole, (q * (half - 1.0), None, 2 * q), 1.0),
        Row(whole, (one - 3 * two + 4 * three, middle, middle, 4 * three - two), 1.0),
    )


#: S. M. Cox and P. C. Matthews, J. Comput. Phys. 176 (2002) 430, eqs. 20–22 and 26–29.
ETDRK2 = Exponential("etdrk2", 2, _etdrk2)
ETDRK4 = Exponential("etdrk4", 4, _etdrk4)
