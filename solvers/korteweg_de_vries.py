"""Korteweg–de Vries equation: ``python korteweg_de_vries.py --speed 16 --out kdv.nc``."""

import numpy as np

from sciml.domain import Field
from sciml.equations import korteweg_de_vries as kdv
from sciml.errors import InputError
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

SCHEME = scheme_option("etdrk4", "etdrk2")


class KortewegDeVries(SpectralProgram):
    """Korteweg–de Vries equation on a periodic line, Fourier in space, exponential in time.

    ∂u/∂t + 6 u ∂u/∂x + ∂³u/∂x³ = 0. Fields: u (x). ``initial=soliton`` is one soliton of the given
    speed in the middle of the line, ``solitons`` two, the faster one behind; ``cnoidal`` a wave of
    given steepness that keeps its shape, ``wave`` A cos(2πmx/L), which does not; ``smooth`` a random
    field. Dispersion is exact in time, the steepening is not: dt of about 0.1 / (k_max max|u|).
    """

    name = "korteweg-de-vries"
    equation = "∂u/∂t + 6 u ∂u/∂x + ∂³u/∂x³ = 0"
    fields = (Field("u", "1", "elevation", parity="scalar"),)
    parameters = (
        Parameter("speed", 4.0, 1e-3, 100.0, "1", "of the (faster) soliton"),
        Parameter("slower", 1.0, 1e-3, 100.0, "1", "speed of the slower one (solitons)"),
        Parameter("steepness", 0.9, 1e-6, 0.999999, "1", "m, from a cosine to solitons (cnoidal)"),
        Parameter("amplitude", 1.0, 0.0, 100.0, "1", "size of the field (wave, smooth)"),
    )
    options = (
        Option("shape", (512,), low=4, help="points along x"),
        Option("length", 40.0, low=1e-9, help="of the line"),
        Option("dt", 1e-3, low=1e-12, help="time step"),
        SCHEME,
        initial_option("soliton", "solitons", "cnoidal", "wave", "smooth"),
        Option("before", 1.0, low=0.0, help="time from the start to the encounter (solitons)"),
        Option("mode", 1, low=1, help="waves along the line (cnoidal, wave)"),
        Option("modes", 4, low=1, help="shortest wave, in waves along the line (smooth)"),
    )
    order_time = orders(SCHEME)
    time_units = "1"

    def __init__(self, given):
        super().__init__(given)
        if given.initial in ("cnoidal", "wave"):
            self.check_waves("mode", given.mode)
        if given.initial == "soliton":
            self.check_width(given.speed, 0.5 * given.length)
        if given.initial != "solitons":
            return
        if given.speed == given.slower:
            raise InputError(
                f"speed={given.speed:g} and slower={given.slower:g}; expected two speeds"
            )
        fastest = max(given.speed, given.slower)
        if fastest * given.before > 0.5 * given.length:
            raise InputError(
                f"before={given.before:g}: a soliton of speed {fastest:g} starts "
                f"{fastest * given.before:g} behind the middle of a line of {given.length:g}; expected "
                f"--before {0.5 * given.length / fastest:.3g} or less, or a longer line"
            )
        for speed in (given.speed, given.slower):
            self.check_width(speed, 0.5 * given.length - speed * given.before)

    def check_width(self, speed, room):
        """Refuse a soliton with a kink where the line closes: 4 exp(−√c room) of it is left there."""
        if np.sqrt(speed) * room < 15.0:
            raise InputError(
                f"a soliton of speed {speed:g}, {1.0 / np.sqrt(speed):.3g} wide and {room:.3g} from the "
                "ends of the line, would have a kink there; expected "
                f"{15.0 / np.sqrt(speed):.3g} or more: raise --length, or take --initial cnoidal"
            )

    def linear(self):
        self.to_rate = -3j * self.fourier.k[0]
        return 1j * self.fourier.k[0] ** 3

    def nonlinear(self, t, u, out):
        """−3 ∂(u²)/∂x."""
        values = self.values(u)
        np.multiply(values, values, out=values)
        self.fourier.forward(values, out=out)
        out *= self.to_rate

    def speed(self):
        return 6.0 * np.abs(self.fourier.inverse(self.u)).max()

    def initial(self, work):
        given = self.given
        x = self.grid.coordinates(0)[work.slices[0]] - 0.5 * given.length
        match given.initial:
            case "soliton":
                return kdv.soliton(x, 0.0, given.speed)
            case "solitons":
                return kdv.two_solitons(x, -given.before, (given.speed, given.slower))
            case "cnoidal":
                return kdv.cnoidal(x, 0.0, given.steepness, given.mode, given.length)
            case "wave":
                return given.amplitude * np.cos(2.0 * np.pi * given.mode * x / given.length)
            case _:
                field = SmoothField(given.seed, 1, modes=given.modes)
                return given.amplitude * field.on(self.grid, work)


if __name__ == "__main__":
    main(KortewegDeVries)
