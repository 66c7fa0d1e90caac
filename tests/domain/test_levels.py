"""Levels taken apart into fields, and put together again."""

import numpy as np
import pytest
import xarray as xr

from sciml.domain.inference import fields_of
from sciml.domain.levels import Together, apart
from sciml.errors import InputError


@pytest.fixture
def ds():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((4, 3, 5, 6)).astype("f4")
    return xr.Dataset(
        {
            "t": (("time", "level", "lat", "lon"), values, {"units": "K", "long_name": "temp"}),
            "t2m": (("time", "lat", "lon"), values[:, 0], {"units": "K"}),
        },
        {"level": ("level", [1000.0, 850, 92.5], {"units": "hPa"})},
    )


def test_a_field_a_level_and_back(ds):
    flat, meant = apart(ds, ["t", "t2m"], "channels")
    assert meant == {"t": ("t_1000", "t_850", "t_92.5"), "t2m": ("t2m",)}
    np.testing.assert_array_equal(flat["t_850"], ds.t.sel(level=850))
    fields = fields_of(flat, meant["t"])
    assert fields[2].level.value == 92.5 and fields[2].long_name == "temp at 92.5 hPa"
    whole = Together(ds, fields)(flat)
    xr.testing.assert_identical(whole[["t", "t2m"]], ds[["t", "t2m"]])
    turned = ds.isel(level=[2, 0, 1]).transpose("level", ...)
    xr.testing.assert_identical(Together(turned, fields)(flat).t, turned.t)
    # Without the variable in the caller's dataset: where it had its levels in training.
    bare = Together(ds[["t2m"]], fields)(flat.drop_vars("level"))
    assert bare.t.dims == ("time", "level", "lat", "lon") and bare.level.attrs == {"units": "hPa"}
    # Who has the fields themselves keeps them.
    assert "t_850" in Together(flat, fields)(flat)


def test_levels_by_name(ds):
    found, _ = apart(ds, ["t_92.5"], "channels")
    np.testing.assert_array_equal(found["t_92.5"], ds.t.isel(level=2))
    some = Together(ds, fields_of(found, ["t_92.5"]))(found.drop_vars("t"))
    assert some.t.dims == ds.t.dims and some.level.values.tolist() == [92.5]
    assert apart(ds, ["t_7"], "channels")[1] == {"t_7": ("t_7",)}


def test_a_single_level_is_no_axis(ds):
    for levels in (None, "axis"):
        found, meant = apart(ds.isel(level=[1]), ["t"], levels)
        assert meant == {"t": ("t",)} and found.t.dims == ("time", "lat", "lon")
        assert fields_of(found, ["t"])[0].level.value == 850


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda ds: ds, r"3 levels along 'level'.*levels='channels'.*levels='axis'"),
        (lambda ds: ds.drop_vars("level"), "levels='channels'.*levels='axis'"),
        (lambda ds: ds.assign_coords(level=[1.0, 2, 3]), "levels='channels'.*levels='axis'"),
        (lambda ds: ds.rename(level="plev"), "along 'plev'"),
        (lambda ds: ds.rename(level="bottom_top"), "along 'bottom_top'"),
        (
            lambda ds: ds.rename(level="height"),
            "along 'height'",
        ),  # uneven, and of a pressure's units
        (lambda ds: ds.rename(level="z").assign_coords(z=[1.0, 2, 4]), r"ds\.interp\(z=\.\.\.\)"),
    ],
)
def test_in_doubt_it_has_to_be_said(ds, change, said):
    with pytest.raises(InputError, match=said) as caught:
        apart(change(ds), ["t"], None)
    assert "\n" not in str(caught.value)
    apart(change(ds), ["t2m"], None)  # which has none


@pytest.mark.parametrize("z", [[1.0, 2, 3], [3.0, 2, 1]])
def test_an_even_height_is_an_axis(ds, z):
    high = ds.rename(level="z").assign_coords(z=z)
    assert apart(high, ["t"], None)[0] is high


def test_levels_that_name_nothing_are_refused(ds):
    with pytest.raises(InputError, match="each once"):
        apart(ds.assign_coords(level=[1.0, 1, 2]), ["t"], "channels")
    with pytest.raises(InputError, match="'t_850' besides the levels of 't'"):
        apart(ds.assign(t_850=ds.t2m), ["t"], "channels")
