"""Files of the real world, from PyPI's iris-sample-data: a 360-day calendar, land, levels, bounds."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import sciml
from sciml.errors import ScimlError

reason = "iris-sample-data is not installed: pip install --no-deps iris-sample-data"
FOLDER = Path(pytest.importorskip("iris_sample_data", reason=reason).path)
pytest.importorskip("cftime", reason="cftime is not installed: the extra climate")

MODEL = {"name": "fno", "modes": 4, "hidden_channels": 4, "n_layers": 1}


def through(tmp_path, data, name, **options):
    """Fit, predict, roll out, write, and open by xarray alone; the surrogate, and both as opened."""
    surrogate = sciml.fit(MODEL, data, epochs=1, **options)
    ds = data if isinstance(data, xr.Dataset) else sciml.open_dataset(data)
    opened = []
    found = {"ahead": surrogate.predict(ds)}
    if surrogate.task.autoregressive:
        time = next(d for d in ds.dims if str(d).startswith("time"))
        found["film"] = surrogate.rollout(ds.isel({time: [-1]}), 3)
    for what, out in found.items():
        out.to_netcdf(tmp_path / f"{what}.nc", engine="h5netcdf")
        with xr.open_dataset(tmp_path / f"{what}.nc") as back:
            assert back[name].attrs.get("units") == ds[name].attrs.get("units")
            opened.append(back.load())
    return surrogate, *opened


@pytest.mark.parametrize("file", ["A1B_north_america.nc", "E1_north_america.nc"])
def test_years_of_360_days(tmp_path, file):
    surrogate, ahead, film = through(tmp_path, FOLDER / file, "air_temperature")
    assert str(surrogate.step) == "12 months"
    assert film.time.dt.calendar == "360_day"
    assert [str(t)[:10] for t in film.time.values] == ["2100-06-01", "2101-06-01", "2102-06-01"]
    # The projection and what does not move stay; bounds of times that are gone do not.
    assert {"latitude_longitude", "height", "forecast_reference_time"} <= set(film.variables)
    assert "time_bnds" not in film.variables and "bounds" not in film.time.attrs
    assert 250 < ahead.air_temperature.mean() < 310


def test_two_scenarios_that_share_their_past_are_told(tmp_path, caplog):
    files = [FOLDER / "A1B_north_america.nc", FOLDER / "E1_north_america.nc"]
    surrogate, _, film = through(tmp_path, files, "air_temperature")
    assert film.sizes["sample"] == 2 and film["latitude_longitude"].dims == ()
    assert "hold frames that are trained on" in caplog.text
    assert sciml.evaluate(surrogate, files)["simulations"] == 2


def test_land_stays_land_and_longitudes_close(tmp_path):
    surrogate, _, film = through(tmp_path, FOLDER / "ostia_monthly.nc", "surface_temperature")
    assert surrogate.domain.boundary == ("open", "periodic")
    assert str(surrogate.step) == "1 month"
    assert str(film.time.values[-1])[:10] == "2010-12-16"
    assert (np.isnan(film.surface_temperature).sum(["latitude", "longitude"]) == 2055).all()


def test_hybrid_levels_are_fields_and_levels_again(tmp_path):
    surrogate, ahead = through(
        tmp_path,
        FOLDER / "hybrid_height.nc",
        "air_potential_temperature",
        inputs=["surface_altitude"],
        targets=["air_potential_temperature"],
        levels="channels",
    )
    assert len(surrogate.task.targets) == 15
    out = ahead["air_potential_temperature"]
    assert out.dims == ("model_level_number", "grid_latitude", "grid_longitude")
    assert {"level_height", "sigma"} <= set(ahead.coords)


def test_monthly_files_whose_times_are_beside_their_axis(tmp_path):
    files = sorted((FOLDER / "NEMO").glob("*.nc"))
    with pytest.raises(ScimlError, match=r"combine='nested', concat_dim='time_counter'"):
        sciml.fit(MODEL, files, epochs=1)
    options = {"data_vars": "minimal", "coords": "minimal", "compat": "override"}
    with xr.open_mfdataset(files, combine="nested", concat_dim="time_counter", **options) as opened:
        ds = opened.isel(y=slice(150, 182), x=slice(100, 132)).load()
    with pytest.raises(ScimlError, match=r"has 0\.0 twice.*time_counter=ds\.time_centered"):
        sciml.fit(MODEL, ds, epochs=1)
    ds = ds.assign_coords(time_counter=ds.time_centered)
    surrogate, _, film = through(tmp_path, ds, "tos")
    assert surrogate.task.inputs == ("tos",)  # and not the bounds of its cells
    assert str(film.time_counter.values[-1])[:10] == "2015-06-16"


@pytest.mark.parametrize(
    ("file", "options", "said"),
    [
        ("SOI_Darwin.nc", {}, "no axis in space"),
        ("vlstr_type.nc", {}, r"axis 'lat' holds 1 point.*ds\.squeeze"),
        ("rotated_pole.nc", {}, "no time to advance in"),
        ("orca2_votemper.nc", {"targets": ["votemper"]}, "cannot tell what 'dim0' and 'dim1' of"),
        (
            "atlantic_profiles.nc",
            {"inputs": ["theta"], "targets": ["salinity"], "levels": "channels"},
            r"numbers begin anew.*sortby\('lon'\)",
        ),
        ("mesh_C4_synthetic_float.nc", {"targets": ["synthetic"]}, "got a mesh; expected a"),
        ("A1B.2098.pp", {}, r"A1B\.2098\.pp: no netCDF, HDF5 or zarr"),
        ("polar_stereo.grib2", {}, r"polar_stereo\.grib2: GRIB: pip install cfgrib"),
    ],
)
def test_what_no_grid_model_takes_is_refused_in_a_line(file, options, said):
    with pytest.raises(ScimlError, match=said) as caught:
        sciml.fit(MODEL, FOLDER / file, epochs=1, **options)
    assert "\n" not in str(caught.value)
