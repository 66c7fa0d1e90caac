"""The blocks of docs/models.md run, and reach what they are for."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/models.md").read_text()


def run(heading):
    """The block under a heading, as if typed."""
    torch.manual_seed(0)
    names = {}
    [code] = re.findall(rf"^## {heading}\n.*?^```python\n(.*?)^```$", PAGE, re.M | re.S)
    exec(compile(code, "models.md", "exec"), names)
    return names


def test_a_loop_of_your_own():
    losses = run("In a loop of your own")["losses"]
    assert len(losses) == 10
    for name, found in losses.items():
        assert found[-1] < 0.7 * found[0], (name, found)


def test_an_equation_along_its_characteristics():
    names = run("An equation, in the box and along its characteristics")
    field, along = names["field"], names["along"]
    truth = np.sin(field.x.values - 30 * field.time.values[:, None])
    assert np.linalg.norm(field.u - truth) < 0.1 * np.linalg.norm(truth)
    carried = along.place_x - along.x
    assert abs(float(carried[-1].mean()) - 30) < 0.1 and float(along.jacobian.min()) > 0.5


def test_layers_of_graphs():
    pytest.importorskip("torch_geometric", reason="needs the extra 'graph'")
    losses = run("In a network of torch_geometric")["losses"]
    assert len(losses) == 8
    for name, found in losses.items():
        assert found[-1] < 0.8 * found[0], (name, found[0], found[-1])


def test_function_spaces():
    pytest.importorskip("deepxde", reason="needs the extra 'pinn'")
    names = run("Function spaces of deepxde")
    found, ds = names["found"], names["ds"].isel(sample=[0])
    assert found.s.dims == ("sample", "x") and found.sizes["x"] == 2
    truth = ds.s.interp(x=[0.25, 0.9])
    assert float(abs(found.s - truth).max()) < 0.1 * float(abs(names["ds"].s).max())


def test_a_stream_into_deepxde(tmp_path, monkeypatch):
    pytest.importorskip("deepxde", reason="needs the extra 'pinn'")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    names = run("A model of deepxde on our stream")
    # 3 simulations of 101 frames, 10 frames apart; the first 16 windows were held out.
    assert names["data"].ended and abs(names["state"].step - (3 * 91 - 16) / 16) <= 1
    losses = [loss for [loss] in names["history"].loss_test]
    assert losses[-1] < losses[0]


def test_a_program(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run("As a program")
    times = xr.Dataset(coords={"time": names["time"][:, 0].numpy()})
    known = names["surrogate"].predict(times, at={"x": names["places"][:, 0].numpy()})
    np.testing.assert_allclose(names["u"][:, 0].detach(), known.u, atol=1e-6)
    assert float(known.u.std()) > 0.1
