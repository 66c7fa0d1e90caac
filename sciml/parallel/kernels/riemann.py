"""Fluxes through faces from the states on both sides; what cells get of them."""

from __future__ import annotations

import numpy as np

from sciml.parallel.kernels.jit import compiled


@compiled(
    "void(f8[:, :, ::1], f8[:, :, ::1], f8[:, :, ::1], f8[:, :, ::1], f8[:, ::1], f8[:, ::1])"
)
def hll(
    left: np.ndarray,
    right: np.ndarray,
    flux: np.ndarray,
    flux_right: np.ndarray,
    slow: np.ndarray,
    fast: np.ndarray,
) -> None:
    """Replace ``flux``, F(left), by the flux of Harten, Lax and van Leer:

    (s⁺ F(left) − s⁻ F(right) + s⁺ s⁻ (right − left)) / (s⁺ − s⁻), s⁺ = max(fast, 0),
    s⁻ = min(slow, 0); F(left) where both are zero.

    Args:
        left, right, flux, flux_right: (fields, rows, faces).
        slow, fast: (rows, faces), speeds of the slowest and fastest wave between the two states.

    Source: A. Harten, P. D. Lax and B. van Leer, SIAM Review 25 (1983) 35.
    """
    fields, rows, faces = left.shape
    for c in range(fields):
        for j in range(rows):
            u_l, u_r, f_l, f_r = left[c, j], right[c, j], flux[c, j], flux_right[c, j]
            low, high = slow[j], fast[j]
            for i in range(faces):
                s_l, s_r = min(low[i], 0.0), max(high[i], 0.0)
                width = s_r - s_l
                mean = s_r * f_l[i] - s_l * f_r[i] + s_r * s_l * (u_r[i] - u_l[i])
                f_l[i] = mean / width if width > 0.0 else f_l[i]


@compiled("void(f8[:, :, ::1], f8, f8[:, :, ::1])")
def subtract_difference_x(flux: np.ndarray, scale: float, out: np.ndarray) -> None:
    """out −= scale · (F_{i+½} − F_{i−½}); flux (fields, ny, nx + 1)."""
    fields, ny, nx = out.shape
    for c in range(fields):
        for j in range(ny):
            row, low, high = out[c, j], flux[c, j, :nx], flux[c, j, 1:]
            for i in range(nx):
                row[i] -= scale * (high[i] - low[i])


@compiled("void(f8[:, :, ::1], f8, f8[:, :, ::1])")
def subtract_difference_y(flux: np.ndarray, scale: float, out: np.ndarray) -> None:
    """out −= scale · (F_{j+½} − F_{j−½}); flux (fields, ny + 1, nx)."""
    fields, ny, nx = out.shape
    for c in range(fields):
        for j in range(ny):
            row, low, high = out[c, j], flux[c, j], flux[c, j + 1]
            for i in range(nx):
                row[i] -= scale * (high[i] - low[i])
