"""Allen–Cahn equation: ``mpirun -n 2 python allen_cahn.py --diffusivity 1e-3 --out ac.nc``."""

import numpy as np

from sciml.domain import Field
from sciml.equations import allen_cahn
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


class AllenCahn(SpectralProgram):
    """Allen–Cahn equation on a periodic square, Fourier in space, exponential in time.

    ∂u/∂t = D ∇²u + r (u − u³). Fields: u (y, x). ``initial=smooth`` is a random field of size A,
    ``wave`` A cos(2π(m_y y + m_x x)/L). Fronts are √(2D/r) wide, and need some four points across that.
    Of n points modes below n/4 are kept, so that the cube is free of aliasing.
    """

    name = "allen-cahn"
    equation = "∂u/∂t = D ∇²u + r (u − u³)"
    fields = (Field("u", "1", "order parameter", parity="scalar"),)
    parameters = (
        Parameter("diffusivity", 1e-3, 1e-8, 10.0, "1", "D"),
        Parameter("rate", 1.0, 0.0, 100.0, "1", "r"),
        Parameter("amplitude", 0.5, 0.0, 2.0, "1", "size of the initial field"),
    )
    options = (
        Option("shape", (128, 128), low=5, help="points along y and x"),
        Option("length", 1.0, low=1e-9, help="side of the square"),
        Option("dt", 0.05, low=1e-12, help="time step"),
        SCHEME,
        initial_option("smooth", "wave"),
        Option("modes", 8, low=1, help="shortest wave, in waves along a side (smooth)"),
        Option("mode", (1, 0), help="waves along y and x (wave)"),
    )
    order_time = orders(SCHEME)
    time_units = "1"
    modes = "cubic"

    def __init__(self, given):
        super().__init__(given)
        if given.initial == "wave":
            for axis, waves in enumerate(given.mode):
                self.check_waves("mode", abs(waves), axis)

    def linear(self):
        return allen_cahn.growth_rate(
            np.sqrt(self.fourier.k2), self.given.diffusivity, self.given.rate
        )

    def nonlinear(self, t, u, out):
        """−r u³."""
        values = self.values(u)
        cube = values * values
        cube *= values
        self.fourier.forward(cube, out=out)
        out *= -self.given.rate

    def speed(self):
        return 0.0

    def initial(self, work):
        given = self.given
        if given.initial == "smooth":
            field = SmoothField(given.seed, 2, modes=given.modes)
            return given.amplitude * field.on(self.grid, work)
        y, x = np.ix_(*(self.grid.coordinates(i)[work.slices[i]] for i in (0, 1)))
        angle = 2.0 * np.pi * (given.mode[0] * y + given.mode[1] * x) / given.length
        return given.amplitude * np.cos(angle)


if __name__ == "__main__":
    main(AllenCahn)
