"""Laplacian on a padded block, centered differences of second order, in one pass."""

from __future__ import annotations

import numpy as np

from sciml.parallel.kernels.compiling import compiled, widest_vectors


@compiled("void(f8[:, ::1], i8, i8, i8, i8, f8, f8, f8, f8[:, ::1])")
def laplacian(
    u: np.ndarray, y0: int, y1: int, x0: int, x1: int, a: float, ratio: float, center: float,
    out: np.ndarray,
) -> None:  # fmt: skip
    """out = a (ratio (south + north) + west + east) + center · here, on u[y0:y1, x0:x1]."""
    widest_vectors()
    for j in range(y0, y1):
        # Rows from 0 on: of these the compiler knows that no index is negative, and vectorizes.
        here, west, east = u[j, x0:x1], u[j, x0 - 1 : x1 - 1], u[j, x0 + 1 : x1 + 1]
        south, north, row = u[j - 1, x0:x1], u[j + 1, x0:x1], out[j - y0]
        if ratio == 1.0:
            # The bits of the general formula, for a product less.
            for i in range(x1 - x0):
                row[i] = ((south[i] + north[i]) + (west[i] + east[i])) * a + here[i] * center
        else:
            for i in range(x1 - x0):
                row[i] = (
                    (south[i] + north[i]) * ratio + (west[i] + east[i])
                ) * a + here[i] * center  # fmt: skip


@compiled("void(f8[:, ::1], i8, i8, i8, i8, f8, f8, f8, b1)")
def advance(
    rows: np.ndarray, y0: int, y1: int, x0: int, x1: int, a: float, ratio: float, center: float,
    down: bool,
) -> None:  # fmt: skip
    """What :func:`laplacian` writes to ``out``, in the memory of u, one row further down or up.

    The new row j overwrites the old row j − 1 (j + 1), which nothing needs any more. So one array
    goes through the cache instead of two, and no row is copied aside. It is fastest where column x0
    begins a cache line in every row.

    Args:
        rows: padded u, and one row more: u is rows[1:], and then rows[:-1], if ``down``; the other
            way round if not.
        y0, y1, x0, x1: where u changes; other rows and the columns beside are moved along, what lies
            beyond those in a row is not.
        a, ratio, center: weights of the stencil.
        down: towards row 0.
    """
    widest_vectors()
    last = len(rows) - 2
    for k in range(last + 1):
        j = k if down else last - k
        # Row j of u, and the row where the new one goes.
        now, new = (j + 1, j) if down else (j, j + 1)
        if j < y0 or j >= y1:
            for i in range(rows.shape[1]):
                rows[new, i] = rows[now, i]
            continue
        # Before the loops: behind them these two keep the compiler from vectorizing well.
        rows[new, x0 - 1], rows[new, x1] = rows[now, x0 - 1], rows[now, x1]
        here, west, east = rows[now, x0:x1], rows[now, x0 - 1 : x1 - 1], rows[now, x0 + 1 : x1 + 1]
        # One name for what is read and written, so that the compiler sees that they are the same.
        over = rows[new, x0:x1]
        beyond = rows[now + 1, x0:x1] if down else rows[now - 1, x0:x1]
        if ratio == 1.0:
            for i in range(x1 - x0):
                over[i] = ((over[i] + beyond[i]) + (west[i] + east[i])) * a + here[i] * center
        else:
            for i in range(x1 - x0):
                over[i] = (
                    (over[i] + beyond[i]) * ratio + (west[i] + east[i])
                ) * a + here[i] * center  # fmt: skip
