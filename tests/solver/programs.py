"""Programs as classes, and a way to march them on one rank without MPI."""

import importlib.util
from functools import cache
from types import SimpleNamespace

from sciml.share import find
from sciml.solver import Program
from sciml.solver.flags import parse


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


def run_program(name, **options):
    """States (dictionaries of fields) after each step, from the first; their times; the program."""
    words = []
    for flag, value in options.items():
        values = value if isinstance(value, tuple) else (value,)
        words += [f"--{flag}", *(str(v) for v in values)]
    given = parse(load(name), words)
    program = load(name)(given)
    program.start(SimpleNamespace(rank=0, size=1))

    def copied():
        return {field: values.copy() for field, values in program.state().items()}

    states, times = [copied()], [0.0]
    for n in range(given.steps):
        times.append(program.step(n))
        states.append(copied())
    return states, times, program
