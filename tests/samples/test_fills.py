"""Fill values that nobody decoded are refused, with what decodes them; values are not."""

import numpy as np
import pytest
import xarray as xr

from sciml.errors import InputError
from sciml.samples.dataset import simulations_of

DIMS = ("time", "y", "x")


def data(fill=None, dtype="f4", offset=280.0, **attrs):
    """Temperatures; ``fill`` along a coast."""
    values = (offset + 10 * np.random.default_rng(0).standard_normal((3, 4, 5))).astype(dtype)
    if fill is not None:
        values[:, 0, :3] = fill
    return xr.Dataset({"t": (DIMS, values, attrs)}, {"time": np.arange(3.0)})


@pytest.mark.parametrize(
    ("ds", "said"),
    [
        (data(-7.0, _FillValue=-7.0), r"'t' has -7 at 3 of 20 points.*_FillValue.*xr.decode_cf"),
        (data(-7.0, missing_value=np.float32(-7.0)), "attribute missing_value says is no value"),
        (data(-5, "i2", missing_value=np.array([-5, 9], "i2")), "'t' has -5"),
        (data(-9999.0), r"'t' is -9999 at 3 of 20 points.*where\(ds\['t'\] != -9999\)"),
        (data(9.969209968386869e36), r"9.96921e\+36"),
        (data(1e20, "f8"), r"1e\+20"),
        (data(-32768, "i2"), "-32768"),
        (data(-999.0, valid_min=0.0), "-999"),
    ],
)
def test_undecoded_fills_are_refused(ds, said):
    with pytest.raises(InputError, match=said):
        simulations_of(ds)


@pytest.mark.parametrize(
    "ds",
    [
        data(),
        data(dtype="f2"),
        data(-9999.0, valid_range=[-1e4, 1e4]),
        data(-9999.0, offset=-9990.0),
        data(offset=1e20, dtype="f8"),
        data(_FillValue=-7.0),
        data(missing_value="none"),
        data(dtype="u1", offset=100, _FillValue=1e20),
        xr.Dataset({"t": (DIMS, np.full((2, 3, 3), 999.0))}),
    ],
)
@pytest.mark.filterwarnings("error")
def test_values_are_values(ds):
    assert len(simulations_of(ds)[0][1]) == ds.sizes["time"]


def test_one_lone_extreme_is_no_fill():
    ds = data()
    ds.t.values[0, 0, 0] = -9999.0
    assert simulations_of(ds)


def test_static_fields_too_and_what_is_decoded_is_a_mask():
    ds = data().assign(depth=(DIMS[1:], np.arange(20.0).reshape(4, 5)))
    ds.depth.values[0, :2] = -9999.0
    with pytest.raises(InputError, match="'depth' is -9999 at 2 of 20 points"):
        simulations_of(ds, fields=["t"], static=["depth"])
    decoded = xr.decode_cf(data(-7.0, _FillValue=-7.0))
    [(simulation, _)] = simulations_of(decoded)
    assert int((~simulation.masks["t"]).sum()) == 3
