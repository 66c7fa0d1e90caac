"""Uniform Cartesian grids in one, two or three dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from sciml.domain.names import grid_dims
from sciml.errors import DomainError

BOUNDARIES = ("periodic", "dirichlet", "neumann", "open")


@dataclass(frozen=True, slots=True)
class Grid:
    """A uniform grid of points on a box, axes ordered slowest first: ``(z, y, x)``.

    Periodic axes leave out the repeated end point, spacing = length / n; every other axis holds
    both end points, spacing = length / (n − 1).

    Args:
        shape: points along each axis, e.g. ``(ny, nx)``.
        extent: ``(low, high)`` of each axis, in ``units``.
        boundary: condition on each axis: ``periodic``, ``dirichlet``, ``neumann``, or ``open`` where
            nothing is known about it (datasets of foreign origin).
        units: UDUNITS string of the coordinates.

    Raises:
        DomainError: lengths differ, an axis has fewer than 2 points or no length, unknown boundary.
    """

    kind: ClassVar[str] = "grid"

    shape: tuple[int, ...]
    extent: tuple[tuple[float, float], ...]
    boundary: tuple[str, ...]
    units: str = "1"

    def __post_init__(self) -> None:
        n = len(self.shape)
        if not 1 <= n <= 3 or len(self.extent) != n or len(self.boundary) != n:
            raise DomainError(
                f"grid: shape {self.shape}, extent {self.extent}, boundary {self.boundary}; "
                "expected one entry of each for every axis, 1 to 3 axes"
            )
        object.__setattr__(self, "shape", tuple(int(s) for s in self.shape))
        object.__setattr__(self, "extent", tuple((float(a), float(b)) for a, b in self.extent))
        object.__setattr__(self, "boundary", tuple(self.boundary))
        for size, (low, high), boundary in zip(self.shape, self.extent, self.boundary, strict=True):
            if size < 2 or not high > low:
                raise DomainError(
                    f"grid: axis of {size} points on [{low}, {high}]; expected at least 2 points "
                    "and high > low"
                )
            if boundary not in BOUNDARIES:
                raise DomainError(
                    f"grid: boundary {boundary!r}; expected one of {', '.join(BOUNDARIES)}"
                )

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dims(self) -> tuple[str, ...]:
        return grid_dims(self.ndim)

    @property
    def point_shape(self) -> tuple[int, ...]:
        """Shape of a scalar field."""
        return self.shape

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Distance between neighbors along each axis, in ``units``."""
        return tuple(
            (high - low) / (n if boundary == "periodic" else n - 1)
            for n, (low, high), boundary in zip(self.shape, self.extent, self.boundary, strict=True)
        )

    def coordinates(self, axis: int) -> np.ndarray:
        """Positions of the points along ``axis``; shape ``(shape[axis],)``."""
        return self.extent[axis][0] + self.spacing[axis] * np.arange(self.shape[axis])


def box_difference(trained: Grid, given: Grid) -> int | None:
    """The first axis along which two grids span different intervals, ``None`` if there is none."""
    pairs = zip(trained.extent, given.extent, trained.spacing, given.spacing, strict=True)
    for axis, ((a, b), (c, d), coarse, fine) in enumerate(pairs):
        # A periodic axis in a file of foreign origin lacks its last interval.
        slack = 1.01 * max(coarse, fine)
        if abs(a - c) > slack or abs(b - d) > slack:
            return axis
    return None
