"""Programs marched on one rank without MPI."""

import pytest
from programs import load, run_program


@pytest.fixture(scope="session")
def simulated():
    """``simulated("heat", shape=…, steps=…)``: see :func:`run_program`."""
    return run_program


@pytest.fixture(scope="session")
def program_class():
    """``program_class("heat")``: the class of a program."""
    return load


@pytest.fixture(scope="session")
def heat_program():
    return load("heat")


@pytest.fixture(scope="session")
def march():
    """``march(shape=…, steps=…)``: temperatures after each step of heat, times, the program."""

    def run(**options):
        states, times, program = run_program("heat", **options)
        return [state["u"] for state in states], times, program

    return run
