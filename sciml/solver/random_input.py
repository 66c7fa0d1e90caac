"""Stationary random fields, and random input functions of one variable, for samples of an operator."""

from __future__ import annotations

from math import ceil, pi
from types import SimpleNamespace

import numpy as np

from sciml.domain import Grid
from sciml.errors import InputError
from sciml.parallel import GaussianField, SquaredExponential
from sciml.solver.declaration import Parameter

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


def stationary_field(
    seed: int, ndim: int, length: float, *, side: float = 1.0, modes: int = MOST
) -> GaussianField:
    """g ~ N(0, exp(−|x − x'|² / 2 length²)) on a part of all of space: a box without conditions at its
    walls. Between Neumann walls its variance would be twice as large there, four times at corners.

    A Fourier series with all modes that double precision can show, on a box so long that its ends do not
    feel each other; the same function for a seed at any resolution.

    Args:
        seed: whole number ≥ 0.
        ndim: 1 to 3.
        length: correlation length, in the unit of ``side``.
        side: of the box, along each axis.
        modes: shortest wave in half waves along a side, if longer ones shall do.
    """
    period, enough = _series(length, side)
    return GaussianField(
        seed, ndim, SquaredExponential(1.0, length), modes=min(enough, -(-modes * period // 2)),
        boundary="open", sides=side, period=period,
    )  # fmt: skip


def _series(length: float, side: float) -> tuple[int, int]:
    """Sides after which the series repeats, and its modes: a power of two wastes no draws."""
    period = 1 + ceil(APART * length / side)
    modes = ceil(SHORTEST / length * period * side / (2.0 * pi))
    return period, 1 << (modes - 1).bit_length()


class RandomInput:
    """u = mean + amplitude · g, with g ~ N(0, exp(−|t − t'|² / 2 length²)) and open ends.

    The default, amplitude 1 and length 0.2 on [0, 1], is the Gaussian random field (RBF kernel) of
    DeepONet's data. g is a :func:`stationary_field`: it is known at every point, and the same function
    for a seed at any resolution.

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
        self._length = given.length
        _, modes = _series(given.length, self._side)
        if modes > MOST:
            raise InputError(
                f"length={given.length:g} on a span of {self._side:g} needs {modes} modes; expected "
                f"{MOST} at most: raise --length or shorten the span"
            )

    def __call__(self, seed: int) -> np.ndarray:
        """The function of one seed at the points of the grid."""
        if self._amplitude == 0.0:
            return np.full(self._grid.shape, self._mean)
        g = stationary_field(seed, 1, self._length, side=self._side).on(self._grid)
        return self._mean + self._amplitude * g
