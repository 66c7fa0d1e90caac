"""Viscous Burgers equation: ``mpirun -n 2 python burgers.py --nu 0.01 --dt 1e-3 --out burgers.nc``."""

import numpy as np

from sciml.domain import Field
from sciml.equations import burgers
from sciml.parallel import GaussianField, LaplacianPower
from sciml.solver import (
    Option,
    Parameter,
    SpectralProgram,
    initial_option,
    main,
    orders,
    scheme_option,
)

SCHEME = scheme_option("etdrk4", "etdrk2", "ars-443")


class Burgers(SpectralProgram):
    """Viscous Burgers equation on a periodic line, Fourier in space, exponential in time.

    ∂u/∂t + ∂(u²/2)/∂x = ν ∂²u/∂x². Fields: u (x). ``initial=gaussian`` with the default numbers is
    the FNO specification: u₀ ~ N(0, σ² (−Δ + τ²)^−α) on the unit box, σ² = 625, τ = 5, α = 2.
    ``initial=sine`` is u₀ = A sin(2πx/L). Fronts need some six points across a width of 4ν/Δu.
    """

    name = "burgers"
    equation = "∂u/∂t + ∂(u²/2)/∂x = ν ∂²u/∂x²"
    fields = (Field("u", "m s-1", "velocity", parity="x"),)
    parameters = (
        Parameter("nu", 0.1, 1e-5, 10.0, "m2 s-1", "viscosity"),
        Parameter("amplitude", 1.0, 0.0, 100.0, "m s-1", "A of the sine; factor of a random field"),
    )
    options = (
        Option("shape", (1024,), low=4, help="points along x"),
        Option("length", 1.0, low=1e-9, help="of the line in m"),
        Option("dt", 1e-3, low=1e-12, help="time step in s"),
        SCHEME,
        initial_option("gaussian", "sine"),
        Option("tau", 5.0, low=1e-9, help="inverse correlation length (gaussian)"),
        Option("alpha", 2.0, low=0.51, help="smoothness (gaussian)"),
        Option("variance", 625.0, low=1e-30, help="factor of the covariance (gaussian)"),
        Option("mean", "random", ("random", "zero"), help="of the field along the line (gaussian)"),
        Option("modes", 256, low=1, help="shortest wave, in waves along the line (gaussian)"),
    )
    order_time = orders(SCHEME)
    units = "m"

    def linear(self):
        self.to_rate = -1j * self.fourier.k[0]
        if self.given.mean == "zero":
            # Waves that look like a mean on these points.
            self.u[:, 0] = 0.0
        return -self.given.nu * self.fourier.k2

    def nonlinear(self, t, u, out):
        """−½ ∂(u²)/∂x."""
        values = self.values(u)
        self.fourier.forward(burgers.flux(values), out=out)
        out *= self.to_rate

    def speed(self):
        return np.abs(self.fourier.inverse(self.u)).max()

    def initial(self, work):
        given = self.given
        if given.initial == "sine":
            x = self.grid.coordinates(0)[work.slices[0]]
            return given.amplitude * np.sin(2.0 * np.pi * x / given.length)
        covariance = LaplacianPower(given.variance, given.tau, given.alpha)
        field = GaussianField(
            given.seed, 1, covariance, modes=given.modes, drop_mean=given.mean == "zero"
        )
        return given.amplitude * field.on(self.grid, work)


if __name__ == "__main__":
    main(Burgers)
