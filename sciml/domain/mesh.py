"""Unstructured meshes of simplices or polygons."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from sciml.domain.names import NODE
from sciml.errors import DomainError


@dataclass(frozen=True, eq=False)
class Mesh:
    """Nodes joined by cells; fields live on nodes.

    Args:
        points: node positions, float64 ``(n, d)``, in ``units``.
        cells: node indices of each cell, int64 ``(m, k)``; −1 pads cells with fewer corners. Edges
            (k = 2), polygons with their corners in order, or tetrahedra (k = 4 in three dimensions).
        units: UDUNITS string of the positions.

    Raises:
        DomainError: wrong rank, or a cell that names a node that does not exist.
    """

    kind: ClassVar[str] = "mesh"

    points: np.ndarray
    cells: np.ndarray
    units: str = "1"

    def __post_init__(self) -> None:
        points = np.asarray(self.points, dtype=np.float64)
        cells = np.asarray(self.cells, dtype=np.int64)
        if points.ndim != 2 or cells.ndim != 2 or not 1 <= points.shape[1] <= 3:
            raise DomainError(
                f"mesh: points {points.shape}, cells {cells.shape}; expected (n, 1 to 3) and (m, k)"
            )
        if cells.size and (cells.max() >= len(points) or cells.min() < -1):
            raise DomainError(
                f"mesh: cells name nodes {cells.min()} to {cells.max()}; "
                f"there are {len(points)} nodes (−1 pads)"
            )
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "cells", cells)

    @property
    def dims(self) -> tuple[str, ...]:
        return (NODE,)

    @property
    def point_shape(self) -> tuple[int, ...]:
        return (len(self.points),)

    @property
    def size(self) -> int:
        return len(self.points)

    @cached_property
    def edges(self) -> np.ndarray:
        """Sides of all cells, each in both directions, sorted by receiver; int64 ``(2, E)``.

        Four corners in three dimensions make a tetrahedron with six sides; otherwise corners go
        around a polygon.
        """
        corners = self.cells
        following = np.roll(corners, -1, axis=1)
        # The last corner of a padded cell joins back to the first one.
        following = np.where(following < 0, corners[:, :1], following)
        pairs = np.stack([corners, following], axis=-1).reshape(-1, 2)
        if self.points.shape[1] == 3 and corners.shape[1] == 4:
            pairs = np.concatenate([pairs, corners[:, [0, 2]], corners[:, [1, 3]]])
        pairs = pairs[(pairs >= 0).all(axis=1) & (pairs[:, 0] != pairs[:, 1])]
        both = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)
        order = np.lexsort((both[:, 0], both[:, 1]))
        return np.ascontiguousarray(both[order].T)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Mesh)
            and self.units == other.units
            and np.array_equal(self.points, other.points)
            and np.array_equal(self.cells, other.cells)
        )

    __hash__ = None
