"""Every program converges at the order that it states, in space and in time.

A line of the table refines one of the two and compares with an exact solution at the end, or with a
finer run of the same program. A new program adds its lines.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from sciml.equations import advection_diffusion, burgers_inviscid
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
    assert stated - case.tolerance < rates[-1] < stated + above, seen


def test_every_scheme_of_every_program_is_measured(program_class):
    measured = {(case.program, case.scheme) for case in ORDERS.values()}
    for name in {case.program for case in ORDERS.values()}:
        wanted = {None, *program_class(name).order_time}
        assert wanted <= {scheme for program, scheme in measured if program == name}
