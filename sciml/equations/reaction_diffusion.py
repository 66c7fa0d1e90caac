"""Reaction and diffusion of one field: ∂u/∂t = D ∇²u + r f(u), f by its name.

``fisher``: f = u (1 − u); 0 is unstable, 1 stable, and fronts between them travel at 2 √(r D) or
faster. ``allen-cahn``: f = u (1 − u²); ±1 are stable. ``none``: diffusion alone. Arguments broadcast.

Source: J. D. Murray, Mathematical Biology I, Springer 2002, sections 13.2 to 13.4; the wave of speed
5/√6: M. J. Ablowitz, A. Zeppetella, Bull. Math. Biol. 41 (1979) 835.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sciml.errors import InputError

REACTIONS = ("fisher", "allen-cahn", "none")


def reacted(reaction: str, u: Any, age: float) -> Any:
    """u(t) of du/dt = r f(u) from u(0), where ``age`` is r t: exact.

    Fisher's runs away below 0, at r t = ln((u − 1) / u), and is −∞ from then on.
    """
    if reaction == "none":
        return u
    decay = np.exp(-age)
    if reaction == "fisher":
        below = u + (1.0 - u) * decay
        return np.where(below > 0.0, u / below, -np.inf)
    return u / np.sqrt(u * u + (1.0 - u * u) * decay * decay)


def front(reaction: str, x: Any, t: float, diffusivity: float, rate: float) -> Any:
    """A wave that travels into u = 0 along x, behind which u is 1: 1 / 4 or 1 / 2 at x = 0, t = 0.

    ``fisher``: (1 + e^{z/√6})⁻² at the speed 5/√6 √(r D); ``allen-cahn``: (1 + e^{z/√2})⁻¹ at
    3/√2 √(r D); z = (x − speed t) √(r/D).

    Raises:
        InputError: no reaction, no wave.
    """
    if reaction == "none" or rate <= 0.0:
        raise InputError(
            f"a front of reaction={reaction}, rate={rate:g}; expected fisher or allen-cahn, and a rate "
            "above 0"
        )
    speed, root, power = (
        (5.0 / 6.0**0.5, 6.0**0.5, 2) if reaction == "fisher" else (3.0 / 2.0**0.5, 2.0**0.5, 1)
    )
    z = (x - speed * (rate * diffusivity) ** 0.5 * t) * (rate / diffusivity) ** 0.5
    return (1.0 + np.exp(z / root)) ** -power
