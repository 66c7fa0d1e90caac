"""A channel with a cylinder across it, triangulated by netgen."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciml.domain import Mesh
from sciml.errors import InputError

#: How fast triangles grow away from the cylinder, by netgen's measure: 1 at once, 0 not at all.
GRADING = 0.25
#: By how much seeds let the sides of triangles vary, relative to what was asked for.
SCATTER = 0.1
#: Triangles above which a mesh is refused: by then it is a slip of the pen, and memory runs out.
MOST = 2_000_000
#: A time step is at most this times h / (k v): 0.42 to 0.5 blew up in trials.
COURANT = 0.36


@dataclass(frozen=True)
class FlowChannel:
    """[0, length] × [0, height] without a disc, in m.

    Args:
        length, height: of the channel.
        center, radius: of the cylinder.
        spacing: longest side of a triangle.
        spacing_cylinder: of those at the cylinder.

    Raises:
        InputError: numbers that are not positive and finite, a cylinder that sticks out of the channel,
            too many triangles.
    """

    length: float
    height: float
    center: tuple[float, float]
    radius: float
    spacing: float
    spacing_cylinder: float

    def __post_init__(self) -> None:
        # Netgen would not come back from these, or take the process with it.
        for name in ("length", "height", "radius", "spacing", "spacing_cylinder"):
            if not 0.0 < (value := getattr(self, name)) < np.inf:
                raise InputError(f"{name}={value:g} m; expected a finite number above 0")
        if not self.room >= 0.0:
            (x, y), r = self.center, self.radius
            raise InputError(
                f"the cylinder at ({x:g}, {y:g}) m of radius {r:g} m does not lie in the channel of "
                f"{self.length:g} m × {self.height:g} m; expected x from {r:g} to {self.length - r:g}, "
                f"y from {r:g} to {self.height - r:g}: move it, or give a smaller radius"
            )
        many = 2.3 * self.length * self.height / self.spacing**2
        many += 2.3 * 10.0 * self.radius**2 / self.spacing_cylinder**2
        if many > MOST:
            raise InputError(
                f"spacing={self.spacing:g} m, {self.spacing_cylinder:g} m at the cylinder, make some "
                f"{many:.2g} triangles; expected {MOST:.0e} at most: give a larger one"
            )

    @property
    def room(self) -> float:
        """From the cylinder to the nearest side; below 0 where it sticks out."""
        x, y = self.center
        return min(x, self.length - x, y, self.height - y) - self.radius

    def stable_step(self, corners: Mesh, order: int, speed: float) -> float:
        """The longest time step in s that is stable on a mesh of elements of an order k: h is the
        shortest side, v the highest speed, which is some (1.3 + 3 radius / height) times that of the
        inflow at its middle, beside the cylinder."""
        shortest = np.linalg.norm(np.diff(corners.points[corners.sides], axis=1), axis=2).min()
        highest = speed * (1.3 + 3.0 * self.radius / self.height)
        return float(COURANT * shortest / (order * highest))


def triangulated(channel: FlowChannel, draws: np.random.Generator, order: int) -> Any:
    """The mesh of ngsolve, with cells of that order at the cylinder.

    Sides: ``inflow`` (left), ``outflow`` (right), ``wall``, ``cylinder``. Sides of the triangles vary by
    what is drawn, so that each seed has a mesh of its own. The foremost and the hindmost point of the
    cylinder are nodes.

    Raises:
        InputError: ngsolve is not there; netgen makes no mesh, in its words.
    """
    require_ngsolve()
    import ngsolve
    from netgen.geom2d import SplineGeometry
    from netgen.meshing import NgException

    ngsolve.ngsglobals.msg_level = 0
    wide, *around = 1.0 + SCATTER * draws.uniform(-1.0, 1.0, 5)
    geometry = SplineGeometry()
    names = ("wall", "outflow", "wall", "inflow")
    geometry.AddRectangle((0.0, 0.0), (channel.length, channel.height), bcs=names)
    # The four quarters of a circle, from the right counterclockwise, as rational parabolas.
    turns = np.array([[1, 0], [1, 1], [0, 1], [-1, 1], [-1, 0], [-1, -1], [0, -1], [1, -1]])
    places = np.array(channel.center) + channel.radius * turns
    points = [geometry.AppendPoint(*place) for place in places.tolist()]
    for quarter, factor in enumerate(around):
        corners = [points[(2 * quarter + k) % 8] for k in range(3)]
        geometry.Append(
            ["spline3", *corners], bc="cylinder", leftdomain=0, rightdomain=1,
            maxh=channel.spacing_cylinder * factor,
        )  # fmt: skip
    try:
        made = geometry.GenerateMesh(maxh=channel.spacing * wide, grading=GRADING)
    except NgException as error:
        said = " ".join(str(error).split())
        raise InputError(
            f"netgen makes no mesh of the channel: '{said}'; spacing={channel.spacing:g} m, "
            f"{channel.spacing_cylinder:g} m at the cylinder, {channel.room:.3g} m from "
            "a side; move it, or give other spacings"
        ) from error
    mesh = ngsolve.Mesh(made)
    mesh.Curve(order)
    return mesh


def corners_of(mesh: Any) -> Mesh:
    """Corners of the triangles, without what bends between them; groups of nodes by their sides."""
    made = mesh.ngmesh
    segments, names = made.Elements1D().NumPy(), mesh.GetBoundaries()
    ends = segments["nodes"][:, :2].astype(np.int64) - 1
    sides = np.array(names)[segments["index"] - 1]
    groups = {name: np.unique(ends[sides == name]) for name in dict.fromkeys(names)}
    cells = made.Elements2D().NumPy()["nodes"].astype(np.int64) - 1
    return Mesh(np.array(made.Coordinates()), cells, "m", "triangle", groups)


def require_ngsolve() -> None:
    """Raises :class:`InputError` where it is not there.

    It offers its OpenBLAS to the whole process, whose batched products torch would take for those that
    it brings along, and crash in them, were it imported later: it is kept to itself.
    """
    offered, ctypes.RTLD_GLOBAL = ctypes.RTLD_GLOBAL, ctypes.RTLD_LOCAL
    try:
        import netgen.geom2d  # noqa: F401
        import ngsolve  # noqa: F401
    except ImportError as error:
        raise InputError(
            "ngsolve is not there; install it with pip install 'sciml-surrogates[mesh]'"
        ) from error
    finally:
        ctypes.RTLD_GLOBAL = offered
