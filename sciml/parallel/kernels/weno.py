"""Values on both sides of each face from means of cells: WENO5 on padded blocks.

Source: G.-S. Jiang and C.-W. Shu, J. Comput. Phys. 126 (1996) 202, eqs. 2.17 and 3.1 to 3.3.
"""

from __future__ import annotations

import numpy as np

from sciml.parallel.kernels.jit import compiled, inlined


@inlined
def weno5(a: float, b: float, c: float, d: float, e: float) -> float:
    """Value at the face between cells c and d, from the side of c; fifth order where u is smooth."""
    # Three parabolas, and how rough each of them is.
    rough0 = 13.0 / 12.0 * (a - 2.0 * b + c) ** 2 + 0.25 * (a - 4.0 * b + 3.0 * c) ** 2
    rough1 = 13.0 / 12.0 * (b - 2.0 * c + d) ** 2 + 0.25 * (b - d) ** 2
    rough2 = 13.0 / 12.0 * (c - 2.0 * d + e) ** 2 + 0.25 * (3.0 * c - 4.0 * d + e) ** 2
    # Weights 0.1, 0.6, 0.3 over (ε + rough)²; multiplied out, one division instead of four.
    s0, s1, s2 = (1e-6 + rough0) ** 2, (1e-6 + rough1) ** 2, (1e-6 + rough2) ** 2
    w0, w1, w2 = s1 * s2, 6.0 * (s0 * s2), 3.0 * (s0 * s1)
    value = (
        w0 * (2.0 * a - 7.0 * b + 11.0 * c)
        + w1 * (-b + 5.0 * c + 2.0 * d)
        + w2 * (2.0 * c + 5.0 * d - e)
    )
    return value / (6.0 * (w0 + w1 + w2))


@compiled("void(f8[:, :, ::1], f8[:, :, ::1], f8[:, :, ::1])")
def faces_x(q: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """Both sides of the nx + 1 faces across x.

    Args:
        q: (fields, ny + 2·wy, nx + 6); wy is 3 in two dimensions and 0 in one.
        left, right: (fields, ny, nx + 1), from the cells below and above each face.
    """
    fields, ny, faces = left.shape
    halo = (q.shape[1] - ny) // 2
    for c in range(fields):
        for j in range(ny):
            row, low, high = q[c, j + halo], left[c, j], right[c, j]
            r0, r1, r2 = row[:faces], row[1:], row[2:]
            r3, r4, r5 = row[3:], row[4:], row[5:]
            for i in range(faces):
                low[i] = weno5(r0[i], r1[i], r2[i], r3[i], r4[i])
                high[i] = weno5(r5[i], r4[i], r3[i], r2[i], r1[i])


@compiled("void(f8[:, :, ::1], f8[:, :, ::1], f8[:, :, ::1])")
def faces_y(q: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """Both sides of the ny + 1 faces across y.

    Args:
        q: (fields, ny + 6, nx + 6).
        left, right: (fields, ny + 1, nx).
    """
    fields, faces, nx = left.shape
    for c in range(fields):
        for j in range(faces):
            low, high = left[c, j], right[c, j]
            r0, r1, r2 = q[c, j, 3:-3], q[c, j + 1, 3:-3], q[c, j + 2, 3:-3]
            r3, r4, r5 = q[c, j + 3, 3:-3], q[c, j + 4, 3:-3], q[c, j + 5, 3:-3]
            for i in range(nx):
                low[i] = weno5(r0[i], r1[i], r2[i], r3[i], r4[i])
                high[i] = weno5(r5[i], r4[i], r3[i], r2[i], r1[i])
