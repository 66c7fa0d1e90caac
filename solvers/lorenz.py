"""Lorenz equations: ``mpirun -n 2 python lorenz.py --shape 64 --dt 0.01 --out lorenz.nc``."""

import numpy as np

from sciml.domain import Field, Grid
from sciml.equations import lorenz
from sciml.parallel import Decomposition
from sciml.solver import (
    Integrator,
    Option,
    Parameter,
    Program,
    initial_option,
    initial_state,
    main,
    orders,
    sample_seed,
    scheme_option,
)

SCHEME = scheme_option("rk4", "ssp-rk3", "heun")


class Lorenz(Program):
    """Lorenz equations for an ensemble of initial states, Runge–Kutta in time.

    dX/dt = σ (Y − X), dY/dt = X (ρ − Z) − Y, dZ/dt = X Y − β Z. Fields: X (x), Y (x), Z (x), where
    **x numbers the members of the ensemble**, 0 … n − 1: its points are no neighbors of each other, and
    a surrogate must treat each by itself (a convolution or Fourier transform along x means nothing).
    Ranks share the members.

    Member i starts from (x0, y0, z0) plus ``spread`` times three numbers N(0, 1), drawn for i alone: it
    is the same in an ensemble of any size. ``spinup`` steps go before frame 0; from 1000 steps of 0.01
    on, all members are on the attractor. Two schemes, or two step lengths, give the same solution only
    for a time of about ln(1/error) / 0.9; statistics agree for longer.
    """

    name = "lorenz"
    equation = "dX/dt = σ (Y − X), dY/dt = X (ρ − Z) − Y, dZ/dt = X Y − β Z"
    fields = (
        Field("X", "1", "intensity of the convection"),
        Field("Y", "1", "difference of temperature between rising and sinking fluid"),
        Field("Z", "1", "distortion of the vertical profile of temperature"),
    )
    parameters = (
        Parameter("sigma", 10.0, 0.0, 100.0, "1", "Prandtl number σ"),
        Parameter("rho", 28.0, 0.0, 500.0, "1", "Rayleigh number over its critical value, ρ"),
        Parameter("beta", 8.0 / 3.0, 0.0, 10.0, "1", "aspect ratio β"),
        Parameter("x0", 0.0, -100.0, 100.0, "1", "center of the initial X"),
        Parameter("y0", 0.0, -100.0, 100.0, "1", "center of the initial Y"),
        Parameter("z0", 25.0, -100.0, 200.0, "1", "center of the initial Z"),
        Parameter("spread", 8.0, 0.0, 50.0, "1", "standard deviation of the initial states"),
    )
    options = (
        Option("shape", (16,), low=2, help="members of the ensemble"),
        Option("dt", 0.01, low=1e-12, help="time step"),
        SCHEME,
        initial_option("spread", help="states"),
        Option("spinup", 0, low=0, help="steps before the first frame"),
    )
    order_space = None
    order_time = orders(SCHEME)
    time_units = "1"

    def __init__(self, given):
        self.given, self.dt = given, given.dt
        (members,) = given.shape
        self.grid = Grid(given.shape, ((0.0, members - 1.0),), ("open",))

    def domain(self):
        return self.grid

    def start(self, comm):
        block = Decomposition(self.grid, comm.size).block(comm.rank)
        (members,) = block.slices
        own = initial_state(self, comm, block)
        self.u = self.initial(range(members.start, members.stop)) if own is None else own
        self.integrator = Integrator(self.given.scheme, self.rate, self.dt)
        for n in range(self.given.spinup):
            self.integrator.advance((n - self.given.spinup) * self.dt, self.u)
        return block

    def initial(self, members):
        """States of some members, (3, members)."""
        given = self.given
        seeds = (sample_seed(given.seed, i) for i in members)
        noise = np.stack([np.random.default_rng(s).standard_normal(3) for s in seeds], axis=1)
        return np.array([[given.x0], [given.y0], [given.z0]]) + given.spread * noise

    def state(self):
        return dict(zip("XYZ", self.u, strict=True))

    def step(self, n):
        self.integrator.advance(n * self.dt, self.u)
        return (n + 1) * self.dt

    def rate(self, t, u, out):
        given = self.given
        out[0], out[1], out[2] = lorenz.rate(*u, given.sigma, given.rho, given.beta)


if __name__ == "__main__":
    main(Lorenz)
