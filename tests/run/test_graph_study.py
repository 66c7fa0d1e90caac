"""A study of networks that stream into a model of graphs, each of a size of its own."""

import json
import threading

import pytest
import torch
import yaml
from killing import CHECKPOINT, Killer
from safetensors.torch import load_file
from small_study import called as command
from small_study import one_line

import sciml
from sciml.ensemble.stop import STOPPED
from sciml.run.offline.training import resume_offline, train_offline
from sciml.run.outcome import Outcome
from sciml.study import load_study


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


@pytest.mark.slow
def test_a_trainer_that_is_killed_loses_no_network(tmp_path):
    """Twice, with SIGKILL, once while it writes a checkpoint; the supervisor starts it again."""
    given, frames = study(stochastic="symmetric"), 61
    given["solver"]["options"] |= {"steps": 60}
    given["parameters"]["simulations"] = 8
    given["training"] = {"batch_size": 4, "phases": [{"lr": 1e-2}], "checkpoint_every": 20}
    given["cluster"] = {"retries": 5}
    with Killer(given, tmp_path, 3) as killer:
        for kind in ("trainer", CHECKPOINT):
            killer.kill(kind)
        said = killer.finish()
        processes, files = killer.left()
    state = json.loads((killer.run / "status.json").read_text())
    print(killer.report(), state["frames"], state["samples"])
    assert said.count("trainer died") == 2 and not processes and not files
    assert state["state"] == "finished"
    assert state["frames"]["lost"] == state["frames"]["doubled"] == 0
    assert state["frames"]["received"] == state["frames"]["produced"] == 9 * frames
    assert state["samples"]["entered"] == 8 * (frames - 1)


@pytest.mark.slow
def test_a_replay_of_networks_that_is_stopped_goes_on_bitwise(tmp_path, monkeypatch):
    path, recorded = tmp_path / "study.yaml", tmp_path / "recorded"
    path.write_text(yaml.safe_dump(study(stochastic="symmetric") | {"record": True}))
    done = command("run", path, "--out", recorded)
    assert done.returncode == 0, done.stderr
    given, stop, on_step = load_study(path), threading.Event(), Outcome.on_step
    whole, _ = train_offline(given, recorded, tmp_path / "whole", plain=True, stream=True)

    def stop_after_nine(self, step, history):
        on_step(self, step, history)
        if step.step == 9:
            stop.set()

    with monkeypatch.context() as patch:
        patch.setattr(Outcome, "on_step", stop_after_nine)
        parts, code = train_offline(
            given, recorded, tmp_path / "parts", plain=True, stream=True, stop=stop
        )
    assert code == STOPPED and not parts.summary.exists()
    _, code = resume_offline(parts.path, plain=True)
    first, second = (load_file(run.surrogate / "model.safetensors") for run in (whole, parts))
    assert code == 0 and first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    losses = [json.loads(run.summary.read_text())["loss"] for run in (whole, parts)]
    assert losses[0] == losses[1]


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
