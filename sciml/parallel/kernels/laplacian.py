"""Laplacian on a padded block, centered differences of second order, in one pass."""

from __future__ import annotations

import numpy as np

from sciml.parallel.kernels.jit import compiled


@compiled("void(f8[:, ::1], i8, i8, i8, i8, f8, f8, f8, f8[:, ::1])")
def laplacian(
    u: np.ndarray, y0: int, y1: int, x0: int, x1: int, a: float, ratio: float, center: float,
    out: np.ndarray,
) -> None:  # fmt: skip
    """out = a (ratio (south + north) + west + east) + center · here, on u[y0:y1, x0:x1]."""
    for j in range(y0, y1):
        # Rows from 0 on: of these the compiler knows that no index is negative, and vectorizes.
        here, west, east = u[j, x0:x1], u[j, x0 - 1 : x1 - 1], u[j, x0 + 1 : x1 + 1]
        south, north, row = u[j - 1, x0:x1], u[j + 1, x0:x1], out[j - y0]
        for i in range(x1 - x0):
            row[i] = (
                (south[i] + north[i]) * ratio + (west[i] + east[i])
            ) * a + here[i] * center  # fmt: skip


@compiled("void(f8[:, ::1], i8, i8, i8, i8, f8, f8, f8, b1, b1, b1)")
def advance(
    rows: np.ndarray, y0: int, y1: int, x0: int, x1: int, a: float, ratio: float, center: float,
    wrap_y: bool, wrap_x: bool, down: bool,
) -> None:  # fmt: skip
    """What :func:`laplacian` gives, in the memory of u, two rows further down or up.

    New rows overwrite old ones that nothing needs any more. So one array goes through the cache
    instead of two, and no row is copied aside. It is fastest where column x0 begins a cache line in
    every row.

    Args:
        rows: padded u, and two rows more: u is rows[2:], and then rows[:-2], if ``down``; the other
            way round if not.
        y0, y1, x0, x1: where u changes; other rows and the columns beside are moved along, what lies
            beyond those in a row is not.
        a, ratio, center: weights of the stencil.
        wrap_y, wrap_x: whether the row (column) on either side of these is that of the other end.
        down: towards row 0.
    """
    # Row j of u is rows[j + now] and goes to rows[j + new]; rows are gone through by steps of d,
    # from ``start``: first those that only move along, at the end the same beyond ``stop``.
    now, new, d = (2, 0, 1) if down else (0, 2, -1)
    start, stop = (y0, y1) if down else (y1 - 1, y0 - 1)
    before, after = (y0, len(rows) - 2 - y1) if down else (len(rows) - 2 - y1, y0)
    if wrap_y:
        rows[y0 - 1 + now], rows[y1 + now] = rows[y1 - 1 + now], rows[y0 + now]
    if wrap_x:
        # Not row by row below: numbers that were just written are read slowly in a vector.
        for j in range(y0 + now, y1 + now):
            rows[j, x0 - 1], rows[j, x1] = rows[j, x1 - 1], rows[j, x0]
    for k in range(before, 0, -1):
        rows[start - k * d + new] = rows[start - k * d + now]
    for k in range((y1 - y0) // 2):
        row = start + 2 * k * d + now
        free, over, there = row - now + new, row - now + new + d, row + d
        # Before the loop: behind it these keep the compiler from vectorizing well.
        rows[free, x0 - 1], rows[free, x1] = rows[row, x0 - 1], rows[row, x1]
        rows[over, x0 - 1], rows[over, x1] = rows[there, x0 - 1], rows[there, x1]
        # Two rows share a pass: of the ten numbers that their points need, eight are read.
        # ``second`` is read and written under one name, so that the compiler sees that.
        first, second, beyond = rows[free, x0:x1], rows[over, x0:x1], rows[there + d, x0:x1]
        here, west, east = rows[row, x0:x1], rows[row, x0 - 1 : x1 - 1], rows[row, x0 + 1 : x1 + 1]
        next_ = rows[there, x0:x1]
        next_west, next_east = rows[there, x0 - 1 : x1 - 1], rows[there, x0 + 1 : x1 + 1]
        for i in range(x1 - x0):
            last, this, that = second[i], here[i], next_[i]
            first[i] = ((last + that) * ratio + (west[i] + east[i])) * a + this * center
            second[i] = (
                (this + beyond[i]) * ratio + (next_west[i] + next_east[i])
            ) * a + that * center  # fmt: skip
    if (y1 - y0) % 2:
        row = stop - d + now
        free = row - now + new
        # The row before it lies one on from where the new one goes, and is brought there.
        rows[free] = rows[free + d]
        rows[free, x0 - 1], rows[free, x1] = rows[row, x0 - 1], rows[row, x1]
        first, beyond = rows[free, x0:x1], rows[row + d, x0:x1]
        here, west, east = rows[row, x0:x1], rows[row, x0 - 1 : x1 - 1], rows[row, x0 + 1 : x1 + 1]
        for i in range(x1 - x0):
            first[i] = (
                (first[i] + beyond[i]) * ratio + (west[i] + east[i])
            ) * a + here[i] * center  # fmt: skip
    for k in range(after):
        rows[stop + k * d + new] = rows[stop + k * d + now]
