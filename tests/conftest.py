"""Programs marched on one rank without MPI; how examples are drawn."""

import gc
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from forked_trainers import end_forker
from hypothesis import HealthCheck, settings
from programs import run_program
from small_study import called, small_study

pytest_plugins = ["budget"]

# Each process that a test starts imports the package: it is compiled once, whatever is set outside.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# No property depends on how fast the machine is, and the same examples come each time: those of
# pytest --hypothesis-profile=search are new ones.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("search"), derandomize=True)
settings.load_profile("same")


def pytest_collection_finish():
    """What is there by now stays, and is not looked through for garbage: of a file that is run by itself
    that took an eighth of the time; of all of them together nothing that could be measured."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


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
    end_forker()


@pytest.fixture(scope="session", autouse=True)
def _asked_once():
    """What a program of ours says of itself it says once a session: a process takes half a second."""
    from sciml.share import find
    from sciml.solver import program_description

    ours, said = find("solvers/heat.py").parent, {}

    def run(words, **given):
        path = Path(words[-2])
        if path.parent != ours:
            return subprocess.run(words, **given)
        if path not in said:
            said[path] = subprocess.run(words, **given)
        return said[path]

    with pytest.MonkeyPatch.context() as patch:
        stand_in = SimpleNamespace(run=run, TimeoutExpired=subprocess.TimeoutExpired)
        patch.setattr(program_description, "subprocess", stand_in)
        yield


@pytest.fixture(autouse=True)
def _one_thread_and_same_draws():
    """Sizes are too small for more threads; draws do not depend on the tests before."""
    np.random.seed(0)
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
        # torch.manual_seed notes the stack three times, for devices that are used later: a millisecond.
        torch.default_generator.manual_seed(0)


@pytest.fixture
def write_study(tmp_path):
    """``write_study(**changes)``: the file of a small study."""

    def write(**changes):
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(small_study(**changes)))
        return path

    return write


@pytest.fixture
def command():
    """``command("run", …)``: the command line, in this process."""
    return called
