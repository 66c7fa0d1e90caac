"""Random triangulations of the unit square, with a round hole or without."""

from __future__ import annotations

import numpy as np
from scipy.spatial import Delaunay

from sciml.domain import Mesh


def square_mesh(
    spacing: float,
    draws: np.random.Generator,
    hole: tuple[float, float, float] | None = None,
    units: str = "m",
) -> Mesh:
    """Nodes lie ``spacing`` apart on sides and hole, at random in between, joined by Delaunay.

    Those inside are drawn four times to the middle of their neighbors. Nodes of the groups come first:
    ``outer``, counterclockwise, then ``hole``.

    Args:
        spacing: distance between nodes, less than the room between hole and sides.
        draws: what is random.
        hole: x and y of its center, and its radius.
    """
    n = round(1.0 / spacing)
    t = np.arange(n) / n
    sides = [(t, 0 * t), (0 * t + 1, t), (1 - t, 0 * t + 1), (0 * t, 1 - t)]
    outer = np.concatenate([np.stack(side, axis=1) for side in sides])
    inner = (np.indices((n, n)).reshape(2, -1).T + draws.uniform(size=(n * n, 2))) / n
    apart = np.minimum(inner, 1.0 - inner).min(axis=1)
    ring = np.empty((0, 2))
    if hole is not None:
        center, radius = np.array(hole[:2]), hole[2]
        m = max(round(2.0 * np.pi * radius / spacing), 8)
        angle = 2.0 * np.pi * np.arange(m) / m
        ring = center + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        apart = np.minimum(apart, np.linalg.norm(inner - center, axis=1) - radius)
    held = len(outer) + len(ring)
    points = np.concatenate([outer, ring, inner[apart > 0.6 * spacing]])
    for _ in range(4):
        start, neighbors = Delaunay(points).vertex_neighbor_vertices
        sums = np.add.reduceat(points[neighbors], start[:-1])
        points[held:] = (sums / np.diff(start)[:, None])[held:]
    cells = Delaunay(points).simplices
    groups = {"outer": np.arange(len(outer))}
    if hole is not None:
        groups["hole"] = np.arange(len(outer), held)
        cells = cells[~((cells >= len(outer)) & (cells < held)).all(axis=1)]
    return Mesh(points, cells, units, "triangle", groups)
