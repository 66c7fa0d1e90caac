"""Advection and diffusion: ``mpirun -n 2 python advection_diffusion.py --flow rotation --out f.nc``."""

import numpy as np

from sciml.domain import Field, Grid
from sciml.equations import advection_diffusion as equation
from sciml.errors import InputError
from sciml.parallel import Decomposition, Halo, SmoothField, Transport, face_points
from sciml.solver import Option, Parameter, Program, initial_option, initial_state, main
from sciml.solver.integrators import Integrator


class AdvectionDiffusion(Program):
    """Advection and diffusion in one or two dimensions, centered in space, Runge–Kutta in time.

    ∂u/∂t + ∇·(v u) = κ ∇²u on a periodic box; v is constant, or in two dimensions a rotation about
    the middle, whose velocity jumps at the edge of the box: u should be small there. Fields: u (y, x)
    or u (x). The mean of u is kept. Steps are limited by :func:`equation.stable_step`; a warning
    names the cell Péclet number |v| h / κ above 2, where rough fields begin to oscillate.
    """

    name = "advection-diffusion"
    equation = "∂u/∂t + ∇·(v u) = κ ∇²u"
    fields = (Field("u", "1", "concentration", parity="scalar"),)
    parameters = (
        Parameter("kappa", 1e-2, 0.0, 10.0, "m2 s-1", "diffusivity"),
        Parameter("speed_x", 1.0, -100.0, 100.0, "m s-1", "velocity along x (flow=constant)"),
        Parameter("speed_y", 0.5, -100.0, 100.0, "m s-1", "velocity along y (flow=constant)"),
        Parameter("rotation", 6.0, -100.0, 100.0, "rad s-1", "of the flow, x to y (flow=rotation)"),
        Parameter("width", 0.08, 1e-3, 10.0, "m", "standard deviation of the Gaussian"),
        Parameter("x0", 0.3, -100.0, 100.0, "m", "where its center begins along x"),
        Parameter("y0", 0.5, -100.0, 100.0, "m", "where its center begins along y"),
    )
    options = (
        Option("dimensions", 2, (1, 2), help="1 leaves y out"),
        Option("shape", (64, 64), low=3, help="points along y and x"),
        Option("length", 1.0, low=1e-9, help="side of the box in m"),
        Option("dt", 2e-3, low=1e-12, help="time step in s"),
        Option("scheme", "rk4", ("rk4", "ssp-rk3"), help="time stepping"),
        Option("flow", "constant", ("constant", "rotation"), help="velocity"),
        initial_option("gaussian", "smooth", "wave"),
        Option("slope", 2.0, help="fall of the energy from octave to octave (smooth)"),
        Option("modes", 8, low=2, help="shortest wave, in waves along a side (smooth)"),
        Option("mode", (1, 1), help="waves along y and x (wave)"),
    )
    order_space = 2
    order_time = {"rk4": 4, "ssp-rk3": 3}

    def __init__(self, given):
        self.given, self.dt, self.kappa = given, given.dt, given.kappa
        self.axes = given.dimensions
        self.turning = given.flow == "rotation"
        if self.turning and self.axes == 1:
            raise InputError("flow=rotation on a line; give --dimensions 2 or --flow constant")
        self.length = (given.length,) * self.axes
        self.grid = Grid(
            given.shape[-self.axes :], ((0.0, given.length),) * self.axes,
            ("periodic",) * self.axes, "m",
        )  # fmt: skip
        self.middle = (given.length / 2,) * self.axes
        self.velocity = (given.speed_y, given.speed_x)[-self.axes :]
        edge = abs(given.rotation) * given.length / 2
        self.speeds = (edge,) * 2 if self.turning else tuple(map(abs, self.velocity))
        limit = equation.stable_step(given.scheme, self.speeds, self.kappa, self.grid.spacing)
        if self.dt > limit:
            raise InputError(
                f"dt={self.dt:g} s exceeds {limit:.4g} s, the stable limit of {given.scheme} with "
                f"kappa={self.kappa:g} and speeds up to {max(self.speeds):g} m/s; lower --dt"
            )

    def domain(self):
        return self.grid

    def start(self, comm):
        self.halo = Halo(comm, Decomposition(self.grid, comm.size))
        block = self.halo.block
        self.padded = self.halo.allocate()
        own = initial_state(self, comm, block)
        self.u = np.ascontiguousarray(self.initial(block) if own is None else own[0])
        flow = self.velocity
        if self.turning:
            points = [np.ix_(*face_points(self.grid, block, axis)) for axis in (0, 1)]
            flow = [equation.rotation(p, self.given.rotation, self.middle) for p in points]
            flow = (flow[0][0], flow[1][1])
        kappa = (self.kappa,) * self.axes
        self.transport = Transport(self.halo, self.grid.spacing, kappa, flow)
        self.integrator = Integrator(self.given.scheme, self.rate, self.dt)
        cells = map(equation.cell_peclet, self.speeds, self.grid.spacing, kappa)
        if comm.rank == 0 and (peclet := max(cells)) > 2.0:
            said = (
                f"cell Péclet number {peclet:.3g}: above 2, rough fields oscillate; refine --shape"
            )
            self.warn("cell Péclet number", said, peclet)
        return block

    def initial(self, block):
        """Values on the block at time 0."""
        given, grid = self.given, self.grid
        if given.initial == "smooth":
            f = SmoothField(given.seed, self.axes, slope=given.slope, modes=given.modes)
            return f.on(grid, block)
        points = np.ix_(*(grid.coordinates(axis) for axis in range(self.axes)))
        if given.initial == "wave":
            mode = given.mode[-self.axes :]
            whole = equation.wave(points, 0.0, mode, self.length, self.velocity, self.kappa)
        else:
            at = (given.y0, given.x0)[-self.axes :]
            whole = equation.gaussian(points, 0.0, at, given.width, self.kappa, self.length)
        return whole[block.slices]

    def state(self):
        return {"u": self.u}

    def step(self, n):
        self.integrator.advance(n * self.dt, self.u)
        return (n + 1) * self.dt

    def rate(self, t, u, out):
        """out = ∇·(κ ∇u − v u)."""
        self.halo.owned(self.padded)[:] = u
        self.transport(self.padded, out)


if __name__ == "__main__":
    main(AdvectionDiffusion)
