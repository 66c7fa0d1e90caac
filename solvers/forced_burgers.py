"""Forced Burgers equation: ``mpirun -n 2 python forced_burgers.py --beta 0.05 --out burgers.nc``."""

import numpy as np

from sciml.domain import Block, Field, Grid
from sciml.equations import forced_burgers as equation
from sciml.errors import InputError
from sciml.parallel import Decomposition, FiniteVolume, Halo
from sciml.solver import Option, Parameter, Program, initial_option, initial_state, is_file, main
from sciml.solver.integrators import Integrator


class ForcedBurgers(Program):
    """Forced Burgers equation by WENO5 finite volumes, which holds for shocks too (E1, E2).

    ∂u/∂t + ∂/∂x (α u² − β ∂u/∂x) = δ(t, x) on a periodic line, u(0, x) = δ(0, x), with δ a sum of
    five waves drawn from the seed: :mod:`sciml.equations.forced_burgers`. Fields: u (x), means over
    cells. Steps are limited by max|2αu| and β; u grows with the forcing, so that a run may be
    refused while it goes. ``korteweg_de_vries_burgers.py`` takes the dispersive term too.
    """

    name = "forced-burgers"
    equation = "∂u/∂t + ∂/∂x (α u² − β ∂u/∂x) = δ"
    fields = (Field("u", "1", "velocity", parity="x"),)
    parameters = (
        Parameter("alpha", 1.0, 0.0, 10.0, "1", "steepening"),
        Parameter("beta", 0.0, 0.0, 10.0, "1", "diffusion"),
    )
    options = (
        Option("points", 512, low=8, help="cells"),
        Option("length", 16.0, low=1e-9, help="of the line"),
        Option("dt", 4e-3, low=1e-12, help="time step"),
        Option("scheme", "ssp-rk3", ("ssp-rk3",), help="time stepping"),
        initial_option("forcing"),
        Option("waves", 3, low=1, help="shortest wave of the forcing, in waves on the line"),
    )
    order_space = 5
    order_time = {"ssp-rk3": 3}
    time_units = "1"

    def __init__(self, given):
        self.given, self.dt = given, given.dt
        self.grid = Grid((given.points,), ((0.0, given.length),), ("periodic",))
        [self.h], [x] = self.grid.spacing, (self.grid.coordinates(0),)
        self.forcing = equation.Forcing.draw(given.seed, given.length, most=given.waves)
        # One line: every rank can afford all of it, and comes to the same limit.
        self.whole = self.forcing(0.0, x, self.h)
        if not is_file(given.initial):
            self.check_step(0.0, self.whole)

    def check_step(self, t, u):
        """Refuse a time step that is too long for the field at time t."""
        speed = 2.0 * self.given.alpha * np.abs(u).max()
        limit = equation.stable_step(speed, self.given.beta, self.h)
        if self.dt > limit:
            raise InputError(
                f"dt={self.dt:g} exceeds {limit:.4g}, the stable limit at t={t:.4g} with waves at "
                f"{speed:.4g} and beta={self.given.beta:g}; lower --dt or --points"
            )

    def domain(self):
        return self.grid

    def start(self, comm):
        given = self.given
        halo = Halo(comm, Decomposition(self.grid, comm.size, FiniteVolume.width))
        own = initial_state(self, comm, Block((0,), self.grid.shape))
        if own is not None:
            self.whole = own[0]
            self.check_step(0.0, self.whole)
        self.u = self.whole[None, *halo.block.slices].copy()
        x = self.grid.coordinates(0)[halo.block.slices]
        self.sines, self.cosines = self.forcing.sines(x, self.h), self.forcing.cosines(x, self.h)
        self.advection = FiniteVolume(
            halo,
            self.grid.spacing,
            lambda u, axis: equation.flux(u, given.alpha),
            lambda left, right, axis: equation.wave_speeds(left[0], right[0], given.alpha),
        )
        self.integrator = Integrator(given.scheme, self.rate, self.dt)
        speed = 2.0 * given.alpha * np.abs(self.whole).max()
        peclet = equation.cell_peclet(speed, self.h, given.beta)
        if comm.rank == 0 and given.beta > 0.0 and peclet > 2.0:
            self.warn(
                "cell Péclet number",
                f"cell Péclet number {peclet:.3g}: above 2, fronts are wider than beta makes them; "
                "take more --points",
                peclet,
            )
        return halo.block

    def state(self):
        return {"u": self.u[0]}

    def step(self, n):
        self.check_step(n * self.dt, self.u)
        self.integrator.advance(n * self.dt, self.u)
        return (n + 1) * self.dt

    def rate(self, t, u, out):
        """out = −∂/∂x (α u² − β ∂u/∂x) + δ."""
        self.advection(u, out)
        if self.given.beta > 0.0:
            v, n = self.advection.padded[0], u.shape[-1] + 1
            slope = sum(
                weight * (v[3 + i : 3 + i + n] - v[2 - i : 2 - i + n])
                for i, weight in enumerate(equation.SLOPE)
            )
            out += self.given.beta / self.h**2 * np.diff(slope)
        angle = self.forcing.rate * t
        out += np.cos(angle) @ self.sines + np.sin(angle) @ self.cosines


if __name__ == "__main__":
    main(ForcedBurgers)
