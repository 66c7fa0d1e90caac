"""What a training may do besides, and models that ask for statistics, online, through a kill."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
import yaml
from killing import CHECKPOINT, Killer
from small_study import called, one_line, small_study

from sciml import load, open_run
from sciml.domain import Grid
from sciml.errors import InputError
from sciml.run import outcome
from sciml.run.online import training as learning
from sciml.study import load_study
from sciml.surrogates import Surrogate
from sciml.surrogates.setting import Setting
from sciml.training import EMA, Augmentation, Noise, Pushforward
from sciml.training.checkpoint import Checkpoints
from sciml.training.history import History

OPTIONS = {
    "ema": 0.9,
    "augment": ["flips", "translations"],
    "pushforward": 1,
    "noise": 0.01,
    "autocast": "bfloat16",
    "accumulate": 2,
}
FRAMES = 41


def killed_once(folder, study):
    """Run a study whose trainer is killed while it writes a checkpoint; the run and its account."""
    with Killer(study, folder, seed=0) as killer:
        killer.kill(CHECKPOINT)
        said = killer.finish()
        assert said.count("trainer died") == 1
        assert killer.left() == ([], [])
    account = json.loads((killer.run / "status.json").read_text())
    frames = account["frames"]
    assert frames["received"] == frames["produced"] and not frames["lost"] + frames["doubled"]
    return killer.run, account


def predicted(run, **kwargs):
    """Held-out simulations as :func:`sciml.load` predicts them, and the truth."""
    with xr.open_dataset(next((run / "validation").glob("*.nc"))) as ds:
        truth = ds.load()
    found = load(run).predict(truth, **kwargs)
    assert np.isfinite(found["u"].values).all()
    return found, truth


@pytest.mark.slow
def test_every_option_at_once_through_a_kill(tmp_path):
    training = {"batch_size": 4, "phases": [{"lr": 1e-3}], "checkpoint_every": 4, **OPTIONS}
    study = small_study(
        solver={
            "program": "solvers/heat.py",
            "options": {"shape": [12, 12], "steps": 80, "dt": 2.0e-3},
            "send": {"every": 4},
        },
        task={"inputs": ["u"], "parameters": ["kappa"], "unroll": 3},
        model={"name": "cnn", "width": 6, "blocks": 1},
        training=training,
        validation={"simulations": 1, "every": 8, "rollout": 5},
    )
    run, account = killed_once(tmp_path, study)
    samples = account["samples"]
    assert samples["entered"] == 5 * (21 - 3)  # windows of one input and three targets
    steps = json.loads((run / "summary.json").read_text())["steps"]
    assert 8 * (steps - 1) < samples["drawn"] <= 8 * steps  # two batches of four a step
    newest = Checkpoints(run / "checkpoints").newest()
    kept, average = newest.state["average"]["own"], Surrogate.load(newest.path).state_dict()
    assert any(not torch.equal(kept[name], average[name]) for name in kept)
    assert newest.state["average"]["updates"] == steps
    final = Surrogate.load(run / "surrogate").state_dict()
    assert all(torch.equal(final[name], average[name]) for name in final)
    assert predicted(run)[0].sizes["time"] == 21


def test_the_options_of_a_study_are_those_of_the_loop(tmp_path, monkeypatch):
    given = small_study(
        training={**OPTIONS, "phases": [{"steps": 2}]}, task={"inputs": ["u"], "unroll": 2}
    )
    study = load_study(_write(tmp_path, given))
    told = {}
    monkeypatch.setattr(outcome, "train", lambda *_, **kwargs: told.update(kwargs) or History())
    life = SimpleNamespace(
        buffer=None, checkpoint=None, server=None, stop=None,
        intake=SimpleNamespace(lock=None, screen=SimpleNamespace(shaken=None)),
        progress={"step": 1}, say=None,
    )  # fmt: skip
    run = SimpleNamespace(checkpoints=tmp_path, metrics=tmp_path / "metrics.jsonl")
    setting = Setting(study.task.build(), Grid((8, 8), ((0.0, 1.0),) * 2, ("periodic",) * 2))
    stub = SimpleNamespace(
        life=life, study=study, task=study.task.build(), outcome=outcome.Outcome(study, run, None, {}),
        surrogate=SimpleNamespace(structures=None, setting=setting, domain=None),
        run=run, _begin=None, _beside=None, _refuse=None,
        _attach_statistics=None, _require_sound=lambda: None, _rescue=None, _on_step=None,
        _on_checkpoint=None, _on_checkpoint_failed=None,
    )  # fmt: skip
    learning.Learning.train(stub)
    options = told["options"]
    assert options.ema == EMA(0.9) and options.pushforward == Pushforward(1)
    assert options.augment == Augmentation(["flips", "translations"])
    assert options.noise == Noise(0.01)
    assert (options.autocast, options.accumulate, options.compile) == ("bfloat16", 2, False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        {"name": "deeponet", "branch": [16], "trunk": [16], "basis": 8},
        {"name": "pod_deeponet", "branch": [16], "basis": 8},
    ],
    ids=lambda model: model["name"],
)
def test_deeponets_on_a_foreign_solver_through_a_kill(model, tmp_path):
    study = small_study(
        solver={"program": "docs/foreign_solver.py", "options": {"steps": FRAMES - 1}},
        parameters={"simulations": 5, "ranges": {"speed": [0.2, 1.0]}, "seed": False},
        task={"inputs": ["u"], "parameters": ["speed"], "lead": 2, "increment": False},
        model=model,
        buffer={"capacity": 64, "watermark": 32, "draws": 2},
        training={"batch_size": 4, "phases": [{"lr": 1e-3}], "checkpoint_every": 10,
                  "keep_checkpoints": 500},
        validation={"simulations": 1, "every": 50, "rollout": 5},
    )  # fmt: skip
    run, account = killed_once(tmp_path, study)
    assert account["samples"]["entered"] == 5 * (FRAMES - 2)
    first, *_, last = [
        Surrogate.load(path).state_dict() for path in sorted((run / "checkpoints").glob("step-*"))
    ]
    # What was measured before the first step stays, through the kill, too.
    for name in first:
        fixed = name.startswith("normalizer.") or name in ("model.mean", "model.modes")
        assert torch.equal(first[name], last[name]) or not fixed, name
    if model["name"] == "pod_deeponet":
        assert last["model.fitted"] and float(last["model.held"]) > 0.99
    found, truth = predicted(run)
    assert found["u"].dims == truth["u"].dims
    asked, _ = predicted(run, at={"x": [0.1234, 0.5]})
    assert asked.sizes["x"] == 2
    np.testing.assert_allclose(asked["u"].sel(x=0.5), found["u"].sel(x=0.5), atol=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(900)  # the compiler takes a minute, and several where others compute
def test_a_compiled_network_online(tmp_path):
    study = small_study(model={"name": "cnn", "width": 4, "blocks": 1})
    study["training"]["compile"] = True
    study["training"]["phases"][0]["steps"] = 8  # before the last batch, whose size is another
    run = called("run", _write(tmp_path, study), "--out", tmp_path / "run")
    assert run.returncode == 0, run.stderr
    assert json.loads((tmp_path / "run/summary.json").read_text())["steps"] == 8
    predicted(tmp_path / "run")


def _write(folder, study):
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


@pytest.mark.slow
def test_a_model_of_ones_own_through_a_kill(tmp_path):
    file = tmp_path / "net.py"
    file.write_text(
        "from torch import nn\n\n\n"
        "def build(setting, *, width=4):\n"
        "    return nn.Sequential(nn.Conv2d(2, width, 3, padding=1), nn.Conv2d(width, 1, 1))\n"
    )
    study = small_study(
        model={"name": str(file), "width": 3},
        training={"batch_size": 4, "phases": [{"lr": 1e-3, "steps": 40}], "checkpoint_every": 4},
        buffer={"capacity": 64, "watermark": 8, "draws": 4},
    )
    run, _ = killed_once(tmp_path, study)
    assert open_run(run).surrogate().model[0].out_channels == 3
    with pytest.raises(InputError, match="built by the file"):
        load(run)  # a surrogate, wherever it came from
    done = called("evaluate", run, "--json")
    assert json.loads(done.stdout)["one_step"] > 0, done.stderr
    done = called("evaluate", run / "surrogate", "--data", next((run / "validation").glob("*.nc")))
    assert f"load(directory, model='{file}')" in one_line(done)
