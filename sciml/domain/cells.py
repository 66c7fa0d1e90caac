"""Types of cells: their corners, their sides, and what makes a cell unusable.

Corners are in VTK's order: around a polygon; of a hexahedron first around one face, then around the
one opposite, beginning at the corner beside the first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sciml.errors import DomainError, nearest


@dataclass(frozen=True, slots=True)
class CellType:
    """A cell by its corners.

    Args:
        dimension: 1 of lines, 2 of faces, 3 of volumes.
        corners: how many.
        sides: pairs of corners that an edge joins.
        frames: at a corner, the corners that span the cell there; their determinants have one sign in a
            convex cell.
    """

    dimension: int
    corners: int
    sides: tuple[tuple[int, int], ...]
    frames: tuple[tuple[int, ...], ...]


POLYGON = "polygon"
CELLS = {
    "edge": CellType(1, 2, ((0, 1),), ((0, 1),)),
    "triangle": CellType(2, 3, ((0, 1), (1, 2), (2, 0)), ((0, 1, 2),)),
    "quadrilateral": CellType(
        2,
        4,
        ((0, 1), (1, 2), (2, 3), (3, 0)),
        ((0, 1, 3), (1, 2, 0), (2, 3, 1), (3, 0, 2)),
    ),
    "tetrahedron": CellType(
        3, 4, ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)), ((0, 1, 2, 3),)
    ),
    "hexahedron": CellType(
        3,
        8,
        (
            *((0, 1), (1, 2), (2, 3), (3, 0)),
            *((4, 5), (5, 6), (6, 7), (7, 4)),
            *((0, 4), (1, 5), (2, 6), (3, 7)),
        ),
        (
            *((0, 1, 3, 4), (1, 2, 0, 5), (2, 3, 1, 6), (3, 0, 2, 7)),
            *((4, 7, 5, 0), (5, 4, 6, 1), (6, 5, 7, 2), (7, 6, 4, 3)),
        ),
    ),
}
#: Extent of a cell, by the lengths of its sides, below which it has none: rounding of flat cells.
FLAT = 1e-12


def cell_type_of(cells: np.ndarray, dimension: int) -> str:
    """The type of cells that do not say it, by their corners."""
    corners = cells.shape[1]
    if corners in (2, 3) and not (cells < 0).any():
        return {2: "edge", 3: "triangle"}[corners]
    if dimension < 3:
        return "quadrilateral" if corners == 4 and not (cells < 0).any() else POLYGON
    raise DomainError(
        f"mesh: cells of {corners} corners in space; say what they are: cell_type='tetrahedron', "
        "'hexahedron', or of a surface 'quadrilateral', 'polygon'"
    )


def sides_of(name: str, cells: np.ndarray) -> np.ndarray:
    """Sides of all cells, each once, lower node first, sorted; int64 ``(E, 2)``."""
    if name == POLYGON:
        pairs = np.stack([cells, _ends(cells)], axis=-1).reshape(-1, 2)
        pairs = pairs[pairs[:, 0] >= 0]
    else:
        pairs = cells[:, CELLS[name].sides].reshape(-1, 2)
    if not len(pairs):
        return pairs
    # As one number each: sorting rows takes ten times as long.
    nodes = int(pairs.max()) + 1
    low, high = pairs.min(axis=1), pairs.max(axis=1)
    return np.stack(np.divmod(np.unique(low * nodes + high), nodes), axis=1)


def check_cells(name: str, points: np.ndarray, cells: np.ndarray) -> None:
    """Refuse cells that do not fit their type, have no extent, or are inverted.

    Which way around the corners of a simplex go is of no account: triangulations give either.
    """
    if name != POLYGON and name not in CELLS:
        raise DomainError(
            f"mesh: cells of type '{name}'; {nearest(name, [*CELLS, POLYGON])}, as simplices or "
            "hexahedra hold any geometry"
        )
    if name == POLYGON:
        _check_polygons(points, cells)
        return
    kind = CELLS[name]
    if cells.shape[1] != kind.corners or (cells < 0).any():
        raise DomainError(
            f"mesh: cells of {cells.shape[1]} corners{' (−1 pads some)' * bool((cells < 0).any())}; "
            f"a {name} has {kind.corners}"
        )
    if kind.dimension > points.shape[1]:
        raise DomainError(f"mesh: {name} cells on points of {points.shape[1]} coordinates")
    _check_repeats(cells)
    if kind.dimension < points.shape[1]:
        extents = _extents(kind, points, cells, signed=False)
    else:
        extents = _extents(kind, points, cells)
    low, high = extents.min(axis=1), extents.max(axis=1)
    flat = np.flatnonzero(np.maximum(np.abs(low), np.abs(high)) <= FLAT)
    if len(flat):
        raise DomainError(
            f"mesh: cell {flat[0]} ({cells[flat[0]].tolist()}) has no extent: its corners lie on one "
            f"{'line' if kind.dimension == 2 else 'plane' if kind.dimension == 3 else 'point'}; leave "
            "it out"
        )
    # One corner that bends in is a cell still; two of each kind are corners in another order.
    signs = [(sign * extents > FLAT).sum(axis=1) for sign in (1, -1)]
    turned = np.flatnonzero(np.minimum(*signs) >= 2)
    if len(turned):
        raise DomainError(
            f"mesh: {name} {turned[0]} ({cells[turned[0]].tolist()}) is turned inside out; expected its "
            "corners in VTK's order, around a face"
        )
    if kind.dimension == points.shape[1] == 2:
        _check_overlaps(points, cells)


def _check_polygons(points: np.ndarray, cells: np.ndarray) -> None:
    there = cells >= 0
    # Corners first, then padding.
    bad = np.flatnonzero((there.sum(axis=1) < 3) | (there[:, 1:] & ~there[:, :-1]).any(axis=1))
    if len(bad):
        raise DomainError(
            f"mesh: polygon {bad[0]} ({cells[bad[0]].tolist()}); expected three corners or more, then "
            "−1 as often as it takes"
        )
    _check_repeats(np.where(there, cells, -1 - np.arange(cells.shape[1])))
    area, around = _areas(points, cells)
    flat = np.flatnonzero(np.linalg.norm(area, axis=1) <= FLAT * around**2)
    if len(flat):
        raise DomainError(
            f"mesh: polygon {flat[0]} ({cells[flat[0]].tolist()}) has no extent: its corners lie on one "
            "line, or its sides cross; leave it out, or give its corners in order"
        )
    if points.shape[1] == 2:
        _check_overlaps(points, cells)


def _ends(cells: np.ndarray) -> np.ndarray:
    """Nodes at the end of each side of faces, the first one behind the last; −1 where there is none."""
    following = np.roll(cells, -1, axis=1)
    return np.where(cells < 0, -1, np.where(following < 0, cells[:, :1], following))


def _areas(points: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of faces: area vectors ``(m, 1 or 3)``, and lengths of all sides together."""
    ends, first = _ends(cells), points[cells[:, :1]]
    there = (cells >= 0)[..., None]
    a, b = (np.where(there, points[nodes] - first, 0.0) for nodes in (cells, ends))
    around = np.linalg.norm(b - a, axis=2).sum(axis=1)
    if points.shape[1] == 2:
        return 0.5 * (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]).sum(axis=1)[:, None], around
    return 0.5 * np.cross(a, b).sum(axis=1), around


def _check_overlaps(points: np.ndarray, cells: np.ndarray) -> None:
    """Refuse faces of a plane that lie on one side of a side that they share."""
    area, _ = _areas(points, cells)
    start, end, nodes = cells, _ends(cells), len(points)
    clockwise = area < 0
    start, end = np.where(clockwise, end, start), np.where(clockwise, start, end)
    there = np.flatnonzero(cells >= 0)
    keys = (start * nodes + end).ravel()[there]
    order = np.argsort(keys, kind="stable")
    again = np.flatnonzero(np.diff(keys[order]) == 0)
    if len(again):
        place = there[order[again[0] : again[0] + 2]]
        one, other = sorted((place // cells.shape[1]).tolist())
        shared = [int(start.ravel()[place[0]]), int(end.ravel()[place[0]])]
        raise DomainError(
            f"mesh: cells {one} and {other} ({cells[one].tolist()}, {cells[other].tolist()}) lie on top "
            f"of each other, both left or both right of their edge {shared}; expected each place in one "
            "cell: one of them is inverted, or there twice"
        )


def _check_repeats(cells: np.ndarray) -> None:
    ordered = np.sort(cells, axis=1)
    twice = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
    if len(twice):
        raise DomainError(
            f"mesh: cell {twice[0]} ({cells[twice[0]].tolist()}) names a node twice; expected corners "
            "that differ"
        )


def _extents(
    kind: CellType, points: np.ndarray, cells: np.ndarray, *, signed: bool = True
) -> np.ndarray:
    """The determinant of the sides, by their lengths, at each frame of each cell; ``(m, frames)``. In a
    space of more dimensions than the cells have it has no sign."""
    found = []
    for first, *others in kind.frames:
        sides = points[cells[:, others]] - points[cells[:, first]][:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            sides = sides / np.linalg.norm(sides, axis=2, keepdims=True)
        if signed:
            found.append(np.nan_to_num(np.linalg.det(sides)))
        else:
            gram = np.nan_to_num(sides @ sides.transpose(0, 2, 1))
            found.append(np.sqrt(np.abs(np.linalg.det(gram))))
    return np.stack(found, axis=1)
