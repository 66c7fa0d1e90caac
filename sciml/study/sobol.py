"""Sobol points, scrambled: those of scipy.stats.qmc.Sobol, without half a second to import it."""

from __future__ import annotations

import numpy as np

#: Of each axis its primitive polynomial, as bits, and its first direction numbers.
#: Joe and Kuo, SIAM J. Sci. Comput. 30 (2008) 2635, table new-joe-kuo-6.
_DIRECTIONS = (
    (1, (1,)),
    (3, (1,)),
    (7, (1, 3)),
    (11, (1, 3, 1)),
    (13, (1, 1, 1)),
    (19, (1, 1, 3, 3)),
    (25, (1, 3, 5, 13)),
    (37, (1, 1, 5, 5, 17)),
    (41, (1, 1, 5, 5, 5)),
    (47, (1, 1, 7, 11, 19)),
    (55, (1, 1, 5, 1, 1)),
    (59, (1, 1, 1, 3, 11)),
)
#: Axes that there are numbers for.
AXES = len(_DIRECTIONS)
_BITS = 30


def sobol(axes: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Scrambled points x₀ = S, x_{i+1} = x_i ⊕ L v_c, c the lowest bit of i that is 0.

    S is a random shift, L a random lower triangular matrix over the bits of each axis (Matoušek,
    J. Complexity 14 (1998) 527). Those of any n begin as those of a larger one.

    Args:
        axes: at most :data:`AXES`.
        n: number of points, fewer than 2³⁰.
        rng: of S and L.

    Returns:
        float64 ``(n, axes)``, in [0, 1).
    """
    rng = rng.spawn(1)[0]  # as scipy does
    weights = 1 << np.arange(_BITS)
    shift = rng.integers(2, size=(axes, _BITS), dtype=np.uint32) @ weights
    lower = np.tril(rng.integers(2, size=(axes, _BITS, _BITS), dtype=np.uint32), -1)
    lower |= np.eye(_BITS, dtype=np.uint32)
    # (axis, number, bit), the highest bit first: as the rows of L have them.
    bits = np.stack([_directions(axis) for axis in range(axes)])[..., None] >> weights.argsort() & 1
    numbers = (np.einsum("apk,ajk->ajp", lower, bits[..., ::-1]) & 1) @ weights[::-1]
    found = np.empty((n, axes), dtype=np.int64)
    for i in range(n):
        found[i] = shift
        shift = shift ^ numbers[:, (~i & (i + 1)).bit_length() - 1]
    return found / 2.0**_BITS


def _directions(axis: int) -> np.ndarray:
    """The direction numbers of an axis, as whole multiples of 2⁻³⁰."""
    polynomial, found = _DIRECTIONS[axis][0], [*_DIRECTIONS[axis][1]]
    degree = polynomial.bit_length() - 1
    for j in range(len(found), _BITS):
        number = found[j - degree] if degree else 1
        for k in range(1, degree + 1):
            if polynomial >> degree - k & 1:
                number ^= found[j - k] << k
        found.append(number)
    return np.array([number << _BITS - 1 - j for j, number in enumerate(found)])
