"""Heat equation: ``mpirun -n 2 python heat.py --kappa 0.1 --dt 5e-4 --out heat.nc``."""

import numpy as np

from sciml.domain import Field, Grid
from sciml.equations import heat
from sciml.errors import InputError
from sciml.parallel import (
    ConjugateGradient,
    Decomposition,
    GlobalSum,
    Halo,
    Laplacian,
    PiecewiseField,
    SmoothField,
    free_points,
)
from sciml.solver import Option, Parameter, Program, initial_option, initial_state, main


def wall(name: str, where: str) -> Parameter:
    return Parameter(name, 300.0, 100.0, 500.0, "K", f"temperature {where} (initial=uniform)")


class Heat(Program):
    """Heat equation on a rectangle, centered in space, forward Euler or Crank–Nicolson in time.

    ∂u/∂t = κ ∇²u, periodic, or with the values on the boundary held as the initial field has them.
    ``initial=uniform`` is the set-up of five temperatures, one inside and one on each wall.
    Fields: u (y, x). Explicit steps are limited to 1 / (2 κ Σ 1/h²); Crank–Nicolson is stable for
    any step, but steps much longer than that damp rough fields slowly.
    """

    name = "heat"
    equation = "∂u/∂t = κ ∇²u"
    fields = (Field("u", "K", "temperature", parity="scalar"),)
    parameters = (
        Parameter("kappa", 1e-2, 1e-4, 10.0, "m2 s-1", "diffusivity"),
        Parameter("mean", 1.0, -1e3, 1e3, "K", "mean of the initial field"),
        Parameter("amplitude", 1.0, 0.0, 1e3, "K", "size of its variation"),
        wall("t0", "inside at the start"),
        wall("t_left", "at x = 0"),
        wall("t_right", "at x = length"),
        wall("t_bottom", "at y = 0"),
        wall("t_top", "at y = length"),
    )
    options = (
        Option("shape", (64, 64), low=3, help="points along y and x"),
        Option("length", 1.0, low=1e-9, help="side of the square in m"),
        Option("dt", 1e-3, low=1e-12, help="time step in s"),
        Option("scheme", "explicit", ("explicit", "crank-nicolson"), help="time stepping"),
        Option("boundary", "periodic", ("periodic", "dirichlet"), help="on all four sides"),
        initial_option("smooth", "piecewise", "uniform", "mode"),
        Option("slope", 2.0, help="fall of the energy from octave to octave (smooth)"),
        Option("modes", 8, low=2, help="shortest wave, in waves along a side (smooth)"),
        Option("pieces", 6, low=1, help="number of discs (piecewise)"),
        Option("mode", (1, 1), help="waves along y and x; half waves with dirichlet (mode)"),
    )
    order_space = 2
    order_time = {"explicit": 1, "crank-nicolson": 2}

    def __init__(self, given):
        self.given, self.dt, self.kappa = given, given.dt, given.kappa
        self.periodic = given.boundary == "periodic"
        self.grid = Grid(given.shape, ((0.0, given.length),) * 2, (given.boundary,) * 2, "m")
        limit = heat.stable_step(self.kappa, self.grid.spacing)
        if given.scheme == "explicit" and self.dt > limit:
            raise InputError(
                f"dt={self.dt:g} s exceeds {limit:.4g} s, the stable limit of the explicit scheme "
                f"with kappa={self.kappa:g}; lower --dt or take --scheme crank-nicolson"
            )
        if given.initial == "uniform" and self.periodic:
            raise InputError("initial=uniform needs walls; give --boundary dirichlet")

    def domain(self):
        return self.grid

    def start(self, comm):
        self.halo = Halo(comm, Decomposition(self.grid, comm.size))
        block = self.halo.block
        inner = free_points(self.grid, block)
        work = self.given.steps * self.grid.size / comm.size
        self.laplacian = Laplacian(self.halo, inner, self.grid.spacing, work)
        self.u = self.laplacian.allocate()
        own = initial_state(self, comm, block)
        self.halo.owned(self.u)[:] = self.initial(block) if own is None else own[0]
        if self.given.scheme == "crank-nicolson":
            shape = self.u[inner].shape
            self.p = self.halo.allocate()
            self.change, self.guess = np.zeros((2, *shape))
            self.cg = ConjugateGradient(self.implicit, GlobalSum(comm), shape, tolerance=1e-14)
        return block

    def initial(self, block):
        """Values on the block at time 0."""
        given, grid = self.given, self.grid
        match given.initial:
            case "uniform":
                u = np.full(grid.shape, given.t0)
                u[:, 0], u[:, -1] = given.t_left, given.t_right
                u[0], u[-1] = given.t_bottom, given.t_top
                return u[block.slices]
            case "smooth":
                basis = "periodic" if self.periodic else "sine"
                f = SmoothField(given.seed, 2, slope=given.slope, modes=given.modes, basis=basis)
                variation = f.on(grid, block)
            case "piecewise":
                f = PiecewiseField(given.seed, 2, count=given.pieces, periodic=self.periodic)
                variation = f.on(grid, block)
            case "mode":
                wave = heat.periodic_mode if self.periodic else heat.dirichlet_mode
                points = np.ix_(grid.coordinates(0), grid.coordinates(1))
                whole = wave(points, 0.0, given.mode, (given.length,) * 2, self.kappa)
                variation = whole[block.slices]
        return given.mean + given.amplitude * variation

    def state(self):
        return {"u": self.halo.owned(self.u)}

    def step(self, n):
        """u += dt κ ∇²u, or u += δu with (1 − ½ dt κ ∇²) δu = dt κ ∇²u."""
        scale = self.dt * self.kappa
        if self.given.scheme == "explicit":
            self.u = self.laplacian.advance(self.u, scale)
        else:
            self.laplacian(self.u, scale, self.change)
            self.cg.solve(self.change, self.guess)
            self.u[self.laplacian.inner] += self.guess
        return (n + 1) * self.dt

    def implicit(self, p, out):
        """out = (1 − ½ dt κ ∇²) p, where p is zero on a boundary that is held."""
        self.p[self.laplacian.inner] = p
        self.laplacian(self.p, -0.5 * self.dt * self.kappa, out)
        np.add(out, p, out=out)


if __name__ == "__main__":
    main(Heat)
