"""The unit of time goes from the solver into all that a run leaves, and months into a run on data."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

import sciml
from sciml.domain import Field, Grid
from sciml.errors import InputError
from sciml.record import Recorder, open_recording
from sciml.run.evaluation import evaluate
from sciml.samples import Frame, Simulation
from sciml.stream.description import simulation_from_wire, simulation_to_wire
from sciml.surrogates import Step

GRID = Grid((8,), ((0.0, 1.0),), ("periodic",))
OFFLINE = {
    "name": "waves",
    "task": {"inputs": ["u"]},
    "model": {"name": "mlp", "hidden": [8]},
    "training": {"batch_size": 2, "phases": [{"steps": 2}], "device": "cpu"},
    "validation": {"simulations": 1},
}


def simulation(number=0, units="hours"):
    return Simulation(number, GRID, (Field("u", "K"),), time_units=units)


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "offline.yaml"
    path.write_text(yaml.safe_dump(OFFLINE))
    return path


def record(folder, units=("hours", "hours", "hours"), step=6.0):
    recorder = Recorder(folder)
    for number, unit in enumerate(units):
        sim = simulation(number, unit)
        recorder.open(sim)
        for k in range(6):
            recorder.push(Frame(number, k, step * k, {"u": np.full(8, number + k, np.float32)}))
        recorder.close(number)
    recorder.finish()
    return folder


def test_a_solver_says_the_unit():
    wire = simulation_to_wire(simulation())
    assert simulation_from_wire(wire).time_units == "h"
    with pytest.raises(sciml.errors.ScimlError, match="time_units = 5; expected text"):
        simulation_from_wire({**wire, "time_units": 5})


def test_a_recording_keeps_the_unit(tmp_path, study):
    folder = record(tmp_path / "recording")
    with xr.open_dataset(folder / "recording.nc") as ds:
        assert ds.time.attrs["units"] == "h" and ds.time.dtype == np.float64
    recording = open_recording(folder)
    assert recording.simulation(1).time_units == "h"
    assert recording.step(1) == Step(6, "h")
    run = sciml.train(study, folder, tmp_path / "run", plain=True)
    assert run.surrogate().step == Step(6, "h")
    with xr.open_dataset(next((tmp_path / "run" / "validation").glob("*.nc"))) as held:
        assert held.time.attrs["units"] == "h"
        later = run.surrogate().rollout(held.isel(time=[0]).assign_coords(
            time=("time", [0.0], {"units": "d"})), 2)  # fmt: skip
    np.testing.assert_allclose(later.time, [0.25, 0.5])
    assert run.predictions.time.attrs["units"] == "h"


def test_recordings_of_two_units_are_no_single_dataset(tmp_path):
    recording = open_recording(record(tmp_path / "recording", ("s", "h")))
    with pytest.raises(InputError, match="its simulations differ in their times"):
        recording.open_dataset()
    assert [sim.time_units for sim, _ in recording] == ["s", "h"]


def test_times_since_a_date_open_as_dates(tmp_path, study):
    folder = record(tmp_path / "recording", ["days since 2000-01-01"] * 3, 1.0)
    with xr.open_dataset(folder / "recording.nc") as ds:
        assert str(ds.time.values[-1])[:10] == "2000-01-06"
    run = sciml.train(study, folder, tmp_path / "run", plain=True)
    assert run.surrogate().step == Step(1, "d", dates=True)
    assert str(run.predictions.time.values[-1])[:10] == "2000-01-06"
    assert evaluate(run.path)["rollout_steps"] == 5


@pytest.mark.parametrize("kind", ["one file", "a file each"])
def test_months_of_a_file_are_months_in_a_run(tmp_path, study, kind, capsys):
    time = pd.date_range("2000-01-31", periods=16, freq="ME")
    u = np.sin(np.arange(8) - 0.3 * np.arange(16)[:, None] + np.arange(3)[:, None, None])
    ds = xr.Dataset(
        {"u": (("sample", "time", "x"), u.astype(np.float32))}, {"time": time, "x": np.arange(8.0)}
    )
    ds = ds.isel(time=np.delete(np.arange(16), 6))  # July is missing
    (tmp_path / "data").mkdir()
    for n in range(3):
        ds.isel(sample=n).to_netcdf(tmp_path / "data" / f"{n}.nc", engine="h5netcdf")
    ds.to_netcdf(tmp_path / "all.nc", engine="h5netcdf")
    given = tmp_path / ("all.nc" if kind == "one file" else "data")
    run = sciml.train(study, given, tmp_path / "run", plain=True)
    said = capsys.readouterr()
    assert "where steps are 1 month elsewhere: 2 segments of 15 times" in said.out + said.err
    surrogate = run.surrogate()
    assert surrogate.step == Step(1, "month", 31, dates=True)
    [held] = (tmp_path / "run" / "validation").glob("*.nc")
    with xr.open_dataset(held) as truth:
        np.testing.assert_array_equal(truth.time, ds.time)
    np.testing.assert_array_equal(run.predictions.time, ds.time[:6])  # up to the gap
    assert run.summary["rollout_steps"] == 8  # the longer of the two stretches
    assert evaluate(run.path)["one_step"] == pytest.approx(run.summary["one_step"], rel=1e-4)


def test_files_in_other_units_are_converted(tmp_path, study):
    def write(name, step, units, n=6):
        u = np.sin(np.arange(8) - 0.3 * np.arange(n)[:, None]).astype(np.float32)
        ds = xr.Dataset({"u": (("time", "x"), u)}, {"x": np.arange(8.0)})
        ds = ds.assign_coords(time=("time", step * np.arange(n), {"units": units}))
        ds.to_netcdf(tmp_path / "data" / name, engine="h5netcdf")

    (tmp_path / "data").mkdir()
    write("a.nc", 6.0, "hours")
    write("b.nc", 0.25, "days")
    run = sciml.train(study, tmp_path / "data", tmp_path / "run", plain=True)
    assert run.surrogate().step == Step(6, "h")
    write("b.nc", 6.0, "days")
    with pytest.raises(InputError, match=r"b\.nc: a time step of 144 h, in a\.nc of 6 h"):
        sciml.train(study, tmp_path / "data", tmp_path / "other", plain=True)
    write("b.nc", 6.0, "orbits")
    with pytest.raises(InputError, match=r"b\.nc: times are in orbits, in a\.nc in h"):
        sciml.train(study, tmp_path / "data", tmp_path / "other", plain=True)
