"""What is learned does not depend on units, on offsets, or on the order of fields."""

import itertools

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import sciml
from sciml.errors import InputError

NAMES = ("p", "q", "t")


class Channels(nn.Module):
    """All channels begin alike, so that another order of fields is the same model."""

    def __init__(self, fields=3):
        super().__init__()
        self.mix = nn.Conv1d(fields, fields, 3, padding=1, padding_mode="circular", bias=False)
        self.out = nn.Conv1d(fields, fields, 1)
        with torch.no_grad():
            for layer, part in ((self.mix, (0.5, 0.3, -0.2)), (self.out, (0.8,))):
                layer.weight.fill_(0.05)
                for i in range(fields):
                    layer.weight[i, i] = torch.tensor(part)
            self.out.bias.zero_()

    def forward(self, x):
        return self.out(torch.tanh(self.mix(x)))


def waves(seed=0, samples=6, times=6, points=16):
    """Travelling waves of three fields, each with a deviation around 1 and a mean of 0.3."""
    rng = np.random.default_rng(seed)
    x, t = np.arange(points) / points, 0.1 * np.arange(times)
    fields = {}
    for name in NAMES:
        a, phase = rng.uniform(0.5, 2, samples), rng.uniform(0, 6.28, samples)
        place = x - t[:, None] + phase[:, None, None]
        fields[name] = 0.3 + a[:, None, None] * np.sin(2 * np.pi * place)
    dims = ("sample", "time", "x")
    periodic = ("x", x, {"boundary": "periodic"})
    return xr.Dataset({n: (dims, v) for n, v in fields.items()}, {"time": t, "x": periodic})


def trained(ds, names=NAMES, **given):
    return sciml.fit(
        Channels(), ds, targets=list(names), epochs=3, batch_size=5, rollout=3, **given
    )


def figures(surrogate, names):
    """Losses, and VRMSE of each field."""
    found = surrogate.history.validations[-1]["fields"]
    keys = ("vrmse", "vrmse_persistence", "vrmse_rollout", "vrmse_rollout_last")
    return surrogate.history.losses, [[found[n][k] for k in keys] for n in names]


def in_units(ds, **units):
    """``(factor, offset)`` by field."""
    return ds.assign({n: ds[n] * factor + offset for n, (factor, offset) in units.items()})


@pytest.mark.parametrize("loss", ["relative_l2", "mse", "h1"])
@pytest.mark.parametrize("increment", [True, False])
def test_units_offsets_and_order_change_nothing(loss, increment):
    ds = waves()
    losses, errors = figures(trained(ds, loss=loss, increment=increment), NAMES)
    others = {
        "large and small": in_units(ds, p=(1e25, 0.0), q=(1e-25, 0.0), t=(1e-18, 0.0)),
        "offsets": in_units(ds, p=(1.0, 1e5), q=(1e-5, 1e-4), t=(1e19, 2.8e20)),
        "negative": in_units(ds, p=(1e25, -1e30), q=(1.0, 0.0), t=(1e-25, 1e-23)),
        "float32": in_units(ds, p=(1e25, 0.0), q=(1e-25, 0.0), t=(1e-3, 0.0)).astype(np.float32),
    }
    orders = itertools.cycle((("t", "p", "q"), NAMES))
    for (what, other), names in zip(others.items(), orders, strict=False):
        surrogate = trained(other, names, loss=loss, increment=increment)
        found, their = figures(surrogate, NAMES)
        np.testing.assert_allclose(found, losses, rtol=2e-4, err_msg=what)
        np.testing.assert_allclose(their, errors, rtol=2e-4, err_msg=what)


def test_the_order_in_a_file_decides_nothing():
    model = {"name": "fno", "modes": 4, "hidden_channels": 6, "n_layers": 1}
    ds, given = waves(), {"epochs": 1, "validation": 0}
    first = sciml.fit(model, ds[["p", "q", "t"]], **given).history.losses
    assert sciml.fit(model, ds[["t", "p", "q"]], **given).history.losses == first
    assert sciml.fit(model, ds, targets=["q", "t", "p"], **given).history.losses == first


def test_float64_loses_no_digits_on_its_way():
    """A deviation of 1 on 1e7: float32 has steps of 1 there."""
    ds = waves()
    plain, far = trained(ds), trained(in_units(ds, p=(1.0, 1e7)))
    np.testing.assert_allclose(far.history.losses, plain.history.losses, rtol=1e-4)
    out = far.predict(in_units(ds, p=(1.0, 1e7)))["p"]
    assert out.dtype == np.float64
    np.testing.assert_allclose(out - 1e7, plain.predict(ds)["p"], atol=1e-3)


def with_zeros(ds, zeros, offset=0.0, rest=0.0):
    """Three fields, ``p`` of which is ``offset`` throughout the first samples, but for some rest."""
    p = ds["p"] - 0.3
    p[:zeros] *= rest
    return ds.assign(p=p + offset)


@pytest.mark.parametrize("loss", ["relative_l2", "h1", "h1_spectral"])
def test_what_has_no_norm_is_left_out_and_counted(loss, caplog):
    ds = with_zeros(waves(samples=8), 2)
    surrogate = trained(ds.assign(q=ds["q"] - 0.3), loss=loss, validation=0)
    left, count = surrogate.history.left_out["p"]
    # An epoch is 8 samples of 5 steps; the batch of the last is smaller, yet all are seen.
    assert (left, count) == (3 * 2 * 5, 3 * 8 * 5)
    assert set(surrogate.history.left_out) == {"p"}
    assert "30 of the 120 targets of 'p'" in caplog.text
    assert max(surrogate.history.losses) < 3


def test_weights_of_fields_weigh_their_losses():
    ds = waves()

    def first(**weights):
        return trained(ds, loss="mse", field_weights=weights).history.losses[0]

    p, q, t = first(q=0, t=0), first(p=0, t=0), first(p=0, q=0)
    assert first(p=2.0) == pytest.approx((2 * p + q + t) / 4, rel=1e-5)
    assert first(p=3.0, q=3.0, t=3.0) == first() == pytest.approx((p + q + t) / 3, rel=1e-5)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"pp": 1.0}, "no target 'pp'; did you mean 'p'"),
        ({"p": -1.0}, "'p' has -1.0; expected a number, 0 or more"),
        ({"p": float("nan")}, "expected a number, 0 or more"),
        ({"p": "much"}, "'p' has 'much'"),
        (dict.fromkeys(NAMES, 0.0), "all are 0"),
        (2.0, "field_weights=2.0; expected weights by name"),
    ],
)
def test_weights_that_cannot_be_are_refused(weights, message):
    with pytest.raises(InputError, match=message):
        trained(waves(), field_weights=weights)
