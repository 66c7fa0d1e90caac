"""Time-harmonic waves: ``mpirun -n 2 python helmholtz.py --omega 1000 --steps 99 --out waves.nc``."""

import numpy as np

from sciml.domain import Field, Grid
from sciml.equations import helmholtz
from sciml.errors import InputError, ScimlError
from sciml.parallel import (
    Decomposition,
    GaussianField,
    GlobalSum,
    LaplacianPower,
    NinePoint,
    RowElimination,
)
from sciml.solver import Option, Parameter, Program, main, sample_seed

#: Fewest points to a wavelength, most points in a row, and the largest relative residual.
LEAST_POINTS, MOST_COLUMNS, RESIDUAL = 10.0, 421, 1e-9


class Helmholtz(Program):
    """Helmholtz' equation in a random medium; frame n is the solution for the n-th wave speed.

    −∇²u − (ω / c)² u = 0 on the unit square, ∂u/∂n = 1 on the part left ≤ x ≤ right of the side
    y = 1 and 0 on all the rest of the boundary, with c = speed + variation · tanh(g) and
    g ~ N(0, tau² (−∇² + tau²)^(−2)), Neumann. Fields: c (y, x), u (y, x). Frames are samples of
    their own: a task has ``lead: 0``. The default is ω = 1000 on 101 × 101 points, about eight
    wavelengths a side.

    Nine-point differences and a direct solution, since the system is indefinite. The error is of
    fourth order in the spacing in an even medium; what is left of second order where c varies is
    small if it varies little over a wavelength, and so is that of the ends of the driven part. Walls
    reflect all: near a resonance u is large, and depends sharply on c and on the grid.

    Source: M. V. de Hoop, D. Z. Huang, E. Qian and A. M. Stuart, The cost-accuracy trade-off in
    operator learning with neural networks, J. Mach. Learn. 1 (2022) 299.
    """

    name = "helmholtz"
    equation = "−∇²u − (ω / c)² u = 0"
    fields = (
        Field("c", "1", "wave speed", parity="scalar"),
        Field("u", "1", "amplitude", parity="scalar"),
    )
    parameters = (
        Parameter("omega", 1000.0, 1.0, 4000.0, "1", "angular frequency"),
        Parameter("speed", 20.0, 2.0, 100.0, "1", "wave speed around which c varies"),
        Parameter("variation", 1.0, 0.0, 50.0, "1", "largest deviation from it"),
        Parameter("tau", 3.0, 0.1, 30.0, "1", "inverse length of the variation"),
        Parameter("left", 0.35, 0.0, 1.0, "1", "where the driven part of the side y = 1 begins"),
        Parameter("right", 0.65, 0.0, 1.0, "1", "where it ends"),
    )
    options = (
        Option("shape", (101, 101), low=5, help="points along y and x, those on the boundary too"),
        Option("modes", 64, low=1, help="shortest wave of the variation, in half waves a side"),
    )
    order_space = 2
    order_time = {}
    steady = True

    def __init__(self, given):
        slowest = given.speed - given.variation
        if slowest < 0.1 * given.speed:
            raise InputError(
                f"speed={given.speed:g} with variation={given.variation:g}; expected a variation of "
                "nine tenths of the speed at most"
            )
        if given.left >= given.right:
            raise InputError(f"left={given.left:g}, right={given.right:g}; expected left < right")
        self.given = given
        self.grid = Grid(given.shape, ((0.0, 1.0),) * 2, ("neumann",) * 2)
        k, h = given.omega / slowest, max(self.grid.spacing)
        points = helmholtz.points_per_wavelength(k, h)
        if points < LEAST_POINTS:
            needed = int(np.ceil(LEAST_POINTS * k / (2.0 * np.pi))) + 1
            raise InputError(
                f"omega={given.omega:g} has {points:.3g} points to the shortest wavelength; expected "
                f"{LEAST_POINTS:g} or more: --shape {needed} {needed}, or a lower omega"
            )
        if given.shape[1] > MOST_COLUMNS:
            raise InputError(
                f"{given.shape[1]} points along x; a direct solution takes {MOST_COLUMNS} at most"
            )

    def domain(self):
        return self.grid

    def start(self, comm):
        cut = Decomposition(self.grid, comm.size, width=2, axes=(0,))
        self.points, self.direct = NinePoint(comm, cut), RowElimination(comm, cut)
        self.total, self.block = GlobalSum(comm), cut.block(comm.rank)
        self.padded = self.points.halo.allocate()
        self.sample(0)
        return self.block

    def state(self):
        return {"c": self.c, "u": self.u}

    def step(self, n):
        self.sample(n + 1)
        return n + 1.0

    def sample(self, n):
        """Draw the n-th wave speed and solve for it."""
        self.c = self.wave_speed(n)
        q = (self.given.omega / self.c) ** 2
        operator = self.points.operator(q)
        self.direct.update(operator)
        load = self.load(q)
        self.u = self.direct.solve(load)
        # Once more for the residual: digits are lost where a strip of rows resonates by itself.
        self.u += self.direct.solve(self.left(operator, load))
        left = self.left(operator, load)
        self.residual = (self.total.dot(left, left) / self.total.dot(load, load)) ** 0.5
        if not self.residual < RESIDUAL:
            raise ScimlError(
                f"helmholtz: sample {n} is left with a residual of {self.residual:.1e}; expected "
                f"{RESIDUAL:g}: the medium resonates at omega={self.given.omega:g}; change it a little"
            )

    def left(self, operator, load):
        """load − A u on the block."""
        halo, left = self.points.halo, load.copy()
        halo.owned(self.padded)[:] = self.u
        halo.exchange(self.padded)
        operator.subtract(self.padded, left, np.empty_like(left))
        return left

    def load(self, q):
        """What comes in through the driven part of the side y = 1."""
        load = np.zeros(self.block.shape)
        if self.block.stop[0] == self.grid.shape[0]:
            x, (hy, hx) = self.grid.coordinates(1), self.grid.spacing
            # The driven part of each cell's side: all, some or nothing of it.
            ends = np.clip((x - hx / 2, x + hx / 2), self.given.left, self.given.right)
            slope = (ends[1] - ends[0]) / hx
            # u‴ = −q u' at the wall, as for one wave that comes straight in.
            load[-1] = slope * (1.0 / hy - hy / 12.0 * q[-1])
        return load

    def wave_speed(self, n):
        """c on the block."""
        given = self.given
        covariance = LaplacianPower(given.tau**2, given.tau, 2.0)
        seed = sample_seed(given.seed, n)
        field = GaussianField(seed, 2, covariance, modes=given.modes, boundary="neumann")
        return given.speed + given.variation * np.tanh(field.on(self.grid, self.block))


if __name__ == "__main__":
    main(Helmholtz)
