"""Heat in a plate with a hole: ``python heat_mesh.py --hole_x 0.4 --radius 0.15 --out plate.nc``."""

import numpy as np
from scipy.sparse import diags_array
from scipy.sparse.linalg import splu

from sciml.domain import Field
from sciml.errors import InputError
from sciml.parallel import Rows
from sciml.parallel.linear_elements import mass_and_stiffness
from sciml.parallel.triangulation import square_mesh
from sciml.solver import Option, Parameter, Program, initial_fields, initial_option, main

#: Weight of the new state in the slope of a step.
THETA = {"backward-euler": 1.0, "crank-nicolson": 0.5}


class HeatMesh(Program):
    """Heat equation in a square plate with a round hole, linear finite elements in space.

    ∂u/∂t = ∇·(κ ∇u) + q on the unit square without a disc; u is held on the outer sides and on the hole.
    Fields: u (node). Static, constant on each triangle: conductivity k, anisotropy (a, b) (face);
    κ = k (1 + a, b; b, 1 − a), whose principal values are k (1 ± √(a² + b²)). k varies smoothly, or, as
    the directions do, between ``pieces``, each nearest to a random place. Nodes lie ``spacing`` apart on
    sides and hole, at random in between, joined by Delaunay's triangulation: each seed, and each hole,
    has a mesh of its own. Groups of nodes: outer, hole.

    (M + θ dt K) u' = (M − (1 − θ) dt K) u + dt M q with θ = 1 (backward Euler) or 1/2 (Crank–Nicolson,
    under which jumps between start and sides ring on), by LU factors. With ``mass=lumped`` M is the area
    of nodes, and du_i/dt = Σ_j w_ij (u_j − u_i) / M_i with conductances w = −K. **Every rank solves all
    of it** and holds a run of the nodes: ranks save no time; run more simulations at once instead.
    """

    name = "heat-mesh"
    equation = "∂u/∂t = ∇·(κ ∇u) + q"
    kind = "mesh"
    fields = (Field("u", "K", "temperature"),)
    static = (
        Field("conductivity", "m2 s-1", "diffusivity", on="cell"),
        Field("anisotropy", "1", "deviation of κ / k from 1", on="cell", components=2),
    )
    parameters = (
        Parameter("kappa", 0.05, 1e-4, 10.0, "m2 s-1", "diffusivity, or what it varies about"),
        Parameter("contrast", 0.0, 0.0, 2.0, "1", "size of its logarithm's variation"),
        Parameter("stretch", 0.0, 0.0, 0.95, "1", "√(a² + b²)"),
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
        Option("mass", "consistent", ("consistent", "lumped"), help="matrix of mass"),
        Option("plate", -1, low=-1, help="seed of mesh and medium; -1: that of the run"),
        Option("pieces", 0, low=0, help="of constant κ; 0: it varies smoothly"),
        initial_option("uniform", "random"),
    )
    order_space = 2
    order_time = {"backward-euler": 1, "crank-nicolson": 2}

    def __init__(self, given):
        self.given, self.dt, self.theta = given, given.dt, THETA[given.scheme]
        middle = np.array([given.hole_x, given.hole_y])
        room = min(*middle, *(1.0 - middle)) - given.radius
        if given.spacing > room:
            raise InputError(
                f"spacing={given.spacing:g} m, where the hole comes within {room:.3g} m of a side; "
                "expected no more than that"
            )
        self.plate = given.seed if given.plate < 0 else given.plate
        draws = self.draws = np.random.default_rng(self.plate)
        if given.plate >= 0:
            self.draws = np.random.default_rng(given.seed)
        self.waves = 2.0 * np.pi * draws.normal(size=(2, 4))
        self.phases = 2.0 * np.pi * draws.uniform(size=4)
        hole = (given.hole_x, given.hole_y, given.radius)
        self.mesh = square_mesh(given.spacing, draws, hole)

    def domain(self):
        return self.mesh

    def start(self, comm):
        self.rows = Rows(comm, self.mesh)
        points, cells = self.mesh.points, self.mesh.cells
        middles = points[cells].mean(axis=1)
        self.kappa, self.bent = self.conductivity(middles), self.anisotropy(middles)
        a, b = self.bent.T
        tensor = self.kappa * np.array([[1 + a, b], [b, 1 - a]])  # (2, 2, m)
        self.mass, self.stiffness = mass_and_stiffness(points, cells, np.moveaxis(tensor, 2, 0))
        if self.given.mass == "lumped":
            self.mass = diags_array(self.mass.sum(axis=1), format="csr")
        implicit = self.mass + self.theta * self.dt * self.stiffness
        self.explicit = self.mass - (1.0 - self.theta) * self.dt * self.stiffness
        # Nodes of the groups come first, those that are free behind.
        self.free = sum(map(len, self.mesh.groups.values()))
        self.coupling = implicit[self.free :, : self.free]
        self.solve = splu(implicit[self.free :, self.free :].tocsc()).solve
        own = initial_fields(self, comm)
        self.u = self.initial() if own is None else own["u"]
        self.u[: self.free] = self.held(0.0)
        return self.rows.block

    def conductivity(self, points):
        """k = kappa exp(contrast s), s a sum of waves of the seed's, or from −1 to 1 in each piece."""
        if self.given.pieces:
            variation = self.pieces()[1][self.piece(points)]
        else:
            variation = np.cos(points @ self.waves + self.phases).mean(axis=1)
        return self.given.kappa * np.exp(self.given.contrast * variation)

    def anisotropy(self, points):
        """(a, b), of the length that is asked for and in the seed's directions."""
        if self.given.pieces:
            angle = self.pieces()[2][self.piece(points)]
        else:
            angle = np.pi * np.cos(points @ self.waves[:, :2] + self.phases[:2]).sum(axis=1)
        return self.given.stretch * np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def pieces(self):
        """Places, variations and angles of the pieces."""
        draws = np.random.default_rng([self.plate, 1])
        low, high = [0.0, 0.0, -1.0, -np.pi], [1.0, 1.0, 1.0, np.pi]
        drawn = draws.uniform(low, high, size=(self.given.pieces, 4))
        return drawn[:, :2], drawn[:, 2], drawn[:, 3]

    def piece(self, points):
        """The number of the piece of each point."""
        return ((points[:, None] - self.pieces()[0]) ** 2).sum(axis=-1).argmin(axis=1)

    def initial(self):
        """t0, or at each node by itself anything between the three temperatures."""
        given = self.given
        known = (given.t0, given.t_outer, given.t_hole)
        if given.initial == "random":
            return self.draws.uniform(min(known), max(known), self.mesh.size)
        return np.full(self.mesh.size, given.t0)

    def held(self, t):
        """u at the nodes of the groups."""
        sizes = [len(nodes) for nodes in self.mesh.groups.values()]
        return np.repeat([self.given.t_outer, self.given.t_hole], sizes)

    def heating(self, t):
        """q at all nodes."""
        return np.full(self.mesh.size, self.given.heating)

    def state(self):
        return {"u": self.u[self.rows.own], "conductivity": self.kappa, "anisotropy": self.bent}

    def step(self, n):
        q, new = self.heating((n + self.theta) * self.dt), self.held((n + 1) * self.dt)
        right = self.explicit @ self.u + self.dt * (self.mass @ q)
        self.u[self.free :] = self.solve(right[self.free :] - self.coupling @ new)
        self.u[: self.free] = new
        return (n + 1) * self.dt


if __name__ == "__main__":
    main(HeatMesh)
