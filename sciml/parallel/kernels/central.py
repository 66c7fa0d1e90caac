"""Divergence of centered fluxes with coefficients on the faces, on padded blocks; second order."""

from __future__ import annotations

import numpy as np

from sciml.parallel.kernels.jit import compiled, inlined


@inlined
def flux(left: float, right: float, a: float, v: float) -> float:
    """What crosses a face towards ``left``: a (right − left) − v (left + right)."""
    return a * (right - left) - v * (left + right)


@compiled("void(f8[::1], f8[::1], f8[::1], f8[::1])")
def transport_1d(u: np.ndarray, a: np.ndarray, v: np.ndarray, out: np.ndarray) -> None:
    """out_i = G_{i+½} − G_{i−½} with G = a Δu − 2v ū.

    Args:
        u: (nx + 2).
        a, v: diffusivity / h² and velocity / 2h on the nx + 1 faces.
        out: (nx).
    """
    west, east = u[:-1], u[1:]
    for i in range(len(out)):
        out[i] = flux(west[i + 1], east[i + 1], a[i + 1], v[i + 1]) - flux(
            west[i], east[i], a[i], v[i]
        )


@compiled("void(f8[:, ::1], f8[:, ::1], f8[:, ::1], f8[:, ::1], f8[:, ::1], f8[:, ::1])")
def transport_2d(
    u: np.ndarray, ay: np.ndarray, ax: np.ndarray, vy: np.ndarray, vx: np.ndarray, out: np.ndarray
) -> None:
    """As :func:`transport_1d`, summed over both axes.

    Args:
        u: (ny + 2, nx + 2).
        ay, vy: (ny + 1, nx), on the faces across y.
        ax, vx: (ny, nx + 1), on the faces across x.
        out: (ny, nx).
    """
    ny, nx = out.shape
    for j in range(ny):
        south, here, north = u[j, 1:-1], u[j + 1, 1:-1], u[j + 2, 1:-1]
        west, east, row = u[j + 1, :nx], u[j + 1, 2:], out[j]
        a_south, a_north, v_south, v_north = ay[j], ay[j + 1], vy[j], vy[j + 1]
        a_west, a_east, v_west, v_east = ax[j, :nx], ax[j, 1:], vx[j, :nx], vx[j, 1:]
        for i in range(nx):
            row[i] = (
                flux(here[i], north[i], a_north[i], v_north[i])
                - flux(south[i], here[i], a_south[i], v_south[i])
            ) + (
                flux(here[i], east[i], a_east[i], v_east[i])
                - flux(west[i], here[i], a_west[i], v_west[i])
            )


@compiled("void(f8[:, ::1], f8[:, ::1], f8[:, ::1], f8[:, ::1])")
def diffusion_2d(u: np.ndarray, ay: np.ndarray, ax: np.ndarray, out: np.ndarray) -> None:
    """:func:`transport_2d` with v = 0."""
    ny, nx = out.shape
    for j in range(ny):
        south, here, north = u[j, 1:-1], u[j + 1, 1:-1], u[j + 2, 1:-1]
        west, east, row = u[j + 1, :nx], u[j + 1, 2:], out[j]
        a_south, a_north, a_west, a_east = ay[j], ay[j + 1], ax[j, :nx], ax[j, 1:]
        for i in range(nx):
            row[i] = (a_north[i] * (north[i] - here[i]) - a_south[i] * (here[i] - south[i])) + (
                a_east[i] * (east[i] - here[i]) - a_west[i] * (here[i] - west[i])
            )
