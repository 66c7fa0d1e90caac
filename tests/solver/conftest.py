"""The heat program as a class, and a way to march it on one rank without MPI."""

import importlib.util
from types import SimpleNamespace

import pytest

from sciml.share import find
from sciml.solver.flags import parse


@pytest.fixture(scope="session")
def heat_program():
    spec = importlib.util.spec_from_file_location("heat_program", find("solvers/heat.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Heat


@pytest.fixture(scope="session")
def march(heat_program):
    """``march(shape=…, steps=…)``: the states after each step, from the first; and the times."""

    def run(**options):
        words = []
        for name, value in options.items():
            values = value if isinstance(value, tuple) else (value,)
            words += [f"--{name}", *(str(v) for v in values)]
        given = parse(heat_program, words)
        program = heat_program(given)
        program.start(SimpleNamespace(rank=0, size=1))
        states, times = [program.state()["u"].copy()], [0.0]
        for n in range(given.steps):
            times.append(program.step(n))
            states.append(program.state()["u"].copy())
        return states, times, program

    return run
