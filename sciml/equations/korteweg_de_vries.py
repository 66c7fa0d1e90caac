"""The Korteweg–de Vries equation: ∂u/∂t + 6 u ∂u/∂x + ∂³u/∂x³ = 0.

Without dimensions. Mass ⟨u⟩, momentum ⟨u²⟩ and the Hamiltonian ⟨u_x²/2 − u³⟩ are conserved.

Source: R. M. Miura, C. S. Gardner and M. D. Kruskal, J. Math. Phys. 9 (1968) 1204.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

from sciml.equations.array import namespace


def residual(u: Any, u_t: Any, u_x: Any, u_xxx: Any) -> Any:
    """∂u/∂t + 6 u ∂u/∂x + ∂³u/∂x³, zero for a solution; arguments broadcast."""
    return u_t + 6.0 * u * u_x + u_xxx


def soliton(x: Any, time: Any, speed: float, start: float = 0.0) -> Any:
    """u = (c/2) sech²(√c/2 (x − ct − x₀)), on the whole line.

    On a periodic line of length L it holds up to exp(−√c L/2).

    Args:
        x, time: positions and time; broadcast.
        speed: c > 0.
        start: x₀.
    """
    return solitary(x - speed * time - start, speed)


def solitary(away: Any, speed: Any) -> Any:
    """(c/2) sech²(√c/2 z), z ``away`` from the crest."""
    phase = 0.5 * speed**0.5 * away
    return 0.5 * speed / namespace(phase).cosh(phase) ** 2


def two_solitons(x: Any, time: Any, speeds: tuple[float, float]) -> Any:
    """u = 2 ∂²(ln τ)/∂x² with τ = 1 + e^{θ₁} + e^{θ₂} + ((κ₁−κ₂)/(κ₁+κ₂))² e^{θ₁+θ₂}.

    θ_i = κ_i x − κ_i³ t and c_i = κ_i²; both meet near x = 0 at t = 0.

    Args:
        x, time: positions and time; broadcast.
        speeds: c₁ ≠ c₂, both > 0.

    Source: R. Hirota, Phys. Rev. Lett. 27 (1971) 1192.
    """
    k1, k2 = (sqrt(c) for c in speeds)
    lib, a, b = namespace(x), k1 * x - k1**3 * time, k2 * x - k2**3 * time
    # All over the largest of the four, for e^{θ₁+θ₂} is soon too large a number.
    largest = lib.clip(a, 0.0, None) + lib.clip(b, 0.0, None)
    e1, e2 = lib.exp(a - largest), lib.exp(b - largest)
    both = ((k1 - k2) / (k1 + k2)) ** 2 * lib.exp(a + b - largest)
    tau = lib.exp(-largest) + e1 + e2 + both
    first = (k1 * e1 + k2 * e2 + (k1 + k2) * both) / tau
    second = (k1**2 * e1 + k2**2 * e2 + (k1 + k2) ** 2 * both) / tau
    return 2.0 * (second - first**2)


def cnoidal(x: Any, time: float, steepness: float, waves: int, length: float) -> Any:
    """u = 2 m a² cn²(a (x − ct) | m), a = 2 K(m) · waves / length, c = 4 a² (2m − 1): a periodic wave
    that travels unchanged, a cosine for small m and a row of solitons for m near 1.

    Args:
        x: positions, numpy.
        time: t.
        steepness: m, 0 < m < 1.
        waves: along ``length``.
        length: of the periodic line.

    Source: D. J. Korteweg and G. de Vries, Phil. Mag. 39 (1895) 422.
    """
    means = _means(steepness)
    a = pi / means[-1][0] * waves / length  # K(m) = π / 2 over the mean
    speed = 4.0 * a * a * (2.0 * steepness - 1.0)
    return 2.0 * steepness * a * a * _cn(a * (x - speed * time), means) ** 2


def _means(m: float) -> list[tuple[float, float]]:
    """(a, c) of the arithmetic–geometric mean of 1 and √(1 − m), step by step."""
    a, b, found = 1.0, sqrt(1.0 - m), [(1.0, sqrt(m))]
    while found[-1][1] > 1e-16 * a:
        a, b, c = 0.5 * (a + b), sqrt(a * b), 0.5 * (a - b)
        found.append((a, c))
        if len(found) > 40:
            break
    return found


def _cn(z: Any, means: list[tuple[float, float]]) -> Any:
    """The Jacobi elliptic function cn (M. Abramowitz and I. A. Stegun, 16.4)."""
    lib = namespace(z)
    phase = 2.0 ** (len(means) - 1) * means[-1][0] * z
    for a, c in reversed(means[1:]):
        phase = 0.5 * (phase + lib.arcsin(c / a * lib.sin(phase)))
    return lib.cos(phase)
