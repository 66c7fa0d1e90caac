"""Files of others through fit, predict, rollout and evaluate, and through studies."""

import json
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

import sciml
from sciml.errors import InputError
from sciml.record import foreign
from sciml.run.offline.training import resume_offline
from sciml.samples import Task

sys.path.append(str(Path(__file__).parents[1] / "domain"))
from layouts import write_darcy, write_flow, write_line, write_seeds, write_the_well

MODEL = {"name": "fno", "modes": 2, "hidden_channels": 4, "n_layers": 1}


def line(times=12, n=8, shift=0.0):
    u = np.sin(0.5 * np.arange(times)[:, None] + 0.7 * np.arange(n) + shift).astype(np.float32)
    coords = {"time": 0.5 * np.arange(times), "x": np.arange(n) / n}
    return xr.Dataset({"u": (("time", "x"), u)}, coords)


@pytest.fixture
def study(tmp_path):
    def study(inputs=("u",), **sections):
        tree = {
            "name": "line",
            "task": {"inputs": list(inputs), **sections.pop("task", {})},
            "model": MODEL,
            "training": {"batch_size": 2, "phases": [{"steps": 3}], "device": "cpu"},
            "validation": {"simulations": 1},
        }
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(tree | sections))
        return path

    return study


@pytest.mark.parametrize(
    ("write", "name", "task"),
    [
        (write_the_well, "shear_flow.hdf5", {}),
        (
            write_the_well,
            "shear_flow.hdf5",
            {
                "inputs": ["tracer", "velocity_x", "velocity_y"],
                "targets": ["tracer", "velocity_x", "velocity_y"],
                "parameters": ["strength"],
                "forcing": ["heating"],
                "static": ["floor"],
            },
        ),
        (write_line, "1D_Burgers_Sols_Nu0.01.hdf5", {}),
        (write_flow, "2D_CFD_Rand_M0.1_Eta1e-08_Zeta1e-08_periodic_128_Train.hdf5", {}),
        (write_seeds, "2D_rdb_NA_NA.h5", {}),
    ],
    ids=["the well", "the well with all it has", "line", "flow", "seeds"],
)
def test_a_layout_goes_all_the_way_through(tmp_path, write, name, task):
    path = write(tmp_path / name)
    surrogate = sciml.fit(MODEL, path, task=task or None, epochs=1)
    ds = sciml.open_dataset(path)
    ahead = surrogate.predict(path)
    film = surrogate.rollout(ds.isel(time=[2]), 2, **({"forcing": ds} if task else {}))
    film.to_netcdf(tmp_path / "film.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "film.nc") as back:
        for target in surrogate.task.targets:
            assert back[target].dims == ds[target].dims and back[target].sizes["time"] == 2
            assert (
                np.isfinite(back[target].values).all() and np.isfinite(ahead[target].values).all()
            )
        np.testing.assert_allclose(back.time, ds.time[3:5])
    found = sciml.evaluate(surrogate, path)
    assert found["simulations"] == ds.sizes["sample"] and found["vrmse"] > 0
    assert found["frames"] == ds.sizes["sample"] * ds.sizes["time"]
    assert found["split"].startswith("all of it")


def test_maps_of_darcy(tmp_path):
    path = write_darcy(tmp_path / "2D_DarcyFlow_beta1.0_Train.hdf5")
    surrogate = sciml.fit(MODEL, path, inputs=["nu"], targets=["tensor"], epochs=1)
    assert surrogate.predict(path)["tensor"].dims == ("sample", "x", "y")


def test_the_splits_of_the_well_are_its_folders(tmp_path, caplog):
    for part, count in (("train", 3), ("valid", 2), ("test", 2)):
        (tmp_path / "data" / part).mkdir(parents=True)
        write_the_well(tmp_path / "data" / part / "a.hdf5", samples=count, viscosity=count / 10)
    with caplog.at_level(logging.INFO, "sciml.fit"):
        names = ["tracer"]
        surrogate = sciml.fit(MODEL, tmp_path / "data", inputs=names, targets=names, epochs=1)
    assert "15 samples of 3 simulations, 2 held out by names" in caplog.text
    assert "2 for testing not read" in caplog.text
    assert "parameters vary and are not inputs: " in caplog.text and "strength" in caplog.text
    found = sciml.evaluate(surrogate, tmp_path / "data")
    assert found["simulations"] == 2 and found["split"].startswith("what is for testing")
    assert str(found).splitlines()[0] == "on what is for testing, by the names of the files"


def test_frames_that_are_read_when_they_are_drawn_are_the_same(tmp_path, monkeypatch):
    path = write_the_well(tmp_path / "a.hdf5")
    task = {"inputs": ["tracer"], "targets": ["tracer"], "static": ["floor"]}
    held = sciml.fit(MODEL, path, task, epochs=2)
    monkeypatch.setattr(foreign, "HELD", 0)
    read = sciml.fit(MODEL, path, task, epochs=2)
    for a, b in zip(held.parameters(), read.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach(), b.detach())
    # Files of netCDF stay open as well, and xarray keeps nothing of them.
    line().to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    data = foreign.Foreign(foreign.parts_of(tmp_path / "b.nc"), Task(("u",), ("u",)))
    np.testing.assert_array_equal(data.frame(0, 3).fields["u"], line().u[3])
    assert not data.first["u"].variable._in_memory


@pytest.mark.parametrize("ending", ["nc", "nc4", "h5"])
def test_a_folder_of_any_ending_trains_a_study(study, tmp_path, ending, capsys):
    (tmp_path / "files").mkdir()
    for k in range(3):
        ds = line(shift=k).assign_coords(speed=float(k))
        ds.to_netcdf(tmp_path / "files" / f"s{k}.{ending}", engine="h5netcdf")
    run = sciml.train(
        study(), str(tmp_path / "files" / f"*.{ending}"), tmp_path / "run", plain=True
    )
    assert run.summary["validation_simulations"] == 1
    assert "parameters vary and are not inputs: speed" in capsys.readouterr().err


def test_a_group_trains_a_study_and_is_remembered(study, tmp_path):
    for k in range(2):
        path = tmp_path / f"s{k}.nc"
        line(shift=k).to_netcdf(path, engine="h5netcdf", group="out")
    files = [tmp_path / "s0.nc", tmp_path / "s1.nc"]
    with pytest.raises(InputError, match=r"s0\.nc has its variables in groups: out"):
        sciml.train(study(), files, tmp_path / "run", plain=True)
    run = sciml.train(study(), files, tmp_path / "run", group="out", plain=True)
    assert json.loads(run.directory.replay.read_text())["group"] == "out"
    assert sciml.evaluate(run, files, group="out")["simulations"] == 2
    surrogate = run.surrogate()
    assert surrogate.predict(files, group="out").sizes["sample"] == 2


def test_the_last_times_of_a_single_simulation_are_held_out_everywhere(
    study, tmp_path, caplog, capsys
):
    path = tmp_path / "one.nc"
    line(times=30).to_netcdf(path, engine="h5netcdf")
    with caplog.at_level(logging.INFO, "sciml.fit"):
        sciml.fit(MODEL, path, epochs=1)
    assert "26 samples of 1 simulations, 1 held out, the last 3 times of the only" in caplog.text
    run = sciml.train(study(), path, tmp_path / "run", plain=True)
    assert "held out: the last 3 times of the only simulation" in capsys.readouterr().err
    assert run.summary["validation_simulations"] == 1
    with xr.open_dataset(run.path / "validation" / "simulation-00001.nc") as held:
        np.testing.assert_array_equal(held.u, line(times=30).u[27:])
    found = sciml.evaluate(run)
    assert found["split"] == "the held-out simulations of the run"
    # Resumed, it is cut where it was.
    run.directory.summary.unlink()
    again, code = resume_offline(run.path, plain=True)
    assert code == 0 and json.loads(again.replay.read_text())["cut"] == 27


def test_a_simulation_that_is_too_short_says_that_nothing_is_held_out(
    study, tmp_path, caplog, capsys
):
    path = tmp_path / "one.nc"
    line(times=3).to_netcdf(path, engine="h5netcdf")
    sciml.fit(MODEL, path, epochs=1)
    assert "nothing is held out: there is one simulation" in caplog.text
    sciml.train(study(), path, tmp_path / "run", plain=True)
    assert "warning: nothing is held out: there is one simulation" in capsys.readouterr().err


def test_frames_without_values_are_counted(study, tmp_path, caplog, capsys):
    ds = line(times=30)
    ds.u[[5, 6, 12]] = np.nan
    ds.u[28:] = np.nan
    with caplog.at_level(logging.INFO, "sciml.fit"):
        sciml.fit(MODEL, ds, epochs=1)
    [record] = [r for r in caplog.records if "are NaN throughout, with" in r.message]
    assert record.levelno == logging.WARNING
    assert record.message.startswith("3 of 30 frames are NaN throughout")
    assert "first frame 5 of sample 0" in record.message
    assert "2 frames behind the ends of simulations are NaN throughout" in caplog.text
    ds.to_netcdf(tmp_path / "one.nc", engine="h5netcdf")
    sciml.train(study(), tmp_path / "one.nc", tmp_path / "run", plain=True)
    assert "warning: one.nc: 3 of 30 frames are NaN throughout" in capsys.readouterr().err


def test_pieces_of_one_simulation_say_how_they_are_joined(tmp_path):
    for k in range(3):
        line().isel(time=[k]).to_netcdf(tmp_path / f"s{k}.nc", engine="h5netcdf")
    said = r"fits into 1 frames.*combine='nested', concat_dim='time'"
    with pytest.raises(InputError, match=said):
        sciml.fit(MODEL, tmp_path, epochs=1)


def test_several_datasets_are_simulations():
    surrogate = sciml.fit(MODEL, [line(), line(shift=1.0), line(times=5)], epochs=1)
    assert surrogate.dt == 0.5
    with pytest.raises(
        InputError, match=r"dataset 1: has 6 points, dataset 0 8; expected one grid"
    ):
        sciml.fit(MODEL, [line(), line(n=6)], epochs=1)
