"""Darcy's equation: −∇·(a ∇u) = f.

u is the pressure, a > 0 the permeability over viscosity, q = −a ∇u the flux and f a source, on a
box; everything is non-dimensional. Arrays may be numpy arrays or tensors; nothing here asks which.

Where a jumps, u and the flux across the jump are continuous and ∇u is not.

Source: J. Bear, Dynamics of Fluids in Porous Media, Elsevier 1972, ch. 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, prod
from typing import Any

from sciml.equations.array import namespace


def two_phase(g: Any, high: float, low: float) -> Any:
    """a = high where g ≥ 0, low elsewhere.

    Source: Z. Li et al., Fourier Neural Operator, ICLR 2021, sec. 5.2: values 12 and 3.
    """
    inside = (g >= 0) * 1.0
    return low + (high - low) * inside


def multiscale(x: Any, y: Any, frequencies: Sequence[float]) -> Any:
    """a = Π_k (1 + ½ cos(a_k π (x + y))) (1 + ½ sin(a_k π (y − 3 x))).

    Args:
        x, y: positions in the unit square; they broadcast.
        frequencies: a_k, six of them in the source, a_k ~ U[2^(k−1), 1.5 · 2^(k−1)].

    Source: X. Liu, B. Xu, S. Cao and L. Zhang, J. Comput. Phys. 506 (2024) 112944, sec. 4.
    """
    lib = namespace(x)
    return prod(
        (1.0 + 0.5 * lib.cos(k * pi * (x + y))) * (1.0 + 0.5 * lib.sin(k * pi * (y - 3.0 * x)))
        for k in frequencies
    )
