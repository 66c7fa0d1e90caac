"""A driven pendulum: ``python pendulum.py --k 1 --steps 9999 --out pendulum.nc``."""

import numpy as np

from sciml.domain import Field
from sciml.equations import pendulum
from sciml.solver import DrivenProgram, Parameter, input_parameters, main


class Pendulum(DrivenProgram):
    """A gravity pendulum under random torques; frame n holds the n-th torque and the motion.

    ds1/dt = s2, ds2/dt = −k sin s1 + u(t), u a Gaussian random field. Fields: u (x), s1 (x), s2 (x),
    where x is time, both ends included. Frames are samples of their own: a task has ``lead: 0``. The
    default is DeepONet's problem (at rest at first, k = 1, 100 sensors, squared exponential of length
    0.2, 0 ≤ t ≤ 1). s1 is not taken modulo 2π. Steps should be short against 1/√k.
    """

    name = "pendulum"
    equation = "ds1/dt = s2, ds2/dt = −k sin s1 + u(t)"
    fields = (
        Field("u", "s-2", "torque over moment of inertia"),
        Field("s1", "rad", "angle"),
        Field("s2", "rad s-1", "angular velocity"),
    )
    parameters = (
        *input_parameters("s-2", "s"),
        Parameter("k", 1.0, 0.0, 1e3, "s-2", "gravity over length"),
        Parameter("angle", 0.0, -100.0, 100.0, "rad", "s1 at time 0"),
        Parameter("speed", 0.0, -100.0, 100.0, "rad s-1", "s2 at time 0"),
    )

    def initial(self):
        return np.array([self.given.angle, self.given.speed])

    def rate(self, s, u, out):
        out[0], out[1] = pendulum.rate(s[0], s[1], u, self.given.k)


if __name__ == "__main__":
    main(Pendulum)
