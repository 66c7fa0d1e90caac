"""Covariance operators of stationary Gaussian fields, by their eigenvalues.

Each maps κ², an eigenvalue of −Δ, to the eigenvalue of the covariance operator: its spectral density,
for which the variance is ∫ S(κ) dκ / (2π)^d in all of space and Σ S(κ_m) / V in a box of volume V.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gamma, pi
from typing import Protocol

import numpy as np

from sciml.errors import InputError


class Covariance(Protocol):
    """Eigenvalues of the covariance where −Δ has the eigenvalues ``k2``; any shape."""

    def __call__(self, k2: np.ndarray, ndim: int) -> np.ndarray: ...


@dataclass(frozen=True)
class LaplacianPower:
    """C = σ² (−Δ + τ²)^(−α), eigenvalues S(κ) = σ² (κ² + τ²)^(−α).

    The inputs of the Fourier neural operator's studies are, on the unit box: Burgers σ² = 625, τ = 5,
    α = 2; Navier–Stokes σ² = 7³ (7^(3/2) in the paper), τ = 7, α = 5/2; Darcy flow σ² = 1, τ = 3, α = 2
    (Neumann).

    Args:
        variance: σ², factor of the operator; it is not the variance of the field.
        tau: τ, inverse length; with 0 there is no mode 0.
        alpha: α; samples have finite variance for α > d / 2, and α − d / 2 derivatives.

    Raises:
        InputError: σ² or α is not positive, or τ is negative.

    Source: Z. Li et al., Fourier neural operator for parametric partial differential equations, 2021,
    appendix A.3.
    """

    variance: float = 1.0
    tau: float = 3.0
    alpha: float = 2.0

    def __post_init__(self) -> None:
        _positive(self, "variance", "alpha")
        if not 0.0 <= self.tau < np.inf:
            raise InputError(f"LaplacianPower: tau={self.tau!r}; expected a number ≥ 0")

    def __call__(self, k2: np.ndarray, ndim: int) -> np.ndarray:
        with np.errstate(divide="ignore"):  # mode 0 without τ: whoever keeps it gets an error
            return self.variance * (k2 + self.tau**2) ** -self.alpha


@dataclass(frozen=True)
class Matern:
    """Matérn covariance, E f(x) f(y) = σ² 2^(1−ν) / Γ(ν) · s^ν K_ν(s) with s = √(2ν) |x − y| / ℓ.

    S(κ) = σ² (4π)^(d/2) Γ(ν + d/2) / Γ(ν) · a^ν (κ² + a)^(−ν − d/2) with a = 2ν / ℓ².

    Args:
        std: σ, of the field in all of space.
        length: ℓ, correlation length.
        nu: ν; samples have ν derivatives (½: exp(−|x − y| / ℓ)).

    Raises:
        InputError: one of them is not positive.

    Source: C. E. Rasmussen, C. K. I. Williams, Gaussian processes for machine learning, 2006, eq. 4.15.
    """

    std: float = 1.0
    length: float = 0.1
    nu: float = 1.5

    def __post_init__(self) -> None:
        _positive(self, "std", "length", "nu")

    def __call__(self, k2: np.ndarray, ndim: int) -> np.ndarray:
        a, beta = 2.0 * self.nu / self.length**2, self.nu + ndim / 2.0
        factor = self.std**2 * (4.0 * pi / a) ** (ndim / 2.0) * gamma(beta) / gamma(self.nu)
        return factor * (1.0 + k2 / a) ** -beta


@dataclass(frozen=True)
class SquaredExponential:
    """E f(x) f(y) = σ² exp(−|x − y|² / 2ℓ²), S(κ) = σ² (2π ℓ²)^(d/2) exp(−ℓ² κ² / 2).

    Also called radial basis function (RBF) kernel; DeepONet's input functions have σ = 1, ℓ = 0.2 on
    [0, 1], with open ends.

    Args:
        std: σ.
        length: ℓ.

    Raises:
        InputError: one of them is not positive.
    """

    std: float = 1.0
    length: float = 0.2

    def __post_init__(self) -> None:
        _positive(self, "std", "length")

    def __call__(self, k2: np.ndarray, ndim: int) -> np.ndarray:
        factor = self.std**2 * (2.0 * pi * self.length**2) ** (ndim / 2.0)
        return factor * np.exp(-0.5 * self.length**2 * k2)


def _positive(covariance: object, *names: str) -> None:
    for name in names:
        value = getattr(covariance, name)
        if not 0.0 < value < np.inf:
            kind = type(covariance).__name__
            raise InputError(f"{kind}: {name}={value!r}; expected a positive number")
