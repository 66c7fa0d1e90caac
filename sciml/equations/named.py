"""Equations by name, as a study asks for them."""

from __future__ import annotations

from math import pi
from typing import Any

from sciml.equations import (
    advection_diffusion,
    allen_cahn,
    burgers,
    burgers_inviscid,
    convection,
    heat,
    helmholtz,
    korteweg_de_vries,
    wave,
)
from sciml.equations.array import namespace
from sciml.equations.equation import Arrays, Equation, Sides, Solution
from sciml.equations.sines import Sines, three
from sciml.errors import InputError, require_known


def equation(name: str) -> Equation:
    """The equation of that name.

    Raises:
        InputError: there is none; with the nearest one.
    """
    require_known("unknown equation", name, EQUATIONS)
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


def _sine(sides: Sides, amplitude: Any, mode: Any) -> Sines:
    """−A sin k(x − middle), k = 2π mode/L: zero at the sides, and a front in the middle; for one wave on
    [0, 2π) it is A sin x."""
    [(low, high)] = sides.values()
    return Sines(0.5 * (low + high), ((2.0 * pi * mode / (high - low), -amplitude, 0.0),))


def _from_sine(
    points: Arrays, time: Any, sides: Sides, *, nu: Any, amplitude: Any = 1.0, mode: Any = 1
) -> Arrays:
    """From −A sin k(x − middle), by Cole and Hopf; numpy."""
    columns = _rows(points["x"], time, nu=nu, amplitude=amplitude, mode=mode)
    return _viscous(_sine(sides, columns.pop("amplitude"), columns.pop("mode")), **columns)


def _sine_start(
    points: Arrays, time: Any, sides: Sides, *, amplitude: Any = 1.0, mode: Any = 1, nu: Any = 0.0
) -> Arrays:
    return {"u": _sine(sides, amplitude, mode)(points["x"])}


def _still(points: Arrays, time: Any, sides: Sides, **given: Any) -> Arrays:
    return {"u": 0.0 * points["x"]}


def _from_waves(
    points: Arrays, time: Any, sides: Sides, *, nu: Any, a1: Any = 1.0, a2: Any = 0.5,
    a3: Any = 0.25, p1: Any = 0.0, p2: Any = 0.0, p3: Any = 0.0,
) -> Arrays:  # fmt: skip
    """From three waves, by Cole and Hopf; numpy."""
    [side] = sides.values()
    columns = _rows(points["x"], time, nu=nu, a1=a1, a2=a2, a3=a3, p1=p1, p2=p2, p3=p3)
    x, t, shape, nu = (columns.pop(name) for name in ("x", "time", "shape", "nu"))
    return _viscous(three(side, **columns), x, t, shape, nu)


def _waves_start(
    points: Arrays, time: Any, sides: Sides, *, a1: Any = 1.0, a2: Any = 0.5, a3: Any = 0.25,
    p1: Any = 0.0, p2: Any = 0.0, p3: Any = 0.0, nu: Any = 0.0,
) -> Arrays:  # fmt: skip
    [side] = sides.values()
    return {"u": three(side, a1, a2, a3, p1, p2, p3)(points["x"])}


def _carried_sine(
    points: Arrays, time: Any, sides: Sides, *, amplitude: Any = 1.0, mode: Any = 1
) -> Arrays:
    """From −A sin k(x − middle) up to the shock, by Newton's method on characteristics; numpy."""
    columns = _rows(points["x"], time, amplitude=amplitude, mode=mode)
    ends = _sine_breaks(sides, amplitude=amplitude, mode=mode)
    start = _sine(sides, columns.pop("amplitude"), columns.pop("mode"))
    return _inviscid(start, **columns, ends=ends)


def _carried_waves(
    points: Arrays, time: Any, sides: Sides, *, a1: Any = 1.0, a2: Any = 0.5, a3: Any = 0.25,
    p1: Any = 0.0, p2: Any = 0.0, p3: Any = 0.0,
) -> Arrays:  # fmt: skip
    """From three waves up to the shock, likewise."""
    [side] = sides.values()
    columns = _rows(points["x"], time, a1=a1, a2=a2, a3=a3, p1=p1, p2=p2, p3=p3)
    x, t, shape = (columns.pop(name) for name in ("x", "time", "shape"))
    ends = _waves_break(sides, a1=a1, a2=a2, a3=a3, p1=p1, p2=p2, p3=p3)
    return _inviscid(three(side, **columns), x, t, shape, ends)


def _sine_breaks(sides: Sides, *, amplitude: Any = 1.0, mode: Any = 1) -> Any:
    """1/(A k)."""
    _, steepest, _ = _sine(sides, amplitude, mode).bounds()
    return 1.0 / steepest


def _waves_break(
    sides: Sides, *, a1: Any = 1.0, a2: Any = 0.5, a3: Any = 0.25, p1: Any = 0.0, p2: Any = 0.0,
    p3: Any = 0.0,
) -> Any:  # fmt: skip
    import numpy as np

    [side] = sides.values()
    given = (np.asarray(number, np.float64)[..., None] for number in (a1, a2, a3, p1, p2, p3))
    slope = three(side, *given).slope(np.linspace(*side, 4097))
    return -1.0 / np.minimum(slope.min(axis=-1), -1e-300)


def _rows(x: Any, time: Any, **numbers: Any) -> dict[str, Any]:
    """Positions (n), and a column (n, 1) of what belongs to each, with the shape of all of them."""
    import numpy as np

    arrays = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in (x, time, *numbers.values())))
    shape = arrays[0].shape
    first, *others = (array.ravel() for array in arrays)
    columns = zip(("time", *numbers), (other[:, None] for other in others), strict=True)
    return {"x": first, "shape": shape, **dict(columns)}


def _viscous(start: Sines, x: Any, time: Any, shape: tuple[int, ...], nu: Any) -> Arrays:
    return {"u": burgers.from_sines(start, x, time, nu).reshape(shape)}


def _inviscid(start: Sines, x: Any, time: Any, shape: tuple[int, ...], ends: Any) -> Arrays:
    import numpy as np

    if (time.reshape(shape) >= ends).any():
        raise InputError(
            f"inviscid-burgers: a solution at t={time.max():g}, and its first shock is at "
            f"t={np.min(ends):g}; expected times before, or viscosity ('burgers')"
        )
    fastest, _, _ = start.bounds()
    found = burgers_inviscid.smooth(x[:, None], time, start, start.slope, fastest)
    return {"u": found.reshape(shape)}


def _soliton(
    points: Arrays, time: Any, sides: Sides, *, speed: Any = 4.0, start: Any = 0.0
) -> Arrays:
    """(c/2) sech²(√c/2 (x − ct − x₀)), periodic: good for √c L > 15."""
    [(low, high)] = sides.values()
    away = points["x"] - speed * time - start
    away = away - (high - low) * namespace(away).round(away / (high - low))
    return {"u": korteweg_de_vries.solitary(away, speed)}


def _advected(u_t: Any, u_x: Any, laplacian: Any, speed_x: Any, kappa: Any) -> Any:
    """∂u/∂t + v ∂u/∂x − κ ∇²u, zero for a solution; arguments broadcast."""
    return advection_diffusion.residual(u_t, speed_x * u_x, laplacian, kappa)


def _waves(u_tt: Any, laplacian: Any, speed: Any) -> Any:
    """∂²u/∂t² − c² ∇²u, zero for a solution; arguments broadcast."""
    return wave.residual(u_tt, speed * speed * laplacian)


def _advected_wave(
    points: Arrays, time: Any, sides: Sides, *, speed_x: Any, kappa: Any, mode: Any = 1,
    amplitude: Any = 1.0, phase: Any = 0.0, mean: Any = 0.0,
) -> Arrays:  # fmt: skip
    """m + A exp(−κk²t) sin(k (x − low − vt) + φ) with k = 2π mode/L."""
    [(low, high)] = sides.values()
    k = 2.0 * pi * mode / (high - low)
    decay = -kappa * k * k * time
    amplitude = amplitude * namespace(decay).exp(decay)
    given = {"mode": mode, "amplitude": amplitude, "phase": phase, "mean": mean}
    return convection.wave(points, time, sides, speed_x=speed_x, **given)


def _advected_pulse(
    points: Arrays, time: Any, sides: Sides, *, speed_x: Any, kappa: Any, at: Any = 0.5,
    width: Any = 0.1, amplitude: Any = 1.0, mean: Any = 0.0,
) -> Arrays:  # fmt: skip
    """m + A σ/s exp(−(x − x₀ − vt)²/2s²), s² = σ² + 2κt < L²/4, periodic; at and width are parts of
    the side."""
    [(low, high)] = sides.values()
    length = high - low
    center = low + at * length + speed_x * time
    spread = advection_diffusion.gaussian(
        (points["x"],), time, (center,), width * length, kappa, (length,)
    )
    return {"u": mean + amplitude * spread}


def _diffusivity(kappa: Any) -> Any:
    return kappa


def _viscosity(nu: Any) -> Any:
    return nu


#: Of advection-diffusion along a line, which goes by two names.
_ADVECTED = {
    "residual": _advected,
    "solutions": {
        "wave": Solution(_advected_wave, periodic=True),
        "pulse": Solution(_advected_pulse, periodic=True),
    },
    "speed": convection.speed,
    "diffusion": _diffusivity,
}

EQUATIONS: dict[str, Equation] = {
    one.name: one
    for one in (
        Equation("advection-diffusion", ("u",), **_ADVECTED),
        Equation("convection-diffusion", ("u",), **_ADVECTED),
        Equation(
            "convection",
            ("u",),
            convection.residual,
            {
                "wave": Solution(convection.wave, periodic=True),
                "waves": Solution(convection.waves, periodic=True),
                "pulse": Solution(convection.pulse, periodic=True),
            },
            convection.speed,
        ),
        Equation(
            "convection-reaction",
            ("u",),
            convection.reacting_residual,
            {
                "wave": Solution(convection.reacting_wave, periodic=True),
                "pulse": Solution(convection.reacting_pulse, periodic=True),
            },
            convection.speed,
            reaction=convection.reaction,
        ),
        Equation(
            "solid-body-rotation",
            ("u",),
            convection.turning_residual,
            {
                "cone": Solution(convection.turned_cone),
                "pulse": Solution(convection.turned_pulse),
            },
            convection.turning,
        ),
        Equation("allen-cahn", ("u",), allen_cahn.residual),
        Equation(
            "burgers",
            ("u",),
            burgers.residual,
            {
                "sine": Solution(_from_sine, _sine_start, _still, periodic=True),
                "waves": Solution(_from_waves, _waves_start, periodic=True),
            },
            burgers.speed,
            _viscosity,
        ),
        Equation(
            "inviscid-burgers",
            ("u",),
            burgers_inviscid.residual,
            {
                "sine": Solution(_carried_sine, _sine_start, _still, True, _sine_breaks),
                "waves": Solution(_carried_waves, _waves_start, None, True, _waves_break),
            },
            burgers_inviscid.speed,
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
