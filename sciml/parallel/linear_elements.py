"""Linear finite elements on triangles: the matrices of mass and of conduction."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array


def mass_and_stiffness(
    points: np.ndarray, triangles: np.ndarray, conductivity: np.ndarray
) -> tuple[csr_array, csr_array]:
    """M_ij = ∫ φ_i φ_j and K_ij = ∫ κ ∇φ_i · ∇φ_j: φ_i is 1 at node i, 0 at others, linear between.

    ∇φ_i on a triangle of area A is its side opposite to i, turned by a right angle, over 2A; both
    integrals are exact for a κ that is constant on each triangle.

    Args:
        points: ``(n, 2)``, or ``(n, 3)`` of a surface.
        triangles: nodes of each, ``(m, 3)``, either way around; none without area.
        conductivity: κ on each triangle, ``(m,)``; in the plane also a symmetric matrix, ``(m, 2, 2)``.

    Returns:
        Two sparse ``(n, n)``, symmetric; the rows of K add up to 0, all of M to the area.

    Source: A. Ern, J.-L. Guermond, Theory and Practice of Finite Elements, Springer 2004, section 1.2.
    """
    corners = points[triangles]
    opposite = np.roll(corners, 1, axis=1) - np.roll(corners, -1, axis=1)  # (m, 3, 2)
    one, two = opposite[:, 0], opposite[:, 1]
    if points.shape[1] == 2:
        area = 0.5 * np.abs(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0])
    else:
        area = 0.5 * np.linalg.norm(np.cross(one, two), axis=1)
    area = area[:, None, None]
    if conductivity.ndim == 3:
        turned = np.stack([opposite[..., 1], -opposite[..., 0]], axis=-1)
        product = turned @ conductivity @ turned.swapaxes(1, 2)
    else:
        product = conductivity[:, None, None] * (opposite @ opposite.swapaxes(1, 2))
    stiffness = product / (4.0 * area)
    mass = area / 12.0 * (np.ones((3, 3)) + np.eye(3))
    where = np.repeat(triangles, 3, axis=1).ravel(), np.tile(triangles, 3).ravel()
    shape = (len(points), len(points))
    mass, stiffness = (
        coo_array((e.ravel(), where), shape=shape).tocsr() for e in (mass, stiffness)
    )
    return mass, stiffness
