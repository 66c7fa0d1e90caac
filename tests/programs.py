"""Programs as classes, and ways to march them on one rank without MPI."""

import importlib.util
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace

import numpy as np

from sciml.domain.dataset import to_dataset
from sciml.share import find
from sciml.solver import Program
from sciml.solver.flags import parse
from sciml.solver.program_description import describe

ALONE = SimpleNamespace(rank=0, size=1)


@cache
def load(name):
    """The program in ``solvers/<name>.py``."""
    spec = importlib.util.spec_from_file_location(f"{name}_program", find(f"solvers/{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    [found] = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Program)
        and value.__module__ == module.__name__
    ]
    return found


def made(name, words="", **options):
    """The program for flags as on the command line, or as keywords; not started yet."""
    words = words.split()
    for flag, value in options.items():
        words += [f"--{flag}", *map(str, value if isinstance(value, tuple) else (value,))]
    program = load(name)
    return program(parse(program, words))


def started(name, words="", replaced=None, **options):
    """The program at its initial state.

    ``replaced``: functions of the program that give other methods, such as a manufactured source.
    """
    run = made(name, words, **options)
    for method, build in (replaced or {}).items():
        setattr(run, method, build(run))
    run.start(ALONE)
    return run


def started_here(path, **given):
    """The first state of a program of ours, in this process: one of its own takes half a second."""
    program = load(path.stem)
    run = program(parse(program, describe(path).arguments(given)))
    run.start(ALONE)
    state = copies(run)
    fields, static = ({f.name: state[f.name] for f in some} for some in (run.fields, run.static))
    return to_dataset(
        run.domain(), run.fields, fields, None, static=static, static_fields=run.static
    )


def run_program(name, replaced=None, **options):
    """States (dictionaries of fields) after each step, from the first; their times; the program."""
    run = started(name, replaced=replaced, **options)
    states, times = [copies(run)], [0.0]
    for n in range(run.given.steps):
        times.append(run.step(n))
        states.append(copies(run))
    return states, times, run


@dataclass
class March:
    """States by field, ``(time, …)``, their times, and the program after the last step."""

    fields: dict[str, np.ndarray]
    times: np.ndarray
    program: Program

    def x(self, axis=0):
        return self.program.domain().coordinates(axis)


def march(name, *, every=None, **options):
    """Run ``steps`` steps; keeps each ``every``-th state, by default the first and the last."""
    run = started(name, **options)
    every = every or max(run.given.steps, 1)
    states, times = [copies(run)], [0.0]
    for n in range(run.given.steps):
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
