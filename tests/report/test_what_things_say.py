"""What runs, surrogates and recordings say of themselves."""

import json

import numpy as np
import pytest
import xarray as xr

import sciml
from sciml.domain import Field, Grid
from sciml.ensemble.folders import write_json
from sciml.record import Recorder
from sciml.run.directory import RunDirectory
from sciml.run.results import Run
from sciml.samples import Frame, Simulation, Task
from sciml.surrogates import Surrogate


@pytest.fixture(scope="module")
def surrogate():
    x = np.linspace(0.0, 2.0, 8, endpoint=False)
    u = np.sin(np.pi * x + np.arange(5)[:, None] + np.arange(4)[:, None, None]).astype(np.float32)
    ds = xr.Dataset(
        {"<u>": (("sample", "time", "x"), u, {"units": "K"}), "v": (("sample", "time", "x"), u)},
        {
            "time": ("time", 0.5 * np.arange(5.0), {"units": "s"}),
            "x": ("x", x, {"boundary": "periodic", "units": "m"}),
            "kappa": ("sample", [0.1, 0.2, 0.3, 0.4]),
        },
    )
    return sciml.fit("mlp", ds, parameters=["kappa"], epochs=1, validation=0.4, hidden=[4])


def test_a_surrogate_says_what_it_learned(surrogate):
    said = str(surrogate)
    assert said.splitlines()[0] == "Surrogate"
    for line in (
        "<u>, v, kappa → <u>, v, 1 step ahead, as a change",
        "<u> [K], v",
        "x 8 (0 … 2 m, periodic)",
        "0.5 s",
        "mlp: hidden=[4];",
        "kappa 0.",
        "VRMSE",
    ):
        assert line in said
    assert "Linear" not in said and "Linear" in repr(surrogate.model)
    shown = surrogate._repr_html_()
    assert "&lt;u&gt; [K]" in shown and "<u>" not in shown


def test_a_saved_one_says_where(surrogate, tmp_path):
    surrogate.save(tmp_path / "here")
    again = sciml.load(tmp_path / "here")
    assert str(tmp_path / "here") in repr(again) and "PosixPath" not in repr(again)


def test_one_that_knows_little_says_little():
    bare = Surrogate.build("mlp", Task(("u",), ("u",)), Grid((4,), ((0.0, 1.0),), ("open",)))
    assert "u → u, 1 step ahead" in repr(bare) and "errors" not in repr(bare)


def test_a_recording_says_what_is_in_it(tmp_path):
    grid = Grid((4, 6), ((0.0, 1.0),) * 2, ("periodic", "open"))
    about = {0: {"role": "train"}, 1: {"role": "validation"}, 2: {}}
    recorder = Recorder(tmp_path, about=about, units={"nu": "m2 s-1"})
    for number in range(2):
        parameters = {"nu": 0.1 * (number + 1)}
        recorder.open(Simulation(number, grid, (Field("u", "K"),), parameters, time_units="s"))
        for step in range(3):
            frame = {"u": np.full((4, 6), step, np.float32)}
            recorder.push(Frame(number, step, 0.25 * step, frame))
        recorder.close(number)
    recorder.drop(2, "given up")
    recorder.finish()
    said = repr(sciml.open_recording(tmp_path))
    for line in (
        "2: 1 for train, 1 for validation; 1 absent",
        "u [K]",
        "y 4 (0 … 1, periodic) × x 6 (0 … 1, open)",
        "0.25 s",
        "nu 0.1 … 0.2 m2 s-1",
        str(tmp_path),
    ):
        assert line in said, said
    assert "u [K]" in sciml.open_recording(tmp_path)._repr_html_()


@pytest.fixture
def run(tmp_path, surrogate):
    run = RunDirectory.create(tmp_path / "a <run>")
    plan = [
        {"id": n, "role": role, "parameters": {"kappa": 0.1 * n}, "seed": n}
        for n, role in enumerate(("train", "train", "validation"))
    ]
    write_json(run.simulations, plan)
    training = {"step": 7, "steps": 9}
    write_json(run.status, {"state": "finished", "training": training})
    return run


def test_a_run_says_where_it_stands(run, surrogate):
    early = repr(Run(run))
    assert "finished, step 7 of 9" in early and "2 for training, 1 held out" in early
    assert "errors" not in early and "PosixPath" not in early and str(run.path) in early
    surrogate.save(run.surrogate)
    write_json(
        run.summary, {"vrmse": 0.25, "vrmse_persistence": 1.5, "fields": {"<u>": {}, "v": {}}}
    )
    said = repr(Run(run))
    assert "x 8 (0 … 2 m, periodic)" in said and "kappa 0 … 0.2" in said
    assert "VRMSE 2.50e-01 (persistence 1.50e+00) after one step" in said
    write_json(run.summary, {"vrmse": 0.25, "same_frame": True, "fields": {"v": {}}})
    assert "VRMSE 2.50e-01" in repr(Run(run)) and "one step" not in repr(Run(run))
    assert "a &lt;run&gt;" in Run(run)._repr_html_()


def test_a_damaged_file_takes_nothing_along(run):
    run.simulations.write_text("{")
    run.summary.write_text(json.dumps({"vrmse": "much"}))
    said = repr(Run(run))
    assert said.count("unreadable") == 2 and "finished, step 7" in said
