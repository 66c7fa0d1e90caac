"""Studies along characteristics: from the equation alone, killed in L-BFGS; beside data."""

import json
import os
import signal
import threading

import numpy as np
import pytest
import torch
import xarray as xr
import yaml
from killing import start, wait_for_step
from safetensors.torch import load_file

import sciml
from sciml.ensemble.stop import STOPPED
from sciml.errors import InputError
from sciml.run.directory import RunDirectory
from sciml.run.kept_files import keep, with_conditions
from sciml.run.offline.cost import cost
from sciml.run.offline.training import resume_offline, train_offline
from sciml.run.outcome import Outcome
from sciml.study import load_study

HYBRID = "workflows/lpinn_convection/study.yaml"
LONG = 6.283185307179586
ALONE = {
    "name": "along",
    "task": {"targets": ["u"], "history": 0, "time": True},
    "model": {"name": "lpinn", "state": [8], "characteristics": [6], "labels": 32},
    "training": {
        "sources": {
            "labels": {
                "kind": "collocation",
                "domain": {"x": {"low": 0, "high": LONG, "points": 32, "periodic": True}},
                "time": [0, 1],
                "batch_size": 32,
                "initial": 8,
            }
        },
        "objectives": {
            "physics": {
                "kind": "residual",
                "source": "labels",
                "equation": "burgers",
                "parameters": {"nu": 0.1},
                "solution": "sine",
            }
        },
        "phases": [
            {"optimizer": "adam", "lr": 1e-2, "steps": 12, "weights": {"physics.state": 2.0}},
            {"optimizer": "lbfgs", "lr": 1, "steps": 6, "iterations": 4, "dtype": "float64",
             "redraw": 3, "weights": {"physics.initial": 0.5}},
        ],
        "checkpoint_every": 3,
    },
    "validation": {"every": 6, "times": 3},
}  # fmt: skip


def study_file(folder, **changes):
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(ALONE | changes))
    return path


def weights(folder):
    return load_file(folder / "surrogate" / "model.safetensors")


def same(one, other):
    one, other = weights(one), weights(other)
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    run, code = train_offline(load_study(study_file(folder)), None, folder / "run", plain=True)
    assert code == 0
    return run


def test_an_equation_alone_leaves_what_a_run_leaves(whole):
    summary = json.loads(whole.summary.read_text())
    assert summary["steps"] == 18 and 0.5 < summary["least_jacobian"] < 1.5
    lines = [json.loads(line) for line in whole.metrics.read_text().splitlines()]
    losses = next(line["losses"] for line in lines if "losses" in line)
    assert {*losses} == {
        "physics.characteristics", "physics.state", "physics.initial",
    }  # fmt: skip
    assert all("least_jacobian" in line for line in lines if "fields" in line)
    with xr.open_dataset(whole.predictions) as ds:
        assert ds.u.sizes == {"sample": 1, "time": 3, "x": 32}
        np.testing.assert_allclose(ds.u_true[0, 0], np.sin(ds.x), atol=1e-6)
    surrogate = sciml.load(whole.path)
    assert float(surrogate.model.pace) > 0
    places = surrogate.characteristics(xr.Dataset(coords={"time": [0.0, 1.0]}))
    assert places.place_x.sizes == {"time": 2, "x": 32}


def test_it_goes_on_in_the_midst_of_lbfgs(whole, tmp_path, monkeypatch):
    """Bitwise, on the batch that it had."""
    stop, told = threading.Event(), Outcome.on_step

    def on_step(self, step, history):
        told(self, step, history)
        if step.step == 14:
            stop.set()

    monkeypatch.setattr(Outcome, "on_step", on_step)
    study = load_study(study_file(tmp_path))
    run, code = train_offline(study, None, tmp_path / "run", plain=True, stop=stop)
    assert code == STOPPED
    monkeypatch.setattr(Outcome, "on_step", told)
    assert resume_offline(run.path, plain=True)[1] == 0
    assert same(whole.path, run.path)


@pytest.mark.slow
def test_killed_in_lbfgs_it_goes_on(whole, tmp_path):
    """kill -9, and the rest from the last checkpoint: the weights of the run of one piece."""
    phases = [
        {**p, "steps": n} for p, n in zip(ALONE["training"]["phases"], (12, 300), strict=True)
    ]
    path = study_file(tmp_path, training=ALONE["training"] | {"phases": phases})
    one, _ = train_offline(load_study(path), None, tmp_path / "one", plain=True)
    run = tmp_path / "run"
    process = start("run", path, "--out", run, "--plain", run=run)
    wait_for_step(process, run, 20)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (run / "summary.json").exists()
    again = start("resume", run, "--plain", run=run)
    said, _ = again.communicate(timeout=240)
    assert again.returncode == 0, said
    assert same(one.path, run)


def waves(folder, speeds, n=32, kappa=1e-2):
    """Convection and diffusion, exact: one simulation each."""
    x, time = np.arange(n) * LONG / n, np.linspace(0, 1, 6)
    phase = x - np.multiply.outer(speeds, time)[..., None]
    ds = xr.Dataset(
        {"u": (("sample", "time", "x"), np.exp(-kappa * time)[:, None] * np.cos(phase))},
        {"speed_x": ("sample", speeds), "time": time, "x": x},
    )
    ds.x.attrs |= {"boundary": "periodic", "extent": [0.0, LONG]}
    ds.to_netcdf(folder / "waves.nc", engine="h5netcdf")
    return folder / "waves.nc"


def test_data_and_an_equation_by_the_map_back(tmp_path):
    """The study of the workflow, small, on data instead of its solver."""
    short = [
        "model={name: lpinn, state: [8], characteristics: [6], labels: 32}",
        "training.batch_size=4",
        "training.sources.labels={kind: collocation, time: [0, 1], batch_size: 32, initial: 8}",
        "training.objectives.fields.points=8",
        "training.phases=[{optimizer: soap, lr: 1e-2, steps: 20}]",
        "training.checkpoint_every=10",
        "validation={simulations: 1, every: 10}",
        "record=false",
    ]
    study = load_study(HYBRID, short, solver=False)
    data = waves(tmp_path, [0.0, 5.0, 10.0, 20.0])
    run, code = train_offline(study, data, tmp_path / "run", plain=True)
    assert code == 0
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    losses = [line["losses"] for line in lines if "losses" in line]
    assert {*losses[0]} == {
        "fields.mse", "physics.characteristics", "physics.state", "physics.initial",
    }  # fmt: skip
    assert losses[-1]["physics.characteristics"] < losses[0]["physics.characteristics"]
    model = sciml.load(run.path).model
    assert model.proportional.tolist() == [1.0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"equation": "heat", "parameters": {"kappa": 0.1}, "solution": "wave"},
            "'heat' has no characteristic speed, and model 'lpinn' follows characteristics; take model",
        ),
        ({"parameters": {"nu": -0.1}}, "nu=-0.1; expected 0 or more"),
        ({"parameters": {"mu": 0.1}}, "no constant 'mu'"),
        (
            {
                "equation": "inviscid-burgers",
                "parameters": {},
                "solution": {"name": "sine", "mode": 2},
            },
            "its first shock is at t=0.5; expected times before",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_there(tmp_path, changes, says):
    objective = {**ALONE["training"]["objectives"]["physics"], **changes}
    path = study_file(
        tmp_path,
        training=ALONE["training"] | {"objectives": {"physics": objective}},
    )
    with pytest.raises(InputError, match=says):
        train_offline(load_study(path), None, tmp_path / "run", plain=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("key", ["boundary", "flux", "seam"])
def test_sides_are_refused_by_a_dry_run(tmp_path, key):
    box = f"training.sources.labels.domain.x.periodic={'true' if key == 'seam' else 'false'}"
    study = load_study(study_file(tmp_path), [f"training.sources.labels.{key}=4", box])
    with pytest.raises(InputError, match=rf"labels\.{key}: 4, and model 'lpinn' follows"):
        cost(study)


START = """
import torch
from shape import shaped


def initial(x):
    return shaped(x)
"""


def test_a_run_keeps_the_functions_that_it_holds(tmp_path, monkeypatch, caplog):
    """By a file beside the study; what becomes of that meanwhile changes nothing."""
    (tmp_path / "start.py").write_text(START)
    (tmp_path / "shape.py").write_text(
        "import torch\n\n\ndef shaped(x):\n    return torch.sin(x)\n"
    )
    objective = ALONE["training"]["objectives"]["physics"] | {"solution": {"file": "start.py"}}
    phases = [{"optimizer": "adam", "lr": 1e-2, "steps": 12}]
    training = ALONE["training"] | {"objectives": {"physics": objective}, "phases": phases}
    path = study_file(tmp_path, training=training)
    whole, _ = train_offline(load_study(path), None, tmp_path / "whole", plain=True)
    kept = whole.files / "conditions" / "physics"
    assert sorted(file.name for file in kept.iterdir()) == ["shape.py", "start.py"]
    stop, told = threading.Event(), Outcome.on_step
    monkeypatch.setattr(Outcome, "on_step", lambda *given: (told(*given), stop.set())[0])
    run, code = train_offline(load_study(path), None, tmp_path / "run", plain=True, stop=stop)
    assert code == STOPPED
    (tmp_path / "shape.py").write_text("raise RuntimeError\n")
    assert resume_offline(run.path, plain=True)[1] == 0
    assert same(whole.path, run.path)
    assert (
        "shape.py is not what it was when the run began; the run's own copy is used" in caplog.text
    )


def test_a_folder_of_others_has_no_functions_run(tmp_path, monkeypatch):
    (tmp_path / "start.py").write_text("import torch\ninitial = torch.sin\n")
    objective = ALONE["training"]["objectives"]["physics"] | {"solution": {"file": "start.py"}}
    path = study_file(tmp_path, training=ALONE["training"] | {"objectives": {"physics": objective}})
    study = load_study(path)
    run = RunDirectory.create(tmp_path / "run")
    keep(run, study)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))
    assert with_conditions(run, study) != study, "the file is here as it was"
    (tmp_path / "start.py").unlink()
    with pytest.raises(InputError, match=r"somebody else .* what it runs is a Python file"):
        with_conditions(run, study)


def test_points_alone_need_no_words_on_the_task(tmp_path):
    study = load_study(study_file(tmp_path, task={"targets": ["u"]}))
    assert study.task.history == 0 and study.task.time
    [labels] = study.training.collocation.values()
    assert labels.time == [0, 1]
