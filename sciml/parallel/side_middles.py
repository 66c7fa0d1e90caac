"""The middles of the sides of ngsolve's triangles, as nodes beside their corners."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from sciml.domain import Mesh


@final
class SideMiddles:
    """Nodes behind the corners, one a side, sorted by its corners.

    Args:
        mesh: of ngsolve, whose cells are bent by polynomials of degree ``order``.
        corners: the same as a domain.

    Attributes:
        mesh: a domain with these nodes, each triangle as four.
    """

    def __init__(self, mesh: Any, corners: Mesh, order: int) -> None:
        import ngsolve as ng

        sides = np.sort([[corner.nr for corner in side.vertices] for side in mesh.edges], axis=1)
        self._order = np.lexsort((sides[:, 1], sides[:, 0]))
        self._sides = sides[self._order]
        place = ng.GridFunction(ng.VectorH1(mesh, order=order))
        place.Set(ng.CF((ng.x, ng.y)))
        coefficients = place.vec.FV().NumPy().reshape(2, -1)
        points = self.values(coefficients, self.bends(place.space.components[0]), mesh.nv).T
        self.mesh = self._divided(corners, points)

    def _divided(self, corners: Mesh, points: np.ndarray) -> Mesh:
        n, sides = corners.size, self._sides
        # Of straight sides without the rounding of a projection: walls are where they are.
        straight = np.concatenate([corners.points, corners.points[sides].mean(axis=1)])
        bent = np.abs(points - straight).max(axis=1) > 1e-9 * np.ptp(corners.points)
        points = np.where(bent[:, None], points, straight)
        low, high = np.sort(corners.cells[:, [[0, 1], [1, 2], [2, 0]]], axis=2).transpose(2, 0, 1)
        between = np.searchsorted(sides @ [n, 1], low * n + high)
        outer = np.bincount(between.ravel(), minlength=len(sides)) == 1
        groups = {}
        for name, nodes in corners.groups.items():
            along = outer & np.isin(sides, nodes).all(axis=1)
            groups[name] = np.concatenate([nodes, n + np.flatnonzero(along)])
        (a, b, c), (ab, bc, ca) = corners.cells.T, n + between.T
        cells = ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))
        cells = np.concatenate([np.stack(one, axis=1) for one in cells])
        return Mesh(points, cells, corners.units, corners.cell_type, groups)

    def bends(self, space: Any) -> np.ndarray | None:
        """Where a space of hierarchical bases has the first one of each side; ``None``: it has none."""
        import ngsolve as ng

        first = [space.GetDofNrs(ng.NodeId(ng.EDGE, int(side)))[:1] for side in self._order]
        return np.array(first)[:, 0] if first[0] else None

    def values(
        self, coefficients: np.ndarray, bends: np.ndarray | None, corners: int
    ) -> np.ndarray:
        """At all nodes, from coefficients whose first ones are those of the corners; ``(…, nodes)``."""
        first = coefficients[..., :corners]
        middles = first[..., self._sides].mean(axis=-1)
        if bends is not None:  # that basis is (s² − 1) / 2, s from −1/2 to 1/2; others vanish there
            middles -= 0.125 * coefficients[..., bends]
        return np.concatenate([first, middles], axis=-1)
