"""How the orders of programs are measured: one line of the table for each order that one states."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import truths

from sciml.equations import (
    advection_diffusion,
    burgers_inviscid,
    forced_burgers,
    heat,
    shallow_water,
    wave,
)
from sciml.equations.cells import box_means, cell_means


@dataclass(frozen=True)
class Refinement:
    """A program run finer and finer.

    Args:
        name: in the output of the test.
        program: file in ``solvers/``.
        flags: of all runs.
        runs: flags that change, from coarse to fine, by a factor of 2 each.
        exact: fields by name at the end of a run, from the program; ``None`` if the last of ``runs``
            is the reference: it must be much finer than the others, on the same grid.
        replaced: methods of the program given anew, as manufactured solutions need it; by name, a
            function of the program that gives the method.
        scheme: whose order in time is measured; ``None`` for the order in space.
        below, above: by how much the last rate may miss the stated order, and exceed it.
    """

    name: str
    program: str
    flags: Mapping[str, Any]
    runs: tuple[Mapping[str, Any], ...]
    exact: Callable[[Any, float], Mapping[str, np.ndarray]] | None = None
    scheme: str | None = None
    replaced: Mapping[str, Callable[[Any], Callable]] | None = None
    below: float = 0.15
    above: float = 0.15


def steps_of(end: float, *counts: int) -> tuple[dict[str, Any], ...]:
    """Runs to the time ``end`` in so many steps."""
    return tuple({"steps": n, "dt": end / n} for n in counts)


def in_time(
    name: str, program: str, schemes: tuple[str, ...], end: float, steps: int, **flags: Any
) -> list[Refinement]:
    """Orders in time by runs with 1, 2, 4 times as many steps, and one with 64 as reference."""
    counts = [steps * refine for refine in (1, 2, 4, 64)]
    return [
        Refinement(
            f"{name}/{scheme}", program, {"scheme": scheme, **flags}, steps_of(end, *counts),
            scheme=scheme, below=0.2, above=0.4,
        )
        for scheme in schemes
    ]  # fmt: skip


def carried(program, t):
    """The Gaussian of advection_diffusion."""
    given = program.given
    points = np.ix_(*(program.grid.coordinates(a) for a in range(program.axes)))
    at = (given.y0, given.x0)[-program.axes :]
    if program.turning:
        at = advection_diffusion.rotated(at, given.rotation * t, program.middle)
    else:
        at = [a + v * t for a, v in zip(at, program.velocity, strict=True)]
    return {
        "u": advection_diffusion.gaussian(points, t, at, given.width, given.kappa, program.length)
    }


def along_characteristics(program, t):
    """The initial field of burgers_inviscid before its first shock, as means over cells."""

    def slope(x):
        return (program.initial(x + 1e-6) - program.initial(x - 1e-6)) / 2e-6

    def exact(x):
        return burgers_inviscid.smooth(x, t, program.initial, slope)

    return {"u": cell_means(exact, program.grid.coordinates(0), program.grid.spacing[0])}


def driven(program, t):
    """The linear solution of forced_burgers, as means over cells."""

    def exact(x):
        return forced_burgers.linear_solution(program.forcing, t, x, program.given.beta, 0.0)

    return {"u": cell_means(exact, program.grid.coordinates(0), program.h)}


def whirled(program, t):
    """The vortex of shallow_water, carried by the wind: h, and velocities from the momentum."""
    given, grid = program.given, program.grid

    def state(y, x):
        at = y - given.y0 - given.wind * t, x - given.x0 - given.wind * t
        h, u, v = shallow_water.vortex(
            *at, given.strength, given.radius, given.depth, given.gravity
        )
        return shallow_water.conserved(np.stack([h, u + given.wind, v + given.wind]))

    h, hu, hv = box_means(state, [grid.coordinates(axis) for axis in (0, 1)], grid.spacing)
    return {"h": h, "u": hu / h, "v": hv / h}


def standing(program, t):
    """The standing wave of wave.py, where c is constant."""
    given = program.given
    points = np.ix_(program.grid.coordinates(0), program.grid.coordinates(1))
    sides = (given.length,) * 2
    periodic = given.boundary == "periodic"
    u, v = wave.standing(points, t, given.mode, sides, given.speed, periodic=periodic)
    return {"u": u, "v": v, "c": given.speed}


def decayed(program, t):
    """The Fourier mode of heat.py."""
    given = program.given
    wave = heat.periodic_mode if program.periodic else heat.dirichlet_mode
    points = np.ix_(*(program.grid.coordinates(a) for a in (0, 1)))
    return {"u": given.mean + wave(points, t, given.mode, (given.length,) * 2, given.kappa)}


def unit_square(n):
    return np.ix_(*[np.linspace(0.0, 1.0, n)] * 2)


def seeped(program, t):
    """The manufactured solution of darcy.py, whose coefficient and source are replaced."""
    return {"u": truths.darcy_manufactured_solution(unit_square(program.given.shape[0]))}


MANUFACTURED_DARCY = {
    "coefficient": lambda run: (
        lambda number: truths.darcy_manufactured_coefficient(unit_square(run.given.shape[0]))
    ),
    "source": lambda run: (
        lambda: truths.darcy_manufactured_source(unit_square(run.given.shape[0]))[1:-1, 1:-1]
    ),
}

# k around 9: eight eigenvalues lie below k².
MODE, WAVENUMBER, VARIATION = (3, 2), 9.0, 0.3


def medium(n):
    y, x = unit_square(n)
    return 1.0 + VARIATION * np.cos(np.pi * y) * np.cos(2.0 * np.pi * x)


def scattered(program, t):
    """The manufactured solution of helmholtz.py, whose medium and load are replaced."""
    return {"u": truths.helmholtz_manufactured_solution(unit_square(program.given.shape[0]), MODE)}


def _load(run):
    n = run.given.shape[0]
    source = truths.helmholtz_manufactured_source(unit_square(n), MODE, WAVENUMBER / medium(n))
    return lambda q: run.points.weighted(source)


MANUFACTURED_HELMHOLTZ = {
    "wave_speed": lambda run: lambda number: medium(run.given.shape[0]),
    "load": _load,
}


REFINEMENTS = (
    *(
        Refinement(
            f"heat/{boundary}",
            "heat",
            # Crank–Nicolson with steps short enough that only the error in space is seen.
            {"boundary": boundary, "initial": "mode", "mode": (2, 1), "kappa": 0.05,
             "scheme": "crank-nicolson", "steps": 40, "dt": 5e-3},
            tuple({"shape": (n + held, n + held)} for n in (8, 16, 32)),
            decayed,
        )
        for boundary, held in (("periodic", 0), ("dirichlet", 1))
    ),
    *(
        refinement
        for boundary, n in (("periodic", 12), ("dirichlet", 13))
        for scheme, steps in (("explicit", 20), ("crank-nicolson", 4))
        for refinement in in_time(
            f"heat-{boundary}", "heat", (scheme,), 0.2, steps,
            shape=(n, n), boundary=boundary, initial="mode", mode=(2, 1), kappa=0.05,
        )
    ),
    Refinement(
        "darcy/points",
        "darcy",
        {"steps": 0, "tolerance": 1e-12},
        tuple({"shape": (n, n)} for n in (17, 33, 65, 129)),
        seeped,
        replaced=MANUFACTURED_DARCY,
    ),
    Refinement(
        "helmholtz/points",
        "helmholtz",
        {"steps": 0, "omega": 9, "speed": 2, "variation": 0},
        tuple({"shape": (n, n)} for n in (33, 65, 129)),
        scattered,
        replaced=MANUFACTURED_HELMHOLTZ,
        below=0.25,
        above=0.25,
    ),
    Refinement(
        "advection-diffusion/constant",
        "advection_diffusion",
        {"steps": 200, "dt": 5e-4, "kappa": 0.01},
        tuple({"shape": (n, n)} for n in (48, 96, 192)),
        carried,
    ),
    Refinement(
        "advection-diffusion/rotation",
        "advection_diffusion",
        {"flow": "rotation", "steps": 200, "dt": 1e-3, "kappa": 0.002, "width": 0.06},
        tuple({"shape": (n, n)} for n in (48, 96, 192)),
        carried,
    ),
    Refinement(
        "advection-diffusion/line",
        "advection_diffusion",
        {"dimensions": 1, "steps": 400, "dt": 5e-4, "kappa": 0.01},
        tuple({"shape": (3, n)} for n in (40, 80, 160)),
        carried,
    ),
    *in_time(
        "advection-diffusion", "advection_diffusion", ("rk4", "ssp-rk3"), 1.0, 40,
        shape=(16, 16), initial="wave", kappa=0.02, mode=(1, 2),
    ),
    Refinement(
        # Shocks form at 1 / 2π; Jiang and Shu's weights are at full order from about 80 cells on.
        "burgers-inviscid/cells",
        "burgers_inviscid",
        {"initial": "wave", "mean": 0.5, "steps": 400, "dt": 1.5e-4},
        tuple({"points": n} for n in (80, 160, 320)),
        along_characteristics,
        below=0.3,
        above=0.3,
    ),
    *in_time(
        "burgers-inviscid", "burgers_inviscid", ("ssp-rk3",), 0.09, 8,
        initial="wave", mean=0.5, points=20,
    ),
    Refinement(
        "forced-burgers/cells",
        "forced_burgers",
        {"steps": 100, "dt": 0.004, "alpha": 0.0, "beta": 0.3, "seed": 3},
        tuple({"points": n} for n in (24, 48, 96)),
        driven,
        above=1.2,  # diffusion alone is of order 6
    ),
    *in_time("forced-burgers", "forced_burgers", ("ssp-rk3",), 2.0, 32, points=48, beta=0.2, seed=3),
    *in_time(
        "korteweg-de-vries-burgers", "korteweg_de_vries_burgers", ("etdrk4", "etdrk2"), 2.0, 64,
        shape=64, seed=3,
    ),
    *(
        Refinement(
            f"shallow-water/wind-{wind}",
            "shallow_water",
            {"initial": "vortex", "radius": 0.4, "wind": wind, "x0": -0.1, "boundary": "periodic",
             "steps": 60, "dt": 0.006},
            tuple({"shape": (n, n)} for n in (40, 80, 160)),
            whirled,
            above=0.6,  # the part of order 5 is still seen
        )
        for wind in (0.0, 0.7)
    ),
    *in_time(
        "shallow-water", "shallow_water", ("ssp-rk3",), 0.8, 8,
        initial="smooth", boundary="periodic", shape=(12, 12), length=5.0, amplitude=0.2, modes=2,
    ),
    *(
        Refinement(
            f"wave/{boundary}",
            "wave",
            {"initial": "mode", "mode": (1, 2), "boundary": boundary, "speed": 0.8, "steps": 400,
             "dt": 1e-3},
            tuple({"shape": (n + held, n + held)} for n in (16, 32, 64)),
            standing,
        )
        for boundary, held in (("periodic", 0), ("dirichlet", 1))
    ),
    *in_time(
        "wave", "wave", ("leapfrog", "rk4"), 0.5, 24,
        medium="smooth", initial="smooth", boundary="dirichlet", shape=(13, 13), modes=2,
    ),
)  # fmt: skip
