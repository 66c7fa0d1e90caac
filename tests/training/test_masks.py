"""Points without values, such as land: left out of statistics, losses and figures, and NaN again in
predictions."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import sciml
from sciml.errors import InputError
from sciml.samples import Task
from sciml.samples.dataset import samples_of, simulations_of
from sciml.surrogates import Normalizer, Surrogate, collate
from sciml.training import fit
from sciml.training.augmentation import Augmentation
from sciml.training.objective import Supervised
from sciml.training.validation import Validation

TINY = {"name": "fno", "modes": 2, "hidden_channels": 4, "n_layers": 1, "use_channel_mlp": False}
FAST = {"epochs": 2, "batch_size": 4, "validation": 0.25}
LAND = np.zeros((6, 8), bool)
LAND[1:3, 2:5] = LAND[5, 7] = True


def sea(fill=np.nan, land=LAND):
    """Temperatures around 280 K that are nothing on land, ice with a coast of its own, a depth."""
    rng = np.random.default_rng(0)
    waves = rng.standard_normal((4, 5, 6, 8)).cumsum(1)
    coast = land | (np.arange(6) > 4)[:, None]
    return xr.Dataset(
        {
            "sst": (("sample", "time", "y", "x"), np.where(land, fill, 280 + waves)),
            "ice": (("sample", "time", "y", "x"), np.where(coast, fill, waves[:, ::-1])),
            "depth": (("y", "x"), np.where(land, fill, waves[0, 0])),
        },
        {"time": np.arange(5.0)},
    )


TASK = Task(("sst", "ice"), ("sst", "ice"), static=("depth",))


def normalized(ds):
    samples = samples_of(ds, TASK)
    normalizer = Normalizer(TASK)
    normalizer.update(samples)
    normalizer.fix()
    return samples, normalizer


def test_statistics_are_of_what_is_there():
    _, normalizer = normalized(sea())
    values = sea().sst.isel(time=slice(0, -1)).values
    mean, std = normalizer.numbers("sst")
    assert mean == pytest.approx(np.nanmean(values)) and std == pytest.approx(np.nanstd(values))
    change = sea().ice.diff("time").values
    assert normalizer.numbers("ice", "increment")[1] == pytest.approx(np.nanstd(change))
    assert normalizer.numbers("depth")[0] == pytest.approx(np.nanmean(sea().depth))


class Twice(nn.Module):
    """Remembers what it saw."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        self.seen = x.detach()
        return self.scale * x[:, :2]


@pytest.mark.parametrize("increment", [False, True])
def test_a_model_sees_the_mean_where_nothing_is(increment):
    samples, normalizer = normalized(sea())
    surrogate = Surrogate(Twice(), TASK, normalizer, increment=increment)
    batch = replace(collate(samples, TASK), time=torch.zeros(len(samples), 3))
    out = surrogate(batch)["sst"]
    assert torch.isfinite(out).all()
    # In the third step of a rollout, too: what was fed back is put to nothing again.
    assert (surrogate.model.seen[:, 0, torch.from_numpy(LAND)].abs() < 1e-4).all()
    assert (surrogate.model.seen[:, 2, torch.from_numpy(LAND)].abs() < 1e-4).all()
    assert surrogate.model.seen[:, 0, torch.from_numpy(~LAND)].abs().mean() > 0.3


def l1(output, target, batch):
    return (output - target).abs().mean()


@pytest.mark.parametrize("loss", ["relative_l2", "mse", "h1", l1])
@pytest.mark.parametrize("augment", [False, True])
def test_no_loss_and_no_figure_depends_on_what_is_not_there(loss, augment):
    """Whatever the model gives on land, and whatever is put there in its input."""
    samples, normalizer = normalized(sea())

    class Onto(nn.Module):
        def __init__(self, value):
            super().__init__()
            self.value = nn.Parameter(torch.tensor(value))

        def forward(self, x):
            there = x[:, :2] != 0
            return torch.where(there, x[:, :2] * 1.1, self.value)

    batch = collate(samples, TASK)
    if augment:
        flips = Augmentation("flips", scalars=["sst", "ice", "depth"])
        torch.manual_seed(3)
        batch = flips(None, batch, 0)
    found = []
    for value in (0.5, 1e3):
        surrogate = Surrogate(Onto(value), TASK, normalizer)
        [value] = Supervised(loss)(surrogate, batch).values()
        value.backward()
        # A mean is 0 up to rounding where nothing is, so what is put there is of no weight at all.
        assert surrogate.model.value.grad.abs() < 1e-12
        found.append(value.item())
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_figures_are_those_of_the_points_that_are_there():
    ds = sea()
    _, normalizer = normalized(ds)
    surrogate = Surrogate(Twice(), TASK, normalizer)
    found = Validation(simulations_of(ds, fields=["sst", "ice"], static=["depth"]))(surrogate)
    mean, _ = normalizer.numbers("sst")
    u, v = ds.sst.values[:, :-1], ds.sst.values[:, 1:]
    error = np.nansum((mean + 2 * (u - mean) - v) ** 2, axis=(2, 3))
    wanted = np.sqrt(error / np.nansum(v**2, axis=(2, 3))).mean()
    assert found["fields"]["sst"]["one_step"] == pytest.approx(wanted, rel=1e-5)
    spread = np.nansum((v - np.nanmean(v, axis=(2, 3), keepdims=True)) ** 2, axis=(2, 3))
    assert found["fields"]["sst"]["vrmse"] == pytest.approx(
        np.sqrt(error / spread).mean(), rel=1e-5
    )


def test_from_a_file_with_land_to_predictions_with_land(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="sciml.fit"):
        surrogate = fit(TINY, sea(), TASK, **FAST)
    assert "'sst' has no values at 7 of 48 points, at any time" in caplog.text
    out = surrogate.predict(sea())
    for name in ("sst", "ice"):
        assert (out[name].isnull() == sea()[name].isel(sample=0, time=0).isnull()).all()
    assert surrogate.bounds.of("field", "sst")[0] > 260  # without what is not there
    surrogate.save(tmp_path / "saved")
    loaded = sciml.load(tmp_path / "saved")
    with pytest.warns(UserWarning, match="'sst' is 1280"):
        loaded.predict(sea().assign(sst=sea().sst * 0 + 1280))
    xr.testing.assert_identical(loaded.predict(sea()), out)
    film = loaded.rollout(sea().isel(time=[0]), 3)
    assert (
        np.isfinite(film.sst.values[..., ~LAND]).all()
        and np.isnan(film.sst.values[..., LAND]).all()
    )
    xr.testing.assert_allclose(
        loaded.rollout(film, 2),
        loaded.rollout(sea().isel(time=[0]), 5).isel(time=[3, 4]),
        atol=1e-3,
    )
    # What lies on land in the file is of no consequence, since it is the same mask.
    turned = sea().assign_coords(y=np.arange(6.0)).isel(y=slice(None, None, -1))
    again = loaded.predict(turned)
    np.testing.assert_allclose(again.sst.values[..., ::-1, :], out.sst, rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            lambda: sea().fillna(0.0),
            r"'sst' has values at 7 points, the first \(1, 2\), that had none",
        ),
        (
            lambda: sea(land=LAND | LAND[::-1]),
            r"'sst' has NaN at .* the first \(0, 7\), that had values",
        ),
        (
            lambda: sea().assign(sst=sea().sst.where(sea().time != 2, 0.0)),
            "7 NaN in sample 0, frame 0, in sample 0, frame 2 none",
        ),
    ],
)
def test_another_mask_is_refused_in_one_line(given, said):
    surrogate = fit(TINY, sea(), TASK, **FAST | {"epochs": 1})
    with pytest.raises(InputError, match=said) as caught:
        surrogate.predict(given())
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="'sst' has NaN at 7 points"):
        fit(TINY, sea(0.0), TASK, **FAST | {"epochs": 1}).predict(sea())


def test_nan_that_come_and_go_are_no_mask():
    ds = sea()
    ds.sst[2, 3, 4, 4] = np.nan
    with pytest.raises(
        InputError, match="'sst' has 8 NaN in sample 2, frame 3, in sample 0, frame 0 7"
    ):
        samples_of(ds, TASK)
    ds = sea()
    ds.sst[2, 3, 1, 2] = 1.0
    with pytest.raises(InputError, match="expected numbers, or NaN at the same points always"):
        samples_of(ds, TASK)
    ds = sea()
    ds.depth[0, 0] = np.inf
    with pytest.raises(InputError, match="static field 'depth' has 1 infinite"):
        samples_of(ds, TASK)


def test_simulations_that_end_earlier_keep_their_mask():
    ds = sea()
    ds.sst[1, 3:] = np.nan
    ds.ice[1, 3:] = np.nan
    found = simulations_of(ds, fields=["sst", "ice"])
    assert [len(frames) for _, frames in found] == [5, 3, 5, 5]
    np.testing.assert_array_equal(found[1][0].masks["sst"], ~LAND)


def test_a_basis_leaves_them_out():
    ds = sea()
    model = {"name": "pod_deeponet", "basis": 4}
    surrogate = fit(model, ds, TASK, **FAST)
    assert np.isfinite(surrogate.predict(ds).sst.values[..., ~LAND]).all()
