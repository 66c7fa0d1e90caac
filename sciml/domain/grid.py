"""Uniform Cartesian grids in one, two or three dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from sciml.domain.names import grid_dims
from sciml.errors import DomainError

BOUNDARIES = ("periodic", "dirichlet", "neumann", "open")
#: What an axis can mean on the globe: CF standard names, and units that CF has for each.
GLOBE = {
    "latitude": "degrees_north",
    "longitude": "degrees_east",
    "grid_latitude": "degrees",
    "grid_longitude": "degrees",
}

#: Part of a cell that two grids of one box may differ by: points of a uniform axis may be as far off.
BOX_TOLERANCE = 1e-2
#: Parts of a cell that belong to the box before the first and behind the last point, where axes do not
#: say: none (points on both ends), the last interval (periodic), half a cell at each end, the first.
_CLOSINGS = ((0.0, 0.0), (0.0, 1.0), (0.5, 0.5), (1.0, 0.0))


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
        meanings: what the axes are on the globe, by CF standard name: ``latitude``, ``longitude``,
            ``grid_latitude``, ``grid_longitude``, in degrees; ``""`` for any other. ``()``: none is.

    Raises:
        DomainError: lengths differ, an axis has fewer than 2 points or no length, unknown boundary.
    """

    kind: ClassVar[str] = "grid"

    shape: tuple[int, ...]
    extent: tuple[tuple[float, float], ...]
    boundary: tuple[str, ...]
    units: str = "1"
    meanings: tuple[str, ...] = ()

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
        meanings = tuple(str(m) for m in self.meanings) if any(self.meanings) else ()
        object.__setattr__(self, "meanings", meanings)
        if meanings and (len(meanings) != n or not {*meanings} <= {"", *GLOBE}):
            raise DomainError(
                f"grid: meanings {meanings}; expected one of {', '.join(GLOBE)} or '' for each axis"
            )
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

    def shape_of(self, on: str) -> tuple[int, ...] | None:
        """Shape of a scalar field there; ``()`` if it is global, ``None`` where there is none."""
        return {"point": self.point_shape, "global": ()}.get(on)

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

    @property
    def latitude(self) -> int | None:
        """The axis of latitudes, ``None`` where there is none."""
        return next((a for a, m in enumerate(self.meanings) if m.endswith("latitude")), None)

    def coordinates(self, axis: int) -> np.ndarray:
        """Positions of the points along ``axis``; shape ``(shape[axis],)``."""
        return self.extent[axis][0] + self.spacing[axis] * np.arange(self.shape[axis])


def area_of(grid: Grid) -> np.ndarray:
    """What the cells of a grid weigh on the globe: cos φ, with mean 1; 1 point along other axes.

    Raises:
        DomainError: no axis of latitudes; ones beyond the poles.
    """
    axis = grid.latitude
    if axis is None:
        raise DomainError(
            f"grid with the axes {', '.join(grid.dims)}, of which none is a latitude; expected one with "
            "units: ds.lat.attrs['units'] = 'degrees_north'"
        )
    latitudes = grid.coordinates(axis)
    if np.abs(latitudes).max() > 90.0 + 1e-3:
        raise DomainError(
            f"latitudes from {latitudes[0]:g} to {latitudes[-1]:g}; expected −90 to 90 degrees"
        )
    weights = np.cos(np.deg2rad(latitudes)).clip(min=0.0)
    shape = [1] * grid.ndim
    shape[axis] = len(weights)
    return (weights / weights.mean()).reshape(shape)


def box_difference(trained: Grid, given: Grid) -> int | None:
    """The first axis along which two grids span different intervals, ``None`` if there is none.

    Intervals agree within a hundredth of the smaller cell, and within what float32 resolves there;
    those of longitudes also where they are whole turns apart. A file of foreign origin does not say
    which part of the last cells belongs to the box: where one grid is periodic, the other's last
    interval does; where none is, any way that makes both agree will do, which for one resolution are
    all the same.
    """
    return next((a for a in range(trained.ndim) if not _same_interval(trained, given, a)), None)


def _same_interval(one: Grid, other: Grid, axis: int) -> bool:
    (a, b), (c, d) = one.extent[axis], other.extent[axis]
    h, k = one.spacing[axis], other.spacing[axis]
    if one.meanings and other.meanings and one.meanings[axis].endswith("longitude"):
        turns = 360.0 * round((a - c) / 360.0)
        c, d = c + turns, d + turns
    cell = min(h, k)
    resolved = float(np.spacing(np.float32(max(map(abs, (a, b, c, d))))))
    slack = BOX_TOLERANCE * cell + min(2 * resolved, 0.1 * cell)
    closed = [grid.boundary[axis] == "periodic" for grid in (one, other)]
    if any(closed):
        h, k = (0.0 if is_ else width for is_, width in zip(closed, (h, k), strict=True))
        return abs(a - c) <= slack and abs(b + h - d - k) <= slack
    return any(
        abs(a - low * h - c + low * k) <= slack and abs(b + high * h - d - high * k) <= slack
        for low, high in _CLOSINGS
    )
