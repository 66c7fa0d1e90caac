"""Forced Burgers and Korteweg–de Vries equations: ∂u/∂t + ∂/∂x (α u² − β ∂u/∂x + γ ∂²u/∂x²) = δ(t, x).

δ = Σ_j A_j sin(ω_j t + 2π l_j x / L + φ_j), and u(0, x) = δ(0, x). Without dimensions. The families of
the source, on L = 16 for t ≤ 4 with 250 frames: E1 α = 1, β = γ = 0; E2 α = 1, β ∈ [0, 0.2]; E3
α ∈ [0, 3], β ∈ [0, 0.4], γ ∈ [0, 1]. Its published data were made otherwise than it says: with the
flux α u²/2 (so that E1 and E2 are α = ½ here, and E3 agrees), l ∈ {1, 2}, and E3 for β ≥ 0.1 and t ≤ 2.

Source: J. Brandstetter, D. Worrall and M. Welling, Message Passing Neural PDE Solvers, ICLR 2022,
arXiv:2202.03376, eq. 9 and sec. 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Forcing:
    """δ(t, x) on a periodic line.

    Args:
        amplitude, rate, waves, phase: A, ω, l and φ, one of each for a wave.
        length: L.
    """

    amplitude: np.ndarray
    rate: np.ndarray
    waves: np.ndarray
    phase: np.ndarray
    length: float

    @classmethod
    def draw(cls, seed: int, length: float = 16.0, *, count: int = 5, most: int = 3) -> Forcing:
        """A ∈ [−½, ½], ω ∈ [−0.4, 0.4], l ∈ {1, …, most}, φ ∈ [0, 2π), each uniform.

        Args:
            seed: whole number ≥ 0.
            length: L.
            count: number of waves.
            most: largest l.
        """
        rng = np.random.default_rng(seed)
        return cls(
            rng.uniform(-0.5, 0.5, count),
            rng.uniform(-0.4, 0.4, count),
            rng.integers(1, most, count, endpoint=True),
            rng.uniform(0.0, 2.0 * np.pi, count),
            length,
        )

    def __call__(self, t: float, x: np.ndarray, width: float = 0.0) -> np.ndarray:
        """δ at positions x, (n); means over cells of that ``width`` around them, if it is not 0."""
        return np.sin(self.rate * t) @ self.cosines(x, width) + np.cos(self.rate * t) @ self.sines(
            x, width
        )

    def sines(self, x: np.ndarray, width: float = 0.0) -> np.ndarray:
        """A_j sin(2π l_j x / L + φ_j), (count, n): the factors of cos(ω_j t)."""
        return self._factor(width) * np.sin(self._angle(x))

    def cosines(self, x: np.ndarray, width: float = 0.0) -> np.ndarray:
        """A_j cos(2π l_j x / L + φ_j), (count, n): the factors of sin(ω_j t)."""
        return self._factor(width) * np.cos(self._angle(x))

    def _angle(self, x: np.ndarray) -> np.ndarray:
        return 2.0 * np.pi / self.length * np.outer(self.waves, x) + self.phase[:, None]

    def _factor(self, width: float) -> np.ndarray:
        return (self.amplitude * np.sinc(self.waves * width / self.length))[:, None]


def flux(u: Any, alpha: float) -> Any:
    """α u²."""
    return alpha * u * u


def wave_speeds(left: Any, right: Any, alpha: float) -> tuple[Any, Any]:
    """The slowest and the fastest wave between two states, 2αu."""
    slow, fast = np.minimum(left, right), np.maximum(left, right)
    return 2.0 * alpha * slow, 2.0 * alpha * fast


def linear_solution(
    forcing: Forcing, t: float, x: np.ndarray, beta: float, gamma: float
) -> np.ndarray:
    """u(t, x) for α = 0: each wave of the forcing drives its own mode.

    With k = 2π l / L and λ = −β k² + iγ k³, u_j = Im A e^{i(kx + φ)} (e^{λt} + (e^{iωt} − e^{λt}) /
    (iω − λ)); the second term is t e^{λt} where iω = λ.
    """
    k = 2.0 * np.pi * forcing.waves / forcing.length
    growth = -beta * k**2 + 1j * gamma * k**3
    detuning = 1j * forcing.rate - growth
    # (e^{dt} − 1)/d without loss of digits near d = 0.
    small = np.abs(detuning) * max(t, 1.0) < 1e-8
    safe = np.where(small, 1.0, detuning)
    driven = np.where(small, t, np.expm1(safe * t) / safe) if t else 0.0 * growth
    response = np.exp(growth * t) * (1.0 + driven)
    waves = forcing.amplitude[:, None] * np.exp(1j * forcing._angle(x))
    return (response[:, None] * waves).imag.sum(0)


def cell_peclet(speed: float, spacing: float, beta: float) -> float:
    """Largest |2αu| h / β: above 2 or so, a front is narrower than the grid resolves."""
    return speed * spacing / beta if beta > 0.0 else float("inf")


def stable_step(speed: float, beta: float, spacing: float) -> float:
    """Longest step of ``ssp-rk3`` with WENO5 for α u², and sixth order differences for β ∂²u/∂x²,
    whose fastest rate is 272/45 β / h².

    Args:
        speed: max|2αu|.
        beta, spacing: β and h.
    """
    rate = speed / spacing + 272.0 / 45.0 * beta / spacing**2 / 2.5127
    return 1.0 / rate if rate > 0.0 else float("inf")


#: Weights of u_{i+1} − u_i, u_{i+2} − u_{i−1} and u_{i+3} − u_{i−2} in the slope at the face between
#: i and i + 1, from means over cells: sixth order.
SLOPE: Sequence[float] = (245 / 180, -25 / 180, 2 / 180)
