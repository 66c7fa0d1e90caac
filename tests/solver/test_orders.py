"""Every program converges at the order that it states, in space and in time.

A line of the table refines one of the two and compares with an exact solution at the end, or with a
finer run of the same program. A new program adds its lines.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from conftest import load, run_program

from sciml.equations import (
    advection_diffusion,
    burgers,
    burgers_inviscid,
    korteweg_de_vries,
)
from sciml.equations.cells import cell_means


@dataclass(frozen=True)
class Refinement:
    """How one order of one program is measured.

    Args:
        program: file in ``solvers/``.
        flags: of all runs.
        runs: flags that change, from coarse to fine, by a factor of ``ratio`` each.
        exact: fields by name at the end of a run, from the program; ``None`` if the last of ``runs``
            is the reference: it must be much finer than the others, on the same grid.
        scheme: whose order in time is measured; ``None`` for the order in space.
        tolerance: by how much the rate of the last two may be off.
        above: by how much it may exceed the stated order; the tolerance, if ``None``.
    """

    program: str
    flags: Mapping[str, Any]
    runs: tuple[Mapping[str, Any], ...]
    exact: Callable[[Any, float], Mapping[str, np.ndarray]] | None = None
    scheme: str | None = None
    ratio: float = 2.0
    tolerance: float = 0.15
    above: float | None = field(default=None)


def steps_of(end: float, *counts: int) -> tuple[dict[str, Any], ...]:
    return tuple({"steps": n, "dt": end / n} for n in counts)


def carried(program, t):
    """The Gaussian, or the wave, of advection_diffusion."""
    given = program.given
    points = np.ix_(*(program.grid.coordinates(a) for a in range(program.axes)))
    if given.initial == "wave":
        mode, velocity = given.mode[-program.axes :], program.velocity
        return {
            "u": advection_diffusion.wave(points, t, mode, program.length, velocity, given.kappa)
        }
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
    [x], [h] = (program.grid.coordinates(0),), program.grid.spacing

    def slope(x):
        return (program.initial(x + 1e-6) - program.initial(x - 1e-6)) / 2e-6

    def exact(x):
        return burgers_inviscid.smooth(x, t, program.initial, slope)

    return {"u": cell_means(exact, x, h)}


def cole_hopf(program, t):
    """Of u₀ = sin 2πx."""
    x, tau = program.grid.coordinates(0), 2.0 * np.pi
    return {
        "u": burgers.cole_hopf(
            x, t, lambda y: np.sin(tau * y), lambda y: -np.cos(tau * y) / tau, program.given.nu
        )
    }


def soliton(program, t):
    x = program.grid.coordinates(0) - 0.5 * program.given.length
    return {"u": korteweg_de_vries.soliton(x, t, program.given.speed)}


def finer(name, points, **flags):
    """The fields of a run on a finer grid, at the points of the coarser one that are among its."""
    found = []

    def reference(program, t):
        if not found:
            found.append(run_program(name, shape=points, **flags)[0][-1])
        ends = [boundary != "periodic" for boundary in program.grid.boundary]
        every = tuple(
            slice(None, None, (fine - end) // (n - end))
            for fine, n, end in zip(points, program.given.shape, ends, strict=True)
        )
        return {key: values[every] for key, values in found[0].items()}

    return reference


def spectral_points(name, sizes, finest, **flags):
    """Convergence of a spectral program in the number of points along each axis."""
    ndim = len(load(name).options[0].default)
    return {
        f"{name}/points": Refinement(
            name,
            flags,
            tuple({"shape": (n,) * ndim} for n in sizes),
            finer(name, (finest,) * ndim, **flags),
        )
    }


def spectral_schemes(program, end, counts, **flags):
    """The order in time of each scheme of a spectral program, against many more steps of it."""
    first, schemes = counts[0], load(program).order_time
    return {
        f"{program}/{scheme}": Refinement(
            program,
            {"scheme": scheme, **flags},
            (*steps_of(end, *counts), *steps_of(end, 32 * first)),
            scheme=scheme,
            tolerance=0.25,
        )
        for scheme in schemes
    }


SPECTRAL = {
    "burgers/points": Refinement(
        "burgers",
        {"initial": "sine", "nu": 0.02, "dt": 5e-4, "steps": 200},
        tuple({"shape": (n,)} for n in (32, 64, 128)),
        cole_hopf,
    ),
    "korteweg_de_vries/points": Refinement(
        "korteweg_de_vries",
        {"dt": 5e-4, "steps": 200},
        tuple({"shape": (n,)} for n in (64, 128, 256)),
        soliton,
    ),
    **spectral_points("kuramoto_sivashinsky", (36, 72, 144), 288, length=32.0, steps=100, modes=3),
    **spectral_points(
        "navier_stokes", (16, 32, 64), 128, steps=60, dt=1e-2, modes=3, nu=2e-3, drift=0.5
    ),
    **spectral_points(
        "gray_scott", (16, 32, 64), 128, steps=20, spots=2, width=0.15, delta_u=1e-3, delta_v=5e-4
    ),
    **spectral_schemes("burgers", 0.1, (10, 20, 40), shape=(64,), initial="sine", nu=0.05),
    **spectral_schemes("kuramoto_sivashinsky", 1.0, (80, 160, 320), shape=(48,), length=32.0),
    **spectral_schemes("korteweg_de_vries", 0.1, (50, 100, 200), shape=(96,)),
    **spectral_schemes("navier_stokes", 0.5, (20, 40, 80), shape=(24, 24), modes=5, drift=0.5),
    **spectral_schemes("gray_scott", 8.0, (8, 16, 32), shape=(24, 24), spots=2, width=0.2),
}


def substeps(program, counts, **flags):
    """The order in time of each scheme of a program whose frames are solutions over time."""
    return {
        f"{program}/{scheme}": Refinement(
            program,
            {"scheme": scheme, "steps": 1, **flags},
            tuple({"substeps": n} for n in (*counts, 32 * counts[0])),
            scheme=scheme,
            tolerance=0.2,
        )
        for scheme in load(program).order_time
    }


ORDINARY = {
    **substeps("antiderivative", (2, 4, 8), shape=(21,)),
    **substeps("nonlinear_ode", (2, 4, 8), shape=(21,)),
    **substeps("pendulum", (2, 4, 8), shape=(21,), k=4.0),
    **substeps("diffusion_reaction", (8, 16, 32), shape=(11, 31), k=0.5),
    "diffusion_reaction/points": Refinement(
        "diffusion_reaction",
        {"steps": 1, "substeps": 40},
        tuple({"shape": (11, n)} for n in (26, 51, 101)),
        finer("diffusion_reaction", (11, 401), steps=1, substeps=240),
        tolerance=0.2,
    ),
    **{
        f"lorenz/{scheme}": Refinement(
            "lorenz",
            {"scheme": scheme, "shape": (7,)},
            (*steps_of(1.0, 200, 400, 800), *steps_of(1.0, 6400)),
            scheme=scheme,
        )
        for scheme in load("lorenz").order_time
    },
}


def wave_steps(end, *counts):
    return (*steps_of(end, *counts), *steps_of(end, 40 * counts[0]))


ORDERS = (
    {
        "advection-diffusion/constant": Refinement(
            "advection_diffusion",
            {"steps": 200, "dt": 5e-4, "kappa": 0.01},
            tuple({"shape": (n, n)} for n in (48, 96, 192)),
            carried,
        ),
        "advection-diffusion/rotation": Refinement(
            "advection_diffusion",
            {"flow": "rotation", "steps": 200, "dt": 1e-3, "kappa": 0.002, "width": 0.06},
            tuple({"shape": (n, n)} for n in (48, 96, 192)),
            carried,
        ),
        "advection-diffusion/line": Refinement(
            "advection_diffusion",
            {"dimensions": 1, "steps": 400, "dt": 5e-4, "kappa": 0.01},
            tuple({"shape": (3, n)} for n in (40, 80, 160)),
            carried,
        ),
    }
    | {
        f"advection-diffusion/{scheme}": Refinement(
            "advection_diffusion",
            {"shape": (16, 16), "scheme": scheme, "initial": "wave", "kappa": 0.02, "mode": (1, 2)},
            wave_steps(1.0, 40, 80, 160),
            scheme=scheme,
        )
        for scheme in ("rk4", "ssp-rk3")
    }
    | {
        # Shocks form at 1 / 2π; Jiang and Shu's weights are at full order from about 80 cells on.
        "burgers-inviscid/cells": Refinement(
            "burgers_inviscid",
            {"initial": "wave", "mean": 0.5, "steps": 400, "dt": 1.5e-4},
            tuple({"points": n} for n in (80, 160, 320)),
            along_characteristics,
            tolerance=0.3,
        ),
        "burgers-inviscid/ssp-rk3": Refinement(
            "burgers_inviscid",
            {"initial": "wave", "mean": 0.5, "points": 20},
            (*steps_of(0.09, 8, 16, 32), *steps_of(0.09, 512)),
            scheme="ssp-rk3",
        ),
    }
    | SPECTRAL
    | ORDINARY
)


def norm(fields):
    return np.sqrt(sum(np.mean(values**2) for values in fields.values()))


@pytest.mark.parametrize("name", ORDERS)
def test_order(simulated, name):
    case = ORDERS[name]
    ends = []
    for flags in case.runs:
        states, times, program = simulated(case.program, **case.flags, **flags)
        ends.append((states[-1], times[-1], program))
    if case.exact is None:
        *ends, (reference, _, _) = ends
        wanted = [reference] * len(ends)
    else:
        wanted = [case.exact(program, t) for _, t, program in ends]
    errors = [
        norm({key: end[key] - value for key, value in exact.items()})
        for (end, _, _), exact in zip(ends, wanted, strict=True)
    ]
    rates = np.log(np.array(errors[:-1]) / errors[1:]) / np.log(case.ratio)
    stated = program.order_space if case.scheme is None else program.order_time[case.scheme]
    above = case.tolerance if case.above is None else case.above
    seen = f"{name}: stated {stated}, errors {errors}, rates {rates}"
    if stated == "spectral":
        # Faster than any power that a stencil has, down to the error of the time steps.
        assert rates[0] > 6.0 and (rates[-1] > rates[0] or errors[-1] < 1e-8), seen
        return
    assert stated - case.tolerance < rates[-1] < stated + above, seen


def test_every_scheme_of_every_program_is_measured(program_class):
    measured = {(case.program, case.scheme) for case in ORDERS.values()}
    for name in {case.program for case in ORDERS.values()}:
        wanted = set(program_class(name).order_time)
        if program_class(name).order_space is not None:
            wanted.add(None)
        assert wanted <= {scheme for program, scheme in measured if program == name}
