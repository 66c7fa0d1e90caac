import logging

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from sciml.domain import Field, Mesh
from sciml.domain.dataset import to_dataset
from sciml.errors import InputError, ScimlError
from sciml.samples.splits import held_apart
from sciml.surrogates import MLP, Surrogate
from sciml.training import fit

TINY = {"name": "fno", "modes": 4, "hidden_channels": 6, "n_layers": 2, "use_channel_mlp": False}


@pytest.fixture
def ocean():
    """A file as others write them: waves that travel east, one member an amplitude."""
    time = np.datetime64("2001-01-01", "ns") + np.arange(12) * np.timedelta64(1, "D")
    lat, lon = np.linspace(-40, 40, 9), np.arange(16) * 22.5
    member = np.arange(4)
    phase = np.deg2rad(lon)[None, None, None] - 0.3 * np.arange(12)[:, None, None, None]
    values = (1 + member)[None, :, None, None] * np.sin(phase) * np.cos(np.deg2rad(lat))[:, None]
    return xr.Dataset(
        {
            "sst": (
                ("time", "member", "lat", "lon"),
                (values + 15).astype(np.float32),
                {"units": "degC", "standard_name": "sea_surface_temperature"},
            )
        },
        {"time": time, "lat": lat, "lon": lon, "member": member},
        {"institution": "somewhere"},
    )


def test_a_foreign_file_in_one_call(ocean, tmp_path, caplog):
    ocean.to_netcdf(tmp_path / "sst.nc", engine="h5netcdf")
    with caplog.at_level(logging.INFO, logger="sciml.fit"):
        surrogate = fit(TINY, tmp_path / "sst.nc", epochs=30, batch_size=8, rollout=4)
    found = surrogate.history.validations[-1]
    assert found["one_step"] < 0.5 * found["persistence"]
    assert "33 samples of 3 simulations, 1 held out" in caplog.text
    assert surrogate.dt == 86400.0
    assert repr(surrogate.history).startswith("History(step 150, loss ")  # not each of them
    out = surrogate.rollout(ocean, 3)
    assert out.sst.dims == ("time", "member", "lat", "lon")
    assert out.sst.attrs == ocean.sst.attrs
    assert (np.diff(out.time) == np.timedelta64(1, "D")).all()
    assert out.lat.identical(ocean.lat)


def test_the_same_seed_gives_the_same_surrogate(ocean, same):
    kwargs = {"epochs": 1, "batch_size": 16, "validation": 0}
    a, b = (fit(TINY, ocean, seed=3, **kwargs) for _ in range(2))
    assert same(a, b)
    assert not same(a, fit(TINY, ocean, seed=4, **kwargs))


def test_steady_problems_and_own_modules():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((20, 2, 3)).astype(np.float32)
    ds = xr.Dataset({"a": (("sample", "y", "x"), a), "p": (("sample", "y", "x"), 2 * a + 1)})
    phase = {"optimizer": "lbfgs", "lr": 1.0, "steps": 3}
    model = MLP(6, (1, 2, 3), hidden=())
    surrogate = fit(model, ds, inputs=["a"], targets=["p"], batch_size=18, phases=phase, loss="mse")
    assert surrogate.task.lead == 0
    assert not surrogate.increment
    np.testing.assert_allclose(surrogate.predict(ds).p, ds.p, atol=0.1)


def test_a_module_in_float64_is_trained_as_it_is():
    rng = np.random.default_rng(0)
    ds = xr.Dataset({n: (("sample", "y", "x"), rng.normal(size=(4, 6, 6))) for n in "au"})
    given = {"inputs": ["a"], "targets": ["u"], "epochs": 2, "device": "cpu"}
    surrogate = fit(nn.Conv2d(1, 1, 3, padding=1).double(), ds, **given)
    assert surrogate.model.weight.dtype == torch.float64
    assert surrogate.history.validations


def test_held_out_samples_never_reach_the_normalizer(ocean):
    ds = ocean.copy(deep=True)
    held = held_apart([(i, None) for i in range(4)], None, 0.1, 0)[1][0][0]
    ds.sst[:, held] = 1e6
    surrogate = fit(TINY, ds, epochs=1, seed=0)
    assert surrogate.normalizer.std("sst") < 10


@pytest.mark.parametrize("seed", range(4))
def test_what_ended_before_its_first_window_is_not_held_out(ocean, seed):
    ds = ocean.copy(deep=True)
    ds.sst[1:, 2] = np.nan
    surrogate = fit({"name": "mlp", "hidden": [4]}, ds, epochs=1, seed=seed)
    assert np.isfinite(surrogate.history.validations[-1]["one_step"])


def test_a_single_simulation_is_split_in_time(ocean):
    surrogate = fit(TINY, ocean.isel(member=0), epochs=1, batch_size=4)
    assert surrogate.history.validations
    assert surrogate.history.samples == 9


def test_checkpoints_can_be_loaded(ocean, tmp_path):
    surrogate = fit(TINY, ocean, epochs=1, directory=tmp_path)
    [path] = tmp_path.glob("step-*")
    loaded = Surrogate.load(path)
    xr.testing.assert_identical(loaded.predict(ocean), surrogate.predict(ocean))


def test_options_reach_the_training(ocean, same):
    kwargs = {"epochs": 2, "batch_size": 6, "validation": 0}
    plain = fit(TINY, ocean, **kwargs)
    for options in (
        {"ema": 0.9},
        {"augment": "flips"},
        {"noise": 0.1},
        {"autocast": "bfloat16"},
        {"unroll": 2},
        {"pushforward": 2},
    ):
        other = fit(TINY, ocean, **kwargs, **options)
        assert not same(plain, other), options
    assert other.task.unroll == 3
    accumulated = fit(TINY, ocean, **kwargs, accumulate=2)
    assert len(plain.history.steps) == 2 * 8 and len(accumulated.history.steps) == 2 * 4
    with pytest.raises(InputError, match="device: got 'gpu'; expected auto, cpu"):
        fit(TINY, ocean, device="gpu")
    with pytest.raises(InputError, match="task and unroll; give one"):
        fit(TINY, ocean, {"inputs": ["sst"], "targets": ["sst"]}, unroll=2)


class Wrapped(nn.Module):
    """One convolution, and what becomes of its output."""

    def __init__(self, wrap):
        super().__init__()
        self.wrap, self.layer = wrap, nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x):
        return self.wrap(self.layer(x))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (
            nn.Conv2d(3, 1, 3, padding=1),
            "1 channels on points of shape .6, 6., in this order: a; it says",
        ),
        (nn.Conv2d(1, 2, 3, padding=1), "expected 1 channels in axis 1"),
        (nn.Conv2d(1, 1, 3), r"gives 'u' in the shape \(4, 4\); expected \(6, 6\)"),
        (nn.Bilinear(1, 1, 1), "in this order: a; it says: .*missing"),
        (nn.Conv2d, r"the class Conv2d; expected an instance"),
        (Wrapped(lambda y: (y,)), "gave a tuple; expected a tensor, or a dict by field name"),
        (Wrapped(lambda y: {"v": y[:, 0]}), r"Wrapped gives a dict without u"),
    ],
)
def test_a_module_of_another_shape_is_refused_before_the_first_step(model, said):
    rng = np.random.default_rng(0)
    ds = xr.Dataset({n: (("sample", "y", "x"), rng.normal(size=(4, 6, 6))) for n in "au"})
    with pytest.raises(ScimlError, match=said):
        fit(model, ds, inputs=["a"], targets=["u"], epochs=1)


def test_a_change_has_the_shape_of_its_field(ocean):
    """Else torch would stretch one over the other."""
    with pytest.raises(ScimlError, match=r"gave 'sst' in the shape \(7, 14\);.*changes, \(9, 16\)"):
        fit(nn.Conv2d(1, 1, 3), ocean, epochs=1)
    with pytest.raises(ScimlError, match=r"gave 'sst' in the shape \(9, 1\)"):
        fit(Wrapped(lambda y: y.mean(-1, keepdim=True)), ocean, epochs=1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"task": {"targts": "sst"}}, "no key 'targts'; did you mean 'targets'"),
        ({"phases": {"lr": 1e-3}}, "a phase without an end"),
        ({"batch_size": "x"}, "batch_size='x'; expected a whole number"),
        ({"seed": 1.5}, "seed=1.5; expected a whole number"),
        ({"unroll": 0}, "unroll=0; expected"),
        ({"points": 2.5}, r"points=2\.5; expected a whole number"),
        ({"phases": []}, "no phases"),
        ({"phases": {"lr": "1e-3", "steps": 2}}, "lr='1e-3'; expected a number"),
        ({"phases": {"lr": float("nan"), "steps": 2}}, "lr=nan; expected more than 0"),
        ({"noise": "a"}, "noise: std='a'; expected a number"),
        ({"pushforward": "a"}, "steps='a'; expected a whole number"),
        ({"accumulate": 1.5}, r"accumulate=1\.5; expected a whole number"),
        ({"unroll": 20}, r"unroll=20\) fits into 12 frames; shorten it or give more times"),
        ({"inputs": ["sst", "k"], "targets": ["sst"]}, r"'k' has no axis.*parameters=\['k'\]"),
    ],
)
def test_what_cannot_be_trained_is_refused(ocean, given, said):
    with pytest.raises(InputError, match=said):
        fit(TINY, ocean.assign(k=("member", np.arange(4.0))), **given)
    for off in (torch.no_grad, torch.inference_mode):
        with off(), pytest.raises(InputError, match="gradients are switched off"):
            fit(TINY, ocean, epochs=1)
    with pytest.raises(InputError, match="without samples"):
        fit(TINY, ocean.isel(member=slice(0)))
    with pytest.raises(InputError, match="'sst' of a dataset that is NaN throughout"):
        fit(TINY, ocean * np.nan)


def test_numbers_are_no_fields_of_a_mesh():
    strip = Mesh(np.array([[0.0, 0], [1, 0], [0, 1]]), np.array([[0, 1, 2]]))
    fields = (Field("u"), Field("energy", on="global"))
    values = {"u": np.ones((2, 4, 3)), "energy": np.ones((2, 4))}
    ds = to_dataset(strip, fields, values, np.arange(4.0))
    with pytest.raises(InputError, match=r"'energy' has no axis in space.*inputs=\['u'\]"):
        fit(nn.Linear(2, 1), ds)


def test_bad_input_is_named(ocean, tmp_path):
    with pytest.raises(InputError, match="no variable 'stt'; did you mean 'sst'"):
        fit("fno", ocean, inputs=["stt"])
    with pytest.raises(InputError, match="nothing there"):
        fit("fno", tmp_path / "none.nc")
    (tmp_path / "junk.nc").write_text("no netCDF")
    with pytest.raises(InputError, match=r"junk\.nc: no netCDF, HDF5 or zarr"):
        fit("fno", tmp_path / "junk.nc")
    with pytest.raises(InputError, match="data of type int; expected the path"):
        fit("fno", 3)
    with pytest.raises(InputError, match="model of type NoneType; expected a name"):
        fit(None, ocean)
    with pytest.raises(InputError, match=r"no fields.*it has sst \(bool\)"):
        fit("fno", ocean > 15)
    with pytest.raises(InputError, match="no variable 'temp'"):
        fit("fno", ocean, targets="temp")
    with pytest.raises(InputError, match="epochs=0"):
        fit(TINY, ocean, epochs=0)
    with pytest.raises(InputError, match="say what to predict"):
        fit("fno", ocean.isel(time=0, drop=True))
    with pytest.raises(InputError, match="give one of them"):
        fit("fno", ocean, epochs=1, phases={"steps": 3})
    with pytest.raises(InputError, match="one of them: with a task, unroll is one of its keys"):
        fit("fno", ocean, {"inputs": ["sst"]}, unroll=2)
    with pytest.raises(InputError, match="unknown model 'fnoo'"):
        fit("fnoo", ocean)
    holes = ocean.copy(deep=True)
    holes.sst[0, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        fit(TINY, holes)
    with pytest.raises(InputError, match="modes"):
        fit({"name": "fno", "modes": 12}, ocean)


@pytest.mark.parametrize(("factor", "words"), [(1e30, "left out"), (1e6, "scaled by the others")])
def test_a_sample_that_diverged_is_named_and_spoils_nothing(ocean, caplog, factor, words):
    """Finite all the same; what is validated on with it would be its error alone."""
    bad = ocean.copy(deep=True)
    bad.sst[6:, 1] *= factor
    with caplog.at_level("WARNING"):
        surrogate = fit(TINY, bad, inputs=["sst"], validation=0, epochs=1)
    [line] = [r.message for r in caplog.records if "far outside" in r.message]
    assert f"simulation 1 is far outside, and {words}: 'sst' reaches" in line
    scale = float(fit(TINY, ocean, inputs=["sst"], validation=0, epochs=1).normalizer.std("sst"))
    assert float(surrogate.normalizer.std("sst")) == pytest.approx(scale, rel=0.2)


class OnNodesAlone(nn.Module):
    def forward(self, x, edges, owner):
        return x[:, :1]


def test_what_a_model_of_graphs_is_called_with_is_said():
    rng, ring = np.random.default_rng(0), np.arange(5)
    ds = xr.Dataset(
        {
            "u": (("time", "node"), rng.normal(size=(6, 5))),
            "edges": (("end", "edge"), np.stack([ring, np.roll(ring, 1)])),
            "weight": ("edge", rng.uniform(size=5)),
        }
    )
    task = {"inputs": ["u"], "targets": ["u"], "static": ["weight"]}
    said = (
        r"model\(x, edges, owner\), x of 1 channels at the nodes, in this order: u, and by keyword "
    )
    with pytest.raises(InputError, match=said + "weight=; it says"):
        fit(OnNodesAlone(), ds, task, epochs=1)
    vectors = ds.assign(u=ds.u.expand_dims(space=["x", "y"], axis=2))
    said = r"x of 2 channels at the nodes, in this order: u \(2 channels\), and"
    with pytest.raises(InputError, match=said):
        fit(OnNodesAlone(), vectors, task, epochs=1)
