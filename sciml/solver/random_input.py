"""Random input functions of one variable, for samples of an operator."""

from __future__ import annotations

from math import ceil, pi
from types import SimpleNamespace

import numpy as np

from sciml.domain import Grid
from sciml.errors import InputError
from sciml.parallel import GaussianField, SquaredExponential
from sciml.solver.declare import Parameter

#: κ ℓ beyond which modes are left out: their amplitudes, ~ exp(−κ²ℓ²/4), are below 1e-15.
SHORTEST = 12.0

#: Correlation lengths between the end of the grid and where the series repeats: exp(−18) is left.
APART = 6.0

#: Most modes; 8 MB of them.
MOST = 1 << 20


def input_parameters(units: str, along: str) -> tuple[Parameter, ...]:
    """Parameters of :class:`RandomInput`.

    Args:
        units: of the function.
        along: units of its variable.
    """
    return (
        Parameter("amplitude", 1.0, 0.0, 100.0, units, "standard deviation of u"),
        Parameter("mean", 0.0, -100.0, 100.0, units, "mean of u"),
        Parameter("length", 0.2, 0.02, 10.0, along, "correlation length of u"),
    )


class RandomInput:
    """u = mean + amplitude · g, with g ~ N(0, exp(−|t − t'|² / 2 length²)) and open ends.

    The default, amplitude 1 and length 0.2 on [0, 1], is the Gaussian random field (RBF kernel) of
    DeepONet's data. g is a Fourier series (:class:`sciml.parallel.GaussianField`) with all modes that
    double precision can show, on a box so long that its two ends do not feel each other; it is known
    at every point, and the same function for a seed at any resolution.

    Args:
        given: ``amplitude``, ``mean`` and ``length``; see :func:`input_parameters`.
        grid: of one axis.

    Raises:
        InputError: the correlation length is too short to be seen along the whole grid.

    Source: L. Lu et al., Nature Machine Intelligence 3 (2021) 218, methods, "Function spaces".
    """

    def __init__(self, given: SimpleNamespace, grid: Grid) -> None:
        self._grid, self._mean, self._amplitude = grid, given.mean, given.amplitude
        ((low, high),) = grid.extent
        self._side = high - low
        self._covariance = SquaredExponential(1.0, given.length)
        self._period = 1 + ceil(APART * given.length / self._side)
        # A power of two wastes no draws.
        modes = ceil(SHORTEST / given.length * self._period * self._side / (2.0 * pi))
        self._modes = 1 << (modes - 1).bit_length()
        if self._modes > MOST:
            raise InputError(
                f"length={given.length:g} on a span of {self._side:g} needs {self._modes} modes; "
                f"expected {MOST} at most: raise --length or shorten the span"
            )

    def __call__(self, seed: int) -> np.ndarray:
        """The function of one seed at the points of the grid."""
        if self._amplitude == 0.0:
            return np.full(self._grid.shape, self._mean)
        g = GaussianField(
            seed, 1, self._covariance, modes=self._modes, boundary="open",
            sides=self._side, period=self._period,
        ).on(self._grid)  # fmt: skip
        return self._mean + self._amplitude * g
