"""Which axes are uniform, which are periodic, and when two grids span one box."""

import numpy as np
import pytest
import xarray as xr

from sciml.domain import Grid
from sciml.domain.dataset import to_dataset
from sciml.domain.grid import box_difference
from sciml.domain.inference import domain_of
from sciml.domain.wire import domain_from_wire, domain_to_wire
from sciml.errors import DomainError


def line(x, dim="x", **attrs):
    return xr.Dataset({"u": (dim, np.zeros(len(x)))}, {dim: (dim, x, attrs)})


def globe(lon, lat=None):
    lat = np.linspace(-75, 75, 6) if lat is None else lat
    return xr.Dataset(
        {"u": (("lat", "lon"), np.zeros((len(lat), len(lon))))},
        {
            "lat": ("lat", lat, {"units": "degrees_north"}),
            "lon": ("lon", lon, {"units": "degrees_east"}),
        },
    )


@pytest.mark.parametrize(
    "x",
    [
        359 + np.arange(64, dtype="f4") * np.float32(1e-3),
        np.float32(4e6) + np.arange(64, dtype="f4") * np.float32(7.3),
        (4e6 + np.arange(64) * 7.3).astype("f4").astype("f8"),
        np.linspace(0, 360, 1440, endpoint=False).astype("f4"),
    ],
    ids=["near 360", "metres", "metres as float64", "quarter degrees"],
)
def test_coordinates_are_as_even_as_their_type_can_be(x):
    assert domain_of(line(x)).shape == (len(x),)
    # Not any more where a point is off by a tenth of a spacing and digits would show it.
    bent = np.linspace(0.0, 1.0, 64)
    bent[20] += 0.1 / 63
    with pytest.raises(DomainError, match="not uniform"):
        domain_of(line(bent))


@pytest.mark.parametrize("start", [0.0, -180.0, 0.625, -179.375])
def test_longitudes_that_close_are_periodic(start):
    ds = globe(start + np.arange(0, 360, 1.25))
    assert domain_of(ds).boundary == ("open", "periodic")
    assert domain_of(ds).extent[1] == (start, start + 360)
    assert domain_of(globe(ds.lon.values.astype("f4"))) == domain_of(ds)
    ds.lon.attrs["boundary"] = "open"  # who says so is believed
    assert domain_of(ds).boundary == ("open", "open")


def test_extents_that_are_not_those_of_the_points_are_refused():
    def line(x, low, high):
        notes = {"boundary": "periodic", "extent": [low, high]}
        return xr.Dataset({"u": (("time", "x"), np.ones((2, len(x))))}, {"x": ("x", x, notes)})

    x = np.arange(8) / 8
    assert domain_of(line(x, 0.0, 1.0)).boundary == ("periodic",)
    assert domain_of(line(x[2:6], 0.0, 1.0)).boundary == ("open",)  # a piece of it
    assert domain_of(line(x[::2], 0.0, 1.0)).boundary == ("periodic",)
    for points, end in ((np.arange(9) / 8, 1.0), (x, 0.875)):
        with pytest.raises(DomainError, match=r"are one place; .*isel\(x=slice\(0, -1\)\)"):
            domain_of(line(points, 0.0, end))
    for points in (1000 * x, x - 0.5):
        with pytest.raises(DomainError, match=r"extent says \[0, 1\]; .*del ds\['x'\]\.attrs"):
            domain_of(line(points, 0.0, 1.0))


def test_a_part_across_the_meridian_is_told_how_to_be_one():
    ds = globe(np.array([350.0, 355, 0, 5]))
    with pytest.raises(DomainError, match=r"across the meridian.*\(ds\.lon \+ 180\) % 360 - 180"):
        domain_of(ds)
    mended = ds.assign_coords(lon=(ds.lon + 180) % 360 - 180).sortby("lon")
    assert domain_of(mended).extent[1] == (-10, 5)


def test_other_axes_do_not_close_by_themselves():
    assert domain_of(line(np.arange(0, 360, 10.0))).boundary == ("open",)
    assert domain_of(globe(np.arange(0, 350, 10.0))).boundary == ("open", "open")
    assert domain_of(line(np.arange(0, 360, 10.0), "lon", units="m")).meanings == ()


@pytest.mark.parametrize("start", [0, -180])
def test_a_cyclic_point_of_longitudes_is_refused(start):
    with pytest.raises(DomainError, match=r"are one place.*isel\(lon=slice\(0, -1\)\)"):
        domain_of(globe(start + np.linspace(0, 360, 25)))
    with pytest.raises(DomainError, match=r"isel\(lon=slice\(0, -3\)\)"):
        domain_of(globe(start + np.arange(0, 390.1, 15)))


def test_what_axes_mean_survives_files_and_wires(tmp_path):
    grid = domain_of(globe(np.arange(0, 360, 30.0)))
    assert grid.latitude == 0 and grid.meanings == ("latitude", "longitude")
    to_dataset(grid, (), {}, None).to_netcdf(tmp_path / "grid.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "grid.nc") as ds:
        assert domain_of(ds.assign(u=(("y", "x"), np.zeros(grid.shape)))) == grid
    assert domain_from_wire(domain_to_wire(grid)) == grid
    old = {k: v for k, v in domain_to_wire(grid).items() if k != "meanings"}
    assert domain_from_wire(old).meanings == ()
    plain = Grid((4,), ((0, 1),), ("open",))
    assert "meanings" not in domain_to_wire(plain) and plain.latitude is None
    with pytest.raises(DomainError, match="meanings"):
        Grid((4,), ((0, 1),), ("open",), meanings=("north",))


def box(low, high, n=16, boundary="periodic", meaning=""):
    return Grid((n,), ((low, high),), (boundary,), meanings=(meaning,) if meaning else ())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (box(0, 1), box(0, 1, 64)),
        (box(0, 1), box(0, 15 / 16, 16, "open")),  # a file that does not say so
        (box(0, 1), box(0, 63 / 64, 64, "open")),
        (box(0, 1, boundary="open"), box(0, 1, 33, "open")),
        (box(0, 15 / 16, 16, "open"), box(0, 31 / 32, 32, "open")),
        (box(1 / 32, 31 / 32, 16, "open"), box(1 / 64, 63 / 64, 32, "open")),  # middles of cells
        (
            box(0, 1),
            box(0.0004, 15.999 / 16, 16, "open").__class__((16,), ((0, 0.938),), ("open",)),
        ),
        (box(0, 360, meaning="longitude"), box(360, 720, meaning="longitude")),
        (box(-10, 10, 9, "open", "longitude"), box(350, 370, 9, "open", "longitude")),
    ],
)
def test_one_box(one, other):
    assert box_difference(one, other) is None
    assert box_difference(other, one) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (box(0, 1), box(0, 1 + 1 / 16)),
        (box(0, 1), box(1 / 16, 1 + 1 / 16)),
        (box(0, 1), box(0, 1, 16, "open")),
        (box(0, 1), box(0, 1, 17, "open")),
        (box(0, 1, boundary="open"), box(0, 1.06, 16, "open")),
        (box(0, 1, boundary="open"), box(1 / 15, 1 + 1 / 15, 16, "open")),
        (box(0, 360, meaning="longitude"), box(-180, 180, meaning="longitude")),
        (box(0, 360), box(360, 720)),
    ],
)
def test_another_box(one, other):
    assert box_difference(one, other) == 0
    assert box_difference(other, one) == 0
