"""Linear combinations of the stages of a step, in one pass through memory."""

from __future__ import annotations

import numpy as np

from sciml.parallel.kernels.jit import compiled

#: Complex numbers that are combined at a time; what is added up stays in the first-level cache.
_BLOCK = 512
#: Bits of the exponent, all set in infinity and NaN alone.
_EXPONENT = np.int64(0x7FF0000000000000)


@compiled("b1(f8[::1], f8[::1], f8[:, ::1], i8[::1], i8[::1], f8[:, ::1], f8[::1], i8[::1], b1)")
def combine(
    factor: np.ndarray,
    u: np.ndarray,
    weights: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    rates: np.ndarray,
    out: np.ndarray,
    bits: np.ndarray,
    look: bool,
) -> bool:
    """out = factor · u + Σ_t weights[t] · (rates[first[t]] + rates[second[t]]).

    Returns whether all of ``out`` is finite; not looked at, it is taken to be.

    Args:
        factor, weights: real, ``(n,)`` and ``(terms, n)``.
        u, out: n complex numbers as 2 n real ones; ``out`` may be u.
        first, second: stages of each term; ``second`` is −1 where there is none.
        rates: ``(stages, 2 n)``.
        bits: the memory of ``out`` as whole numbers.
        look: whether to look at it, while it is in the cache.
    """
    n, bad = len(factor), np.int64(0)
    for a in range(0, n, _BLOCK):
        size = min(_BLOCK, n - a)
        f, old, new = factor[a : a + size], u[2 * a : 2 * (a + size)], out[2 * a : 2 * (a + size)]
        for i in range(size):
            new[2 * i] = f[i] * old[2 * i]
            new[2 * i + 1] = f[i] * old[2 * i + 1]
        for t in range(len(weights)):
            w, r = weights[t, a : a + size], rates[first[t], 2 * a : 2 * (a + size)]
            if second[t] < 0:
                for i in range(size):
                    new[2 * i] += w[i] * r[2 * i]
                    new[2 * i + 1] += w[i] * r[2 * i + 1]
            else:
                s = rates[second[t], 2 * a : 2 * (a + size)]
                for i in range(size):
                    new[2 * i] += w[i] * (r[2 * i] + s[2 * i])
                    new[2 * i + 1] += w[i] * (r[2 * i + 1] + s[2 * i + 1])
        if look:
            for i in range(2 * a, 2 * (a + size)):
                bad |= np.int64((bits[i] & _EXPONENT) == _EXPONENT)
    return bad == 0
