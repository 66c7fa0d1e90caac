"""The Kuramoto–Sivashinsky equation: ∂u/∂t + ∂(u²/2)/∂x + ∂²u/∂x² + ν ∂⁴u/∂x⁴ = 0.

Without dimensions, on a periodic line. Long waves |k| < 1/√ν grow, short ones decay, and the
nonlinear term hands energy from the former to the latter: chaos on lines longer than about 22 √ν.

Source: Y. Kuramoto, Prog. Theor. Phys. Suppl. 64 (1978) 346; G. I. Sivashinsky, Acta Astronaut. 4
(1977) 1177.
"""

from __future__ import annotations

from typing import Any


def growth_rate(k: Any, nu: float) -> Any:
    """σ(k) = k² − ν k⁴: a small wave grows as exp(σ t)."""
    return k**2 - nu * k**4
