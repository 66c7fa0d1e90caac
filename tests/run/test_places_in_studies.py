"""`train --from` on archives of others: levels, descending axes, static fields over time."""

import numpy as np
import pytest
import xarray as xr
import yaml

import sciml
from sciml.errors import DomainError, InputError
from sciml.run.evaluation import evaluate
from sciml.run.offline.training import resume_offline, train_offline
from sciml.study import load_study


@pytest.fixture
def air():
    rng = np.random.default_rng(0)
    t = rng.standard_normal((3, 5, 2, 6, 8)).cumsum(1).astype("f4")
    return xr.Dataset(
        {
            "t": (("sample", "time", "level", "lat", "lon"), t, {"units": "K"}),
            "oro": (("time", "lat", "lon"), np.tile(t[0, 0, 0], (5, 1, 1))),
        },
        {
            "time": ("time", np.arange(5.0), {"units": "s"}),
            "level": ("level", [850.0, 500], {"units": "hPa"}),
            "lat": ("lat", np.linspace(75, -75, 6), {"units": "degrees_north"}),
            "lon": ("lon", np.arange(0, 360, 45.0), {"units": "degrees_east"}),
        },
    )


@pytest.fixture
def study(tmp_path):
    sections = {
        "name": "air",
        "task": {"inputs": ["t"], "static": ["oro"], "levels": "channels"},
        "model": {"name": "fno", "modes": 2, "hidden_channels": 4, "n_layers": 1},
        "training": {"batch_size": 2, "phases": [{"steps": 3}], "device": "cpu"},
        "validation": {"simulations": 1},
    }
    path = tmp_path / "air.yaml"
    path.write_text(yaml.safe_dump(sections))
    return path


def test_levels_in_a_study(study, air, tmp_path, capsys):
    air.to_netcdf(tmp_path / "air.nc", engine="h5netcdf")
    run = sciml.train(study, tmp_path / "air.nc", tmp_path / "run", plain=True)
    said = capsys.readouterr().err
    assert "'lon' closes at 360 degrees: it is periodic" in said
    assert "static 'oro' is the same at all 5 times" in said
    # The study stays as it was written: the levels are those of the data.
    assert run.study.task.inputs == ["t"]
    surrogate = run.surrogate()
    assert surrogate.task.inputs == ("t_850", "t_500")
    assert surrogate.domain.meanings == ("latitude", "longitude")
    out = surrogate.predict(air)
    assert out.t.dims == air.t.dims and out.lat.identical(air.lat)
    found = evaluate(run.path, [tmp_path / "air.nc"])
    assert found["simulations"] == 3
    assert evaluate(run.path)["simulations"] == 1
    assert {"t_850", "t_850_true"} <= {*run.predictions}
    other = air.assign_coords(level=[850.0, 300])
    other.to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(InputError, match="levels 850, 300; the surrogate was trained on 850, 500"):
        evaluate(run.path, [tmp_path / "other.nc"])


def test_a_run_with_levels_goes_on(study, air, tmp_path):
    class Stop:
        """Set from the second look on."""

        looks = 0

        def is_set(self):
            self.looks += 1
            return self.looks > 2

    air.to_netcdf(tmp_path / "air.nc", engine="h5netcdf")
    loaded = load_study(study, solver=False)
    run, code = train_offline(
        loaded, tmp_path / "air.nc", tmp_path / "run", plain=True, stop=Stop()
    )
    assert code != 0
    _, code = resume_offline(run, plain=True)
    assert code == 0 and sciml.open_run(run.path).summary["steps"] == 3


def test_files_have_the_same_levels(study, air, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    air.to_netcdf(folder / "a.nc", engine="h5netcdf")
    air.assign_coords(level=[850.0, 300]).to_netcdf(folder / "b.nc", engine="h5netcdf")
    with pytest.raises(InputError, match=r"b\.nc: 't' has .* t_850, t_300, in a\.nc t_850, t_500"):
        train_offline(load_study(study, solver=False), folder, tmp_path / "run")
    study.write_text(study.read_text().replace("  levels: channels\n", ""))
    with pytest.raises(InputError, match=r"levels='channels'.*levels='axis'"):
        train_offline(load_study(study, solver=False), folder, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_land_and_latitudes_in_a_study(study, air, tmp_path, capsys):
    land = xr.DataArray(np.arange(6) > 3, dims="lat") & xr.DataArray(np.arange(8) > 2, dims="lon")
    ds = air.assign(t=air.t.where(~land))
    ds.to_netcdf(tmp_path / "sea.nc", engine="h5netcdf")
    run = sciml.train(
        study, tmp_path / "sea.nc", tmp_path / "run", plain=True,
        overrides=["training.weighting=latitude", "training.field_weights={t: 2.0}"],
    )  # fmt: skip
    said = capsys.readouterr().err
    assert "'t_850' has no values at 10 of 48 points, at any time" in said
    assert run.summary["weighting"] == "latitude" and run.summary["one_step"] < 10
    assert "points weigh by latitude" in said
    assert (run.predictions["t_850"].isnull() == run.predictions["t_850_true"].isnull()).all()
    assert (run.surrogate().predict(ds).t.isnull() == land).all()
    found = evaluate(run.path)
    assert found["one_step"] == pytest.approx(run.summary["one_step"], rel=1e-5)
    assert found["weighting"] == "latitude"
    air.to_netcdf(tmp_path / "air.nc", engine="h5netcdf")
    with pytest.raises(InputError, match=r"'t_850' has values at 10 .* had none in training"):
        evaluate(run.path, [tmp_path / "air.nc"])


def test_masks_are_one_in_all_files(study, air, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    air.to_netcdf(folder / "a.nc", engine="h5netcdf")
    air.assign(t=air.t.where(air.lat < 70)).to_netcdf(folder / "b.nc", engine="h5netcdf")
    with pytest.raises(InputError, match=r"b\.nc: 't_850' has NaN at 8 .* values in a\.nc"):
        train_offline(load_study(study, solver=False), folder, tmp_path / "run")


def test_no_latitude_is_said_before_a_run(study, air, tmp_path):
    plain = air.rename(lat="y", lon="x")
    plain.y.attrs.clear()
    plain.to_netcdf(tmp_path / "plain.nc", engine="h5netcdf")
    loaded = load_study(study, ["training.weighting=latitude"], solver=False)
    with pytest.raises(DomainError, match="none is a latitude"):
        train_offline(loaded, tmp_path / "plain.nc", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_levels_are_one_of_two(study):
    with pytest.raises(InputError, match=r"task: levels=.fields.; expected channels or axis"):
        load_study(study, ["task.levels=fields"], solver=False)
