"""The engine: steps any method of the tables, in place and without allocating."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sciml.errors import DivergedError, InputError, nearest
from sciml.solver.integrators.methods import METHODS
from sciml.solver.integrators.rows import Coefficient, Row

#: ``nonlinear(t, u, out)`` writes N(t, u) to ``out``, an array like u.
Nonlinear = Callable[[float, np.ndarray, np.ndarray], None]


class Integrator:
    """Steps du/dt = L u + N(t, u), where L is diagonal, such as in Fourier space.

    Args:
        method: a name of :data:`~sciml.solver.integrators.METHODS`.
        nonlinear: N.
        dt: time step.
        linear: diagonal of L, broadcast against u; ``None`` for none. Explicit methods add L u to N.

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
        self, method: str, nonlinear: Nonlinear, dt: float, *, linear: np.ndarray | None = None
    ) -> None:
        if method not in METHODS:
            raise InputError(f"unknown scheme {method!r}; {nearest(method, METHODS)}")
        self.method = METHODS[method]
        self.dt = float(dt)
        self._nonlinear = nonlinear
        self._linear = None if self.method.treats_linear else linear
        z = self.dt * np.asarray(0.0 if linear is None else linear)
        self._rows = self.method.rows(z)
        self._stages: list[np.ndarray] = []

    def advance(self, t: float, u: np.ndarray) -> None:
        """Replace u(t) by u(t + dt); ``u`` is contiguous, of float64 or complex128.

        Raises:
            DivergedError: the new state holds NaN or infinity on this rank.
        """
        if not self._stages:
            self._prepare(u)
        stage, time, last = u, t, self._rows[-1]
        for row, rates, plan in zip(self._rows, self._stages, self._plans, strict=True):
            self._rate(time, stage, rates)
            stage = u if row is last else self._stage
            self._combine(plan, u, stage)
            time = t + row.time * self.dt
        # One pass, and a sum that cannot overflow by itself unless the state nearly has.
        if not np.isfinite(np.vdot(u, u).real):
            raise DivergedError(f"the state is not finite at t={t + self.dt:g}")

    def _rate(self, t: float, u: np.ndarray, out: np.ndarray) -> None:
        self._nonlinear(t, u, out)
        if self._linear is not None:
            np.multiply(self._linear, u, out=self._term)
            np.add(out, self._term, out=out)

    def _combine(self, plan: list[tuple[Any, np.ndarray]], u: np.ndarray, out: np.ndarray) -> None:
        """out = factor · u + Σ weight · N_j; ``out`` may be u."""
        factor, terms = plan
        out, term = self._numbers(out), self._numbers(self._term)
        u = self._numbers(u)
        if factor is None:
            if out is not u:
                np.copyto(out, u)
        else:
            np.multiply(factor, u, out=out)
        for weight, rates in terms:
            np.multiply(weight, rates, out=term)
            np.add(out, term, out=out)

    def _prepare(self, u: np.ndarray) -> None:
        """Buffers like u, and coefficients in the form that multiplies fastest."""
        self._stages = [np.empty_like(u) for _ in self._rows]
        self._stage, self._term = np.empty_like(u), np.empty_like(u)
        # A real number times a complex one is a product of reals, if both parts are seen as two.
        real = all(not np.iscomplexobj(c) for row in self._rows for c in (row.factor, *row.weights))
        self._split = np.iscomplexobj(u) and real
        self._plans = [self._plan(row) for row in self._rows]

    def _plan(self, row: Row) -> tuple[Any, list[tuple[Any, np.ndarray]]]:
        unit = np.ndim(row.factor) == 0 and row.factor == 1.0
        factor = None if unit else self._spread(row.factor)
        terms = [
            (self._spread(self.dt * weight), self._numbers(stage))
            for weight, stage in zip(row.weights, self._stages, strict=False)
            if weight is not None
        ]
        return factor, terms

    def _numbers(self, array: np.ndarray) -> np.ndarray:
        return array.view(float) if self._split else array

    def _spread(self, coefficient: Coefficient) -> Coefficient:
        if np.ndim(coefficient) == 0 or not self._split:
            return coefficient
        return np.repeat(coefficient, 2, axis=-1)
