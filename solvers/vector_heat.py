"""Heat of tangent vectors on a bumpy sphere: ``python vector_heat.py --bumps 0.3 --out arrows.nc``."""

import numpy as np
from scipy.sparse import diags_array
from scipy.sparse.linalg import splu
from scipy.spatial import ConvexHull

from sciml.domain import Field, Mesh
from sciml.parallel import Rows
from sciml.parallel.connection import connection_laplacian, edge_angles
from sciml.solver import Option, Parameter, Program, initial_fields, initial_option, main

#: Weight of the new state in the slope of a step.
THETA = {"backward-euler": 1.0, "crank-nicolson": 0.5}


class VectorHeat(Program):
    """Heat equation of tangent vectors on a triangulated surface, by its connection Laplacian.

    ∂u/∂t = κ ∇²u; vectors of neighbors are compared once carried along the edge between.
    Fields (node): u, two components in the node's own frame, and the same vector in space, arrow;
    static: frame, its two axes, each node's turned at random in the tangent plane. The surface is a
    sphere whose radius varies by ``bumps``; each seed has a mesh of its own.

    (M + θ dt κ L) u' = (M − (1 − θ) dt κ L) u with θ = 1 (backward Euler) or 1/2 (Crank–Nicolson), M the
    area of nodes, by LU factors. **Every rank solves all of it**: ranks save no time; run more
    simulations at once instead. What a constant vector casts on the unit sphere decays as exp(−κ t).
    """

    name = "vector-heat"
    equation = "∂u/∂t = κ ∇²u"
    kind = "mesh"
    fields = (
        Field("u", "1", "tangent vector, in the frame of the node", components=2),
        Field("arrow", "1", "tangent vector, in space", components=3),
    )
    static = (Field("frame", "1", "first and second axis of the node", components=6),)
    parameters = (
        Parameter("kappa", 0.1, 1e-6, 10.0, "1", "κ"),
        Parameter("bumps", 0.2, 0.0, 0.5, "1", "variation of the radius"),
        Parameter("width", 0.5, 1e-2, 10.0, "1", "of the gusts at the start"),
    )
    options = (
        Option("nodes", 300, low=24, help="how many"),
        Option("gusts", 6, low=1, help="places about which there are vectors at the start"),
        Option("dt", 0.05, low=1e-12, help="time step"),
        Option("scheme", "crank-nicolson", tuple(THETA), help="time stepping"),
        initial_option("gusts", "constant"),
    )
    order_space = 2
    order_time = {"backward-euler": 1, "crank-nicolson": 2}
    time_units = "1"

    def __init__(self, given):
        self.given, self.dt, self.theta = given, given.dt, THETA[given.scheme]
        self.draws = np.random.default_rng(given.seed)
        self.mesh = self.surface()

    def domain(self):
        return self.mesh

    def surface(self):
        """Points of a spiral, shaken and smoothed, joined by their convex hull, then bumps."""
        count = self.given.nodes
        z = 1.0 - (2.0 * np.arange(count) + 1.0) / count
        around = np.pi * (3.0 - 5.0**0.5) * np.arange(count)
        flat = np.sqrt(1.0 - z * z)
        points = np.stack([flat * np.cos(around), flat * np.sin(around), z], axis=1)
        points += self.draws.normal(size=points.shape) * 0.5 / count**0.5
        for _ in range(3):  # towards the middle of their neighbors
            points /= np.linalg.norm(points, axis=1, keepdims=True)
            cells = ConvexHull(points).simplices
            sums = np.zeros_like(points)
            for k in range(3):
                np.add.at(sums, cells[:, k], points[cells[:, k - 1]] + points[cells[:, k - 2]])
            points = sums
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        cells = ConvexHull(points).simplices
        inwards = np.linalg.det(points[cells]) < 0
        cells[inwards] = cells[inwards][:, [0, 2, 1]]
        waves, shifts = 2.0 * self.draws.normal(size=(3, 4)), self.draws.uniform(0, 2 * np.pi, 4)
        bumps = np.cos(points @ waves + shifts).mean(axis=1)
        return Mesh(points * (1.0 + self.given.bumps * bumps)[:, None], cells, "1", "triangle")

    def start(self, comm):
        self.rows = Rows(comm, self.mesh)
        points, cells = self.mesh.points, self.mesh.cells
        angles = edge_angles(points, cells)
        self.turns = self.draws.uniform(0.0, 2.0 * np.pi, self.mesh.size)
        self.frame = self.frames()
        mass, laplacian = connection_laplacian(points, cells, angles, self.turns)
        mass, step = diags_array(mass, format="csr"), self.dt * self.given.kappa * laplacian
        self.solve = splu((mass + self.theta * step).tocsc()).solve
        self.explicit = mass - (1.0 - self.theta) * step
        own = initial_fields(self, comm)
        cast = np.einsum("nac,nc->na", self.frame, self.initial())
        u = cast if own is None else own["u"]
        self.u = u[:, 0] + 1j * u[:, 1]
        return self.rows.block

    def frames(self):
        """Axes of the nodes, ``(n, 2, 3)``.

        Normals are Max's, exact for points of a sphere (J. Graphics Tools 4 (1999) 1).
        """
        points, cells = self.mesh.points, self.mesh.cells
        normal = np.zeros_like(points)
        for k in range(3):
            at, one, two = (points[c] for c in np.roll(cells, -k, axis=1).T)
            a, b = one - at, two - at
            over = (a * a).sum(axis=1) * (b * b).sum(axis=1)
            np.add.at(normal, cells[:, k], np.cross(a, b) / over[:, None])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        sender, receiver = self.mesh.edges
        first = np.minimum.reduceat(sender, np.searchsorted(receiver, np.arange(len(points))))
        edge = points[first] - points
        edge -= (edge * normal).sum(axis=1, keepdims=True) * normal
        edge /= np.linalg.norm(edge, axis=1, keepdims=True)
        across = np.cross(normal, edge)
        cos, sin = np.cos(self.turns)[:, None], np.sin(self.turns)[:, None]
        return np.stack([cos * edge + sin * across, cos * across - sin * edge], axis=1)

    def initial(self):
        """Vectors in space, of which nodes take what is tangent: gusts about places, or one for all."""
        if self.given.initial == "constant":
            return np.broadcast_to([1.0, -2.0, 0.5], self.mesh.points.shape)
        places = self.draws.normal(size=(self.given.gusts, 3))
        places /= np.linalg.norm(places, axis=1, keepdims=True)
        vectors = self.draws.normal(size=(self.given.gusts, 3))
        squared = ((self.mesh.points[:, None] - places) ** 2).sum(axis=-1)
        return np.exp(-0.5 * squared / self.given.width**2) @ vectors

    def state(self):
        own = self.rows.own
        u = np.stack([self.u.real, self.u.imag], axis=1)[own]
        frame = self.frame[own]
        return {
            "u": u,
            "arrow": np.einsum("na,nac->nc", u, frame),
            "frame": frame.reshape(len(frame), 6),
        }

    def step(self, n):
        self.u = self.solve(self.explicit @ self.u)
        return (n + 1) * self.dt


if __name__ == "__main__":
    main(VectorHeat)
