"""Fixtures of the cluster's tests."""

import os

import pytest
from standin import Standin

from sciml.ensemble.identity import identify
from sciml.run.directory import RunDirectory
from sciml.study.schema import Study


@pytest.fixture
def run(tmp_path):
    run = RunDirectory.create(tmp_path / "a run, 100%")
    identify(run)
    return run


@pytest.fixture
def standin(tmp_path, monkeypatch):
    """Slurm's commands of a stand-in come first on PATH."""
    standin = Standin(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{standin.bin}{os.pathsep}{os.environ['PATH']}")
    return standin


@pytest.fixture
def slurm_study():
    """``slurm_study(simulations_at_once=2, …)``: a study whose solvers are jobs of Slurm's."""

    def build(**cluster):
        return Study.model_validate(
            {
                "name": "waves",
                "solver": {"program": "solvers/heat.py", "ranks": 2},
                "parameters": {"simulations": 4},
                "task": {"inputs": ["u"]},
                "cluster": {"kind": "slurm", **cluster},
            }
        )

    return build
