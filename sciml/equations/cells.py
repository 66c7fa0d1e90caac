"""Means over cells, which finite volumes compute, of functions given at points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np


def cell_means(function: Callable[[np.ndarray], Any], x: np.ndarray, h: float) -> np.ndarray:
    """Mean of ``function`` over cells of width ``h`` around ``x``; Gauss–Legendre, five points.

    Args:
        function: of positions, an array like ``x``.
        x: centers, (n).
        h: width of a cell.

    When it fails: a jump inside of a cell is seen with an error of up to a tenth of it.
    """
    nodes, weights = np.polynomial.legendre.leggauss(5)
    return sum(
        0.5 * weight * np.asarray(function(x + 0.5 * h * node))
        for node, weight in zip(nodes, weights, strict=True)
    )


def box_means(
    function: Callable[..., Any], coordinates: Sequence[np.ndarray], spacing: Sequence[float]
) -> np.ndarray:
    """Mean of ``function`` over boxes around the points of a grid; three points along each axis.

    Args:
        function: of one array an axis, which broadcast against each other; may give leading axes.
        coordinates: centers along each axis.
        spacing: sides of a box.
    """
    nodes, weights = np.polynomial.legendre.leggauss(3)
    total: Any = 0.0
    for at in product(range(3), repeat=len(spacing)):
        moved = [x + 0.5 * h * nodes[i] for i, x, h in zip(at, coordinates, spacing, strict=True)]
        total = total + prod(0.5 * weights[i] for i in at) * function(*np.ix_(*moved))
    return total
