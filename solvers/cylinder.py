"""Flow past a cylinder: ``python cylinder.py --speed 1.5 --cylinder_y 0.21 --out street.nc``."""

import numpy as np

from sciml.domain import Field
from sciml.errors import DivergedError
from sciml.parallel import Rows
from sciml.parallel.channel_mesh import FlowChannel, corners_of, triangulated
from sciml.parallel.side_middles import SideMiddles
from sciml.parallel.taylor_hood import TaylorHood
from sciml.solver import Option, Parameter, Program, main

#: Groups of nodes, by what counts where two of them meet.
SIDES = ("outflow", "inflow", "wall", "cylinder")


class Cylinder(Program):
    """Incompressible flow past a cylinder in a channel, Taylor–Hood elements, second order in time.

    ∂u/∂t + (u·∇)u = ν ∇²u − ∇p, ∇·u = 0. Parabolic inflow, 4 speed y (H − y) / H², no slip on walls and
    cylinder, do-nothing outflow. Fields at the nodes: velocity, pressure (by density); of the whole:
    drag 2 F_x / (ū² d), lift 2 F_y / (ū² d), d the diameter, ū = 2/3 speed, and Δp from the front to the
    back. Re = ū d / ν. Groups of nodes: inflow, outflow, wall, cylinder; node_type says them as kinds.

    Netgen makes the mesh, of triangles of ``spacing``, and a ``refinement``-th of that at the cylinder,
    which elements follow by curves of their order; each seed has a mesh of its own. Velocity is of
    order k, pressure of k − 1; nodes are corners and middles of sides, so that an element is sent as
    four triangles (``--nodes corners``: as one). State n is at n dt, computed in ``substeps`` of SBDF2,
    whose matrix is factorized once; it starts from creeping flow, ``spinup`` before state 0. **Every
    rank solves all of it** and holds a run of the nodes: ranks save no time; run more simulations at
    once instead.

    Defaults are 2D-2 of Schäfer and Turek (Re 100, doi:10.1007/978-3-322-89849-4_39), speed 0.3 is 2D-1
    (Re 20). Vortices take 3 to 4 s to come, at Re 60 and more; good values: order 3, refinement 4,
    triangles at the cylinder of 1.5 d / √Re at most. Forces are residuals, see ``TaylorHood``.
    """

    name = "cylinder"
    equation = "∂u/∂t + (u·∇)u = ν ∇²u − ∇p, ∇·u = 0"
    kind = "mesh"
    fields = (
        Field("velocity", "m s-1", "velocity", components=2),
        Field("pressure", "m2 s-2", "pressure by density"),
        Field("drag", "1", "drag coefficient", on="global"),
        Field("lift", "1", "lift coefficient", on="global"),
        Field("pressure_drop", "m2 s-2", "Δp from front to back", on="global"),
    )
    static = (Field("node_type", categories=("interior", *SIDES)),)
    parameters = (
        Parameter("speed", 1.5, 1e-4, 100.0, "m s-1", "of the inflow at its middle"),
        Parameter("nu", 1e-3, 1e-6, 10.0, "m2 s-1", "kinematic viscosity"),
        Parameter("cylinder_x", 0.2, 0.0, 1e3, "m", "center of the cylinder along x"),
        Parameter("cylinder_y", 0.2, 0.0, 1e3, "m", "center of the cylinder along y"),
        Parameter("radius", 0.05, 1e-4, 1e3, "m", "radius of the cylinder"),
        Parameter("spacing", 0.05, 1e-4, 1e3, "m", "longest side of a triangle"),
        Parameter("refinement", 4.0, 1.0, 100.0, "1", "spacing by that at the cylinder"),
    )
    options = (
        Option("length", 2.2, low=1e-3, help="length of the channel in m"),
        Option("height", 0.41, low=1e-3, help="height of the channel in m"),
        Option("order", 3, (2, 3), help="k"),
        Option("nodes", "middles", ("corners", "middles"), help="of triangles, or of sides too"),
        Option("dt", 0.01, low=1e-12, help="time between states in s"),
        Option("substeps", 0, low=0, help="time steps from state to state; 0: what is stable"),
        Option("spinup", 0.0, low=0.0, help="time before state 0 in s"),
    )
    order_space = 4
    order_time = {"sbdf2": 2}

    def __init__(self, given):
        self.given = given
        center = given.cylinder_x, given.cylinder_y
        fine = given.spacing / given.refinement
        self.channel = FlowChannel(
            given.length, given.height, center, given.radius, given.spacing, fine
        )
        draws = np.random.default_rng(given.seed)
        self.triangles = triangulated(self.channel, draws, given.order)
        corners = corners_of(self.triangles)
        self.mesh, self.middles = corners, None
        if given.nodes == "middles":
            self.middles = SideMiddles(self.triangles, corners, given.order)
            self.mesh = self.middles.mesh
        self.node_type = np.zeros(self.mesh.size)
        for kind, side in enumerate(SIDES, 1):
            self.node_type[self.mesh.groups[side]] = kind
        limit = self.channel.stable_step(corners, given.order, given.speed)
        self.stable = int(np.ceil(given.dt / limit))
        self.substeps = given.substeps or self.stable
        x = self.mesh.points[self.mesh.groups["cylinder"]] @ [1.0, 0.0]
        self.front, self.back = self.mesh.groups["cylinder"][[x.argmin(), x.argmax()]]

    def domain(self):
        return self.mesh

    def held(self):
        """The velocity on all sides but the outflow."""
        import ngsolve as ng

        height = self.given.height
        inflow = 4.0 * self.given.speed / height**2 * ng.y * (height - ng.y)
        return {"inflow": (inflow, 0.0), "wall": (0.0, 0.0), "cylinder": (0.0, 0.0)}

    def initial(self):
        """The velocity at the start; creeping flow."""

    def start(self, comm):
        given = self.given
        self.rows = Rows(comm, self.mesh)
        held, begin = self.held(), self.initial()
        self.flow = TaylorHood(
            self.triangles, given.nu, given.order, held, "cylinder", self.middles, begin
        )
        if comm.rank == 0:
            self.check_resolved()
        for _ in range(int(np.ceil(given.spinup / given.dt))):
            self.advance()
        return self.rows.block

    def check_resolved(self):
        given = self.given
        apart = self.channel.spacing_cylinder * 2.0 / given.order
        layer = 2.0 * given.radius / np.sqrt(max(self.reynolds, 1.0))
        if apart > layer:
            line = (
                f"triangles of {self.channel.spacing_cylinder:.2g} m at the cylinder, whose boundary "
                f"layer is some {layer:.2g} m thick at Re {self.reynolds:.3g}; expected smaller ones: "
                "raise --refinement or --order, or lower --spacing"
            )
            self.warn("coarse", line, apart / layer)
        if self.substeps < self.stable:
            line = (
                f"{self.substeps} substeps, of which some {self.stable} are stable; expected as many, "
                "or --substeps 0"
            )
            self.warn("substeps", line, self.stable / self.substeps)

    @property
    def reynolds(self):
        return 4.0 / 3.0 * self.given.speed * self.given.radius / self.given.nu

    def advance(self):
        for _ in range(self.substeps):
            self.flow.advance(self.given.dt / self.substeps)

    def step(self, n):
        self.advance()
        if not np.isfinite(self.flow.force()).all():
            raise DivergedError(
                f"not finite after step {n + 1} of {self.substeps} substeps; give more by --substeps"
            )
        return (n + 1) * self.given.dt

    def state(self):
        own, pressure = self.rows.own, self.flow.pressure()
        by = (2.0 / 3.0 * self.given.speed) ** 2 * self.given.radius
        drag, lift = self.flow.force() / by
        return {
            "velocity": self.flow.velocity()[own],
            "pressure": pressure[own],
            "node_type": self.node_type[own],
            "drag": drag,
            "lift": lift,
            "pressure_drop": pressure[self.front] - pressure[self.back],
        }


if __name__ == "__main__":
    main(Cylinder)
