"""Unstructured meshes: nodes, cells of one type, named groups of nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from sciml.domain.cells import CELLS, POLYGON, cell_type_of, check_cells, sides_of
from sciml.domain.names import NODE
from sciml.errors import DomainError


@dataclass(frozen=True, eq=False)
class Mesh:
    """Nodes joined by cells of one type.

    Args:
        points: node positions, float64 ``(n, d)``, in ``units``.
        cells: node indices of each cell, int64 ``(m, k)``, with corners in VTK's order; −1 pads
            polygons with fewer corners than others.
        units: UDUNITS string of the positions.
        cell_type: ``"edge"``, ``"triangle"``, ``"quadrilateral"``, ``"polygon"``, ``"tetrahedron"`` or
            ``"hexahedron"``; needed where corners alone do not say (four in space: a quadrilateral of a
            surface, or a tetrahedron).
        groups: named sets of nodes, such as ``inflow``: indices, or a mask of bool ``(n,)``. A node may
            be in several.

    Raises:
        DomainError: a wrong rank, positions that are not finite, a node that does not exist, a type that
            the corners do not fit, cells without extent, turned inside out or on top of each other, a
            group's name that is no word.
    """

    kind: ClassVar[str] = "mesh"

    points: np.ndarray
    cells: np.ndarray
    units: str = "1"
    cell_type: str = ""
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        points = np.asarray(self.points, dtype=np.float64)
        cells = _whole(np.asarray(self.cells))
        if points.ndim != 2 or cells.ndim != 2 or not 1 <= points.shape[1] <= 3:
            raise DomainError(
                f"mesh: points {points.shape}, cells {cells.shape}; expected (n, 1 to 3) and (m, k)"
            )
        if cells.size and (cells.max() >= len(points) or cells.min() < -1):
            hint = ""
            if cells.min() == 1 and cells.max() == len(points):
                hint = "; subtract 1, or in a file say start_index = 1"
            raise DomainError(
                f"mesh: cells name nodes {cells.min()} to {cells.max()}; there are {len(points)} nodes, "
                f"counted from 0 (−1 pads){hint}"
            )
        strange = np.flatnonzero(~np.isfinite(points).all(axis=1))
        if len(strange):
            others = f" and {len(strange) - 1} others" * (len(strange) > 1)
            raise DomainError(
                f"mesh: node {strange[0]}{others} at {points[strange[0]].tolist()}; expected finite "
                "positions"
            )
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "cells", cells)
        found = self.cell_type or cell_type_of(cells, points.shape[1])
        check_cells(found, points, cells)
        object.__setattr__(self, "cell_type", found)
        groups = {name: _members(name, nodes, len(points)) for name, nodes in self.groups.items()}
        object.__setattr__(self, "groups", MappingProxyType(groups))

    @property
    def dims(self) -> tuple[str, ...]:
        return (NODE,)

    @property
    def point_shape(self) -> tuple[int, ...]:
        return (len(self.points),)

    @property
    def size(self) -> int:
        return len(self.points)

    @property
    def topological_dimension(self) -> int:
        """1 of lines, 2 of faces, 3 of volumes, in whatever space."""
        return 2 if self.cell_type == POLYGON else CELLS[self.cell_type].dimension

    def shape_of(self, on: str) -> tuple[int, ...] | None:
        """Shape of a scalar field on points, cells or edges; ``()`` if it is global."""
        match on:
            case "point":
                return self.point_shape
            case "cell":
                return (len(self.cells),)
            case "edge":
                return (len(self.sides),)
        return ()

    @cached_property
    def sides(self) -> np.ndarray:
        """Sides of all cells, each once, lower node first, sorted; int64 ``(E, 2)``: the *edges* of
        UGRID, where fields on edges have their values."""
        return sides_of(self.cell_type, self.cells)

    @cached_property
    def edges(self) -> np.ndarray:
        """Sides of all cells, each in both directions, sorted by receiver; int64 ``(2, 2E)``."""
        both = np.concatenate([self.sides, self.sides[:, ::-1]])
        order = np.lexsort((both[:, 0], both[:, 1]))
        return np.ascontiguousarray(both[order].T)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Mesh)
            and (self.units, self.cell_type) == (other.units, other.cell_type)
            and np.array_equal(self.points, other.points)
            and np.array_equal(self.cells, other.cells)
            and self.groups.keys() == other.groups.keys()
            and all(np.array_equal(g, other.groups[n]) for n, g in self.groups.items())
        )

    __hash__ = None


def _whole(cells: np.ndarray) -> np.ndarray:
    """Indices as int64; as numbers with a fraction they are refused."""
    if cells.size and cells.dtype.kind not in "iuf":
        raise DomainError(
            f"mesh: cells of type {cells.dtype}; expected whole numbers, nodes from 0"
        )
    if cells.dtype.kind == "f":
        broken = cells[~(np.rint(cells) == cells)]
        if broken.size:
            raise DomainError(f"mesh: cells name node {broken[0]:g}; expected whole numbers from 0")
    return cells.astype(np.int64)


def _members(name: str, nodes: object, count: int) -> np.ndarray:
    """Indices of the nodes of a group, ascending."""
    if not isinstance(name, str) or name.split() != [name]:
        raise DomainError(f"mesh: group {name!r:.60}; expected a word, such as 'inflow'")
    given = np.asarray(nodes)
    if given.dtype == bool and given.shape == (count,):
        return np.flatnonzero(given)
    found = (
        np.unique(given.astype(np.int64)) if given.dtype.kind in "iu" or not given.size else None
    )
    if found is None or given.ndim != 1:
        raise DomainError(
            f"mesh: group '{name}' is {given.dtype} {given.shape}; expected indices of nodes, or a mask "
            f"({count},)"
        )
    if found.size and (found[0] < 0 or found[-1] >= count):
        raise DomainError(
            f"mesh: group '{name}' names nodes {found[0]} to {found[-1]}; there are {count}"
        )
    return found
