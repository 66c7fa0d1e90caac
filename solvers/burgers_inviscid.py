"""Inviscid Burgers equation: ``mpirun -n 2 python burgers_inviscid.py --points 512 --out u.nc``."""

import numpy as np

from sciml.domain import Block, Field, Grid
from sciml.equations import burgers_inviscid as equation
from sciml.equations.cells import cell_means
from sciml.errors import InputError
from sciml.parallel import Decomposition, FiniteVolume, Ghosts, Halo, SmoothField
from sciml.solver import Option, Parameter, Program, initial_option, initial_state, is_file, main
from sciml.solver.integrators import Integrator


class BurgersInviscid(Program):
    """Inviscid Burgers equation by WENO5 finite volumes, the HLL flux and SSP Runge–Kutta.

    ∂u/∂t + ∂/∂x (u²/2) = 0 on a line, periodic or open. Fields: u (x), means over cells, whose
    centers are the points of the grid. Σu h is kept but for what leaves through open ends. Order 5
    in space while u is smooth, 1 (in the mean) behind shocks, which form at −1 / min ∂u/∂x. Steps
    are limited to h / max|u|.
    """

    name = "burgers-inviscid"
    equation = "∂u/∂t + ∂/∂x (u²/2) = 0"
    fields = (Field("u", "m s-1", "velocity", parity="x"),)
    parameters = (
        Parameter("mean", 0.0, -10.0, 10.0, "m s-1", "mean of the initial field (smooth, wave)"),
        Parameter("amplitude", 1.0, 0.0, 10.0, "m s-1", "size of its variation (smooth, wave)"),
        Parameter("left", 1.0, -10.0, 10.0, "m s-1", "u left of the step (riemann)"),
        Parameter("right", 0.0, -10.0, 10.0, "m s-1", "u right of the step (riemann)"),
        Parameter("step_at", 0.5, 0.0, 1.0, "1", "where the step is, of the length (riemann)"),
    )
    options = (
        Option("points", 256, low=8, help="cells"),
        Option("length", 1.0, low=1e-9, help="of the line in m"),
        Option("dt", 1e-3, low=1e-12, help="time step in s"),
        Option("scheme", "ssp-rk3", ("ssp-rk3",), help="time stepping"),
        Option("boundary", "periodic", ("periodic", "open"), help="at both ends"),
        initial_option("smooth", "wave", "riemann"),
        Option("slope", 2.0, help="fall of the energy from octave to octave (smooth)"),
        Option("modes", 4, low=1, help="shortest wave, in waves on the line (smooth)"),
    )
    order_space = 5
    order_time = {"ssp-rk3": 3}

    def __init__(self, given):
        self.given, self.dt = given, given.dt
        n, h = given.points, given.length / given.points
        ends = (
            (0.0, given.length) if given.boundary == "periodic" else (h / 2, given.length - h / 2)
        )
        self.grid = Grid((n,), (ends,), (given.boundary,), "m")
        if not is_file(given.initial):
            self.begin(cell_means(self.initial, self.grid.coordinates(0), h))

    def begin(self, whole):
        """Take all of the initial field; refuse a time step that is too long for it."""
        # One line: every rank can afford all of it, and comes to the same limit.
        self.whole, speed = whole, np.abs(whole).max()
        limit = equation.stable_step(speed, self.grid.spacing[0])
        if self.dt > limit:
            raise InputError(
                f"dt={self.dt:g} s exceeds {limit:.4g} s, in which waves at {speed:.4g} m/s cross a "
                "cell; lower --dt or --points"
            )

    def initial(self, x):
        """u at the points x and time 0."""
        given = self.given
        match given.initial:
            case "riemann":
                # The first cell of a periodic line reaches back over its end.
                x = x % given.length
                return np.where(x < given.step_at * given.length, given.left, given.right)
            case "wave":
                variation = np.sin(2 * np.pi * x / given.length)
            case "smooth":
                f = SmoothField(given.seed, 1, slope=given.slope, modes=given.modes)
                k = {mode: 2 * np.pi * mode / given.length for (mode,) in f.series}
                variation = sum(
                    (c * np.exp(1j * k[mode] * x)).real for (mode,), c in f.series.items()
                )
        return given.mean + given.amplitude * variation

    def domain(self):
        return self.grid

    def start(self, comm):
        halo = Halo(comm, Decomposition(self.grid, comm.size, FiniteVolume.width))
        own = initial_state(self, comm, Block((0,), self.grid.shape))
        if own is not None:
            self.begin(own[0])
        self.u = self.whole[None, *halo.block.slices].copy()
        self.rate = FiniteVolume(
            halo,
            self.grid.spacing,
            lambda u, axis: equation.flux(u),
            lambda left, right, axis: equation.wave_speeds(left[0], right[0]),
            ghosts=Ghosts(halo, self.grid, "open"),
        )
        self.integrator = Integrator(
            self.given.scheme, lambda t, u, out: self.rate(u, out), self.dt
        )
        return halo.block

    def state(self):
        return {"u": self.u[0]}

    def step(self, n):
        self.integrator.advance(n * self.dt, self.u)
        return (n + 1) * self.dt


if __name__ == "__main__":
    main(BurgersInviscid)
