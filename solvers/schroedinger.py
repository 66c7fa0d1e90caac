"""Nonlinear Schrödinger equation: ``python schroedinger.py --kappa 1 --out psi.nc``."""

import numpy as np

from sciml.domain import Field
from sciml.equations import schroedinger
from sciml.errors import InputError
from sciml.parallel import SmoothField
from sciml.solver import (
    COMPLEX,
    Option,
    Parameter,
    SpectralProgram,
    initial_option,
    main,
    orders,
    sample_seed,
    scheme_option,
)

SCHEME = scheme_option("etdrk4", "etdrk2")


class Schroedinger(SpectralProgram):
    """Nonlinear Schrödinger equation on a periodic line, Fourier in space, exponential in time.

    i ∂ψ/∂t + ½ ∂²ψ/∂x² + κ |ψ|² ψ = 0. Fields: p, q (x), real and imaginary part of ψ.
    ``initial=soliton`` is one of size A in the middle of the line, with m waves on the line, which
    make its velocity 2πm/L; ``wave`` a plane wave; ``smooth`` two random fields. Dispersion is exact
    in time, |ψ|²ψ is not: dt of about 0.1 / (κ max|ψ|²). Of n points modes below n/4 are kept, so that
    the cube is free of aliasing.
    """

    name = "schroedinger"
    equation = "i ∂ψ/∂t + ½ ∂²ψ/∂x² + κ |ψ|² ψ = 0, ψ = p + i q"
    fields = (
        Field("p", "1", "real part", parity="scalar"),
        Field("q", "1", "imaginary part", parity="scalar"),
    )
    parameters = (
        Parameter("kappa", 1.0, -10.0, 10.0, "1", "κ, above 0 focusing"),
        Parameter("amplitude", 1.0, 0.0, 10.0, "1", "A"),
    )
    options = (
        Option("shape", (256,), low=5, help="points along x"),
        Option("length", 40.0, low=1e-9, help="of the line"),
        Option("dt", 5e-3, low=1e-12, help="time step"),
        SCHEME,
        initial_option("soliton", "wave", "smooth"),
        Option("mode", 3, help="waves along the line (soliton, wave)"),
        Option("modes", 4, low=1, help="shortest wave, in waves along the line (smooth)"),
    )
    order_time = orders(SCHEME)
    time_units = "1"
    modes, stepped = "cubic", COMPLEX

    def __init__(self, given):
        super().__init__(given)
        if given.initial in ("soliton", "wave"):
            self.check_waves("mode", abs(given.mode))
        steep = given.amplitude * np.sqrt(max(given.kappa, 0.0))
        if given.initial == "soliton" and steep * given.length < 30.0:
            raise InputError(
                f"initial=soliton: 1 / (A √κ) is its width, and a line of {given.length:g} is "
                f"{steep * given.length:.3g} of them long, so that it has a kink where it meets itself; "
                "expected 30 or more: raise --kappa, --amplitude or --length"
            )
        self.velocity = 2.0 * np.pi * given.mode / given.length

    def linear(self):
        """−½ i k² of ψ̂(k), and its conjugate."""
        turn = -0.5j * self.fourier.k2
        return np.stack([turn, turn.conj()])

    def nonlinear(self, t, u, out):
        """i κ |ψ|² ψ."""
        p, q = values = self.values(u)
        size = self.given.kappa * (p * p + q * q)
        p *= size
        q *= -size
        self.fourier.forward(values[::-1], out=out)
        self.stepped.combined(out)

    def speed(self):
        return 0.0

    def initial(self, work):
        given = self.given
        x = self.grid.coordinates(0)[work.slices[0]] - 0.5 * given.length
        match given.initial:
            case "soliton":
                psi = schroedinger.soliton(x, 0.0, given.amplitude, self.velocity, given.kappa)
            case "wave":
                psi = schroedinger.plane_wave(x, 0.0, given.amplitude, self.velocity, given.kappa)
            case _:
                seeds = (given.seed, sample_seed(given.seed, 1))
                parts = (SmoothField(s, 1, modes=given.modes).on(self.grid, work) for s in seeds)
                return given.amplitude * np.stack(list(parts))
        return np.stack([psi.real, psi.imag])


if __name__ == "__main__":
    main(Schroedinger)
