"""Samples out of a dataset: ours, and anyone's."""

import numpy as np
import pytest
import xarray as xr

from sciml.domain import Field, Grid, Particles
from sciml.domain.dataset import to_dataset
from sciml.errors import InputError
from sciml.samples import Task
from sciml.samples.dataset import samples_of, simulations_of

GRID = Grid((4, 6), ((0, 1), (0, 2)), ("periodic", "dirichlet"), "m")
VALUES = np.arange(3 * 5 * 4 * 6, dtype=np.float32).reshape(3, 5, 4, 6)
TIMES = np.linspace(0, 2, 5)


def dataset(**changes):
    return to_dataset(
        GRID,
        [Field("u", "K")],
        {"u": VALUES},
        TIMES,
        parameters={"kappa": [0.1, 0.2, 0.3], "nu": 7},
        static={"mask": np.ones((4, 6)), "height": np.arange(3 * 24.0).reshape(3, 4, 6)},
        **changes,
    )


def test_every_window_of_every_simulation():
    task = Task(
        ("u",), ("u",), lead=2, parameters=("kappa", "nu"), static=("mask", "height"), time=True
    )
    samples = samples_of(dataset(), task)
    assert [s.key for s in samples] == [(i, o) for i in range(3) for o in range(3)]
    sample = samples[4]
    assert sample.simulation.domain == GRID
    assert sample.simulation.parameters == {"kappa": 0.2, "nu": 7.0}
    assert sample.simulation.fields == (Field("u", "K", "u"),)
    np.testing.assert_array_equal(
        sample.simulation.static["height"], np.arange(24, 48).reshape(4, 6)
    )
    np.testing.assert_array_equal(sample.inputs[0].fields["u"], VALUES[1, 1])
    np.testing.assert_array_equal(sample.targets[0].fields["u"], VALUES[1, 3])
    assert sample.targets[0].time == 1.5
    with pytest.raises(ValueError, match="read-only"):
        sample.inputs[0].fields["u"][:] = 0
    # Overlapping windows share their frames.
    assert samples[0].targets[0] is samples[2].inputs[0]


@pytest.mark.parametrize("dtype", ["int32", "float64", "float32"])
def test_any_order_of_dimensions_from_file_and_dask(dtype, tmp_path):
    task = Task(("u",), ("u",), parameters=("kappa",))
    ds = dataset()
    ds["u"] = ds.u.astype(dtype)
    expected = samples_of(ds, task)
    ds.transpose("x", "time", "sample", "y").to_netcdf(tmp_path / "f.nc", engine="h5netcdf")
    for chunks in (None, {"time": 2, "sample": 1}):
        with xr.open_dataset(tmp_path / "f.nc", chunks=chunks) as opened:
            samples = samples_of(opened, task)
        assert [s.key for s in samples] == [s.key for s in expected]
        for got, wanted in zip(samples, expected, strict=True):
            assert got.inputs[0].fields["u"].dtype == np.dtype(dtype)
            np.testing.assert_array_equal(got.inputs[0].fields["u"], wanted.inputs[0].fields["u"])
            assert got.simulation.parameters == wanted.simulation.parameters


def test_foreign_dataset():
    """No attributes, other names, no sample, no coordinates."""
    ds = xr.Dataset({"temp": (("t", "lat", "lon"), np.random.rand(4, 3, 5))})
    (entry,) = simulations_of(ds)
    simulation, frames = entry
    assert simulation.domain == Grid((3, 5), ((0, 2), (0, 4)), ("open", "open"))
    assert [f.time for f in frames] == [0, 1, 2, 3] and [f.step for f in frames] == [0, 1, 2, 3]
    np.testing.assert_array_equal(frames[2].fields["temp"], ds.temp[2])


def test_without_time_each_sample_is_one_frame():
    ds = to_dataset(GRID, [Field("a"), Field("p")], {"a": VALUES[:, 0], "p": VALUES[:, 1]}, None)
    samples = samples_of(ds, Task(("a",), ("p",), lead=0))
    assert [s.key for s in samples] == [(0, 0), (1, 0), (2, 0)]
    np.testing.assert_array_equal(samples[2].targets[0].fields["p"], VALUES[2, 1])


def test_particles_with_a_global_field():
    water = Particles([8, 1, 1])
    fields = [Field("position", "angstrom", components=3), Field("energy", "eV", on="global")]
    values = {"position": np.random.rand(4, 3, 3), "energy": np.arange(4.0)}
    ds = to_dataset(water, fields, values, np.arange(4.0))
    samples = samples_of(ds, Task(("position",), ("energy",), lead=0))
    assert len(samples) == 4 and samples[3].targets[0].fields["energy"] == 3.0
    assert samples[0].inputs[0].fields["position"].shape == (3, 3)
    assert samples[0].simulation.domain == water


def test_fill_behind_a_shorter_simulation_is_left_out():
    ds = dataset()
    ds["u"] = ds.u.where((ds["sample"] != 1) | (ds.time < 1))
    assert [len(frames) for _, frames in simulations_of(ds)] == [5, 2, 5]
    keys = [s.key for s in samples_of(ds, Task(("u",), ("u",)))]
    assert [k for k in keys if k[0] == 1] == [(1, 0)]


def test_nan_inside_is_refused():
    ds = dataset().copy(deep=True)
    ds.u[1, 3, 0, 0] = np.nan
    with pytest.raises(InputError, match="'u' has 1 NaN in sample 1, frame 3"):
        simulations_of(ds)


def test_a_field_that_is_missing_beside_others_is_named():
    ds = dataset()
    whole = ds.assign(v=2 * ds.u)
    task = Task(("u", "v"), ("u", "v"))
    ended = whole.where((ds["sample"] != 1) | (ds.time < 1)).assign_coords(ds.coords)
    assert len(samples_of(ended[["u", "v"]], task)) == 9
    absent = whole.assign(v=whole.v.where(ds["sample"] != 1))
    with pytest.raises(InputError, match="'v' is NaN throughout sample 1, frame 0, where 'u' has"):
        samples_of(absent, task)


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        (complex, r"'u' is complex128; expected real.*ds\['u'\]\.real"),
        (str, r"type <U\d+; expected n"),
    ],
)
def test_what_is_no_real_number_is_refused(dtype, message):
    ds = dataset()
    with pytest.raises(InputError, match=message):
        samples_of(ds.assign(u=ds.u.astype(dtype)), Task(("u",), ("u",)))


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Task(("uu",), ("u",)), "no variable 'uu'; did you mean 'u'"),
        (Task(("u",), ("u",), parameters=("kapa",)), "no variable 'kapa'; did you mean 'kappa'"),
        (Task(("u",), ("u",), parameters=("mask",)), r"'mask' spans \('y', 'x'\).*'static'"),
        (Task(("u",), ("u",), lead=5), "no window of the task.*fits into 5 frames"),
    ],
)
def test_what_does_not_fit_is_said(task, message):
    with pytest.raises(InputError, match=message):
        samples_of(dataset(), task)
