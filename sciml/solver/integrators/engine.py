"""The engine: steps any method of the tables, in place and without allocating."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sciml.errors import DivergedError, require_known
from sciml.solver.integrators.combination import InOnePass, PartByPart
from sciml.solver.integrators.methods import METHODS

#: Numbers × steps from which combinations are compiled: numba takes 0.3 to 0.5 s to import, and saves
#: some 10 ns a number and step.
WORTH_COMPILING = 100_000_000

#: ``nonlinear(t, u, out)`` writes N(t, u) to ``out``, an array like u.
Nonlinear = Callable[[float, np.ndarray, np.ndarray], None]


class Integrator:
    """Steps du/dt = L u + N(t, u), where L is diagonal, such as in Fourier space.

    Args:
        method: a name of :data:`~sciml.solver.integrators.METHODS`.
        nonlinear: N.
        dt: time step.
        linear: diagonal of L, broadcast against u; ``None`` for none. Explicit methods add L u to N.
        work: numbers of u × steps that this rank will do about, which decides on compiling; the
            bits are the same either way.

    Raises:
        InputError: unknown method.

    When it fails: explicit methods are unstable beyond dt |L + ∂N/∂u| of about 2 (3 for ``rk4``); the
    others when that holds for N alone.

    >>> u = np.array([1.0])
    >>> decay = Integrator("etdrk4", lambda t, u, out: np.copyto(out, 0.0), 0.5, linear=np.array([-2.0]))
    >>> decay.advance(0.0, u)
    >>> float(u[0]) == np.exp(-1.0)
    True
    """

    def __init__(
        self,
        method: str,
        nonlinear: Nonlinear,
        dt: float,
        *,
        linear: np.ndarray | None = None,
        work: float = 0.0,
    ) -> None:
        require_known("unknown scheme", method, METHODS)
        self.method = METHODS[method]
        self.dt = float(dt)
        self._nonlinear = nonlinear
        self._linear = None if self.method.treats_linear else linear
        z = self.dt * np.asarray(0.0 if linear is None else linear)
        self._rows = self.method.rows(z)
        self._work = work
        self._combinations: list[PartByPart | InOnePass] = []

    def advance(self, t: float, u: np.ndarray) -> None:
        """Replace u(t) by u(t + dt); ``u`` is C-contiguous, of float64 or complex128.

        Raises:
            DivergedError: the new state holds NaN or infinity on this rank.
        """
        if not self._combinations:
            self._prepare(u)
        stage, time, last = u, t, self._rows[-1]
        for row, rates, combine in zip(self._rows, self._rates, self._combinations, strict=True):
            self._rate(time, stage, rates)
            stage = u if row is last else self._stage
            finite = combine(u, stage)
            time = t + row.time * self.dt
        if not finite:
            raise DivergedError(f"the state is not finite at t={t + self.dt:g}")

    def _rate(self, t: float, u: np.ndarray, out: np.ndarray) -> None:
        self._nonlinear(t, u, out)
        if self._linear is not None:
            np.multiply(self._linear, u, out=self._term)
            np.add(out, self._term, out=out)

    def _prepare(self, u: np.ndarray) -> None:
        """Buffers like u, and coefficients in the form that multiplies fastest."""
        self._rates = np.empty((len(self._rows), *u.shape), u.dtype)
        self._stage = np.empty(u.shape, u.dtype)
        self._term = np.empty(u.shape, u.dtype) if self._linear is not None else None
        self.compiled = self._work >= WORTH_COMPILING and InOnePass.possible(self._rows, u)
        kind = InOnePass if self.compiled else PartByPart
        last = self._rows[-1]
        self._combinations = [
            kind(row, self.dt, self._rates, look=row is last) for row in self._rows
        ]
