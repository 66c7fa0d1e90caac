"""Combinations of fields that a linear operator multiplies by numbers, mode by mode."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import numpy as np


class Combination(ABC):
    """An invertible change from the coefficients of the fields to those that are stepped."""

    @abstractmethod
    def combined(self, c: np.ndarray) -> np.ndarray:
        """What is stepped, from coefficients of the fields ``(fields, *modes)``, which it may reuse."""

    @abstractmethod
    def fields(self, u: np.ndarray) -> np.ndarray:
        """The coefficients of the fields; ``u`` is left as it is."""


@final
class _AsTheyAre(Combination):
    def combined(self, c: np.ndarray) -> np.ndarray:
        return c

    def fields(self, u: np.ndarray) -> np.ndarray:
        return u


@final
class _Complex(Combination):
    """Of ψ = p + i q with real p and q, modes k of one sign are held of each. p̂ + i q̂ are ψ̂(k), and
    p̂ − i q̂ the conjugates of ψ̂(−k): a number l(k) that multiplies ψ̂, the same for k and −k,
    multiplies the former, and its conjugate the latter.
    """

    def combined(self, c: np.ndarray) -> np.ndarray:
        turned = 1j * c[1]
        np.subtract(c[0], turned, out=c[1])
        np.add(c[0], turned, out=c[0])
        return c

    def fields(self, u: np.ndarray) -> np.ndarray:
        c = np.empty_like(u)
        np.add(u[0], u[1], out=c[0])
        np.subtract(u[0], u[1], out=c[1])
        c[0] *= 0.5
        c[1] *= -0.5j
        return c


AS_THEY_ARE: Combination = _AsTheyAre()

#: Two fields, real and imaginary part.
COMPLEX: Combination = _Complex()
