import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from sciml.domain import Field, Grid, Particles
from sciml.domain.dataset import domain_of, to_dataset
from sciml.errors import InputError
from sciml.samples import Task
from sciml.samples.dataset import samples_of
from sciml.surrogates import Surrogate


class Double(nn.Module):
    """Twice the first channel."""

    def forward(self, x):
        return 2 * x[:, :1]


@pytest.fixture
def foreign(rng):
    """Other names, another order of dimensions, dates, decoded attributes."""
    return xr.Dataset(
        {
            "t2m": (
                ("time", "lat", "member", "lon"),
                rng.standard_normal((4, 6, 2, 8)).astype(np.float32),
                {"units": "K", "long_name": "2 m temperature", "note": "kept"},
            ),
            "orography": (("lat", "lon"), rng.standard_normal((6, 8))),
        },
        {
            "time": np.datetime64("2020-01-01", "ns") + np.arange(4) * np.timedelta64(6, "h"),
            "lat": ("lat", np.linspace(-50, 50, 6), {"units": "degrees_north"}),
            "lon": ("lon", np.arange(8) * 45.0, {"units": "degrees_east"}),
            "member": [3, 7],
            "season": ("time", list("abcd")),
        },
        {"source": "somebody"},
    )


@pytest.fixture
def surrogate(heat_dataset, step_task):
    return Surrogate(Double(), step_task, domain=domain_of(heat_dataset), dt=0.5)


def test_predict_gives_each_time_its_successor(surrogate, heat_dataset):
    out = surrogate.predict(heat_dataset)
    assert out.u.dims == ("sample", "time", "y", "x")
    np.testing.assert_allclose(out.time, heat_dataset.time + 0.5)
    np.testing.assert_allclose(out.u.values, 2 * heat_dataset.u.values)
    assert out.attrs == heat_dataset.attrs
    assert out.time.attrs == heat_dataset.time.attrs


def test_small_batches_give_the_same(surrogate, heat_dataset):
    xr.testing.assert_identical(
        surrogate.predict(heat_dataset, batch_size=2), surrogate.predict(heat_dataset)
    )


def test_rollout_goes_on_from_the_last_time(surrogate, heat_dataset):
    out = surrogate.rollout(heat_dataset, 3)
    np.testing.assert_allclose(out.time, [2.5, 3.0, 3.5])
    last = heat_dataset.u.values[:, -1]
    np.testing.assert_allclose(out.u.values, np.stack([2 * last, 4 * last, 8 * last], 1))


def test_a_rollout_can_go_on_from_a_rollout(surrogate, heat_dataset):
    first = surrogate.rollout(heat_dataset, 2)
    again = surrogate.rollout(first, 2)
    xr.testing.assert_allclose(again, surrogate.rollout(heat_dataset, 4).isel(time=slice(2, None)))


def test_foreign_names_orders_and_dates_stay(foreign):
    task = Task(("t2m",), ("t2m",), lead=2, static=("orography",))
    out = Surrogate(Double(), task).predict(foreign)
    assert out.t2m.dims == ("time", "lat", "member", "lon")
    np.testing.assert_allclose(out.t2m.values, 2 * foreign.t2m.values)
    assert out.t2m.attrs == foreign.t2m.attrs
    assert (out.time.values == foreign.time.values + np.timedelta64(12, "h")).all()
    for name in ("lat", "lon", "member", "orography"):
        assert out[name].identical(foreign[name])
    assert "season" not in out.variables
    rolled = Surrogate(Double(), task).rollout(foreign, 2)
    assert rolled.time.values[-1] == foreign.time.values[-1] + np.timedelta64(24, "h")


def test_no_sample_dimension_is_needed(surrogate, heat_dataset):
    one = heat_dataset.isel(sample=1)
    out = surrogate.predict(one)
    assert out.u.dims == ("time", "y", "x")
    np.testing.assert_allclose(out.u.values, 2 * one.u.values)


def test_a_single_time_takes_the_step_of_the_training(surrogate, heat_dataset):
    out = surrogate.rollout(heat_dataset.isel(time=[0]), 2)
    np.testing.assert_allclose(out.time, [0.5, 1.0])


def test_history_shortens_the_prediction(heat_dataset):
    task = Task(("u",), ("u",), history=3)
    out = Surrogate(Double(), task).predict(heat_dataset)
    np.testing.assert_allclose(out.time, [1.5, 2.0, 2.5])
    with pytest.raises(InputError, match="give at least 3"):
        Surrogate(Double(), task).predict(heat_dataset.isel(time=slice(2)))


def test_the_steady_task_keeps_the_times(heat_dataset):
    ds = heat_dataset.rename(u="a").isel(time=0, drop=True)
    task = Task(("a",), ("p",), lead=0)
    out = Surrogate(Double(), task, fields=(Field("p", "Pa", "pressure"),)).predict(ds)
    assert out.p.dims == ("sample", "y", "x")
    assert out.p.attrs == {"units": "Pa", "long_name": "pressure"}
    assert "time" not in out.dims


def test_parameters_and_time_give_fields(rng):
    task = Task((), ("u",), history=0, parameters=("a",), time=True)
    grid = Grid((3, 4), ((0, 1), (0, 1)), ("open", "open"))

    class Field0(nn.Module):
        def forward(self, p):
            return (p[:, 0] + 10 * p[:, 1]).view(-1, 1, 1, 1).expand(-1, 1, 3, 4)

    surrogate = Surrogate(Field0(), task, domain=grid, fields=(Field("u", "K"),))
    ds = xr.Dataset({"a": ("sample", [1.0, 2.0])}, {"time": [0.0, 0.5, 1.0]})
    out = surrogate.predict(ds)
    assert out.u.dims == ("sample", "time", "y", "x")
    np.testing.assert_allclose(out.u[:, :, 0, 0], [[1, 6, 11], [2, 7, 12]])
    np.testing.assert_allclose(out.x, grid.coordinates(1))
    assert out.u.attrs["units"] == "K"
    moving = ds.assign(a=(("sample", "time"), np.ones((2, 3))))
    with pytest.raises(InputError, match=r"parameter 'a' spans \('time',\) within one simulation"):
        surrogate.predict(moving)


def test_ended_simulations_stay_empty(surrogate, heat_dataset):
    ds = heat_dataset.copy(deep=True)
    ds.u[1, 3:] = np.nan
    out = surrogate.predict(ds)
    assert np.isnan(out.u.values[1, 3:]).all()
    np.testing.assert_allclose(out.u.values[1, :3], 2 * ds.u.values[1, :3])
    with pytest.raises(InputError, match="sample 1 has only NaN at the last times"):
        surrogate.rollout(ds, 1)


def test_nothing_to_predict_from_is_said(surrogate, heat_dataset):
    empty = heat_dataset.assign(u=heat_dataset.u.where(False))
    for ds, count in ((empty, 2), (heat_dataset.isel(sample=[]), 0)):
        with pytest.raises(InputError, match=f"none of its {count} samples has numbers"):
            surrogate.predict(ds)
    with pytest.raises(InputError, match="batch_size=0; expected a whole number, at least 1"):
        surrogate.predict(heat_dataset, batch_size=0)


def test_dask_chunks_give_the_same(surrogate, heat_dataset):
    xr.testing.assert_identical(
        surrogate.predict(heat_dataset.chunk(time=2, sample=1)), surrogate.predict(heat_dataset)
    )


def test_missing_variables_are_named(surrogate, heat_dataset):
    with pytest.raises(InputError, match=r"no variable 'u'.*known: kappa, uu"):
        surrogate.predict(heat_dataset.rename(u="uu"))
    with pytest.raises(InputError, match="no variable 'kappa'"):
        surrogate.predict(heat_dataset.drop_vars("kappa"))


def test_arrays_are_no_datasets(surrogate, heat_dataset):
    for given in (heat_dataset.u, heat_dataset.u.values):
        with pytest.raises(InputError, match=r"expected a dataset.*to_dataset\(name='u'\)"):
            surrogate.predict(given)


def test_nan_is_refused(surrogate, heat_dataset):
    ds = heat_dataset.copy(deep=True)
    ds.u[0, 1, 2, 3] = np.nan
    with pytest.raises(InputError, match="1 NaN in sample 0"):
        surrogate.predict(ds)


def test_another_box_is_refused(surrogate, rng):
    grid = Grid((12, 10), ((0.0, 2.4), (0.0, 1.0)), ("periodic", "periodic"))
    values = {"u": rng.standard_normal((2, 12, 10))}
    ds = to_dataset(grid, (Field("u"),), values, [0.0, 0.5], parameters={"kappa": 1.0})
    with pytest.raises(InputError, match=r"\[0, 2.4\] along axis y"):
        surrogate.predict(ds)
    line = to_dataset(
        Grid((9,), ((0, 1),), ("open",)),
        (Field("u"),),
        {"u": rng.standard_normal((2, 9))},
        [0, 0.5],
    ).assign(kappa=1.0)
    with pytest.raises(InputError, match="1 axes in space"):
        surrogate.predict(line)


def test_another_time_step_is_refused(surrogate, heat_dataset):
    thinned = heat_dataset.isel(time=slice(None, None, 2))
    with pytest.raises(InputError, match="time step of 1; the surrogate was trained with"):
        surrogate.predict(thinned)


def test_what_cannot_be_fed_back_is_not_rolled_out(heat_dataset):
    task = Task(("u",), ("v",))
    with pytest.raises(InputError, match="use predict"):
        Surrogate(Double(), task).rollout(heat_dataset, 2)
    with pytest.raises(InputError, match="at least 1"):
        Surrogate(Double(), Task(("u",), ("u",))).rollout(heat_dataset, 0)


def test_the_result_can_be_written_and_opened(surrogate, foreign, heat_dataset, tmp_path):
    task = Task(("t2m",), ("t2m",))
    for ds, made in (
        (heat_dataset, surrogate.predict(heat_dataset)),
        (foreign, Surrogate(Double(), task).predict(foreign)),
    ):
        made.to_netcdf(tmp_path / "out.nc", engine="h5netcdf")
        with xr.open_dataset(tmp_path / "out.nc") as opened:
            xr.testing.assert_allclose(opened.load(), made)
        assert set(made.data_vars) <= set(ds.data_vars)


def test_predict_leaves_training_mode_and_gradients_alone(surrogate, heat_dataset):
    surrogate.train()
    surrogate.predict(heat_dataset)
    assert surrogate.training
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("config", ["mlp", "deeponet"])
def test_a_surrogate_in_bfloat16_keeps_the_digits_of_fields(heat_dataset, step_task, config):
    ds = heat_dataset.assign(u=1000 + 0.1 * heat_dataset.u)  # bfloat16 has steps of 4 there
    surrogate = Surrogate.build(config, step_task, domain_of(ds), increment=True)
    surrogate.normalizer.update(samples_of(ds, step_task))
    exact = surrogate.predict(ds).u
    rough = surrogate.bfloat16().predict(ds).u
    assert rough.dtype == np.float32
    np.testing.assert_allclose(rough, exact, rtol=0, atol=0.02)
    assert surrogate.rollout(ds, 2).u.dtype == np.float32


@pytest.mark.parametrize("atoms", [1, 3])
def test_particles_may_be_one(rng, atoms):
    class Twice(nn.Module):
        def forward(self, positions, *, owner, ptr, **rest):
            energy = torch.zeros(len(ptr) - 1).index_add(0, owner, positions.sum(1))
            return {"positions": 2 * positions, "energy": energy}

    names, fields = (
        ("positions", "energy"),
        (Field("positions", components=3), Field("energy", on="global")),
    )
    values = {"positions": rng.normal(size=(2, 4, atoms, 3)), "energy": np.zeros((2, 4))}
    ds = to_dataset(Particles(np.arange(atoms) + 1), fields, values, np.arange(4.0))
    task = Task(names[:1], names)
    out = Surrogate(Twice(), task, domain=domain_of(ds), fields=fields).predict(ds, batch_size=3)
    assert out.positions.dims == ds.positions.dims
    np.testing.assert_allclose(out.positions, 2 * ds.positions, rtol=1e-6)
    np.testing.assert_allclose(out.energy, ds.positions.sum(("particle", "space")), atol=1e-5)


class Clock(nn.Module):
    """The first channel and the last one, which is the time of the target."""

    def forward(self, x):
        return x[:, :1] + x[:, -1:]


def test_a_scalar_time_is_seen_and_moves_on(heat_dataset):
    task = Task(("u",), ("u",), time=True)
    surrogate = Surrogate(Clock(), task, domain=domain_of(heat_dataset), dt=0.5)
    every, one = surrogate.predict(heat_dataset), surrogate.predict(heat_dataset.isel(time=2))
    xr.testing.assert_identical(one.u, every.u.isel(time=2))
    assert float(one.time) == 1.5


def test_a_rollout_from_a_single_state_has_all_its_steps(surrogate, heat_dataset):
    given = heat_dataset.isel(time=[2])
    wanted = surrogate.rollout(given, 3)
    xr.testing.assert_identical(surrogate.rollout(given.isel(time=0), 3), wanted)
    timeless = surrogate.rollout(given.isel(time=0, drop=True), 3)
    assert timeless.u.dims == ("sample", "time", "y", "x")
    np.testing.assert_array_equal(timeless.u, wanted.u)
    np.testing.assert_allclose(timeless.time, [0.5, 1.0, 1.5])


def test_static_fields_and_time_give_fields_at_each_time(heat_dataset):
    task = Task((), ("u",), history=0, static=("k",), time=True)
    surrogate = Surrogate(Clock(), task, domain=domain_of(heat_dataset))
    ds = heat_dataset.assign(k=heat_dataset.u.isel(time=0, drop=True))
    out = surrogate.predict(ds)
    assert out.u.dims == ("sample", "time", "y", "x")
    np.testing.assert_allclose(out.u, (ds.k + ds.time).transpose(*out.u.dims), rtol=1e-6)
    with pytest.raises(InputError, match="no dimension 'time'"):
        surrogate.predict(ds[["k"]].drop_vars("time", errors="ignore"))


def test_parameters_differ_where_static_fields_are_shared(heat_dataset):
    task = Task((), ("u",), history=0, static=("k",), parameters=("kappa",))
    surrogate = Surrogate(Clock(), task, domain=domain_of(heat_dataset))
    ds = heat_dataset.assign(k=heat_dataset.u.isel(time=0, sample=0, drop=True))[["k"]]
    ds = ds.assign_coords(kappa=heat_dataset.kappa)
    out = surrogate.predict(ds)
    assert out.u.dims == ("sample", "y", "x")
    np.testing.assert_allclose(out.u, (ds.kappa + ds.k), rtol=1e-6)


def test_dates_are_no_time_for_a_model_to_see(foreign):
    task = Task(("t2m",), ("t2m",), time=True)
    with pytest.raises(InputError, match="'time' holds dates"):
        Surrogate(Clock(), task).predict(foreign)


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds.isel(x=[1, 0, 3, 2]),
        lambda ds: ds.isel(x=slice(2)),
        lambda ds: ds.assign_coords(x=ds.x + 7),
    ],
)
def test_fields_from_parameters_come_at_points_of_their_own(change):
    grid = Grid((4,), ((0, 1),), ("periodic",))

    class Ramp(nn.Module):
        def forward(self, p):
            return p[:, :, None] * torch.arange(4.0)

    task = Task((), ("u",), history=0, parameters=("a",))
    surrogate = Surrogate(Ramp(), task, domain=grid)
    ds = xr.Dataset({"old": ("x", np.ones(4))}, {"x": grid.coordinates(0), "a": 2.0})
    out = surrogate.predict(change(ds))
    np.testing.assert_allclose(out.u, 8 * out.x)
    assert "old" not in out
    assert "old" in surrogate.predict(ds)
    turned = surrogate.predict(ds.isel(x=slice(None, None, -1)))
    np.testing.assert_allclose(turned.u, 8 * turned.x)
    assert "old" in turned and turned.x[0] > turned.x[-1]
