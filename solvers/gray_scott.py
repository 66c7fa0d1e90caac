"""Gray–Scott reaction: ``mpirun -n 2 python gray_scott.py --feed 0.029 --kill 0.057 --out gs.nc``."""

import numpy as np

from sciml.domain import Field
from sciml.solver import (
    Option,
    Parameter,
    SpectralProgram,
    initial_option,
    main,
    orders,
    scheme_option,
)

SCHEME = scheme_option("etdrk4", "etdrk2", "ars-443", "cn-heun")


class GrayScott(SpectralProgram):
    """Gray–Scott reaction and diffusion on a periodic square, Fourier in space.

    ∂u/∂t = δ_u ∇²u − u v² + F (1 − u), ∂v/∂t = δ_v ∇²v + u v² − (F + k) v. Fields: u, v (y, x).
    Starts from (u, v) = (1 − s, s), s = 1 − Π (1 − spot) of periodic Gaussian spots. Defaults as in
    The Well, on [−1, 1]². Six patterns (F, k): gliders .014 .054, bubbles .098 .057, maze .029 .057,
    worms .058 .065, spirals .018 .051, spots .030 .062; they take some thousand units of time to
    form. All modes are kept: the product leaves a little aliasing, unseen where fronts are resolved.
    """

    name = "gray-scott"
    equation = "∂u/∂t = δ_u ∇²u − u v² + F (1 − u), ∂v/∂t = δ_v ∇²v + u v² − (F + k) v"
    fields = (
        Field("u", "1", "concentration of U", parity="scalar"),
        Field("v", "1", "concentration of V", parity="scalar"),
    )
    parameters = (
        Parameter("feed", 0.029, 0.0, 0.2, "1", "F"),
        Parameter("kill", 0.057, 0.0, 0.2, "1", "k"),
        Parameter("delta_u", 2e-5, 1e-8, 1.0, "1", "diffusivity of U"),
        Parameter("delta_v", 1e-5, 1e-8, 1.0, "1", "diffusivity of V"),
    )
    options = (
        Option("shape", (128, 128), low=4, help="points along y and x"),
        Option("length", 2.0, low=1e-9, help="side of the square"),
        Option("dt", 1.0, low=1e-12, help="time step"),
        SCHEME,
        initial_option("spots", help="state"),
        Option("spots", 20, low=1, help="spots at the start"),
        Option("width", 0.05, low=1e-6, help="of a spot"),
    )
    order_time = orders(SCHEME)
    time_units = "1"
    low, modes = -1.0, "all"

    def linear(self):
        given, k2 = self.given, self.fourier.k2
        drain = np.array([given.feed, given.feed + given.kill])
        delta = np.array([given.delta_u, given.delta_v])
        self.mean = np.nonzero(k2 == 0.0)
        return -delta[:, None, None] * k2 - drain[:, None, None]

    def nonlinear(self, t, u, out):
        """(F − u v², u v²)."""
        u_values, v = self.values(u)
        np.multiply(v, v, out=v)
        np.multiply(u_values, v, out=v)
        self.fourier.forward(v, out=out[1])
        np.negative(out[1], out=out[0])
        out[0][self.mean] += self.given.feed

    def speed(self):
        return 0.0

    def initial(self, work):
        """Spots of (u, v) = (0, 1). Where they overlap they merge without a kink, as their maximum
        would have it, and what a spot is at a distance d, exp(−(L/π)² sin²(πd/L) / 2w²), has none
        half way round the square."""
        given, rng = self.given, np.random.default_rng(self.given.seed)
        y, x = (self.grid.coordinates(axis)[work.slices[axis]] for axis in (0, 1))
        round_, rest = given.length / np.pi, np.ones(work.shape)
        for center in rng.uniform(self.low, self.low + given.length, (given.spots, 2)):
            near = [
                np.exp(-0.5 * (round_ / given.width * np.sin((c - m) / round_)) ** 2)
                for c, m in zip((y, x), center, strict=True)
            ]
            rest *= 1.0 - near[0][:, None] * near[1]
        return np.stack([rest, 1.0 - rest])


if __name__ == "__main__":
    main(GrayScott)
