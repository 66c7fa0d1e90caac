"""Predictions beside the truth, of every kind of task, as a run leaves them."""

import json

import numpy as np
import pytest
import xarray as xr

from sciml.samples import Task
from sciml.training.predictions import write_predictions


class _Persistence:
    """A surrogate that gives the last frame again; of a map, its input plus one."""

    step = dt = None

    def __init__(self, **task):
        self.task = Task(**task)

    def unknown(self, domain):
        return ""

    def rollout(self, ds, steps, forcing=None):
        step = float(ds.time[-1]) + 1.0
        last = ds[list(self.task.targets)].isel(time=[-1] * steps)
        return last.assign_coords(time=step + np.arange(steps))

    def predict(self, ds):
        given = ds[self.task.inputs[0]]
        out = ds[[]].assign(dict.fromkeys(self.task.targets, given + 1))
        if self.task.history and self.task.lead and "time" in ds.dims:
            out = out.isel(time=slice((self.task.history - 1) * self.task.lead, None))
            out = out.assign_coords(time=out.time + self.task.lead)
        return out


def simulation(dt=0.1, times=6, names=("u",), dtype=np.float64):
    values = np.arange(times, dtype=dtype)[:, None] * np.ones(4, dtype)
    data = {n: (("time", "x"), values + 10 * k, {"units": "K"}) for k, n in enumerate(names)}
    time = ("time", dt * np.arange(times), {"units": "s"})
    return xr.Dataset(data, {"time": time, "x": np.linspace(0.0, 1.0, 4)})


def written(folder, surrogate, *truths, steps=10):
    path = folder / "predictions.nc"
    write_predictions(surrogate, list(enumerate(truths)), path, steps=steps)
    return xr.load_dataset(path, engine="h5netcdf")


def test_all_that_the_solver_gave_is_there_in_float32(tmp_path):
    task = {"inputs": ("u",), "targets": ("u",), "forcing": ("f",)}
    ds = simulation(1.0, names=("u", "v", "f")).assign(mask=("x", np.ones(4)))
    found = written(tmp_path, _Persistence(**task), ds, ds + 1)
    assert {*found.data_vars} == {"u", "u_true", "v_true", "f", "mask"}
    assert found.u.dims == ("sample", "time", "x")
    assert all(array.dtype == np.float32 for array in found.data_vars.values())
    np.testing.assert_array_equal(found.u_true, [ds.u, ds.u + 1])
    np.testing.assert_array_equal(found.u[0], 0.0 * ds.u)  # begins with the frame it started from
    np.testing.assert_array_equal(found.time, ds.time)
    assert found.u.attrs["units"] == found.u_true.attrs["units"] == "K"
    assert json.loads(found.attrs["prediction"])["kind"] == "rollout"


def test_numbers_that_float32_does_not_have_stay(tmp_path):
    task = {"inputs": ("u",), "targets": ("u",)}
    found = written(tmp_path, _Persistence(**task), simulation(1.0) * 1e39)
    assert found.u_true.dtype == np.float64 and np.isfinite(found.u_true).all()


def test_what_float32_does_not_tell_apart_stays(tmp_path):
    task = {"inputs": ("u",), "targets": ("u",)}
    ds = simulation(1.0)
    found = written(tmp_path, _Persistence(**task), -4209.0 + 1e-4 * ds)
    assert found.u_true.dtype == np.float64
    np.testing.assert_allclose(found.u_true[0] + 4209.0, 1e-4 * ds.u, atol=1e-11)
    energies = ds.assign(E=("time", -4209.0 * np.arange(1.0, 1 + ds.sizes["time"])))
    found = written(tmp_path, _Persistence(**task), energies)
    assert found.u_true.dtype == np.float32 and found.E_true.dtype == np.float64


def test_a_map_is_predicted_at_each_time(tmp_path):
    surrogate = _Persistence(inputs=("a",), targets=("u",), lead=0)
    found = written(tmp_path, surrogate, simulation(1.0, names=("u", "a")))
    np.testing.assert_array_equal(found.u, found.a_true + 1)
    assert found.sizes["time"] == 6
    about = json.loads(found.attrs["prediction"])
    assert (about["kind"], about["targets"], about["inputs"]) == ("map", ["u"], ["a"])


def test_what_cannot_be_fed_back_is_predicted_ahead(tmp_path):
    surrogate = _Persistence(inputs=("a",), targets=("u",), lead=2, history=2)
    ds = simulation(1.0, names=("u", "a"))
    found = written(tmp_path, surrogate, ds)
    np.testing.assert_array_equal(found.time.squeeze(), [4.0, 5.0])  # seen: 0 and 2, 1 and 3
    np.testing.assert_array_equal(found.u.squeeze(), ds.a[2:4] + 1)
    np.testing.assert_array_equal(found.u_true.squeeze(), ds.u[4:])


def test_without_time(tmp_path):
    surrogate = _Persistence(inputs=("a",), targets=("u",), lead=0)
    ds = simulation(names=("u", "a")).isel(time=3, drop=True)
    found = written(tmp_path, surrogate, ds, ds)
    assert found.u.dims == ("sample", "x") and (found.u == found.a_true + 1).all()


def test_simulations_with_times_of_their_own_keep_them(tmp_path):
    surrogate = _Persistence(inputs=("u",), targets=("u",))
    truths = [(1, simulation(0.1, 3)), (2, simulation(0.2, 3))]
    (tmp_path / "predictions.nc").write_bytes(b"of before")
    write_predictions(surrogate, truths, tmp_path / "predictions.nc", steps=2)
    files = sorted(tmp_path.glob("predictions*.nc"))
    assert [f.name for f in files] == ["predictions-00001.nc", "predictions-00002.nc"]
    times = [xr.load_dataset(file).time.values for file in files]
    np.testing.assert_allclose(times, [[0.0, 0.1, 0.2], [0.0, 0.2, 0.4]])


@pytest.mark.parametrize("name", ["t $x$", "100 % {0}", "é"])
def test_any_names(tmp_path, name):
    surrogate = _Persistence(inputs=(name,), targets=(name,))
    found = written(tmp_path, surrogate, simulation(1.0, names=(name,)))
    assert {name, f"{name}_true"} == {*found.data_vars}
    assert json.loads(found.attrs["prediction"])["targets"] == [name]


def test_too_short_for_a_window(tmp_path):
    surrogate = _Persistence(inputs=("u",), targets=("u",), lead=7)
    truths = [(0, simulation())]
    write_predictions(surrogate, truths, tmp_path / "predictions.nc", steps=2)
    assert not list(tmp_path.iterdir())
