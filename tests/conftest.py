"""Programs marched on one rank without MPI."""

import pytest
from programs import run_program


@pytest.fixture(scope="session")
def simulated():
    """``simulated("heat", shape=…, steps=…)``: see :func:`run_program`."""
    return run_program
