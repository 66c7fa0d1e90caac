"""Programs marched on one rank without MPI; how examples are drawn."""

import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from programs import run_program

pytest_plugins = ["budget"]

# No property depends on how fast the machine is, and the same examples come each time: those of
# pytest --hypothesis-profile=search are new ones.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("search"), derandomize=True)
settings.load_profile("same")


@pytest.fixture(scope="session")
def simulated():
    """``simulated("heat", shape=…, steps=…)``: see :func:`run_program`."""
    return run_program


@pytest.fixture(scope="session", autouse=True)
def _state(tmp_path_factory):
    """Runs are marked with a key of the tests, and not of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.setenv("SCIML_FIGURES", "0")  # two seconds a run; tests/report draws them
        yield


@pytest.fixture(autouse=True)
def _same_draws():
    """What a test draws from the generators of the process does not depend on the tests before it."""
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
