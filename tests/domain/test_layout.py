"""The axes of anyone's own netCDF are recognized, or the message says what is missing."""

from datetime import timedelta

import numpy as np
import pytest
import xarray as xr

from sciml.domain import Grid
from sciml.domain.inference import domain_of, fields_of
from sciml.domain.layout import Layout, layout_of, times_of
from sciml.errors import DomainError, InputError


def dataset(dims, coords=None, shape=None, name="u", **attrs):
    shape = shape or range(2, 2 + len(dims))
    ds = xr.Dataset({name: (dims, np.zeros(tuple(shape)))}, coords or {})
    for dim, notes in attrs.items():
        ds[dim].attrs.update(notes)
    return ds


def test_era5():
    """Names and units of the Climate Data Store, with latitudes as they come."""
    ds = xr.Dataset(
        {
            "t2m": (
                ("valid_time", "latitude", "longitude"),
                np.zeros((3, 5, 8), "f4"),
                {"units": "K", "long_name": "2 metre temperature"},
            )
        },
        {
            "valid_time": np.datetime64("2020-01-01T00", "ns")
            + np.arange(3) * np.timedelta64(6, "h"),
            "latitude": ("latitude", np.linspace(60, 50, 5), {"units": "degrees_north"}),
            "longitude": ("longitude", np.float32(np.arange(8) * 0.25), {"units": "degrees_east"}),
            "number": 0,
        },
    )
    layout = layout_of(ds)
    assert layout == Layout(None, "valid_time", ("latitude", "longitude"))
    globe = ("latitude", "longitude")
    assert domain_of(ds) == Grid((5, 8), ((50, 60), (0, 1.75)), ("open", "open"), "degrees", globe)
    assert domain_of(ds) == domain_of(ds.sortby("latitude"))
    np.testing.assert_array_equal(times_of(ds, layout), [0, 6 * 3600, 12 * 3600])
    (field,) = fields_of(ds)
    assert (field.name, field.units, field.long_name) == ("t2m", "K", "2 metre temperature")


@pytest.mark.parametrize(
    ("ds", "expected"),
    [
        (dataset(("b", "t", "x")), Layout("b", "t", ("x",))),
        (dataset(("x", "y", "time", "member")), Layout("member", "time", ("y", "x"))),
        (dataset(("lat", "lon", "lev")), Layout(None, None, ("lev", "lat", "lon"))),
        (
            dataset(("a", "b"), {"a": [0.0, 1], "b": [0, 1, 2]}, a={"axis": "X"}),
            Layout("b", None, ("a",)),
        ),
        (
            dataset(
                ("r", "s"),
                {"r": [0.0, 1], "s": [0, 1, 2]},
                r={"standard_name": "projection_x_coordinate"},
                s={"units": "days since 2000-01-01"},
            ),
            Layout(None, "s", ("r",)),
        ),
        (
            dataset(("when", "x"), {"when": np.array([0, 1], "timedelta64[s]")}),
            Layout(None, "when", ("x",)),
        ),
        # What a coordinate states outweighs what its name suggests.
        (
            dataset(("x", "y"), {"x": [0.0, 1], "y": [0, 1, 2]}, x={"axis": "Y"}, y={"axis": "X"}),
            Layout(None, None, ("x", "y")),
        ),
    ],
)
def test_recognized(ds, expected):
    assert layout_of(ds, ["u"]) == expected
    assert layout_of(ds) == expected
    assert ds.u.transpose(*expected.order(ds.u.dims)).dims == expected.dims


def test_bounds_and_profiles_do_not_confuse():
    ds = dataset(("time", "lat", "lon"))
    ds["lat_bnds"] = (("lat", "bnds"), np.zeros((3, 2)))
    ds["profile"] = (("time", "station"), np.zeros((2, 7)))
    ds["name"] = ("station", list("abcdefg"))
    assert layout_of(ds) == Layout(None, "time", ("lat", "lon"))
    assert [f.name for f in fields_of(ds)] == ["u"]


def test_axes_without_coordinates_are_counted():
    assert domain_of(dataset(("time", "y", "x"))) == Grid(
        (3, 4), ((0, 2), (0, 3)), ("open", "open"), "1"
    )


def test_stated_boundary_without_extent_is_believed():
    ds = dataset(("x",), {"x": [0.0, 0.25, 0.5, 0.75]}, (4,), x={"boundary": "periodic"})
    assert domain_of(ds) == Grid((4,), ((0, 1),), ("periodic",))
    ds.x.attrs["boundary"] = "absorbing"
    with pytest.raises(DomainError, match="'absorbing'; expected one of periodic"):
        domain_of(ds)


def test_rounded_coordinates_pass():
    values = np.round(np.linspace(0, 1, 4), 3)
    assert domain_of(dataset(("x",), {"x": values}, (4,))).extent == ((0, 1),)


class NoLeapDay:
    """A date of a calendar that numpy does not have, as cftime gives it."""

    calendar = "noleap"

    def __init__(self, day):
        self.day = day

    def __sub__(self, other):
        return timedelta(days=self.day - other.day)


def test_foreign_calendars_become_seconds():
    dates = np.array([NoLeapDay(58), NoLeapDay(59)], dtype=object)
    ds = dataset(("when", "x")).assign_coords(when=("when", dates))
    assert layout_of(ds).time == "when"
    np.testing.assert_array_equal(times_of(ds, layout_of(ds)), [0, 86400])


@pytest.mark.parametrize(
    ("ds", "message"),
    [
        (dataset(("x",), {"x": [0.0, 1, 3]}, (3,)), "spacings from 1 to 2.*interp"),
        (dataset(("x",), {"x": [0.0, np.nan, 3]}, (3,)), "not finite"),
        (dataset(("x",), {"x": list("abc")}, (3,)), "expected numbers"),
        (dataset(("level", "y", "x"), shape=(1, 4, 4)), r"holds 1 point.*squeeze"),
        (dataset(("a", "b", "x")), "cannot tell what 'a' and 'b' of dimensions"),
        (dataset(("a",)), r"cannot tell what 'a'.*\(node in graphs, particle\)"),
        (dataset(("x", "lon")), "'x' and 'lon' both look like the X axis"),
        (dataset(("time",)), "no axis in space"),
        (dataset(("time", "node")), "cannot tell how the nodes are joined"),
        (dataset(("time", "atom")), "particles without species"),
        (dataset(("x", "y", "z", "run", "member")), "'run' and 'member'"),
        (dataset(("time", "component", "x")), "'component' holds the components of a vector"),
    ],
)
def test_what_cannot_be_told_is_said(ds, message):
    with pytest.raises(DomainError, match=message) as caught:
        domain_of(ds)
    assert "\n" not in str(caught.value)


def test_missing_variable_names_the_nearest():
    with pytest.raises(InputError, match="no variable 'temprature'; did you mean 'temperature'"):
        layout_of(dataset(("x",), name="temperature"), ["temprature"])


def test_part_of_the_axes_is_no_field():
    ds = dataset(("time", "y", "x"))
    ds["v"] = (("time", "y"), np.zeros((2, 3)))
    with pytest.raises(DomainError, match="expected all of"):
        fields_of(ds, ["u", "v"])
    with pytest.raises(DomainError, match="'q' is neither sample, time nor space"):
        layout_of(ds).order(("time", "q"))
