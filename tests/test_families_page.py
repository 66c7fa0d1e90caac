"""The blocks of docs/families.md run, are short, and reach what they are for."""

import re
from pathlib import Path

import numpy as np
import torch

from sciml.surrogates.structure import structures_of

PAGE = (Path(__file__).parents[1] / "docs/families.md").read_text()
MODEL, USE, STRUCTURE = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)


def test_the_example_is_short():
    assert sum(bool(line.strip()) for line in (MODEL + USE).splitlines()) < 60


def test_a_model_for_meshes_that_differ(tmp_path, monkeypatch):
    (tmp_path / "plate_net.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names = {}
    exec(compile(USE, "families.md", "exec"), names)
    sizes = {plate.sizes["node"] for plate in names["plates"]}
    assert len(sizes) > 1, "meshes differ"
    rolled, new = names["rolled"], names["new"]
    assert rolled.mesh.attrs["topology_dimension"] == 2 and rolled.sizes["time"] == 20
    truth = new.u.isel(time=slice(1, None))
    groups = new.node_groups.values
    walls = groups > 0
    assert np.allclose(rolled.u.values[:, walls], truth.values[:, walls], atol=1e-3)
    stays = float(abs(new.u.isel(time=0) - new.u.isel(time=-1)).mean())
    assert float(abs(rolled.u.isel(time=-1) - truth.isel(time=-1)).mean()) < 0.5 * stays


def test_a_structure_of_ones_own():
    from sciml.domain import Graph
    from sciml.samples import Frame, Sample, Simulation

    names = {"__name__": "families"}
    exec(compile(STRUCTURE, "families.md", "exec"), names)
    line = Graph(3, np.array([[0, 1, 1, 2], [1, 0, 2, 1]]))
    simulation = Simulation(0, line, (), {})
    sample = Sample(simulation, 0, (Frame(0, 0, 0.0, {}),), ())
    found = structures_of([sample, sample], (names["Degree"](),))
    assert found["degree"].flatten().tolist() == [1, 2, 1, 1, 2, 1]
