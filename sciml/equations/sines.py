"""Sums of sines on a line, u₀(x) = m + Σ_j a_j sin(k_j (x − o) + φ_j), with slope and integral.

Arrays may be numpy arrays or tensors, and each number may be a column of them: a family of fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Any

from sciml.equations.array import namespace


@dataclass(frozen=True, slots=True)
class Sines:
    """A sum of sines.

    Args:
        origin: o.
        terms: (k_j, a_j, φ_j) of each sine.
        mean: m.
    """

    origin: Any
    terms: tuple[tuple[Any, Any, Any], ...]
    mean: Any = 0.0

    def __call__(self, x: Any) -> Any:
        """u₀."""
        return self.mean + sum(a * self._sin(x, k, phase) for k, a, phase in self.terms)

    def slope(self, x: Any) -> Any:
        """∂u₀/∂x."""
        return sum(a * k * self._sin(x, k, phase + 0.5 * pi) for k, a, phase in self.terms)

    def integral(self, x: Any) -> Any:
        """∫ (u₀ − m) dx, periodic."""
        return sum(a / k * self._sin(x, k, phase - 0.5 * pi) for k, a, phase in self.terms)

    def bounds(self) -> tuple[Any, Any, Any]:
        """Of |u₀ − m|, its slope and its integral."""
        sizes = [(abs(k), abs(a)) for k, a, _ in self.terms]
        return (
            sum(a for _, a in sizes),
            sum(a * k for k, a in sizes),
            sum(a / k for k, a in sizes),
        )

    def _sin(self, x: Any, k: Any, phase: Any) -> Any:
        angle = k * (x - self.origin) + phase
        return namespace(angle).sin(angle)


def three(side: tuple[float, float], a1: Any, a2: Any, a3: Any, p1: Any, p2: Any, p3: Any) -> Sines:
    """Σ_m a_m sin(2πm (x − low)/L + p_m), m = 1, 2, 3."""
    low, high = side
    k = 2.0 * pi / (high - low)
    return Sines(low, ((k, a1, p1), (2.0 * k, a2, p2), (3.0 * k, a3, p3)))
