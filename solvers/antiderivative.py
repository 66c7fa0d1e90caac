"""Antiderivatives: ``python antiderivative.py --steps 9999 --out antiderivative.nc``."""

import numpy as np

from sciml.domain import Field
from sciml.solver import DrivenProgram, Parameter, input_parameters, main


class Antiderivative(DrivenProgram):
    """Antiderivatives of random functions; frame n holds the n-th function and its antiderivative.

    ds/dt = u(t), s(0) = start, u a Gaussian random field. Fields: u (x), s (x), where x is time, both
    ends included. Frames are samples of their own: a task has ``lead: 0``. The default is DeepONet's
    problem (100 sensors, squared exponential of length 0.2, 0 ≤ t ≤ 1). With ``rk4`` each step is
    Simpson's rule.
    """

    name = "antiderivative"
    equation = "ds/dt = u(t)"
    fields = (Field("u", "s-1", "input"), Field("s", "1", "antiderivative"))
    parameters = (
        *input_parameters("s-1", "s"),
        Parameter("start", 0.0, -100.0, 100.0, "1", "s at time 0"),
    )

    def initial(self):
        return np.array([self.given.start])

    def rate(self, s, u, out):
        out[0] = u


if __name__ == "__main__":
    main(Antiderivative)
