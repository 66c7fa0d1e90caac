"""Fisher–KPP, Allen–Cahn: ``python reaction_diffusion_mesh.py --reaction fisher --out u.nc``."""

import numpy as np
from scipy.sparse import diags_array
from scipy.sparse.linalg import splu

from sciml.domain import Field
from sciml.equations import reaction_diffusion
from sciml.errors import DivergedError, InputError
from sciml.parallel import Rows
from sciml.parallel.linear_elements import mass_and_stiffness
from sciml.parallel.triangulation import square_mesh
from sciml.solver import Option, Parameter, Program, initial_fields, initial_option, main


class ReactionDiffusionMesh(Program):
    """Reaction and diffusion on a triangulated square, linear finite elements in space.

    ∂u/∂t = D ∇²u + r f(u), no flux through the sides; f = u (1 − u) (``fisher``), u (1 − u²)
    (``allen-cahn``) or 0 (``none``). Fields: u, and what ``sensors`` see of it (node): u at the share of
    the nodes that are sensors, 0 elsewhere; static: sensor (node), 1 where there is one. Nodes lie
    ``spacing`` apart on the sides, at random in between: each seed has a mesh of its own.

    ``strang``: half a step of diffusion, one of reaction, half a step of diffusion; ``lie``: one of
    each. Diffusion is Crank–Nicolson and backward Euler, with the area of nodes as mass, by LU factors;
    each reaction has its exact solution. Fronts are some √(D/r) wide, and need a few nodes across that.
    **Every rank solves all of it**: ranks save no time; run more simulations at once instead.
    """

    name = "reaction-diffusion-mesh"
    equation = "∂u/∂t = D ∇²u + r f(u)"
    kind = "mesh"
    fields = (
        Field("u", "1", "concentration, or order parameter"),
        Field("seen", "1", "u at sensors, 0 elsewhere"),
    )
    static = (Field("sensor", "1", "1 at a sensor"),)
    parameters = (
        Parameter("diffusivity", 1e-3, 1e-8, 10.0, "1", "D"),
        Parameter("rate", 1.0, 0.0, 100.0, "1", "r"),
        Parameter("width", 0.1, 1e-3, 1.0, "1", "of the spots at the start, or of noise's waves"),
        Parameter("sensors", 0.1, 0.0, 1.0, "1", "share of the nodes"),
    )
    options = (
        Option("reaction", "fisher", reaction_diffusion.REACTIONS, help="f"),
        Option("spacing", 0.06, low=2e-3, help="distance between nodes"),
        Option("spots", 3, low=1, help="places about which u is near 1 at the start"),
        Option("dt", 0.05, low=1e-12, help="time step"),
        Option("scheme", "strang", ("strang", "lie"), help="splitting"),
        initial_option("spots", "waves", "front"),
    )
    order_space = 2
    order_time = {"strang": 2, "lie": 1}
    time_units = "1"

    def __init__(self, given):
        self.given, self.dt = given, given.dt
        self.draws = np.random.default_rng(given.seed)
        self.mesh = square_mesh(given.spacing, self.draws, units="1")
        self.sensor = np.zeros(self.mesh.size)
        count = round(given.sensors * self.mesh.size)
        self.sensor[self.draws.permutation(self.mesh.size)[:count]] = 1.0

    def domain(self):
        return self.mesh

    def start(self, comm):
        self.rows = Rows(comm, self.mesh)
        points, cells = self.mesh.points, self.mesh.cells
        diffusivity = np.full(len(cells), self.given.diffusivity)
        mass, stiffness = mass_and_stiffness(points, cells, diffusivity)
        self.mass = mass.sum(axis=1)
        lumped = diags_array(self.mass, format="csr")
        half = 0.25 * self.dt * stiffness if self.given.scheme == "strang" else self.dt * stiffness
        self.solve = splu((lumped + half).tocsc()).solve
        self.explicit = lumped - half if self.given.scheme == "strang" else lumped
        own = initial_fields(self, comm)
        self.u = self.initial() if own is None else own["u"]
        if self.given.reaction == "fisher" and self.u.min() < 0.0:
            raise InputError(
                f"reaction=fisher from u={self.u.min():.3g}, below 0, where it runs away; expected 0 or "
                "more, such as --initial spots"
            )
        return self.rows.block

    def initial(self):
        """Spots of a Gaussian each, a sum of waves from −1 to 1, or the traveling wave at time 0."""
        given, points = self.given, self.mesh.points
        if given.initial == "front":
            return self.front(0.0)
        if given.initial == "waves":
            waves = self.draws.normal(size=(2, 12)) / given.width
            shifts = self.draws.uniform(0.0, 2.0 * np.pi, 12)
            return np.tanh(2.0 * np.cos(points @ waves + shifts).mean(axis=1) * 12**0.5)
        places = self.draws.uniform(size=(given.spots, 2))
        squared = ((points[:, None] - places) ** 2).sum(axis=-1)
        return np.exp(-0.5 * squared / given.width**2).max(axis=1)

    def front(self, t):
        """The wave that travels along x, from x = 1/2 on."""
        x = self.mesh.points[:, 0] - 0.5
        given = self.given
        return reaction_diffusion.front(given.reaction, x, t, given.diffusivity, given.rate)

    def state(self):
        u, sensor = self.u[self.rows.own], self.sensor[self.rows.own]
        return {"u": u, "seen": u * sensor, "sensor": sensor}

    def step(self, n):
        strang = self.given.scheme == "strang"
        u = self.diffused(self.u) if strang else self.u
        u = reaction_diffusion.reacted(self.given.reaction, u, self.given.rate * self.dt)
        self.u = self.diffused(u)
        if not np.isfinite(self.u).all():  # below 0 fisher's runs away
            raise DivergedError(f"u is not finite after step {n + 1}")
        return (n + 1) * self.dt

    def diffused(self, u):
        return self.solve(self.explicit @ u)


if __name__ == "__main__":
    main(ReactionDiffusionMesh)
