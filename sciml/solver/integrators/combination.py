"""Linear combinations of the state and the rates of the stages: what a step does besides N."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sciml.parallel.reduce import inner
from sciml.solver.integrators.rows import Coefficient, Row

#: Numbers that numpy combines at a time: a few arrays of them fit the cache together.
_PART = 1 << 14


class PartByPart:
    """out = factor · u + dt Σ weight · Σ N_j by numpy, for states of any kind.

    Args:
        row: of the method; stages of equal weight are added first, one product for all of them.
        dt: time step.
        rates: N_j, ``(stages, *shape)``.
        look: whether to look for what is not finite.
    """

    def __init__(self, row: Row, dt: float, rates: np.ndarray, look: bool) -> None:
        self._look = look
        # A real number times a complex one is a product of reals, if both parts are seen as two.
        coefficients = (row.factor, *row.weights)
        self._split = np.iscomplexobj(rates) and not any(map(np.iscomplexobj, coefficients))
        shape = rates.shape[1:]
        unit = np.ndim(row.factor) == 0 and row.factor == 1.0
        self._factor = None if unit else self._spread(row.factor, shape)
        self._terms = [
            (self._spread(dt * weight, shape), [self._numbers(rates[j]) for j in stages])
            for weight, stages in terms_of(row)
        ]
        size = self._numbers(rates[0]).size
        self._parts = [slice(i, min(i + _PART, size)) for i in range(0, size, _PART)]
        self._term = np.empty(min(_PART, size), self._numbers(rates[0]).dtype)

    def __call__(self, u: np.ndarray, out: np.ndarray) -> bool:
        """Whether all of ``out``, if it is looked at, is finite; it may be u, both are C-contiguous."""
        u, out = self._numbers(u), self._numbers(out)
        for part in self._parts:
            old, new, term = u[part], out[part], self._term[: part.stop - part.start]
            if self._factor is not None:
                np.multiply(_cut(self._factor, part), old, out=new)
            elif out is not u:
                np.copyto(new, old)
            for weight, (first, *others) in self._terms:
                rates = first[part]
                for other in others:
                    rates = np.add(rates, other[part], out=term)
                np.multiply(_cut(weight, part), rates, out=term)
                np.add(new, term, out=new)
        # One pass, and a sum that cannot overflow by itself unless the state nearly has.
        return not self._look or bool(np.isfinite(inner(out, out)))

    def _numbers(self, array: np.ndarray) -> np.ndarray:
        """A flat view."""
        return (array.view(float) if self._split else array).reshape(-1)

    def _spread(self, coefficient: Coefficient, shape: tuple[int, ...]) -> Coefficient:
        """A number, or an array as long as :meth:`_numbers` makes the state."""
        if np.ndim(coefficient) == 0:
            return coefficient
        flat = np.broadcast_to(coefficient, shape).reshape(-1)
        return np.repeat(flat, 2) if self._split else flat


class InOnePass:
    """The same, compiled: each array goes through the cache once, coefficients at half the size.

    For complex states with real coefficients; see :class:`PartByPart` for the arguments.
    """

    def __init__(self, row: Row, dt: float, rates: np.ndarray, look: bool) -> None:
        from sciml.parallel.kernels.combine import combine

        self._kernel, self._look, shape = combine, look, rates.shape[1:]
        # The kernel adds two stages of equal weight at most; more become terms of their own.
        terms = [
            (weight, stages[i : i + 2])
            for weight, stages in terms_of(row)
            for i in range(0, len(stages), 2)
        ]
        self._factor = np.broadcast_to(row.factor, shape).reshape(-1).astype(float)
        self._weights = np.array([np.broadcast_to(dt * w, shape).reshape(-1) for w, _ in terms])
        self._first = np.array([stages[0] for _, stages in terms])
        self._second = np.array([stages[1] if len(stages) > 1 else -1 for _, stages in terms])
        self._rates = rates.view(float).reshape(len(rates), -1)

    @staticmethod
    def possible(rows: Sequence[Row], u: np.ndarray) -> bool:
        coefficients = (c for row in rows for c in (row.factor, *row.weights))
        return u.dtype == complex and not any(map(np.iscomplexobj, coefficients))

    def __call__(self, u: np.ndarray, out: np.ndarray) -> bool:
        new = _reals(out)
        return self._kernel(
            self._factor, _reals(u), self._weights, self._first, self._second, self._rates,
            new, new.view(np.int64), self._look,
        )  # fmt: skip


def terms_of(row: Row) -> list[tuple[Coefficient, list[int]]]:
    """Weights that are not zero, each with the stages that bear it."""
    equal: dict[int, tuple[Coefficient, list[int]]] = {}
    for j, weight in enumerate(row.weights):
        if weight is not None:
            equal.setdefault(id(weight), (weight, []))[1].append(j)
    return list(equal.values())


def _reals(array: np.ndarray) -> np.ndarray:
    return array.view(float).reshape(-1)


def _cut(coefficient: Coefficient, part: slice) -> Coefficient:
    return coefficient[part] if np.ndim(coefficient) else coefficient
