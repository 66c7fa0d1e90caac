"""How much of a mesh each node stands for, and how well neighbors are joined."""

from __future__ import annotations

from math import factorial

import numpy as np
from jaxtyping import Float, Int

from sciml.domain import Mesh
from sciml.errors import DomainError
from sciml.parallel.linear_elements import mass_and_stiffness


def node_volumes(mesh: Mesh) -> Float[np.ndarray, " node"]:
    """V_v = Σ over the cells at v of their length, area or volume, over their corners.

    Σ_v V_v u_v is the integral of a field that is linear between the nodes of simplices. Polygons are
    fans of triangles, each corner having an equal part.

    Raises:
        DomainError: hexahedra.
    """
    if mesh.cell_type == "hexahedron":
        raise DomainError(
            "volumes of nodes of hexahedra are not known here; expected lines, triangles, polygons or "
            "tetrahedra (a model with head='linear' needs none)"
        )
    volumes, corners = np.zeros(mesh.size), mesh.cells
    count = (corners >= 0).sum(axis=1)
    width = 4 if mesh.topological_dimension == 3 else min(3, corners.shape[1])
    for k in range(corners.shape[1] - width + 1):
        part = corners if width != 3 else corners[:, [0, k + 1, k + 2]]
        there = part[:, -1] >= 0
        sides = mesh.points[part[there, 1:]] - mesh.points[part[there, :1]]
        gram = np.linalg.det(sides @ sides.swapaxes(1, 2))
        size = np.sqrt(np.maximum(gram, 0.0)) / factorial(width - 1) / count[there]
        for corner in corners[there].T:
            np.add.at(volumes, corner[corner >= 0], size[corner >= 0])
    return volumes


def cotangents(
    mesh: Mesh, source: Int[np.ndarray, " edge"], receiver: Int[np.ndarray, " edge"]
) -> Float[np.ndarray, " edge"]:
    """(cot α + cot β) / 2 of the angles opposite to each edge of triangles: −∫ ∇φ_i · ∇φ_j.

    Pairs of nodes that are no edge have 0. Negative where α + β > π, as Delaunay's triangulations have
    it on their rim alone.
    """
    _, stiffness = mass_and_stiffness(mesh.points, mesh.cells, np.ones(len(mesh.cells)))
    return -np.asarray(stiffness[receiver, source]).ravel()
