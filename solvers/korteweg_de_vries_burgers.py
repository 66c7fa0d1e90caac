"""Forced Korteweg–de Vries–Burgers: ``python korteweg_de_vries_burgers.py --gamma 0.5 --out u.nc``."""

import numpy as np

from sciml.domain import Field
from sciml.equations import forced_burgers as equation
from sciml.errors import InputError
from sciml.solver import (
    Option,
    Parameter,
    SpectralProgram,
    initial_option,
    main,
    orders,
    scheme_option,
)

SCHEME = scheme_option("etdrk4", "etdrk2")


class KortewegDeVriesBurgers(SpectralProgram):
    """Forced Korteweg–de Vries–Burgers equation, Fourier in space, exponential in time (E2, E3).

    ∂u/∂t + ∂/∂x (α u² − β ∂u/∂x + γ ∂²u/∂x²) = δ(t, x) on a periodic line, u(0, x) = δ(0, x), with δ a
    sum of five waves drawn from the seed: :mod:`sciml.equations.forced_burgers`. Fields: u (x).
    Diffusion and dispersion are exact in time, steepening is not: dt of about 0.1 / (k_max max|αu|).
    Fronts need some six points across 2β/αΔu; without β and γ they become shocks, for which
    ``forced_burgers.py`` is made.
    """

    name = "korteweg-de-vries-burgers"
    equation = "∂u/∂t + ∂/∂x (α u² − β ∂u/∂x + γ ∂²u/∂x²) = δ"
    fields = (Field("u", "1", "velocity", parity="x"),)
    parameters = (
        Parameter("alpha", 1.0, 0.0, 10.0, "1", "steepening"),
        Parameter("beta", 0.2, 0.0, 10.0, "1", "diffusion"),
        Parameter("gamma", 0.5, 0.0, 10.0, "1", "dispersion"),
    )
    options = (
        Option("shape", (512,), low=10, help="points along x"),
        Option("length", 16.0, low=1e-9, help="of the line"),
        Option("dt", 4e-3, low=1e-12, help="time step"),
        SCHEME,
        initial_option("forcing"),
        Option("waves", 3, low=1, help="shortest wave of the forcing, in waves on the line"),
    )
    order_time = orders(SCHEME)
    time_units = "1"

    def __init__(self, given):
        super().__init__(given)
        if given.alpha > 0.0 and given.beta == given.gamma == 0.0:
            raise InputError("beta=0 and gamma=0 make shocks; take forced_burgers.py for them")
        self.check_waves("waves", given.waves)
        self.forcing = equation.Forcing.draw(given.seed, given.length, most=given.waves)

    def linear(self):
        self.to_rate = -1j * self.fourier.k[0]
        k, x = self.fourier.k[0], self.grid.coordinates(0)[self.fourier.work.slices[0]]
        self.sines = self.fourier.forward(self.forcing.sines(x))
        self.cosines = self.fourier.forward(self.forcing.cosines(x))
        return -self.given.beta * k**2 + 1j * self.given.gamma * k**3

    def nonlinear(self, t, u, out):
        """−α ∂(u²)/∂x + δ."""
        values = self.values(u)
        self.fourier.forward(equation.flux(values, self.given.alpha), out=out)
        out *= self.to_rate
        angle = self.forcing.rate * t
        out += np.cos(angle) @ self.sines + np.sin(angle) @ self.cosines

    def speed(self):
        return 2.0 * self.given.alpha * np.abs(self.fourier.inverse(self.u)).max()

    def initial(self, work):
        x = self.grid.coordinates(0)[work.slices[0]]
        return self.forcing(0.0, x)


if __name__ == "__main__":
    main(KortewegDeVriesBurgers)
