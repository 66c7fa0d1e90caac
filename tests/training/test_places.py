"""Levels, axes that descend, static fields: the same from `fit` to a file and back in predictions."""

import logging

import numpy as np
import pytest
import xarray as xr
from torch import nn

import sciml
from sciml.domain import Field, Mesh
from sciml.domain.dataset import to_dataset
from sciml.errors import InputError
from sciml.training import fit

TINY = {"name": "fno", "modes": 2, "hidden_channels": 4, "n_layers": 1, "use_channel_mlp": False}
FAST = {"epochs": 1, "batch_size": 8, "validation": 0}


@pytest.fixture(scope="module")
def air():
    """An archive as weather services have them: latitudes from north to south, levels of pressure."""
    rng = np.random.default_rng(0)
    t = rng.standard_normal((2, 5, 3, 6, 12)).cumsum(1).astype("f4")
    return xr.Dataset(
        {
            "t": (("member", "time", "level", "lat", "lon"), t, {"units": "K"}),
            "t2m": (("member", "time", "lat", "lon"), t[:, :, 0] + 1),
            "oro": (("lat", "lon"), t[0, 0, 0]),
        },
        {
            "time": np.arange(5.0),
            "level": ("level", [1000.0, 850, 500], {"units": "hPa"}),
            "lat": ("lat", np.linspace(75, -75, 6), {"units": "degrees_north"}),
            "lon": ("lon", np.arange(0, 360, 30.0), {"units": "degrees_east"}),
        },
    )


@pytest.fixture(scope="module")
def surrogate(air):
    task = {"inputs": ["t", "t2m"], "targets": ["t", "t2m"], "static": ["oro"]}
    return fit(TINY, air, task | {"levels": "channels"}, **FAST)


def test_levels_go_in_and_come_out_as_a_variable(air, surrogate, tmp_path):
    assert surrogate.task.targets == ("t_1000", "t_850", "t_500", "t2m")
    out = surrogate.predict(air)
    assert out.t.dims == air.t.dims and out.t.attrs == air.t.attrs
    assert out.level.identical(air.level) and "t_850" not in out
    surrogate.save(tmp_path / "saved")
    loaded = sciml.load(tmp_path / "saved")
    xr.testing.assert_identical(loaded.predict(air), out)
    film = loaded.rollout(air.isel(time=[0]), 2)
    np.testing.assert_allclose(film.t[:, 0], out.t[:, 0], rtol=1e-5, atol=1e-5)
    assert loaded.rollout(film, 1).t.dims == air.t.dims


def test_places_are_told_by_coordinates_not_by_order(air, surrogate):
    out = surrogate.predict(air)
    other = air.isel(level=[2, 0, 1], lat=slice(None, None, -1)).transpose("lat", ...)
    turned = surrogate.predict(other)
    assert turned.t.dims == other.t.dims
    xr.testing.assert_allclose(
        turned.t.sel(level=air.level, lat=air.lat).transpose(*air.t.dims), out.t
    )
    # Trained on the turned one, the same is learned.
    again = fit(TINY, other, surrogate_task(air), **FAST)
    same = fit(TINY, air, surrogate_task(air), **FAST)
    xr.testing.assert_allclose(again.predict(air), same.predict(air), rtol=1e-4, atol=1e-4)


def surrogate_task(air):
    return {"inputs": ["t2m"], "targets": ["t2m"], "static": ["oro"]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda ds: ds.isel(level=[0, 1]),
            r"levels 1000, 850; .* on 1000, 850, 500 hPa",
        ),
        (lambda ds: ds.assign_coords(level=[1000.0, 700, 500]), "levels 1000, 700, 500; the"),
        (lambda ds: ds.drop_vars("level"), "levels 0, 1, 2; the"),
        (lambda ds: ds.drop_vars("t"), "no variable 't_1000'"),
        (
            lambda ds: ds.assign_coords(lon=(ds.lon + 180) % 360 - 180).sortby("lon"),
            r"spans \[-180, 180\] along axis lon.*% 360 \+ 0\)\.sortby\('lon'\)",
        ),
        (lambda ds: ds.isel(lon=slice(2, None)), r"spans \[60, 330\] along axis lon"),
        (  # half a cell: no turn helps
            lambda ds: ds.assign_coords(lon=ds.lon + 15),
            r"spans \[15, 375\] along axis lon.* the box may not: select or interpolate",
        ),
        (lambda ds: ds.assign_coords(lat=ds.lat + 3), r"spans \[-72, 78\] along axis lat"),
    ],
)
def test_other_places_are_refused_in_one_line(air, surrogate, change, said):
    with pytest.raises(InputError, match=said) as caught:
        surrogate.predict(change(air))
    assert "\n" not in str(caught.value)


def test_the_remedy_for_turned_longitudes_helps(air, surrogate):
    ds = air.assign_coords(lon=(air.lon + 180) % 360 - 180).sortby("lon")
    turned = ds.assign_coords(lon=(ds.lon - 0) % 360 + 0).sortby("lon")
    np.testing.assert_array_equal(surrogate.predict(turned).t, surrogate.predict(air).t)


def test_single_levels_are_compared_too(air):
    one = air[["t"]].isel(level=[1])
    surrogate = fit(TINY, one, targets=["t"], **FAST)
    assert surrogate.task.targets == ("t",)
    assert surrogate.predict(one).t.dims == air.t.dims
    assert surrogate.predict(one.squeeze("level")).t.dims == ("member", "time", "lat", "lon")
    with pytest.raises(InputError, match="levels 500; the surrogate was trained on 850 hPa"):
        surrogate.predict(air.isel(level=[2]))
    with pytest.raises(InputError, match="levels 1000, 850, 500; the"):
        surrogate.predict(air)


def test_what_levels_are_has_to_be_said(air):
    with pytest.raises(InputError, match=r"levels='channels'.*levels='axis'"):
        fit(TINY, air, targets=["t"], **FAST)
    with pytest.raises(InputError, match="none of t2m has a vertical axis"):
        fit(TINY, air, targets=["t2m"], levels="channels", **FAST)
    with pytest.raises(InputError, match="levels='channel'; expected channels or axis"):
        fit(TINY, air, targets=["t"], levels="channel", **FAST)
    assert fit(TINY, air, levels="channels", **FAST).task.inputs[2:] == ("t_500", "t2m")
    even = air[["t"]].interp(level=[600.0, 700, 800])
    assert fit(TINY | {"modes": 1}, even, levels="axis", **FAST).domain.shape == (3, 6, 12)
    with pytest.raises(InputError, match="levels='channels'"):
        fit(TINY, even, **FAST)


def test_axes_taken_for_granted_are_told_once(air, caplog):
    repeated = air.assign(oro=air.oro.expand_dims(time=air.time))
    with caplog.at_level(logging.INFO, logger="sciml.fit"):
        surrogate = fit(TINY, repeated, surrogate_task(air), **FAST)
    assert caplog.text.count("'lon' closes at 360 degrees: it is periodic") == 1
    assert caplog.text.count("static 'oro' is the same at all 5 times") == 1
    whole = surrogate.predict(repeated)
    part = surrogate.predict(repeated.isel(time=slice(3, None)))
    np.testing.assert_allclose(part.t2m, whole.t2m[:, 3:], rtol=1e-5, atol=1e-6)
    moving = repeated.assign(oro=repeated.oro * (1 + repeated.time))
    with pytest.raises(InputError, match="'oro' changes along 'time'"):
        surrogate.predict(moving)


def test_levels_on_a_mesh():
    mesh = Mesh(np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]), [[0, 1, 2], [0, 2, 3]])
    values = np.random.default_rng(0).standard_normal((3, 5, 4))
    flat = to_dataset(mesh, (Field("u"),), {"u": values}, np.arange(5.0))
    level = xr.DataArray([500.0, 850], dims="level", name="level")
    ds = flat.assign(u=xr.concat([flat.u, flat.u + 1], level).transpose(..., "level", "node"))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x, points, edges, owner):
            return self.layer(x)

    with pytest.raises(InputError, match="levels='channels'"):
        fit(Net(), ds, targets=["u"], **FAST)
    surrogate = fit(Net(), ds, targets=["u"], levels="channels", **FAST)
    assert surrogate.task.targets == ("u_500", "u_850")
    assert surrogate.predict(ds).u.dims == ("sample", "time", "level", "node")
