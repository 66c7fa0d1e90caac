"""`sciml train`: units of fields, their offsets and their order in the file change nothing."""

import json

import numpy as np
import pytest
import xarray as xr

from sciml.errors import InputError
from sciml.run.offline.training import train_offline
from sciml.study import load_study

FIELDS = ("p", "q")


def waves():
    rng = np.random.default_rng(0)
    x, t = np.arange(16) / 16, 0.1 * np.arange(6)
    fields = {}
    for name in FIELDS:
        a, phase = rng.uniform(0.5, 2, (5, 1, 1)), rng.uniform(0, 6.28, (5, 1, 1))
        wave = a * np.sin(2 * np.pi * (x - t[:, None]) + phase)
        fields[name] = (("sample", "time", "x"), wave)
    return xr.Dataset(fields, {"time": t, "x": ("x", x, {"boundary": "periodic"})})


@pytest.fixture
def train(write_study, tmp_path):
    def train(ds, name, **training):
        ds.to_netcdf(tmp_path / f"{name}.nc")
        study = write_study(
            task={"inputs": list(FIELDS), "increment": True},
            model={"name": "cnn", "width": 6, "blocks": 1},
            training={
                "batch_size": 4,
                "phases": [{"lr": 5e-3, "steps": 20}],
                "device": "cpu",
                **training,
            },
        )
        run, _ = train_offline(
            load_study(study), tmp_path / f"{name}.nc", tmp_path / name, plain=True
        )
        return json.loads(run.summary.read_text()), run

    return train


@pytest.mark.parametrize("loss", ["relative_l2", "mse"])
def test_units_change_nothing(train, loss):
    ds = waves()
    plain, run = train(ds, "plain", loss=loss)
    others = {"p": ds["p"] * 1e-25 + 3e-20, "q": ds["q"] * 1e25}
    other, _ = train(ds.assign(others)[["q", "p"]], "other", loss=loss)
    assert other["loss"] == pytest.approx(plain["loss"], rel=1e-4)
    for name in FIELDS:
        for key in ("vrmse", "vrmse_persistence", "vrmse_rollout", "vrmse_persistence_last"):
            found = other["fields"][name][key]
            assert found == pytest.approx(plain["fields"][name][key], rel=1e-4), (name, key)
    assert plain["vrmse"] == pytest.approx(np.mean([plain["fields"][n]["vrmse"] for n in FIELDS]))
    noted = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    noted = [line for line in noted if "fields" in line]
    assert set(noted[0]["fields"]) == set(FIELDS) and noted[-1]["vrmse"] == plain["vrmse"]


def test_weights_and_what_was_left_out_are_told(train, capsys):
    ds = waves()
    ds["p"][:4] = 0.0
    summary, _ = train(ds, "still", field_weights={"q": 2.0})
    left, count = summary["left_out"]["p"]
    assert 0 < left <= count == 20 * 4
    said = capsys.readouterr().err
    assert f"relative_l2: {left} of the {count} targets of 'p'" in said
    assert "one step ahead: VRMSE" in said and "  q: VRMSE" in said
    with pytest.raises(
        InputError, match=r"training.field_weights: no target 'P'; did you mean 'p'"
    ):
        train(ds, "wrong", field_weights={"P": 2.0})
    with pytest.raises(InputError, match=r"training.field_weights.p"):
        train(ds, "negative", field_weights={"p": -2.0})
