"""Datasets on meshes, graphs and particles: a recording where domains differ, else one file."""

import numpy as np
import xarray as xr
import yaml

from sciml.datasets.generation import generate
from sciml.domain.dataset import domain_of
from sciml.record import open_recording
from sciml.samples import Task
from sciml.samples.dataset import samples_of
from sciml.solver.simulate import simulate


def recipe(folder, program, options, parameters, send):
    path = folder / "recipe.yaml"
    body = {
        "schema_version": 1,
        "name": "tiny",
        "title": "A small one",
        "references": "none",
        "solver": {"program": f"solvers/{program}.py", "options": options, "send": send},
        "parameters": parameters,
        "splits": {"train": 1, "test": 1},
        "sizes": {"small": {}, "full": {}},
    }
    path.write_text(yaml.safe_dump(body))
    return path


def test_domains_that_differ_make_a_recording(tmp_path, capsys):
    options = {"nodes": 12, "steps": 4, "dt": 1e-3, "contrast": 0.5}
    send = {"every": 2, "dtype": "float32"}
    parameters = {"ranges": {"radius": [0.5, 0.8]}}
    path = recipe(tmp_path, "network_diffusion", options, parameters, send)
    generate(path, tmp_path / "graphs", plain=True)
    assert "a recording of 2 simulations, since their domains differ" in capsys.readouterr().out
    assert not (tmp_path / "graphs.parts").exists()
    recording = open_recording(tmp_path / "graphs", thorough=True)
    assert recording.roles == {0: "train", 1: "test"}
    assert len({recording.simulation(n).domain.edges.shape for n in recording.ids}) > 1
    about = recording.about(1)
    flags = options | {"radius": recording.simulation(1).parameters["radius"], "every": 2}
    truth = simulate("solvers/network_diffusion.py", **flags, seed=about["seed"])
    again = recording.simulation(1)
    assert again.domain == domain_of(truth)
    assert [f.on for f in again.static_fields] == ["edge", "point"]
    np.testing.assert_array_equal(
        again.static["conductance"], truth["conductance"].values.astype("f4")
    )
    frames = list(recording.frames(1))
    assert [frame.time for frame in frames] == truth.time.values.tolist()
    for frame in frames:
        np.testing.assert_array_equal(frame.fields["u"], truth["u"].values[frame.step].astype("f4"))


def test_one_domain_makes_one_file(tmp_path):
    options = {"spacing": 0.2, "radius": 0.15, "steps": 2, "contrast": 0.5}
    parameters = {"ranges": {"kappa": [0.05, 0.1]}, "seed": False}
    path = recipe(tmp_path, "heat_mesh", options, parameters, {"dtype": None})
    generate(path, tmp_path / "mesh.nc", plain=True)
    with xr.open_dataset(tmp_path / "mesh.nc") as ds:
        assert ds.split.values.tolist() == ["train", "test"]
        assert ds["u"].dims == ("sample", "time", "node") and ds["u"].attrs["location"] == "node"
        assert ds["conductivity"].dims == ("sample", "face")
        one = simulate("solvers/heat_mesh.py", **options, kappa=float(ds["kappa"][1]))
        assert domain_of(ds) == domain_of(one)
        for name in ("u", "conductivity"):
            np.testing.assert_array_equal(ds[name][1], one[name])
        task = Task(("u",), ("u",), parameters=("kappa",), static=("conductivity",))
        simulation = samples_of(ds, task, "test")[0].simulation
        assert simulation.static_fields[0].on == "cell"
        np.testing.assert_array_equal(simulation.static["conductivity"], one["conductivity"])
