"""The blocks of docs/meshes.md run, one after the other, and reach what they are for."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

PAGE = (Path(__file__).parents[1] / "docs/meshes.md").read_text()


def test_the_page():
    pytest.importorskip("ngsolve", reason="needs the extra 'mesh'")
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
    seen = names["seen"]
    assert seen["neighbours"] < min(seen["two hops"], seen["windows"]) <= seen["the cylinder"] == 1
    assert all(answer.shape == (names["mesh"].size, 2) for answer in names["answers"])
