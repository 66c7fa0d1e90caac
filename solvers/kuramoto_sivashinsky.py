"""Kuramoto–Sivashinsky equation: ``python kuramoto_sivashinsky.py --length 64 --out ks.nc``."""

import numpy as np

from sciml.domain import Field
from sciml.equations import kuramoto_sivashinsky as ks
from sciml.parallel import SmoothField
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


class KuramotoSivashinsky(SpectralProgram):
    """Kuramoto–Sivashinsky equation on a periodic line, Fourier in space, exponential in time.

    ∂u/∂t + ∂(u²/2)/∂x + ∂²u/∂x² + ν ∂⁴u/∂x⁴ = 0. Fields: u (x), zero mean. Chaotic for lengths of
    22 √ν and more; two runs that differ in the last digit part after some 100 units of time.
    ``initial=wave`` is A cos(2πmx/L).
    """

    name = "kuramoto-sivashinsky"
    equation = "∂u/∂t + ∂(u²/2)/∂x + ∂²u/∂x² + ν ∂⁴u/∂x⁴ = 0"
    fields = (Field("u", "1", "amplitude", parity="x"),)
    parameters = (
        Parameter("nu", 1.0, 0.1, 10.0, "1", "hyper-viscosity"),
        Parameter("amplitude", 1.0, 1e-12, 10.0, "1", "size of the initial field"),
    )
    options = (
        Option("shape", (256,), low=4, help="points along x"),
        Option("length", 64.0, low=1e-9, help="of the line"),
        Option("dt", 0.05, low=1e-12, help="time step"),
        SCHEME,
        initial_option("smooth", "wave"),
        Option("modes", 8, low=1, help="shortest wave, in waves along the line (smooth)"),
        Option("mode", 1, low=1, help="waves along the line (wave)"),
    )
    order_time = orders(SCHEME)
    time_units = "1"

    def __init__(self, given):
        super().__init__(given)
        if given.initial == "wave":
            self.check_waves("mode", given.mode)

    def linear(self):
        self.to_rate = -0.5j * self.fourier.k[0]
        return ks.growth_rate(self.fourier.k[0], self.given.nu)

    def nonlinear(self, t, u, out):
        """−½ ∂(u²)/∂x."""
        values = self.values(u)
        np.multiply(values, values, out=values)
        self.fourier.forward(values, out=out)
        out *= self.to_rate

    def speed(self):
        return np.abs(self.fourier.inverse(self.u)).max()

    def initial(self, work):
        given = self.given
        if given.initial == "wave":
            x = self.grid.coordinates(0)[work.slices[0]]
            return given.amplitude * np.cos(2.0 * np.pi * given.mode * x / given.length)
        return given.amplitude * SmoothField(given.seed, 1, modes=given.modes).on(self.grid, work)


if __name__ == "__main__":
    main(KuramotoSivashinsky)
