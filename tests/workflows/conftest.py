import importlib.util
import sys
from pathlib import Path

import pytest
from forked_trainers import forked_trainers

WORKFLOWS = Path(__file__).parents[2] / "workflows"


@pytest.fixture(autouse=True)
def _forked_trainers():
    with forked_trainers():
        yield


@pytest.fixture
def workflow(monkeypatch):
    """The module ``run.py`` of a study, by the name of its folder."""

    def load(name):
        path = WORKFLOWS / name / "run.py"
        spec = importlib.util.spec_from_file_location(f"workflow_{name}", path)
        module = importlib.util.module_from_spec(spec)
        # Dataclasses look their module up by its name.
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return load
