"""A nonlinear equation, driven: ``python nonlinear_ode.py --steps 9999 --out nonlinear_ode.nc``."""

import numpy as np

from sciml.domain import Field
from sciml.equations import riccati
from sciml.solver import DrivenProgram, Parameter, input_parameters, main


class NonlinearODE(DrivenProgram):
    """Solutions of a Riccati equation for random inputs; frame n holds the n-th input and solution.

    ds/dt = −s² + u(t), s(0) = start, u a Gaussian random field. Fields: u (x), s (x), where x is time,
    both ends included. Frames are samples of their own: a task has ``lead: 0``. The default is
    DeepONet's nonlinear problem (100 sensors, squared exponential of length 0.2, 0 ≤ t ≤ 1).

    Where u stays below −(π/2)² over a second or so, s falls to −∞ in finite time: inputs for which it
    passes −100 are drawn again, with the default numbers three in ten thousand.
    """

    name = "nonlinear-ode"
    equation = "ds/dt = −s² + u(t)"
    fields = (Field("u", "s-2", "input"), Field("s", "s-1", "solution"))
    parameters = (
        *input_parameters("s-2", "s"),
        Parameter("start", 0.0, -10.0, 50.0, "s-1", "s at time 0"),
    )
    largest = 100.0

    def initial(self):
        return np.array([self.given.start])

    def rate(self, s, u, out):
        out[0] = riccati.rate(s[0], u)


if __name__ == "__main__":
    main(NonlinearODE)
