"""The heat equation: ∂u/∂t = κ ∇²u.

u is a temperature (K), κ the diffusivity (m² s⁻¹), on a box with sides L_i (m). Arrays may be numpy
arrays or tensors; nothing here asks which.

Each Fourier mode decays by itself, at the rate κ |k|²: k_i = 2π m_i / L_i when periodic, and
k_i = π m_i / L_i for modes that vanish on the boundary.

Source: H. S. Carslaw and J. C. Jaeger, Conduction of Heat in Solids, 2nd ed., Oxford 1959, ch. 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, prod
from typing import Any

from sciml.equations.array import namespace
from sciml.errors import InputError


def residual(u_t: Any, laplacian: Any, kappa: float) -> Any:
    """∂u/∂t − κ ∇²u, zero for a solution; arguments broadcast."""
    return u_t - kappa * laplacian


def stable_step(kappa: float, spacing: Sequence[float]) -> float:
    """Longest stable step of forward Euler with centered differences: 1 / (2 κ Σ_i 1/h_i²).

    Up to this step the scheme obeys the maximum principle too. Crank–Nicolson is stable for any
    step, and obeys the maximum principle up to twice this one.

    Args:
        kappa: diffusivity, > 0.
        spacing: distance h_i between neighbors along each axis.
    """
    return 1.0 / (2.0 * kappa * sum(h**-2 for h in spacing))


def periodic_wavenumbers(mode: Sequence[int], length: Sequence[float]) -> tuple[float, ...]:
    """k_i = 2π m_i / L_i."""
    _same_length(mode, length)
    return tuple(2.0 * pi * m / side for m, side in zip(mode, length, strict=True))


def dirichlet_wavenumbers(mode: Sequence[int], length: Sequence[float]) -> tuple[float, ...]:
    """k_i = π m_i / L_i."""
    _same_length(mode, length)
    return tuple(pi * m / side for m, side in zip(mode, length, strict=True))


def decay_rate(kappa: float, wavenumbers: Sequence[float]) -> float:
    """κ |k|²."""
    return kappa * sum(k * k for k in wavenumbers)


def periodic_mode(
    points: Sequence[Any],
    time: Any,
    mode: Sequence[int],
    length: Sequence[float],
    kappa: float,
    phase: float = 0.0,
) -> Any:
    """exp(−κ|k|²t) cos(k·x + φ): a wave on the periodic box.

    Args:
        points: x_i along each axis, arrays that broadcast against each other (``np.ix_``).
        time: t, a number or an array that broadcasts too.
        mode: whole waves m_i along each axis.
        length: sides L_i of the box.
        kappa: diffusivity.
        phase: φ.
    """
    k = periodic_wavenumbers(mode, length)
    angle = sum(ki * xi for ki, xi in zip(k, points, strict=True)) + phase
    return _decay(kappa, k, time) * namespace(angle).cos(angle)


def dirichlet_mode(
    points: Sequence[Any], time: Any, mode: Sequence[int], length: Sequence[float], kappa: float
) -> Any:
    """exp(−κ|k|²t) Π_i sin(k_i x_i): zero on the boundary of the box [0, L_i]. See
    :func:`periodic_mode` for the arguments; m_i counts half waves."""
    k = dirichlet_wavenumbers(mode, length)
    factors = [namespace(xi).sin(ki * xi) for ki, xi in zip(k, points, strict=True)]
    return _decay(kappa, k, time) * prod(factors)


def _decay(kappa: float, wavenumbers: Sequence[float], time: Any) -> Any:
    exponent = -decay_rate(kappa, wavenumbers) * time
    return namespace(exponent).exp(exponent)


def _same_length(mode: Sequence[int], length: Sequence[float]) -> None:
    if len(mode) != len(length):
        raise InputError(
            f"mode {tuple(mode)} on a box with sides {tuple(length)}; expected one number an axis"
        )
