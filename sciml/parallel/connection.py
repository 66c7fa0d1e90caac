"""How tangent vectors are carried along the edges of a closed triangulated surface."""

from __future__ import annotations

import numpy as np

from sciml.parallel.linear_elements import mass_and_stiffness


def edge_angles(points: np.ndarray, triangles: np.ndarray) -> dict[tuple[int, int], float]:
    """θ_ij, the angle of each edge from i to j among those of i, counterclockwise: 0 of the least j.

    Angles between sides are scaled to add up to 2π about each node.

    Args:
        points: ``(n, 3)``.
        triangles: ``(m, 3)``, counterclockwise from outside, of a surface without a rim.

    Source: F. Knöppel, K. Crane, U. Pinkall, P. Schröder, Globally optimal direction fields, ACM Trans.
    Graph. 32 (2013), section 6.
    """
    following: list[dict[int, tuple[int, float]]] = [{} for _ in points]
    for k in range(3):
        at, one, two = np.roll(triangles, -k, axis=1).T
        a, b = points[one] - points[at], points[two] - points[at]
        corner = np.arctan2(np.linalg.norm(np.cross(a, b), axis=1), (a * b).sum(axis=1))
        for i, j, l, angle in zip(at, one, two, corner, strict=True):
            following[i][int(j)] = (int(l), float(angle))
    found = {}
    for i, star in enumerate(following):
        whole = sum(angle for _, angle in star.values())
        j, turned = min(star), 0.0
        for _ in star:
            found[i, j] = turned * 2.0 * np.pi / whole
            j, angle = star[j]
            turned += angle
    return found


def connection_laplacian(
    points: np.ndarray,
    triangles: np.ndarray,
    angles: dict[tuple[int, int], float],
    turns: np.ndarray,
):
    """Mass at nodes, and L: (L x)_i = Σ_j w_ij (x_i − e^{i(θ_ij − θ_ji − π)} x_j) of complex x.

    x_j is a vector in the frame of node j, which is turned by ``turns`` from its first edge; w are the
    weights of linear elements. L is Hermitian and positive semidefinite.

    Args:
        points, triangles: as of :func:`edge_angles`, which gives ``angles``.
        turns: ``(n,)``.

    Returns:
        ``(n,)`` and a sparse complex matrix.

    Source: N. Sharp, Y. Soliman, K. Crane, The vector heat method, ACM Trans. Graph. 38
    (2019), section 5.
    """
    mass, stiffness = mass_and_stiffness(points, triangles, np.ones(len(triangles)))
    matrix = stiffness.tocoo()
    i, j = matrix.row, matrix.col
    away = i != j
    turn = np.zeros(len(i))
    turn[away] = [
        angles[a, b] - angles[b, a] - np.pi
        for a, b in zip(i[away].tolist(), j[away].tolist(), strict=True)
    ]
    matrix.data = matrix.data * np.exp(1j * (turn - turns[i] + turns[j]))
    return mass.sum(axis=1), matrix.tocsr()
