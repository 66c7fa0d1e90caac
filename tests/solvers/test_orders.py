"""Every program converges at the order that it states, in space and in time: the tables."""

import numpy as np
import pytest
from mesh_refinements import REFINEMENTS as ON_MESHES
from ordinary_refinements import REFINEMENTS as ORDINARY
from programs import load, run_program
from refinements import REFINEMENTS as STENCILS
from spectral_refinements import REFINEMENTS as SPECTRAL

from sciml.share import find

REFINEMENTS = (*STENCILS, *SPECTRAL, *ON_MESHES, *ORDINARY)


def norm(fields):
    return np.sqrt(sum(np.mean(values**2) for values in fields.values()))


@pytest.mark.parametrize("case", REFINEMENTS, ids=lambda case: case.name)
def test_order(case):
    ends = []
    for flags in case.runs:
        states, times, program = run_program(case.program, case.replaced, **case.flags, **flags)
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
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    stated = program.order_space if case.scheme is None else program.order_time[case.scheme]
    seen = f"stated {stated}, errors {errors}, rates {rates}"
    if stated == "spectral":
        # Faster than any power that a stencil has, down to the error of the time steps.
        assert rates[0] > 6.0 and (rates[-1] > rates[0] or errors[-1] < 1e-8), seen
        return
    assert stated - case.below < rates[-1] < stated + case.above, seen


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in find("solvers/heat.py").parent.glob("*.py"))
)
def test_every_order_that_a_program_states_is_measured(name):
    program = load(name)
    measured = {case.scheme for case in REFINEMENTS if case.program == name}
    # A program of ordinary equations states no order in space.
    in_space = set() if program.order_space is None else {None}
    assert {*in_space, *program.order_time} <= measured
    schemes = next((o.choices for o in program.options if o.name == "scheme"), None)
    assert schemes is None or set(schemes) == set(program.order_time)
