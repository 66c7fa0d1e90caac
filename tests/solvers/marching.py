"""Marches a program of the share on one rank, without MPI."""

import importlib.util
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from sciml.share import find
from sciml.solver import Program
from sciml.solver.flags import parse

ALONE = SimpleNamespace(rank=0, size=1)


def program(name):
    """The class in solvers/<name>.py."""
    spec = importlib.util.spec_from_file_location(f"solver_{name}", find(f"solvers/{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Program) and value.__module__ == spec.name
    )
    return found


@dataclass
class March:
    """States by field, ``(time, …)``, their times, and the program after the last step."""

    fields: dict[str, np.ndarray]
    times: np.ndarray
    program: Program

    def x(self, axis=0):
        return self.program.domain().coordinates(axis)


def started(name, **options):
    """The program at its initial state."""
    words = []
    for key, value in options.items():
        words += [f"--{key}", *map(str, value if isinstance(value, tuple) else (value,))]
    cls = program(name)
    run = cls(parse(cls, words))
    run.start(ALONE)
    return run


def march(name, *, every=None, **options):
    """Run ``steps`` steps; keeps each ``every``-th state, by default the first and the last."""
    run = started(name, **options)
    given = run.given
    every = every or max(given.steps, 1)
    states, times, time = [copies(run)], [0.0], 0.0
    for n in range(given.steps):
        time = run.step(n)
        if (n + 1) % every == 0:
            states.append(copies(run))
            times.append(time)
    fields = {key: np.stack([state[key] for state in states]) for key in states[0]}
    return March(fields, np.array(times), run)


def copies(run):
    return {name: np.array(values) for name, values in run.state().items()}


def rates(errors):
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
