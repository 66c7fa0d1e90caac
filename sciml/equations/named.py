"""Equations by name, as a study asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from math import pi
from typing import Any

from sciml.equations import (
    advection_diffusion,
    allen_cahn,
    burgers,
    heat,
    helmholtz,
    korteweg_de_vries,
    wave,
)
from sciml.equations.array import namespace
from sciml.equations.equation import Arrays, Equation, Solution
from sciml.errors import InputError, nearest

Sides = Mapping[str, tuple[float, float]]


def equation(name: str) -> Equation:
    """The equation of that name.

    Raises:
        InputError: there is none; with the nearest one.
    """
    if name not in EQUATIONS:
        raise InputError(f"unknown equation '{name}'; {nearest(name, EQUATIONS)}")
    return EQUATIONS[name]


def _heat_mode(
    points: Arrays, time: Any, sides: Sides, *, kappa: Any, mode: int = 1, mean: float = 0.0,
    amplitude: float = 1.0,
) -> Arrays:  # fmt: skip
    """mean + A exp(−κ|k|²t) Π sin(mπ (x_i − low_i)/L_i): held at the sides."""
    lengths = [high - low for low, high in sides.values()]
    places = [points[axis] - low for axis, (low, _) in sides.items()]
    wave_ = heat.dirichlet_mode(places, time, (mode,) * len(places), lengths, kappa)
    return {"u": mean + amplitude * wave_}


def _heat_wave(
    points: Arrays, time: Any, sides: Sides, *, kappa: Any, mode: int = 1, mean: float = 0.0,
    amplitude: float = 1.0,
) -> Arrays:  # fmt: skip
    """mean + A exp(−κ|k|²t) cos Σ 2πm (x_i − low_i)/L_i: a wave on a periodic box."""
    lengths = [high - low for low, high in sides.values()]
    places = [points[axis] - low for axis, (low, _) in sides.items()]
    wave_ = heat.periodic_mode(places, time, (mode,) * len(places), lengths, kappa)
    return {"u": mean + amplitude * wave_}


def _sine(points: Arrays, sides: Sides, amplitude: float) -> Any:
    """−A sin 2π(x − middle)/L: zero at the sides, and a front in the middle."""
    [(low, high)] = sides.values()
    angle = 2.0 * pi / (high - low) * (points["x"] - 0.5 * (low + high))
    return -amplitude * namespace(angle).sin(angle)


def _burgers_sine(
    points: Arrays, time: Any, sides: Sides, *, nu: Any, amplitude: float = 1.0
) -> Arrays:
    """From −A sin 2π(x − middle)/L, by Cole and Hopf; numpy, ``time`` and ν a number each."""
    import numpy as np

    if float(time) == 0.0:
        return _burgers_start(points, time, sides, nu=nu, amplitude=amplitude)
    [(low, high)] = sides.values()
    k, middle = 2.0 * pi / (high - low), 0.5 * (low + high)
    x = np.asarray(points["x"], np.float64)

    def potential(y: Any) -> Any:
        return amplitude / k * np.cos(k * (y - middle))

    def initial(y: Any) -> Any:
        return -amplitude * np.sin(k * (y - middle))

    found = burgers.cole_hopf(x.ravel(), float(time), initial, potential, float(nu), 4001)
    return {"u": found.reshape(x.shape)}


def _burgers_start(
    points: Arrays, time: Any, sides: Sides, *, nu: Any, amplitude: float = 1.0
) -> Arrays:
    return {"u": _sine(points, sides, amplitude)}


def _burgers_wall(
    points: Arrays, time: Any, sides: Sides, *, nu: Any, amplitude: float = 1.0
) -> Arrays:
    return {"u": 0.0 * points["x"]}


def _soliton(
    points: Arrays, time: Any, sides: Sides, *, speed: float = 4.0, start: float = 0.0
) -> Arrays:
    """(c/2) sech²(√c/2 (x − ct − x₀))."""
    return {"u": korteweg_de_vries.soliton(points["x"], time, speed, start)}


def _advected(u_t: Any, u_x: Any, laplacian: Any, speed_x: Any, kappa: Any) -> Any:
    return advection_diffusion.residual(u_t, speed_x * u_x, laplacian, kappa)


def _waves(u_tt: Any, laplacian: Any, speed: Any) -> Any:
    return wave.residual(u_tt, speed * speed * laplacian)


def _advected_wave(
    points: Arrays, time: Any, sides: Sides, *, speed_x: Any, kappa: Any, mode: int = 1,
    amplitude: float = 1.0,
) -> Arrays:  # fmt: skip
    """A exp(−κk²t) sin k(x − low − vt) with k = 2πm/L."""
    [(low, high)] = sides.values()
    k = 2.0 * pi * mode / (high - low)
    angle = k * (points["x"] - low - speed_x * time)
    decay = -kappa * k * k * time
    return {"u": amplitude * namespace(decay).exp(decay) * namespace(angle).sin(angle)}


EQUATIONS: dict[str, Equation] = {
    one.name: one
    for one in (
        Equation(
            "advection-diffusion",
            ("u",),
            _advected,
            {"wave": Solution(_advected_wave, periodic=True)},
        ),
        Equation("allen-cahn", ("u",), allen_cahn.residual),
        Equation(
            "burgers",
            ("u",),
            burgers.residual,
            {"sine": Solution(_burgers_sine, _burgers_start, _burgers_wall, periodic=True)},
        ),
        Equation(
            "heat",
            ("u",),
            heat.residual,
            {"mode": Solution(_heat_mode), "wave": Solution(_heat_wave, periodic=True)},
        ),
        Equation("helmholtz", ("u",), helmholtz.residual),
        Equation(
            "korteweg-de-vries",
            ("u",),
            korteweg_de_vries.residual,
            {"soliton": Solution(_soliton, periodic=True)},
        ),
        Equation("wave", ("u",), _waves),
    )
}
