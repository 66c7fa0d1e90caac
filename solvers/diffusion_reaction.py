"""Diffusion and reaction: ``python diffusion_reaction.py --steps 999 --out diffusion_reaction.nc``."""

import numpy as np

from sciml.domain import Field, Grid
from sciml.equations.stability import stable_step
from sciml.errors import InputError
from sciml.solver import (
    Parameter,
    RandomInput,
    TrajectoryProgram,
    input_parameters,
    main,
    trajectory_options,
)


class DiffusionReaction(TrajectoryProgram):
    """Diffusion with a quadratic reaction and a random source; frame n holds u and s over space-time.

    ∂s/∂t = D ∂²s/∂x² + k s² + u(x), s = 0 at t = 0 and at both ends of 0 ≤ x ≤ 1, by central
    differences and Runge–Kutta. Fields: u (y, x), s (y, x), where **y is time**, 0 … end; u is the
    same at all times. Frames are samples of their own: a task has ``lead: 0``.

    The default is DeepONet's problem: D = k = 0.01, end = 1, u of length 0.2, 100 × 100 points. u does
    not vanish at the ends, as there: s has layers of width √(D t). Steps are limited to about
    0.7 h²/D. Where k s² wins over diffusion s grows beyond bounds: u for which it passes 100 are drawn
    again (none with the default numbers).
    """

    name = "diffusion-reaction"
    equation = "∂s/∂t = D ∂²s/∂x² + k s² + u(x)"
    fields = (
        Field("u", "1", "source", parity="scalar"),
        Field("s", "1", "concentration", parity="scalar"),
    )
    parameters = (
        *input_parameters("1", "1"),
        Parameter("diffusivity", 0.01, 1e-6, 1.0, "1", "D"),
        Parameter("k", 0.01, -10.0, 10.0, "1", "rate of the reaction"),
    )
    options = trajectory_options((100, 100), "points of time and along x, both ends too", "1", 3)
    order_space = 2
    largest = 100.0

    def __init__(self, given):
        line = (0.0, 1.0)
        super().__init__(given, Grid(given.shape, ((0.0, given.end), line), ("open", "dirichlet")))
        self.random = RandomInput(given, Grid(given.shape[1:], (line,), ("dirichlet",)))
        self.weight = given.diffusivity / self.grid.spacing[1] ** 2
        limit = stable_step(given.scheme, 4.0 * self.weight)
        if self.dt > limit:
            enough = int(np.ceil(self.grid.spacing[0] / limit))
            raise InputError(
                f"substeps={given.substeps} makes steps of {self.dt:.4g}, above {limit:.4g}, the stable "
                f"limit of {given.scheme} on {given.shape[1]} points; expected --substeps {enough} or "
                "more"
            )

    def input(self, seed):
        return self.random(seed)[None]

    def initial(self):
        return np.zeros((1, self.grid.shape[1]))

    def rate(self, s, u, out):
        """Zero at both ends, where s is held."""
        (s,), (out,) = s, out
        out[0] = out[-1] = 0.0
        inner, rate = s[1:-1], out[1:-1]
        np.add(s[:-2], s[2:], out=rate)
        rate -= 2.0 * inner
        rate *= self.weight
        rate += self.given.k * inner * inner
        rate += u[1:-1]


if __name__ == "__main__":
    main(DiffusionReaction)
