"""Darcy flow: ``mpirun -n 2 python darcy.py --coefficient rough --steps 99 --out darcy.nc``."""

import numpy as np

from sciml.domain import Field, Grid
from sciml.equations import darcy
from sciml.errors import InputError
from sciml.parallel import (
    ConjugateGradient,
    Decomposition,
    Diffusion,
    GaussianField,
    GlobalSum,
    LaplacianPower,
    Multigrid,
)
from sciml.solver import Option, Parameter, Program, main, sample_seed, stationary_field

#: What ``rough`` fixes, and the largest ratio of two phases that is solved in a few iterations.
ROUGH = {"high": 12.0, "low": 2.0, "tau": 5.0, "alpha": 2.0}
CONTRAST = 1e3
OCTAVES = 6


class Darcy(Program):
    """Darcy's equation on the unit square; frame n is the solution for the n-th random coefficient.

    −∇·(a ∇u) = f, u = 0 on the boundary, by finite volumes around the points of the grid with
    harmonic means of a at the faces, and conjugate gradients with a multigrid preconditioner.
    Fields: a (y, x), u (y, x). Frames are samples of their own: a task has ``lead: 0``.

    * ``smooth``: a = exp(contrast · g), g ~ N(0, 1) with E g(x) g(y) = exp(−|x − y|² / 2 length²);
    * ``thresholded``: a = high where g ≥ 0, low elsewhere, g ~ N(0, (−∇² + tau²)^(−alpha)), Neumann,
      without its mean. The default is that of the Fourier neural operator's Darcy flow;
    * ``rough``: the same with 12, 2, tau = 5 and alpha = 2, as for the multigrid neural operator;
    * ``multiscale``: a product of waves of six octaves (:func:`sciml.equations.darcy.multiscale`).

    The error is of second order in the spacing where a is smooth and of first order where it jumps;
    ``multiscale`` needs h well below 1/200, its shortest wave.
    """

    name = "darcy"
    equation = "−∇·(a ∇u) = f"
    fields = (
        Field("a", "1", "permeability", parity="scalar"),
        Field("u", "1", "pressure", parity="scalar"),
    )
    parameters = (
        Parameter("source", 1.0, -1e6, 1e6, "1", "f"),
        Parameter("contrast", 1.0, 0.0, 2.0, "1", "size of log a (smooth)"),
        Parameter("length", 0.2, 0.02, 1.0, "1", "correlation length of log a (smooth)"),
        Parameter("high", 12.0, 1e-3, 1e3, "1", "a where g ≥ 0 (thresholded)"),
        Parameter("low", 3.0, 1e-3, 1e3, "1", "a where g < 0 (thresholded)"),
        Parameter("tau", 3.0, 0.1, 100.0, "1", "inverse length of g (thresholded)"),
        Parameter("alpha", 2.0, 1.1, 8.0, "1", "smoothness of g (thresholded)"),
    )
    options = (
        Option("shape", (64, 64), low=4, help="points along y and x, those on the boundary too"),
        Option(
            "coefficient", "thresholded", ("smooth", "thresholded", "rough", "multiscale"), help="a"
        ),
        Option("modes", 128, low=1, help="shortest wave of g, in half waves along a side"),
        Option("tolerance", 1e-10, low=1e-13, help="residual, relative to that of u = 0"),
    )
    order_space = 2
    order_time = {}
    steady = True

    def __init__(self, given):
        if given.coefficient == "rough":
            defaults = {p.name: p.default for p in self.parameters}
            for name, value in ROUGH.items():
                if getattr(given, name) != defaults[name]:
                    raise InputError(
                        f"coefficient=rough has {name}={value:g}; leave out --{name}, or take "
                        "--coefficient thresholded"
                    )
            vars(given).update(ROUGH)
        ratio = max(given.high / given.low, given.low / given.high)
        if given.coefficient == "thresholded" and ratio > CONTRAST:
            raise InputError(
                f"high={given.high:g} and low={given.low:g} differ by {ratio:g}; expected a factor of "
                f"{CONTRAST:g} at most"
            )
        self.given, self.number = given, 0
        self.grid = Grid(given.shape, ((0.0, 1.0),) * 2, ("dirichlet",) * 2)

    def domain(self):
        return self.grid

    def start(self, comm):
        cut = Decomposition(self.grid, comm.size, width=2)
        self.operator, self.multigrid = Diffusion(comm, cut), Multigrid(comm, cut)
        self.cg = ConjugateGradient(
            self.operator.apply,
            GlobalSum(comm),
            self.operator.shape,
            tolerance=self.given.tolerance,
            iterations=200,
            precondition=self.multigrid,
        )
        self.block = self.operator.halo.block
        self.u = self.operator.halo.allocate()
        self.free = np.zeros(self.operator.shape)
        self.sample(0)
        return self.block

    def state(self):
        return {"a": self.a, "u": self.operator.halo.owned(self.u)}

    def step(self, n):
        self.sample(n + 1)
        return n + 1.0

    def sample(self, n):
        """Draw the n-th coefficient and solve for it, from u = 0."""
        self.a = self.coefficient(n)
        self.operator.update(self.a)
        self.multigrid.update(self.operator.faces)
        self.free[...] = 0.0
        self.iterations = self.cg.solve(self.source(), self.free)
        self.u[self.operator.inner] = self.free

    def source(self):
        """f on the free points."""
        return np.full(self.operator.shape, self.given.source)

    def coefficient(self, n):
        """a on the block."""
        given, seed = self.given, sample_seed(self.given.seed, n)
        if given.coefficient == "multiscale":
            y, x = np.ix_(
                *(self.grid.coordinates(axis)[s] for axis, s in enumerate(self.block.slices))
            )
            octave = 2.0 ** np.arange(OCTAVES)
            frequencies = np.random.default_rng(seed).uniform(octave, 1.5 * octave)
            return darcy.multiscale(x, y, frequencies)
        if given.coefficient == "smooth":
            g = stationary_field(seed, 2, given.length, modes=given.modes)
            return np.exp(given.contrast * g.on(self.grid, self.block))
        # With its mean, every eighth sample would have one phase alone; published ones have both.
        kind = {"modes": given.modes, "boundary": "neumann", "drop_mean": True}
        g = GaussianField(seed, 2, LaplacianPower(1.0, given.tau, given.alpha), **kind)
        return darcy.two_phase(g.on(self.grid, self.block), given.high, given.low)


if __name__ == "__main__":
    main(Darcy)
