"""Wave equation in a varying medium: ``mpirun -n 2 python wave.py --medium smooth --out wave.nc``."""

import numpy as np

from sciml.domain import Field, Grid
from sciml.equations import wave as equation
from sciml.equations.advection_diffusion import gaussian
from sciml.errors import InputError
from sciml.parallel import Decomposition, Halo, SmoothField, Transport, face_means, free_points
from sciml.solver import (
    Option,
    Parameter,
    Program,
    initial_option,
    initial_state,
    main,
    sample_seed,
)
from sciml.solver.integrators import Integrator


class Wave(Program):
    """Wave equation on a square, centered in space, leapfrog or Runge–Kutta in time.

    ∂²u/∂t² = ∇·(c² ∇u), periodic or held at zero on the sides; c² on faces is the mean of that at the
    points beside. Fields: u, v = ∂u/∂t (y, x), static: c. Leapfrog swings about the energy that it
    began with, for ever; rk4 loses a little of it, at the rate dt⁵ ω⁶. Short waves lag behind: by a
    hundredth of their path at 13 points a wave. Steps are limited to 1 / (c √(Σ 1/h²)), √2 longer
    with rk4.
    """

    name = "wave"
    equation = "∂²u/∂t² = ∇·(c² ∇u)"
    fields = (
        Field("u", "m", "displacement", parity="scalar"),
        Field("v", "m s-1", "its rate of change", parity="scalar"),
    )
    static = (Field("c", "m s-1", "wave speed", parity="scalar"),)
    parameters = (
        Parameter("speed", 1.0, 1e-3, 1e4, "m s-1", "c, or what it varies about"),
        Parameter("contrast", 0.3, 0.0, 1.0, "1", "size of log c (smooth), of the step (layers)"),
        Parameter("width", 0.06, 1e-3, 10.0, "m", "standard deviation of the pulse (pulse)"),
        Parameter("x0", 0.5, -100.0, 100.0, "m", "its center along x"),
        Parameter("y0", 0.5, -100.0, 100.0, "m", "its center along y"),
    )
    options = (
        Option("shape", (128, 128), low=5, help="points along y and x"),
        Option("length", 1.0, low=1e-9, help="side of the square in m"),
        Option("dt", 2e-3, low=1e-12, help="time step in s"),
        Option("scheme", "leapfrog", ("leapfrog", "rk4"), help="time stepping"),
        Option("boundary", "periodic", ("periodic", "dirichlet"), help="on all four sides"),
        Option("medium", "constant", ("constant", "layers", "smooth"), help="wave speed"),
        initial_option("pulse", "smooth", "mode", help="field, at rest"),
        Option("slope", 2.0, help="fall of the energy from octave to octave (smooth)"),
        Option("modes", 4, low=2, help="shortest wave, in waves along a side (smooth)"),
        Option("mode", (1, 1), help="waves along y and x; half waves with dirichlet (mode)"),
    )
    order_space = 2
    order_time = {"leapfrog": 2, "rk4": 4}

    def __init__(self, given):
        self.given, self.dt = given, given.dt
        self.periodic = given.boundary == "periodic"
        self.grid = Grid(given.shape, ((0.0, given.length),) * 2, (given.boundary,) * 2, "m")
        self.check_step(given.speed)

    def check_step(self, speed):
        """Refuse a time step that is too long for the largest wave speed."""
        limit = equation.stable_step(self.given.scheme, speed, self.grid.spacing)
        if self.dt > limit:
            raise InputError(
                f"dt={self.dt:g} s exceeds {limit:.4g} s, the stable limit of {self.given.scheme} "
                f"with waves at {speed:.4g} m/s; lower --dt"
            )

    def domain(self):
        return self.grid

    def start(self, comm):
        self.halo = halo = Halo(comm, Decomposition(self.grid, comm.size))
        self.padded = halo.allocate()
        self.c = self.medium(halo.block)
        self.check_step(self.c.max())
        self.divergence = Transport(halo, self.grid.spacing, face_means(halo, self.grid, self.c**2))
        # Owned points that are not held at zero.
        self.free = free_points(self.grid, halo.block, width=0)
        self.uv, self.work = np.zeros((2, 2, *halo.block.shape))
        uv, shortest = initial_state(self, comm, halo.block, held_at_zero=True), np.inf
        if uv is None:
            u, shortest = self.initial(halo.block)
            uv = np.stack([u, np.zeros_like(u)])
        self.uv[:, *self.free] = uv[:, *self.free]
        self.force(self.uv[0], self.work[0])
        if self.given.scheme == "rk4":
            self.integrator = Integrator("rk4", self.rate, self.dt)
        if comm.rank == 0 and (points := shortest / max(self.grid.spacing)) < 13.0:
            said = (
                f"{points:.3g} points across the shortest wave: below 13, waves lag by more than a "
                f"hundredth of their path; take more points than --shape {self.grid.shape}"
            )
            self.warn("few points a wave", said, 13.0 / points)
        return halo.block

    def medium(self, block):
        """Wave speed on the block."""
        given = self.given
        if given.medium == "smooth":
            f = self.random(sample_seed(given.seed, 1), "periodic", block)
        else:
            upper = self.grid.coordinates(0)[block.slices[0]] >= 0.5 * given.length
            f = np.zeros(block.shape) + (upper & (given.medium == "layers"))[:, None]
        return given.speed * np.exp(given.contrast * f)

    def initial(self, block):
        """Displacement on the block at time 0, and the length of its shortest wave in m."""
        given, box = self.given, self.given.length * (1 if self.periodic else 2)
        if given.initial == "smooth":
            basis = "periodic" if self.periodic else "sine"
            return self.random(given.seed, basis, block), box / given.modes
        y, x = np.ix_(*(self.grid.coordinates(a)[part] for a, part in enumerate(block.slices)))
        if given.initial == "mode":
            sides, kind = (given.length,) * 2, {"periodic": self.periodic}
            u, _ = equation.standing((y, x), 0.0, given.mode, sides, given.speed, **kind)
            return u, box / max(1, *map(abs, given.mode))
        sides = (given.length,) * 2 if self.periodic else None
        pulse = gaussian((y, x), 0.0, (given.y0, given.x0), given.width, 0.0, sides)
        return pulse, 2.0 * np.pi * given.width

    def random(self, seed, basis, block):
        slope, modes = self.given.slope, self.given.modes
        return SmoothField(seed, 2, slope=slope, modes=modes, basis=basis).on(self.grid, block)

    def state(self):
        return {"u": self.uv[0], "v": self.uv[1], "c": self.c}

    def step(self, n):
        """Leapfrog: half a step of v, a whole one of u, half a step of v."""
        u, v = self.uv
        if self.given.scheme == "rk4":
            self.integrator.advance(n * self.dt, self.uv)
        else:
            force = self.work[0]
            v += 0.5 * self.dt * force
            u += self.dt * v
            self.force(u, force)
            v += 0.5 * self.dt * force
        return (n + 1) * self.dt

    def rate(self, t, uv, out):
        """∂u/∂t = v, ∂v/∂t = ∇·(c² ∇u)."""
        out[0] = uv[1]
        self.force(uv[0], out[1])

    def force(self, u, out):
        """out = ∇·(c² ∇u), and 0 where u is held."""
        self.halo.owned(self.padded)[:] = u
        self.divergence(self.padded, self.work[1])
        out[...] = 0.0
        out[self.free] = self.work[1][self.free]


if __name__ == "__main__":
    main(Wave)
