"""The nonlinear Schrödinger equation on a line: i ∂ψ/∂t + ½ ∂²ψ/∂x² + κ |ψ|² ψ = 0.

Without dimensions; ψ is complex, κ > 0 focuses and κ < 0 spreads. The norm ∫|ψ|² and the energy
∫ ½|∂ψ/∂x|² − ½κ|ψ|⁴ are conserved.

Source: V. E. Zakharov and A. B. Shabat, Sov. Phys. JETP 34 (1972) 62.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

from sciml.equations.array import namespace


def soliton(x: Any, time: float, amplitude: float, velocity: float, kappa: float) -> Any:
    """ψ = A sech(A √κ (x − vt)) exp(i (v x + ½ (κA² − v²) t)), on the whole line.

    Args:
        x: positions.
        time: t.
        amplitude: A > 0.
        velocity: v; periodic on a line of length L where v L / 2π is whole, up to exp(−A √κ L/2).
        kappa: κ > 0.
    """
    lib = namespace(x)
    phase = velocity * x + 0.5 * (kappa * amplitude**2 - velocity**2) * time
    envelope = amplitude / lib.cosh(amplitude * sqrt(kappa) * (x - velocity * time))
    return envelope * lib.exp(1j * phase)


def plane_wave(x: Any, time: float, amplitude: float, k: float, kappa: float) -> Any:
    """ψ = A exp(i (k x − ω t)), ω = ½ k² − κ A².

    Args:
        x: positions.
        time: t.
        amplitude: A.
        k: wave number.
        kappa: κ.
    """
    phase = k * x - (0.5 * k * k - kappa * amplitude**2) * time
    return amplitude * namespace(x).exp(1j * phase)
