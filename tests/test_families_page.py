"""The blocks of docs/families.md run, are short, and reach what they are for."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from sciml.errors import InputError
from sciml.run.model_trial import ATOMS, suits
from sciml.surrogates.structure import structures_of

PAGE = (Path(__file__).parents[1] / "docs/families.md").read_text()
MODEL, USE, PAIRS, STRUCTURE = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)


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


def test_a_model_for_molecules(tmp_path):
    import xarray as xr

    from sciml.training import fit

    rng = np.random.default_rng(0)
    molecules = []
    for n in (3, 4, 5, 4):
        r, along = rng.normal(size=(1, n, 3)), ("time", "particle", "space")
        energy = ("time", (r**2).sum((1, 2)), {"units": "eV"})
        fields = {"positions": (along, r), "energy": energy, "forces": (along, -2 * r)}
        species = ("particle", [1, 6, 8, 1, 6][:n])
        molecules.append(xr.Dataset(fields, {"species": species, "time": [0.0]}))
    (tmp_path / "pairs.py").write_text(PAIRS)
    names = {"inputs": ["positions"], "targets": ["energy", "forces"]}
    model = {"name": str(tmp_path / "pairs.py"), "width": 8}
    with pytest.raises(InputError, match="or say lead=0 in the task"):
        fit(model, molecules, names)
    surrogate = fit(model, molecules, names | {"lead": 0}, epochs=1, validation=0.25)
    found = surrogate.predict(molecules[2])
    assert found.forces.shape == (1, 5, 3)
    assert np.allclose(found.forces.sum("particle"), 0, atol=1e-5), "pairs pull as they are pulled"
    described = suits(model["name"])
    assert described[ATOMS].endswith("weights") and described["mesh"].startswith("no: ")


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
