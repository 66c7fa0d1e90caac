"""A study of networks that stream into a model of graphs, each of a size of its own."""

import json

import pytest
import yaml
from small_study import called as command
from small_study import one_line

import sciml


def study(**model):
    return {
        "name": "networks",
        "solver": {
            "program": "solvers/network_diffusion.py",
            "options": {"nodes": 24, "steps": 10, "dt": 1e-2},
        },
        "parameters": {"simulations": 3, "ranges": {"radius": [0.35, 0.5]}},
        "task": {"inputs": ["u"], "static": ["conductance"]},
        "model": {"name": "grand", "hidden": 8, "width": 8, "heads": 2, "time": 2.0, **model},
        "buffer": {"capacity": 64, "watermark": 8},
        "training": {"batch_size": 4, "phases": [{"steps": 20, "lr": 1e-2}]},
        "validation": {"simulations": 1, "every": 10, "rollout": 3},
    }


@pytest.mark.slow
def test_grand_learns_from_a_stream_of_networks(tmp_path):
    path, run = tmp_path / "study.yaml", tmp_path / "run"
    path.write_text(yaml.safe_dump(study(stochastic="symmetric", head="flux")))
    done = command("run", path, "--out", run)
    assert done.returncode == 0, done.stderr
    summary = json.loads((run / "summary.json").read_text())
    assert 0 < summary["vrmse"] < 1 and summary["validation_simulations"] == 1
    surrogate = sciml.load(run)
    network = sciml.simulate("solvers/network_diffusion.py", nodes=30, radius=0.4, steps=1, seed=9)
    rolled = surrogate.rollout(network.isel(time=[0]), 4).u
    mass = network.u.isel(time=0).sum("node")
    assert rolled.sizes["node"] == 30
    assert float(abs(rolled.sum("node") - mass).max()) < 1e-5 * float(abs(mass))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"time": 0.5, "step": 1.0}, "step=1 is larger than time=0.5; expected a part of it"),
        ({"reaction": "fisher"}, "model 'grand' has no option 'reaction'"),
        ({"rewired": True}, "'conductance', which says nothing of edges that are added"),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(model, said, tmp_path, tried_here):
    path, run = tmp_path / "study.yaml", tmp_path / "run"
    path.write_text(yaml.safe_dump(study(**model)))
    done = command("run", path, "--out", run)
    assert done.returncode == 2 and said in one_line(done), done.stderr
    assert not run.exists()
