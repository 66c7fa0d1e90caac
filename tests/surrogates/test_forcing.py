"""Known forcing: what is given ahead is seen at the time of each target, everywhere alike."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
import yaml
from torch import nn

import sciml
from sciml.domain.dataset import to_dataset
from sciml.domain.field import Field
from sciml.domain.grid import Grid
from sciml.errors import InputError
from sciml.run.evaluation import evaluate
from sciml.samples import Task
from sciml.samples.dataset import samples_of, simulations_of
from sciml.surrogates import Surrogate, collate
from sciml.training import Augmentation, Pushforward
from sciml.training.validation import Validation

X = np.arange(8) / 8
TASK = Task(("u",), ("u",), forcing=("f", "s"))


class Exact(nn.Module):
    """u(t+1) = u(t)/2 + f(t+1) + s(t+1): channels u, f, s."""

    def forward(self, x):
        assert x.shape[1] == 3
        return 0.5 * x[:, :1] + x[:, 1:2] + x[:, 2:3]


def data(samples=3, times=12, dates=False):
    """Solutions of that, with a field f and a number s of each time; s is one for all samples."""
    rng = np.random.default_rng(0)
    f = rng.standard_normal((samples, times, 8)).astype(np.float32)
    s = rng.standard_normal(times).astype(np.float32)
    u = np.zeros_like(f)
    u[:, 0] = rng.standard_normal((samples, 8))
    for t in range(times - 1):
        u[:, t + 1] = 0.5 * u[:, t] + f[:, t + 1] + s[t + 1]
    time = (
        pd.date_range("2000-01-31", periods=times, freq="ME") if dates else np.arange(times) * 0.5
    )
    dims = ("sample", "time", "x")
    return xr.Dataset(
        {"u": (dims, u), "f": (dims, f), "s": ("time", s)},
        {"time": time, "x": ("x", X, {"boundary": "periodic"})},
    )


def exact(**task):
    return Surrogate(Exact(), Task(("u",), ("u",), forcing=("f", "s"), **task), dt=0.5)


def test_samples_that_have_names_are_found_by_them():
    ds = data().assign_coords(sample=["a", "b", "c"])
    state, ahead = ds[["u"]].isel(time=slice(5)), ds[["f", "s"]]
    whole = exact().rollout(state, 5, forcing=ahead)
    np.testing.assert_allclose(whole.u, ds.u[:, 5:10], atol=1e-5)
    for other in (
        ahead.isel(sample=[2, 0, 1]),
        xr.concat(
            [ahead.assign_coords(sample=["d", "e", "f"]), ahead], "sample", data_vars="minimal"
        ),
    ):
        assert exact().rollout(state, 5, forcing=other).u.equals(whole.u)
    with pytest.raises(InputError, match=r"no sample 'c'.*forcing\.drop_vars\('sample'\)"):
        exact().rollout(state, 5, forcing=ahead.assign_coords(sample=["a", "b", "d"]))
    with pytest.raises(InputError, match="samples that share a 'sample'"):
        exact().rollout(state, 5, forcing=ahead.isel(sample=[0, 1, 2, 0]))


@pytest.mark.parametrize("dates", [False, True])
def test_predictions_see_it_at_the_time_of_the_target(dates):
    ds = data(dates=dates)
    surrogate = Surrogate(Exact(), TASK)
    out = surrogate.predict(ds)
    np.testing.assert_array_equal(out.time, ds.time[1:])  # behind the last one nobody knows it
    np.testing.assert_allclose(out.u, ds.u.isel(time=slice(1, None)), atol=1e-5)
    part = ds.isel(time=slice(6))
    assert surrogate.predict(part).sizes["time"] == 5
    ahead = surrogate.predict(part, forcing=ds[["f", "s"]])
    np.testing.assert_allclose(ahead.u, ds.u.isel(time=slice(1, 7)), atol=1e-5)


@pytest.mark.parametrize("dates", [False, True])
@pytest.mark.parametrize("where", ["ahead", "all", "inside", "backwards", "apart"])
def test_rollouts_see_it_at_each_step(where, dates):
    ds = data(dates=dates)
    state = ds.isel(time=slice(5))
    given = {"forcing": ds[["f", "s"]].isel(time=slice(5, None))}
    if where == "all":
        given = {"forcing": ds[["s", "f"]]}
    elif where == "inside":
        state, given = ds.assign(u=ds.u.where(ds.time <= ds.time[4])), {}
    elif where == "backwards":
        given["forcing"] = given["forcing"].isel(
            time=slice(None, None, -1), x=slice(None, None, -1)
        )
    elif where == "apart":  # each in one of them
        state, given = ds.assign(u=ds.u.where(ds.time <= ds.time[4])), {"forcing": ds[["s"]]}
        state = state.drop_vars("s")
    out = Surrogate(Exact(), TASK).rollout(state, 7, **given)
    np.testing.assert_allclose(out.u, ds.u.isel(time=slice(5, 12)), atol=1e-4)
    np.testing.assert_array_equal(out.time, ds.time[5:])
    if where in ("ahead", "inside"):
        with pytest.raises(
            InputError, match=r"^rollout: forcing 'f, s' is not known at .* 8 times ahead"
        ):
            Surrogate(Exact(), TASK).rollout(state, 8, **given)


def test_lead_history_and_numbers_in_other_units():
    ds = data()
    task = Task(("u",), ("u",), lead=2, history=2, forcing=("s",))

    class Last(nn.Module):
        def forward(self, x):  # two of u, then s
            return 0 * x[:, :1] + x[:, 2:3]

    out = Surrogate(Last(), task).predict(ds)
    np.testing.assert_allclose(out.u.isel(sample=0, x=0), ds.s[4:], atol=1e-6)
    hours = ds.assign_coords(time=("time", np.arange(12.0), {"units": "h"}))
    seconds = hours.assign_coords(time=("time", 3600 * np.arange(12.0), {"units": "s"}))
    out = Surrogate(Last(), task).rollout(hours.isel(time=slice(4)), 3, forcing=seconds[["s"]])
    np.testing.assert_allclose(out.u.isel(sample=0, x=0), ds.s[5:10:2], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: {}, "forcing 'f' is in no dataset"),
        (lambda a: {"forcing": a[["f"]]}, "forcing 's' is in no dataset"),
        (lambda a: {"forcing": a.isel(sample=[0, 1])}, "2 samples, the dataset has 3"),
        (lambda a: {"forcing": a.isel(x=slice(4))}, r"lies on \(4,\) points, the fields on \(8,\)"),
        (lambda a: {"forcing": a.assign_coords(x=5 * X)}, "expected one grid"),
        (lambda a: {"forcing": a.drop_vars("time")}, "no coordinate of time"),
        (
            lambda a: {"forcing": a.assign_coords(time=data(dates=True).time[5:])},
            "dates in one dataset",
        ),
        (lambda a: {"forcing": a.where(a.time < 4)}, r"is not known at 4; .* up to 4\.5"),
        (lambda a: {"forcing": a.f}, "type DataArray; expected a dataset"),
    ],
)
def test_what_cannot_be_is_one_line(change, said):
    ds = data()
    ahead = ds[["f", "s"]].isel(time=slice(5, None))
    state = ds[["u"]].isel(time=slice(5))
    with pytest.raises(InputError, match=said):
        exact().rollout(state, 5, **change(ahead))
    with pytest.raises(InputError, match="the task of the surrogate has none"):
        Surrogate(Exact(), Task(("u",), ("u",))).rollout(state, 5, forcing=ahead)


def test_tasks_that_cannot_have_it():
    for bad, said in (
        ({"forcing": ["u"]}, "'u' is forcing and among the inputs"),
        ({"forcing": ["f"], "parameters": ["f"]}, "and among the parameters"),
        ({"forcing": ["f"], "lead": 0}, "forcing with lead=0, history=1.*an input"),
        ({"forcing": ["f", "f"]}, "each of them once"),
    ):
        with pytest.raises(InputError, match=said):
            Task(**{"inputs": ("u",), "targets": ("u",), **bad})


def test_what_varies_in_time_is_no_parameter():
    for task in (Task(("u",), ("u",), parameters=("s",)), Task(("u", "s"), ("u",))):
        with pytest.raises(InputError, match=r"known ahead.*forcing"):
            sciml.fit("mlp", data(), task, epochs=1)


def test_batches_hold_it_for_each_target():
    task = Task(("u",), ("u",), unroll=3, forcing=("f", "s"))
    samples = samples_of(data(), task)
    batch = collate(samples[:2], task)
    assert batch.forcing["f"].shape == (2, 3, 8) and batch.forcing["s"].shape == (2, 3)
    np.testing.assert_array_equal(batch.forcing["f"][1, 0], samples[1].targets[0].fields["f"])
    whole = exact(unroll=3)
    np.testing.assert_allclose(whole(batch)["u"], batch.targets["u"], atol=1e-5)
    # After k steps without gradient, what is left is seen at its own times.
    torch.manual_seed(0)
    pushed = Pushforward(2, draw="last")(whole, batch, 0)
    assert pushed.forcing["f"].shape == (2, 1, 8)
    np.testing.assert_allclose(whole(pushed)["u"], batch.targets["u"][:, 2:], atol=1e-5)


def test_symmetries_take_it_along():
    samples = samples_of(data(), TASK)
    batch = collate(samples[:4], TASK)
    surrogate = exact()
    torch.manual_seed(3)
    for _ in range(4):
        turned = Augmentation(["flips", "translations"])(surrogate, batch, 0)
        assert not torch.equal(turned.forcing["f"], batch.forcing["f"]) or torch.equal(
            turned.inputs["u"], batch.inputs["u"]
        )
        torch.testing.assert_close(turned.forcing["s"], batch.forcing["s"])
        torch.testing.assert_close(surrogate(turned)["u"], turned.targets["u"], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "name", ["fno", "unet", "cnn", "vit", "mgno", "deeponet", "mionet", "pod_deeponet", "mlp"]
)
def test_models_get_it_as_channels(name):
    small = {
        "fno": {"modes": 2, "hidden_channels": 4, "n_layers": 1},
        "cnn": {"width": 4},
        "pod_deeponet": {"basis": 4},
    }
    config = {"name": name, **small.get(name, {})}
    surrogate = sciml.fit(config, data(), TASK, epochs=1, validation=0)
    one = data().isel(time=slice(4))
    there, other = data()[["f", "s"]], data()[["f", "s"]]
    other["f"] = other.f + 1.0
    a, b = (surrogate.rollout(one, 2, forcing=f).u for f in (there, other))
    assert np.isfinite(a).all() and not np.allclose(a, b)


def test_it_is_learned_saved_and_evaluated(tmp_path):
    ds = data(samples=12, times=20)
    phases = {"optimizer": "adamw", "lr": 5e-3, "epochs": 40}
    learned = {}
    for forcing in ([], ["f", "s"]):
        learned[len(forcing)] = sciml.fit(
            {"name": "mlp", "hidden": []}, ds, targets=["u"], forcing=forcing or None,
            phases=phases, loss="mse",
        )  # fmt: skip
    errors = [learned[n].history.validations[-1]["vrmse"] for n in (0, 2)]
    assert errors[1] < 0.2 * errors[0]
    surrogate = learned[2]
    assert surrogate.history.validations[-1]["rollout"] < 0.3
    surrogate.save(tmp_path / "saved")
    loaded = sciml.load(tmp_path / "saved")
    assert loaded.task.forcing == ("f", "s")
    ds.to_netcdf(tmp_path / "ds.nc", engine="h5netcdf")
    found = evaluate(tmp_path / "saved", [tmp_path / "ds.nc"])
    assert found["rollout_steps"] == 19 and found["rollout"] < 0.3


def test_validation_rolls_out_with_it():
    trajectories = simulations_of(data(), fields=TASK.moving)
    found = Validation(trajectories, rollout=11)(exact())
    assert found["one_step"] < 1e-6 and found["rollout_last"] < 1e-5


def test_far_forcing_is_told():
    surrogate = sciml.fit("mlp", data(), TASK, epochs=1, validation=0)
    ahead = data()[["f", "s"]]
    ahead["s"] = 50 * ahead.s
    with pytest.warns(UserWarning, match=r"'s' is .* deviations from the mean"):
        surrogate.rollout(data().isel(time=slice(4)), 3, forcing=ahead)


def test_a_study_on_data_trains_with_it(tmp_path):
    data(samples=4).to_netcdf(tmp_path / "ds.nc", engine="h5netcdf")
    study = {
        "name": "forced",
        "task": {"inputs": ["u"], "forcing": ["f", "s"]},
        "model": {"name": "mlp", "hidden": [8]},
        "training": {"batch_size": 4, "phases": [{"steps": 3}], "device": "cpu"},
        "validation": {"simulations": 1},
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    run = sciml.train(path, tmp_path / "ds.nc", tmp_path / "run", plain=True)
    assert run.surrogate().task.forcing == ("f", "s")
    predictions = run.predictions
    assert predictions.u.sizes["time"] == 12 and np.isfinite(predictions.u).all()
    rolled = run.surrogate().rollout(
        predictions.rename(u="guess", u_true="u").isel(time=[0]),
        11,
        forcing=predictions[["f", "s"]],
    )
    np.testing.assert_allclose(
        rolled.u, predictions.u.isel(time=slice(1, None)), rtol=1e-4, atol=1e-5
    )
    streamed = sciml.train(path, tmp_path / "ds.nc", tmp_path / "streamed", stream=True, plain=True)
    assert streamed.summary["rollout_steps"] == 11


def test_meshes_get_it_at_their_nodes(rng):
    from sciml.domain import Mesh

    class Nodes(nn.Module):
        def forward(self, x, points, edges, owner):
            return x[:, 1:2] + x[:, 2:3]

    points = rng.random((5, 2))
    mesh = Mesh(points, np.array([[0, 1, 2], [2, 3, 4]]))
    fields = (Field("u"), Field("f"), Field("s", on="global"))
    values = {"u": rng.random((2, 4, 5)), "f": rng.random((2, 4, 5)), "s": rng.random((2, 4))}
    ds = to_dataset(mesh, fields, values, np.arange(4.0))
    out = Surrogate(Nodes(), TASK, fields=fields).predict(ds)
    np.testing.assert_allclose(out.u, (ds.f + ds.s).isel(time=slice(1, None)), rtol=1e-6)


def test_grids_of_two_axes(rng):
    grid = Grid((4, 6), ((0, 1), (0, 1)), ("periodic", "periodic"))
    fields = (Field("u"), Field("f"), Field("s", on="global"))
    values = {"u": rng.random((2, 5, 4, 6)), "f": rng.random((2, 5, 4, 6)), "s": rng.random((2, 5))}
    ds = to_dataset(grid, fields, values, np.arange(5.0))
    surrogate = Surrogate(Exact(), TASK, domain=grid, fields=fields)
    out = surrogate.predict(ds.transpose("x", "time", "y", "sample"))
    truth = (0.5 * ds.u.shift(time=1) + ds.f + ds.s).isel(time=slice(1, None))
    xr.testing.assert_allclose(out.u.transpose(*ds.u.dims), truth.astype(out.u.dtype))


def test_exported_it_is_a_fifth_argument(tmp_path):
    batch = collate(samples_of(data(), TASK)[:2], TASK)
    surrogate = exact()
    surrogate.export(tmp_path / "exact.pt2", batch)
    program = torch.export.load(tmp_path / "exact.pt2").module()
    args = (batch.inputs, batch.parameters, batch.time, batch.static, batch.forcing)
    torch.testing.assert_close(program(*args)["u"], surrogate(batch)["u"])


def test_land_has_none_of_it():
    """Where a field has no values at any time, the mean of its training stands, ahead as well."""
    ds = data()
    ds["f"] = ds.f.where(ds.x > 0.2)
    surrogate = sciml.fit("mlp", ds, TASK, epochs=1, validation=0)
    assert surrogate.masks["f"].tolist() == [False, False, *(True for _ in range(6))]
    out = surrogate.rollout(ds.isel(time=slice(4)), 3, forcing=ds[["f", "s"]])
    assert np.isfinite(out.u).all()
    filled = ds.assign(f=ds.f.fillna(float(surrogate.normalizer.numbers("f")[0])))
    again = surrogate.rollout(ds.isel(time=slice(4)), 3, forcing=filled[["f", "s"]])
    np.testing.assert_allclose(out.u, again.u, atol=1e-6)
    batch = collate(samples_of(ds, TASK)[:2], TASK)
    assert torch.isfinite(surrogate(batch)["u"]).all()
