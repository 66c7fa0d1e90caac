"""Heat in a plate with a hole: ``python heat_mesh.py --hole_x 0.4 --radius 0.15 --out plate.nc``."""

import numpy as np
from scipy.sparse.linalg import splu
from scipy.spatial import Delaunay

from sciml.domain import Field, Mesh
from sciml.errors import InputError
from sciml.parallel import Rows
from sciml.parallel.linear_elements import mass_and_stiffness
from sciml.solver import Option, Parameter, Program, initial_fields, initial_option, main

#: Weight of the new state in the slope of a step.
THETA = {"backward-euler": 1.0, "crank-nicolson": 0.5}


class HeatMesh(Program):
    """Heat equation in a square plate with a round hole, linear finite elements in space.

    ∂u/∂t = ∇·(κ ∇u) + q on the unit square without a disc; u is held on the outer sides and on the hole.
    Fields: u (node); static: conductivity κ (face), constant on each triangle. Nodes lie ``spacing``
    apart on sides and hole, at random in between, joined by Delaunay's triangulation: each seed, and
    each hole, has a mesh of its own. Groups of nodes: outer, hole.

    (M + θ dt K) u' = (M − (1 − θ) dt K) u + dt M q with θ = 1 (backward Euler) or 1/2 (Crank–Nicolson,
    under which jumps between start and sides ring on), by LU factors. **Every rank solves all of it**
    and holds a run of the nodes: ranks save no time; run more simulations at once instead.
    """

    name = "heat-mesh"
    equation = "∂u/∂t = ∇·(κ ∇u) + q"
    kind = "mesh"
    fields = (Field("u", "K", "temperature"),)
    static = (Field("conductivity", "m2 s-1", "diffusivity", on="cell"),)
    parameters = (
        Parameter("kappa", 0.05, 1e-4, 10.0, "m2 s-1", "diffusivity, or what it varies about"),
        Parameter("contrast", 0.0, 0.0, 2.0, "1", "size of its logarithm's variation"),
        Parameter("heating", 0.0, -1e3, 1e3, "K s-1", "q"),
        Parameter("t0", 300.0, 0.0, 1e3, "K", "temperature inside at the start"),
        Parameter("t_outer", 300.0, 0.0, 1e3, "K", "temperature of the outer sides"),
        Parameter("t_hole", 400.0, 0.0, 1e3, "K", "temperature of the hole"),
        Parameter("hole_x", 0.5, 0.3, 0.7, "m", "center of the hole along x"),
        Parameter("hole_y", 0.5, 0.3, 0.7, "m", "center of the hole along y"),
        Parameter("radius", 0.15, 0.05, 0.2, "m", "radius of the hole"),
    )
    options = (
        Option("spacing", 0.05, low=2e-3, help="distance between nodes in m"),
        Option("dt", 0.02, low=1e-12, help="time step in s"),
        Option("scheme", "backward-euler", tuple(THETA), help="time stepping"),
        initial_option("uniform"),
    )
    order_space = 2
    order_time = {"backward-euler": 1, "crank-nicolson": 2}

    def __init__(self, given):
        self.given, self.dt, self.theta = given, given.dt, THETA[given.scheme]
        self.hole = np.array([given.hole_x, given.hole_y])
        room = min(*self.hole, *(1.0 - self.hole)) - given.radius
        if given.spacing > room:
            raise InputError(
                f"spacing={given.spacing:g} m, where the hole comes within {room:.3g} m of a side; "
                "expected no more than that"
            )
        self.draws = np.random.default_rng(given.seed)
        self.waves = 2.0 * np.pi * self.draws.normal(size=(2, 4))
        self.phases = 2.0 * np.pi * self.draws.uniform(size=4)
        self.mesh = self.triangulation()

    def domain(self):
        return self.mesh

    def triangulation(self):
        """Nodes on sides and hole, others at random, drawn towards the middle of their neighbors."""
        h, radius = self.given.spacing, self.given.radius
        n, m = round(1.0 / h), max(round(2.0 * np.pi * radius / h), 8)
        t, angle = np.arange(n) / n, 2.0 * np.pi * np.arange(m) / m
        sides = [(t, 0 * t), (0 * t + 1, t), (1 - t, 0 * t + 1), (0 * t, 1 - t)]
        outer = np.concatenate([np.stack(side, axis=1) for side in sides])
        hole = self.hole + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        inner = (np.indices((n, n)).reshape(2, -1).T + self.draws.uniform(size=(n * n, 2))) / n
        apart = np.linalg.norm(inner - self.hole, axis=1) - radius
        apart = np.minimum(apart, np.minimum(inner, 1.0 - inner).min(axis=1))
        points, held = np.concatenate([outer, hole, inner[apart > 0.6 * h]]), len(outer) + m
        for _ in range(4):
            start, neighbors = Delaunay(points).vertex_neighbor_vertices
            sums = np.add.reduceat(points[neighbors], start[:-1])
            points[held:] = (sums / np.diff(start)[:, None])[held:]
        cells = Delaunay(points).simplices
        on_hole = (cells >= len(outer)) & (cells < held)
        cells = cells[~on_hole.all(axis=1)]
        groups = {"outer": np.arange(len(outer)), "hole": np.arange(len(outer), held)}
        return Mesh(points, cells, "m", "triangle", groups)

    def start(self, comm):
        self.rows = Rows(comm, self.mesh)
        points, cells = self.mesh.points, self.mesh.cells
        self.kappa = self.conductivity(points[cells].mean(axis=1))
        self.mass, stiffness = mass_and_stiffness(points, cells, self.kappa)
        implicit = self.mass + self.theta * self.dt * stiffness
        self.explicit = self.mass - (1.0 - self.theta) * self.dt * stiffness
        # Nodes of the groups come first, those that are free behind.
        self.free = sum(map(len, self.mesh.groups.values()))
        self.coupling = implicit[self.free :, : self.free]
        self.solve = splu(implicit[self.free :, self.free :].tocsc()).solve
        own = initial_fields(self, comm)
        self.u = self.initial() if own is None else own["u"]
        self.u[: self.free] = self.held(0.0)
        return self.rows.block

    def conductivity(self, points):
        """κ = kappa exp(contrast s), where s is a sum of waves of the seed's."""
        variation = np.cos(points @ self.waves + self.phases).mean(axis=1)
        return self.given.kappa * np.exp(self.given.contrast * variation)

    def initial(self):
        return np.full(self.mesh.size, self.given.t0)

    def held(self, t):
        """u at the nodes of the groups."""
        sizes = [len(nodes) for nodes in self.mesh.groups.values()]
        return np.repeat([self.given.t_outer, self.given.t_hole], sizes)

    def heating(self, t):
        """q at all nodes."""
        return np.full(self.mesh.size, self.given.heating)

    def state(self):
        return {"u": self.u[self.rows.own], "conductivity": self.kappa}

    def step(self, n):
        q, new = self.heating((n + self.theta) * self.dt), self.held((n + 1) * self.dt)
        right = self.explicit @ self.u + self.dt * (self.mass @ q)
        self.u[self.free :] = self.solve(right[self.free :] - self.coupling @ new)
        self.u[: self.free] = new
        return (n + 1) * self.dt


if __name__ == "__main__":
    main(HeatMesh)
