"""The engine: steps any method of the tables, in place and without allocating."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sciml.errors import DivergedError, InputError, nearest
from sciml.solver.integrators.methods import METHODS
from sciml.solver.integrators.rows import Coefficient, Row

#: Numbers of a state that are combined at a time: a few arrays of them fit the cache together.
_PART = 1 << 14

#: Factor of the state, and weights each with the stages whose rates bear it.
_Plan = tuple[Coefficient, list[tuple[Coefficient, list[np.ndarray]]]]

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
        """Replace u(t) by u(t + dt); ``u`` is C-contiguous, of float64 or complex128.

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

    def _combine(self, plan: _Plan, u: np.ndarray, out: np.ndarray) -> None:
        """out = factor · u + Σ weight · Σ N_j; ``out`` may be u."""
        factor, terms = plan
        u, out = self._numbers(u), self._numbers(out)
        for part in self._parts:
            old, new, term = u[part], out[part], self._term_part[: part.stop - part.start]
            if factor is not None:
                np.multiply(_cut(factor, part), old, out=new)
            elif out is not u:
                np.copyto(new, old)
            for weight, (first, *others) in terms:
                rates = first[part]
                for other in others:
                    rates = np.add(rates, other[part], out=term)
                np.multiply(_cut(weight, part), rates, out=term)
                np.add(new, term, out=new)

    def _prepare(self, u: np.ndarray) -> None:
        """Buffers like u, and coefficients in the form that multiplies fastest."""
        self._stages = [np.empty(u.shape, u.dtype) for _ in self._rows]
        self._stage = np.empty(u.shape, u.dtype)
        self._term = np.empty(u.shape, u.dtype) if self._linear is not None else None
        # A real number times a complex one is a product of reals, if both parts are seen as two.
        real = all(not np.iscomplexobj(c) for row in self._rows for c in (row.factor, *row.weights))
        self._split = np.iscomplexobj(u) and real
        size = self._numbers(u).size
        self._parts = [slice(i, min(i + _PART, size)) for i in range(0, size, _PART)]
        self._term_part = np.empty(min(_PART, size), self._numbers(u).dtype)
        self._plans = [self._plan(row, u.shape) for row in self._rows]

    def _plan(self, row: Row, shape: tuple[int, ...]) -> _Plan:
        unit = np.ndim(row.factor) == 0 and row.factor == 1.0
        factor = None if unit else self._spread(row.factor, shape)
        # Stages of equal weight are added first: one product for all of them.
        equal: dict[int, tuple[Coefficient, list[np.ndarray]]] = {}
        for weight, stage in zip(row.weights, self._stages, strict=False):
            if weight is not None:
                equal.setdefault(id(weight), (weight, []))[1].append(self._numbers(stage))
        return factor, [(self._spread(self.dt * w, shape), rates) for w, rates in equal.values()]

    def _numbers(self, array: np.ndarray) -> np.ndarray:
        """A flat view."""
        return (array.view(float) if self._split else array).reshape(-1)

    def _spread(self, coefficient: Coefficient, shape: tuple[int, ...]) -> Coefficient:
        """A number, or an array as long as :meth:`_numbers` makes the state."""
        if np.ndim(coefficient) == 0:
            return coefficient
        flat = np.broadcast_to(coefficient, shape).reshape(-1)
        return np.repeat(flat, 2) if self._split else flat


def _cut(coefficient: Coefficient, part: slice) -> Coefficient:
    return coefficient[part] if np.ndim(coefficient) else coefficient
