"""Transport on a mesh by a steady flow: ``python transport_mesh.py --flow gyres --out dye.nc``."""

import numpy as np
from scipy.sparse import coo_array

from sciml.domain import Field
from sciml.equations.stability import stable_step
from sciml.errors import InputError
from sciml.parallel import Rows
from sciml.parallel.linear_elements import mass_and_stiffness
from sciml.parallel.triangulation import square_mesh
from sciml.solver import (
    Integrator,
    Option,
    Parameter,
    Program,
    initial_fields,
    initial_option,
    main,
    orders,
    scheme_option,
)

SCHEME = scheme_option("heun", "rk4", "euler")


class TransportMesh(Program):
    """Transport of a dye on a triangulated square, upwind from node to node, Runge–Kutta in time.

    ∂u/∂t + ∇·(v u) = 0, v = (∂ψ/∂y, −∂ψ/∂x): without divergence, and along the sides there. Fields: u
    (node); static: velocity (node). A node's region reaches to the middles of its cells; what flows
    through a side of it is the difference of ψ at the ends:
    du_i/dt = −Σ_j (q_ij⁺ u_i − q_ij⁻ u_j) / V_i, Σ_j q_ij = 0. Σ V u stays, and u within its first
    bounds, where steps of Euler and Heun are stable. Upwind differences spread what they carry as
    κ = |v| h / 2 would.

    ``gyres``: ψ is a sum of sines that vanish on the sides; ``rotation``: a disc turns about the middle
    as a whole, once in 2π / speed.
    """

    name = "transport-mesh"
    equation = "∂u/∂t + ∇·(v u) = 0"
    kind = "mesh"
    fields = (Field("u", "1", "concentration"),)
    static = (Field("velocity", "m s-1", "of the flow", components=2),)
    parameters = (
        Parameter("speed", 1.0, 1e-6, 1e3, "m s-1", "size of v"),
        Parameter("width", 0.1, 1e-3, 1.0, "m", "of the spots at the start"),
    )
    options = (
        Option("spacing", 0.06, low=2e-3, help="distance between nodes in m"),
        Option("flow", "gyres", ("gyres", "rotation"), help="ψ"),
        Option("waves", 2, low=1, help="most half waves of a gyre along a side"),
        Option("spots", 3, low=1, help="places about which u is 1 at the start"),
        Option("dt", 0.01, low=1e-12, help="time step in s"),
        SCHEME,
        initial_option("spots", "beside"),
    )
    order_space = 1
    order_time = orders(SCHEME)

    def __init__(self, given):
        self.given, self.dt = given, given.dt
        self.draws = np.random.default_rng(given.seed)
        self.mesh = square_mesh(given.spacing, self.draws)
        self.sizes = self.draws.normal(size=(given.waves, given.waves))
        self.sizes /= np.linalg.norm(self.sizes) * np.pi
        self.volume, self.matrix = self.upwind()
        limit = stable_step(given.scheme, 2.0 * np.abs(self.matrix.diagonal()).max())
        if self.dt > limit:
            raise InputError(
                f"dt={self.dt:g} s exceeds {limit:.4g} s, the stable limit of {given.scheme} on this "
                "mesh; lower --dt or --speed"
            )

    def domain(self):
        return self.mesh

    def stream(self, points):
        """ψ."""
        x, y = points.T
        if self.given.flow == "rotation":
            squared = (x - 0.5) ** 2 + (y - 0.5) ** 2
            return 0.5 * self.given.speed * np.maximum(0.45**2 - squared, 0.0)
        k = np.pi * np.arange(1, self.given.waves + 1)[:, None]
        return self.given.speed * ((self.sizes @ np.sin(k * x)) * np.sin(k * y)).sum(axis=0)

    def velocity(self, points, h=1e-5):
        """(∂ψ/∂y, −∂ψ/∂x)."""
        dx, dy = np.array([h, 0.0]), np.array([0.0, h])
        return np.stack(
            [
                (self.stream(points + dy) - self.stream(points - dy)) / (2 * h),
                (self.stream(points - dx) - self.stream(points + dx)) / (2 * h),
            ],
            axis=1,
        )

    def upwind(self):
        """Areas of the regions, and the matrix of du/dt."""
        points, cells = self.mesh.points, self.mesh.cells
        mass, _ = mass_and_stiffness(points, cells, np.ones(len(cells)))
        volume, middle = mass.sum(axis=1), self.stream(points[cells].mean(axis=1))
        a, b, c = np.moveaxis(points[cells], 1, 0)
        cross = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
        cells = np.where(cross[:, None] > 0, cells, cells[:, [0, 2, 1]])
        between = self.stream(
            0.5 * (points[cells] + points[np.roll(cells, -1, axis=1)]).reshape(-1, 2)
        )
        # From the middle of the edge i → j to that of the cell on its left: what crosses it goes from i
        # to j as the difference of ψ.
        i, j = cells.ravel(), np.roll(cells, -1, axis=1).ravel()
        flux = coo_array((np.repeat(middle, 3) - between, (i, j)), shape=(len(points),) * 2).tocsr()
        flux = (flux - flux.T).tocoo()
        i, j, q = flux.row, flux.col, np.maximum(flux.data, 0.0)
        rows, columns = np.concatenate([j, i]), np.concatenate([i, i])
        values = np.concatenate([q / volume[j], -q / volume[i]])
        return volume, coo_array((values, (rows, columns)), shape=flux.shape).tocsr()

    def start(self, comm):
        self.rows = Rows(comm, self.mesh)
        self.flow = self.velocity(self.mesh.points)
        self.mine = self.matrix[self.rows.own]
        own = initial_fields(self, comm)
        self.u = self.initial() if own is None else own["u"]
        self.integrator = Integrator(self.given.scheme, self.rate, self.dt)
        return self.rows.block

    def initial(self):
        """Gaussians about random places, or one beside the middle."""
        places = self.draws.uniform(size=(self.given.spots, 2))
        if self.given.initial == "beside":
            places = np.array([[0.7, 0.5]])
        squared = ((self.mesh.points[:, None] - places) ** 2).sum(axis=-1)
        return np.exp(-0.5 * squared / self.given.width**2).max(axis=1)

    def state(self):
        own = self.rows.own
        return {"u": self.u[own], "velocity": self.flow[own]}

    def step(self, n):
        self.integrator.advance(n * self.dt, self.u)
        return (n + 1) * self.dt

    def rate(self, t, u, out):
        """At its own nodes by each rank."""
        out[...] = self.rows.whole(self.mine @ u)


if __name__ == "__main__":
    main(TransportMesh)
