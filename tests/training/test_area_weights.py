"""Points that weigh by their area on the globe."""

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import sciml
from sciml.domain import Grid
from sciml.domain.grid import area_of
from sciml.errors import DomainError, InputError
from sciml.samples import Task
from sciml.samples.dataset import samples_of, simulations_of
from sciml.surrogates import Surrogate, collate
from sciml.training import fit
from sciml.training.augmentation import Augmentation
from sciml.training.objective import Supervised
from sciml.training.validation import Validation

TASK = Task(("u",), ("u",))
LAT = np.linspace(-15.0, 75.0, 7)
W = np.cos(np.deg2rad(LAT)) / np.cos(np.deg2rad(LAT)).mean()


@pytest.fixture
def ds():
    u = np.random.default_rng(0).standard_normal((3, 4, 7, 8)).cumsum(1)
    return xr.Dataset(
        {"u": (("sample", "time", "lat", "lon"), u)},
        {
            "time": np.arange(4.0),
            "lat": ("lat", LAT, {"units": "degrees_north"}),
            "lon": ("lon", np.arange(0, 360, 45.0), {"units": "degrees_east"}),
        },
    )


class Same(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.w * x[:, :1]


def test_losses_weigh_by_the_cosine(ds):
    samples = samples_of(ds, TASK)
    surrogate = Surrogate(Same(), TASK)
    u, v = ds.u.values[:, :-1], ds.u.values[:, 1:]
    squares = ((u - v) ** 2 * W[:, None]).sum((2, 3))
    batch = collate(samples, TASK)
    found = Supervised("mse", weighting="latitude")(surrogate, batch)["mse"]
    assert found.item() == pytest.approx(squares.mean() / 56, rel=1e-5)
    found = Supervised(weighting="latitude")(surrogate, batch)["relative_l2"]
    wanted = np.sqrt(squares / (v**2 * W[:, None]).sum((2, 3))).mean()
    assert found.item() == pytest.approx(wanted, rel=1e-5)
    # The same under flips and exchanges of the axes: weights go with their points.
    torch.manual_seed(2)
    for _ in range(4):
        turned = Augmentation("flips", scalars=["u"])(None, batch, 0)
        again = Supervised(weighting="latitude")(surrogate, turned)["relative_l2"]
        assert again.item() == pytest.approx(wanted, rel=1e-5)


def test_figures_weigh_alike_and_say_so(ds):
    surrogate = Surrogate(Same(), TASK)
    found = Validation(simulations_of(ds), weighting="latitude")(surrogate)
    u, v = ds.u.values[:, :-1], ds.u.values[:, 1:]
    wanted = np.sqrt(((u - v) ** 2 * W[:, None]).sum((2, 3)) / (v**2 * W[:, None]).sum((2, 3)))
    assert found["one_step"] == pytest.approx(wanted.mean(), rel=1e-6)
    assert found["weighting"] == "latitude"
    assert "weighting" not in Validation(simulations_of(ds))(surrogate)


def test_random_points_take_their_weights_along(ds):
    """Many points of a field are the field."""
    samples = samples_of(ds, TASK)

    class AtPoints(nn.Module):
        def forward(self, batch):
            return {"u": torch.zeros_like(batch.targets["u"])}

    batch = collate(samples, TASK)
    torch.manual_seed(0)
    whole = Supervised("mse", weighting="latitude")(AtPoints(), batch)["mse"]
    drawn = Supervised("mse", points=20000, weighting="latitude")(AtPoints(), batch)["mse"]
    assert drawn.item() == pytest.approx(whole.item(), rel=0.03)


def test_fit_and_land_together(ds):
    land = xr.where(ds.lat > 50, ds.lon > 200, False)
    masked = ds.assign(u=ds.u.where(~land))
    tiny = {"name": "fno", "modes": 2, "hidden_channels": 4, "n_layers": 1}
    surrogate = fit(tiny, masked, epochs=1, weighting="latitude", validation=0.4)
    assert surrogate.history.validations[-1]["weighting"] == "latitude"
    assert (surrogate.predict(masked).u.isnull() == land).all()


def test_what_has_no_latitude_is_refused(ds):
    tiny = {"name": "fno", "modes": 2, "hidden_channels": 4, "n_layers": 1}
    plain = ds.rename(lat="y", lon="x")
    plain.y.attrs.clear()
    with pytest.raises(DomainError, match=r"axes y, x, of which none is a latitude.*degrees_north"):
        fit(tiny, plain, epochs=1, weighting="latitude")
    with pytest.raises(InputError, match="unknown weighting 'lattitude'; did you mean 'latitude'"):
        fit(tiny, ds, epochs=1, weighting="lattitude")
    with pytest.raises(InputError, match="waves have no place"):
        fit(tiny, ds, epochs=1, weighting="latitude", loss="h1_spectral")
    with pytest.raises(DomainError, match="expected −90 to 90"):
        area_of(Grid((3,), ((0, 100),), ("open",), "degrees", ("latitude",)))
    assert sciml.fit(tiny, plain, epochs=1).domain.meanings == ("", "longitude")
