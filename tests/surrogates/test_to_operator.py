"""Converted networks: the same at the base, one function of functions at all other resolutions."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import CNN, Surrogate, UNet, ViT, collate, registry, to_operator
from sciml.surrogates.grid.operator.resampling import band_limit
from sciml.surrogates.setting import Setting


def field(n, periodic, ndim=1):
    x = torch.arange(n).double() / (n if periodic else n - 1)
    if periodic:
        u = torch.sin(2 * math.pi * x + 0.3) + 0.5 * torch.cos(4 * math.pi * x)
    else:
        u = torch.cos(2 * x + 0.3) + x**2
    return (u if ndim == 1 else u[:, None] * (1 + 0.5 * u.flip(0)))[None, None]


NETS = {
    "unet": lambda n, b, d: UNet(1, 1, (b,) * d, width=4, levels=3),
    "cnn": lambda n, b, d: CNN(1, 1, (b,) * d, width=6, blocks=1, dilations=(1, 2, 4)),
    "vit": lambda n, b, d: ViT(1, 1, (n,) * d, (b,) * d, width=8, layers=1, heads=2),
}


@pytest.mark.parametrize("boundary", ["periodic", "dirichlet", "neumann", "open"])
@pytest.mark.parametrize("name", sorted(NETS))
@pytest.mark.parametrize("base", [16, 19])
def test_at_the_base_nothing_changes(name, boundary, base):
    model = NETS[name](base, boundary, 2).double()
    x = torch.randn(2, 1, base, base, dtype=torch.float64)
    for how in ({}, {"kernel": "linear"}, {"kernel": "cubic"}, {"levels": "refined"}):
        operator = to_operator(model, (base, base), boundary == "periodic", **how)
        torch.testing.assert_close(operator(x), model(x), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("levels", ["base", "refined"])
@pytest.mark.parametrize("kernel", ["linear", "cubic", "points"])
@pytest.mark.parametrize("boundary", ["periodic", "dirichlet"])
@pytest.mark.parametrize("name", sorted(NETS))
def test_it_converges_under_refinement(name, boundary, kernel, levels):
    """Differences to the finest grid at the points of the base fall with order 2 or more."""
    torch.manual_seed(1)
    periodic = boundary == "periodic"
    base = 32 if periodic else 33
    operator = to_operator(
        NETS[name](base, boundary, 1).double(), base, periodic, kernel=kernel, levels=levels
    )

    def at(ratio):
        n = ratio * base if periodic else ratio * (base - 1) + 1
        with torch.no_grad():
            return operator(field(n, periodic))[..., ::ratio]

    finest = at(32)
    errors = [(at(r) - finest).norm().item() for r in (4, 8, 16)]
    # Kernels at points on a periodic grid without strides take the same values at every resolution.
    rates = [math.log2(a / b) if b > 1e-12 else math.inf for a, b in pairwise(errors)]
    assert min(rates) > 1.8, f"errors {errors}, rates {rates}"


@pytest.mark.parametrize("name", sorted(NETS))
def test_it_stays_closer_to_the_base_than_the_network_as_it_is(name):
    torch.manual_seed(1)
    model = NETS[name](32, "periodic", 1).double()
    operator = to_operator(model, 32, True)
    with torch.no_grad():
        here = model(field(32, True))
        far, near = (f(field(128, True))[..., ::4] - here for f in (model, operator))
    assert near.norm() < 0.5 * far.norm(), (near.norm(), far.norm())


@pytest.mark.parametrize("shape", [(16, 16), (13, 20), (45, 32), (33, 70)])
def test_any_grid(shape):
    operator = to_operator(NETS["unet"](32, "periodic", 2), (32, 32), True)
    assert operator(torch.randn(1, 1, *shape)).shape == (1, 1, *shape)


def test_a_coarser_field_is_read_as_its_interpolation():
    model = NETS["cnn"](32, "periodic", 1).double()
    operator = to_operator(model, 32, True, resample="fourier")
    expected = model(field(32, True))
    torch.testing.assert_close(operator(field(16, True)), band_limit(expected, (16,), (True,)))
    capped = to_operator(model, 32, True, resample="fourier", finest=1)
    expected = band_limit(expected, (128,), (True,))
    torch.testing.assert_close(capped(field(128, True)), expected)


class Foreign(nn.Module):
    """Layers that ours do not use, with a way around them."""

    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding="same", padding_mode="reflect"),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
        self.attention = nn.TransformerEncoder(layer, 1)
        self.pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.up = nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.smooth = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear"), nn.InstanceNorm2d(4), nn.AvgPool2d(2)
        )
        self.pad = nn.ReplicationPad2d(1)
        self.last = nn.Conv2d(5, 1, 3)

    def forward(self, x):
        y = self.down(x)
        grid = y.shape[2:]
        y = self.attention(y.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, grid)
        y = self.smooth(self.up(self.pool(y) + self.mean(y)))
        y = y[..., : x.shape[2], : x.shape[3]]
        return self.last(self.pad(torch.cat([x, y], 1)))


@pytest.mark.parametrize("train", [True, False])
def test_networks_of_others(train):
    torch.manual_seed(3)
    model = Foreign().double().train(train)
    operator = to_operator(model, (16, 16), True).train(train)
    with torch.no_grad():
        x = torch.randn(2, 1, 16, 16, dtype=torch.float64)
        torch.testing.assert_close(operator(x), model(x))
        assert operator(torch.randn(1, 1, 48, 32, dtype=torch.float64)).shape == (1, 1, 48, 32)


def test_weights_are_shared_and_have_the_names_of_the_network():
    model = NETS["unet"](16, "periodic", 1)
    operator = to_operator(model, 16, True)
    assert [id(p) for p in operator.parameters()] == [id(p) for p in model.parameters()]
    assert operator.state_dict().keys() == model.state_dict().keys()
    other = to_operator(NETS["unet"](16, "periodic", 1), 16, True)
    other.load_state_dict(model.state_dict())
    x = torch.randn(1, 1, 32)
    torch.testing.assert_close(other(x), operator(x))
    operator(x).square().mean().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert type(model.lift) is nn.Conv1d


@pytest.mark.parametrize("name", ["cnn", "unet", "vit"])
def test_as_an_option_of_the_registry(name, grid_samples, step_task, tmp_path):
    domain = grid_samples(step_task, (8, 9), boundary=("periodic", "dirichlet"))[
        0
    ].simulation.domain
    config = {"name": name, "width": 8, "operator": True}
    surrogate = Surrogate.build(config, step_task, domain)
    surrogate.normalizer.update(grid_samples(step_task, (8, 9)))
    fine = collate(grid_samples(step_task, (16, 17), boundary=domain.boundary), step_task)
    surrogate.save(tmp_path)
    torch.testing.assert_close(Surrogate.load(tmp_path)(fine)["u"], surrogate.eval()(fine)["u"])
    plain = registry.build(name, Setting(step_task, domain), width=8)
    plain.load_state_dict(surrogate.model.state_dict())


def test_fit_takes_it():
    import numpy as np
    import xarray as xr

    import sciml

    u = np.random.default_rng(0).standard_normal((3, 4, 8)).astype(np.float32)
    ds = xr.Dataset(
        {"u": (("sample", "time", "x"), u)},
        coords={"time": np.arange(4.0), "x": np.arange(8) / 8},
    )
    model = to_operator(CNN(1, 1, ("periodic",), width=4, blocks=1, dilations=(1,)), 8, True)
    surrogate = sciml.fit(model, ds, Task(("u",), ("u",)), epochs=1, validation=0.0, device="cpu")
    assert np.isfinite(surrogate.predict(ds)["u"]).all()


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.Flatten(), "layer '0': Flatten is tied to a resolution"),
        (nn.AdaptiveAvgPool1d(4), "adaptive pooling to 4: only to 1"),
        (nn.LayerNorm((1, 16)), "has a weight for each point; use GroupNorm"),
        (nn.Upsample(size=8), "Upsample to size 8.*whole scale_factor"),
        (nn.MaxPool1d(2, ceil_mode=True), "MaxPool1d with ceil_mode=True has no meaning"),
        (nn.Conv2d(1, 1, 3), r"Conv2d has 2 axes, the base \(16,\) has 1"),
    ],
)
def test_what_is_tied_to_a_resolution_is_refused(layer, message):
    with pytest.raises(InputError, match=message):
        to_operator(nn.Sequential(layer), 16, True)


def test_bad_arguments_are_named():
    model = NETS["cnn"](16, "periodic", 1)
    with pytest.raises(InputError, match="unknown kernel 'cubics'; did you mean 'cubic'"):
        to_operator(model, 16, True, kernel="cubics")
    with pytest.raises(InputError, match=r"base \(16,\) got a grid of shape \(8, 8\)"):
        to_operator(model, 16, True)(torch.zeros(1, 1, 8, 8))
