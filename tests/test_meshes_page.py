"""The blocks of docs/meshes.md run, one after the other, and reach what they are for."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

PAGE = (Path(__file__).parents[1] / "docs/meshes.md").read_text()


def test_the_page(monkeypatch):
    pytest.importorskip("ngsolve", reason="needs the extra 'mesh'")
    pytest.importorskip("torch_geometric")
    monkeypatch.setenv("MPLBACKEND", "agg")
    names = {}
    torch.manual_seed(0)
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S):
        exec(compile(block, "meshes.md", "exec"), names)
    sizes = {flow.sizes["node"] for flow in names["flows"]}
    assert len(sizes) > 1, "meshes differ"
    found = names["surrogate"].history.validations[-1]
    assert found["vrmse"] < found["vrmse_persistence"], found
    rolled, flow = names["rolled"].velocity, names["flows"][0].velocity
    assert rolled.shape == (6, flow.sizes["node"], 2)
    wall = names["mesh"].groups["cylinder"]
    assert np.allclose(rolled.values[:, wall], 0, atol=1e-6)
    inflow = names["mesh"].groups["inflow"]
    wanted = names["ahead"].velocity.values[:, inflow]
    np.testing.assert_allclose(names["pulsed"].velocity.values[:, inflow], wanted, atol=1e-6)
    assert wanted[-1].max() > 1.09 * wanted[0].max()
    assert names["wide"].shape == (names["mesh"].size, 2) and names["loss"] < 1.2
    seen = names["seen"]
    assert seen["neighbours"] < min(seen["two hops"], seen["windows"]) <= seen["the cylinder"] == 1
    assert all(answer.shape == (names["mesh"].size, 2) for answer in names["answers"])
