"""Programs of ordinary differential equations that a random function of time drives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import final

import numpy as np

from sciml.domain import Grid
from sciml.errors import InputError
from sciml.solver.random_input import RandomInput
from sciml.solver.trajectory import TrajectoryProgram, trajectory_options

#: Options of every driven program; 100 points are the sensors of DeepONet's data.
TIME_OPTIONS = trajectory_options((100,), "points of time, both ends too", "s")


class DrivenProgram(TrajectoryProgram):
    """ds/dt = f(s, u(t)) with a random u (:class:`~sciml.solver.random_input.RandomInput`).

    Fields live on a line of time, axis x, in s. A final class states :meth:`initial` and
    :meth:`rate`, has the parameters of ``input_parameters`` and the options ``TIME_OPTIONS``.

    Raises:
        InputError: steps that are longer than half the correlation length of u.
    """

    options = TIME_OPTIONS

    @final
    def __init__(self, given: SimpleNamespace) -> None:
        span = ((0.0, given.end),)
        super().__init__(given, Grid(given.shape, span, ("open",), "s"))
        if given.amplitude and self.dt > 0.5 * given.length:
            raise InputError(
                f"substeps={given.substeps} makes steps of {self.dt:.4g} s, longer than half of "
                f"length={given.length:g} s, on which u varies; raise --substeps or --shape"
            )
        half_steps = 2 * given.substeps * (given.shape[0] - 1)
        self._random = RandomInput(given, Grid((half_steps + 1,), span, ("open",), "s"))

    @final
    def input(self, seed: int) -> np.ndarray:
        return self._random(seed)
