"""Fields of programs are what they say under reflections: a start turned gives a trajectory turned.

For every element g of the symmetries of a box: the program started from g u(0) gives g u(t), to
rounding, with the laws that its fields declare, and gives something else with those of scalars.
"""

import numpy as np
import pytest
import torch
from programs import load, started

from sciml.share import share_root
from sciml.surrogates.symmetry.element import Element
from sciml.surrogates.symmetry.symmetries import Symmetries

STEPS = 12
TURNS = [Element((0, 1), (1, -1), (0, 0)), Element((1, 0), (1, 1), (0, 0))]
TURNS += [Element((1, 0), (-1, 1), (0, 0))]
MIRROR = [Element((0,), (-1,), (0,))]

NAVIER_STOKES = {"shape": (24, 24), "forcing": "none", "modes": 5, "dt": 1e-2, "seed": 3}
SHALLOW = {"shape": (16, 16), "dt": 5e-3, "seed": 2}
BURGERS = {"shape": (64,), "dt": 1e-3, "seed": 1}
KURAMOTO = {"shape": (64,), "length": 22.0, "dt": 0.05, "seed": 1}
GRAY = {"shape": (24, 24), "dt": 1.0, "seed": 1}


def marched(run):
    for n in range(STEPS):
        run.step(n)
    return values(run)


def values(run):
    return {n: np.array(v) for n, v in run.state().items()}


def turned(group, element, fields, periodic):
    tensors = {n: torch.from_numpy(v)[None] for n, v in fields.items()}
    moved = group.fields(element, tensors, periodic, 1)
    return {n: v[0].numpy() for n, v in moved.items()}


@pytest.mark.parametrize(
    ("name", "options", "conserved"),
    [
        ("navier_stokes", NAVIER_STOKES, None),
        ("shallow_water", {**SHALLOW, "boundary": "periodic"}, "momenta"),
        ("shallow_water", {**SHALLOW, "boundary": "wall"}, "momenta"),
        ("burgers", BURGERS, None),
        ("kuramoto_sivashinsky", KURAMOTO, None),
        ("gray_scott", GRAY, None),
    ],
)
def test_a_start_that_is_turned_gives_a_trajectory_that_is_turned(name, options, conserved):
    options = {**options, "steps": STEPS}
    first = started(name, **options)
    grid, fields = first.domain(), load(name).fields
    periodic = [kind == "periodic" for kind in grid.boundary]
    group = Symmetries("square" if grid.ndim == 2 else "flips").told(fields, grid.ndim)
    scalars = Symmetries(group.symmetries, scalars=[f.name for f in fields])
    start = values(first)
    if conserved:  # the program starts at rest: give it a flow
        rng = np.random.default_rng(0)
        for component in ("u", "v"):
            k = rng.normal(size=(2, 2))
            y, x = np.meshgrid(*(2 * np.pi * np.arange(n) / n for n in grid.shape), indexing="ij")
            start[component] = 0.2 * np.sin(k[0, 0] + x + y) + 0.1 * np.cos(k[1, 1] + 2 * x - y)

    def end(state):
        """After all steps, from given fields."""
        given = np.stack([state[f.name] for f in fields])
        if conserved:
            given[1:] *= given[0]
        return marched(
            started(name, replaced={"initial": lambda run: lambda block: given}, **options)
        )

    plain = end(start)
    wrong = 0.0
    for element in TURNS if grid.ndim == 2 else MIRROR:
        found = end(turned(group, element, start, periodic))
        wanted = turned(group, element, plain, periodic)
        otherwise = end(turned(scalars, element, start, periodic))
        unwanted = turned(scalars, element, plain, periodic)
        for field in wanted:
            size = np.abs(wanted[field]).max()
            np.testing.assert_allclose(found[field], wanted[field], rtol=0, atol=1e-10 * size)
            wrong = max(wrong, np.abs(otherwise[field] - unwanted[field]).max() / size)
    assert np.abs(plain[fields[0].name] - start[fields[0].name]).max() > 1e-4
    if group.vectors or group.pseudoscalars:
        assert wrong > 1e-3, wrong  # scalars they are not
    else:
        assert wrong < 1e-10, wrong


#: On an axis that is time, or the members of an ensemble, reflections mean nothing.
WITHOUT_SPACE = {"antiderivative", "nonlinear_ode", "pendulum", "lorenz"}
PROGRAMS = {path.stem for path in (share_root() / "solvers").glob("*.py")} - WITHOUT_SPACE


@pytest.mark.parametrize("name", [name for name in sorted(PROGRAMS) if load(name).kind == "grid"])
def test_programs_say_what_their_fields_are(name):
    program = load(name)
    assert all(field.parity for field in (*program.fields, *program.static))
