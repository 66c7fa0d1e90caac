"""What fields are under reflections: stated, by standard names, by names; in files, on the wire."""

import numpy as np
import pytest
import xarray as xr

from sciml.domain import Field, Grid
from sciml.domain.dataset import to_dataset
from sciml.domain.inference import fields_of
from sciml.domain.parity import guess, parity_of
from sciml.domain.wire import fields_from_wire, fields_to_wire
from sciml.errors import DomainError

PLANE, LINE, SPACE, SECTION = ("Y", "X"), ("X",), ("Z", "Y", "X"), ("Z", "Y")


@pytest.mark.parametrize(
    ("standard", "roles", "wanted"),
    [
        ("eastward_wind", PLANE, ("x", "wind")),
        ("northward_wind", PLANE, ("y", "wind")),
        ("upward_air_velocity", SPACE, ("z", "wind")),
        ("upward_air_velocity", PLANE, ("scalar", "")),
        ("x_wind", PLANE, ("x", "grid wind")),
        ("sea_water_x_velocity", PLANE, ("x", "grid sea_water_velocity")),
        ("eastward_sea_water_velocity", PLANE, ("x", "sea_water_velocity")),
        ("surface_downward_eastward_stress", PLANE, ("x", "surface_stress")),
        ("surface_downward_heat_flux_in_sea_water", PLANE, ("scalar", "")),
        # From pole to pole through the air: the grid's axes are called y and x, up and north.
        ("northward_wind", SECTION, ("x", "wind")),
        ("upward_air_velocity", SECTION, ("y", "wind")),
        ("eastward_wind", SECTION, ("scalar", "")),
        ("northward_wind", ("Y",), ("x", "wind")),
        ("atmosphere_relative_vorticity", PLANE, ("pseudoscalar", "")),
        ("ocean_barotropic_streamfunction", PLANE, ("pseudoscalar", "")),
        ("atmosphere_relative_vorticity", SPACE, ("", "")),
        ("atmosphere_relative_vorticity", SECTION, ("", "")),
        ("wind_speed", PLANE, ("scalar", "")),
        ("air_temperature", PLANE, ("", "")),
        ("", PLANE, ("", "")),
    ],
)
def test_standard_names(standard, roles, wanted):
    assert parity_of("f", {"standard_name": standard}, roles) == wanted


def test_an_attribute_wins_and_a_bad_one_is_refused():
    attrs = {"standard_name": "eastward_wind", "parity": "scalar"}
    assert parity_of("u", attrs, PLANE) == ("scalar", "")
    with pytest.raises(DomainError, match=r"parity is 'odd'.*del ds\['u'\]"):
        parity_of("u", {"parity": "odd"}, PLANE)


def told(name, ndim=2, *beside, units="1", long_name=""):
    return guess(Field(name, units, long_name), [name, *beside], ndim)


@pytest.mark.parametrize(
    ("found", "parity"),
    [
        (told("vorticity"), "pseudoscalar"),
        (told("w", long_name="vorticity"), "pseudoscalar"),
        (told("q", long_name="Potential vorticity"), "pseudoscalar"),
        (told("w", long_name="vertical velocity"), "scalar"),
        (told("vort_magnitude"), "scalar"),
        (told("vx", 2, "vy"), "x"),
        (told("vy", 2, "vx"), "y"),
        (told("vz", 3), "z"),
        (told("vz", 2), "scalar"),
        (told("magnetic_field_y", 2), "y"),
        (told("x_velocity", 2, "y_velocity"), "x"),
        (told("u10", 2, "v10"), "x"),
        (told("uo", 2, "vo"), "x"),
        (told("u10"), "x"),
        (told("v_850"), "y"),
        (told("vwnd"), "y"),
        (told("va", 2, "ua"), "y"),
        (told("u", 2, "v", units="m s-1"), "x"),
        (told("u", long_name="zonal wind"), "x"),
        (told("v", long_name="velocity along y"), "y"),
        (told("velocity", 1), "x"),
        (told("u", 1, long_name="velocity"), "x"),
        (told("u", 2, "v", long_name="concentration of U"), "scalar"),
        (told("v", 2, "u", units="m s-1", long_name="its rate of change"), "scalar"),
        (told("t", long_name="zonal mean temperature"), "scalar"),
        (told("c", units="m s-1", long_name="wave speed"), "scalar"),
        (told("phi", long_name="velocity potential"), "scalar"),
        (told("temperature"), ""),
        (told("u", units="K"), ""),
        (told("max"), ""),
    ],
)
def test_names_that_leave_no_doubt(found, parity):
    assert (found.parity, found.doubt) == (parity, "")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (told("u", 2, "v"), "and 'v' may be the components of a vector"),
        (told("w"), "pseudoscalar"),
        (told("psi"), "pseudoscalar"),
        (told("vo"), "pseudoscalar"),
        (told("vorticity", 3), "axial vector"),
        (told("wind_direction"), "is an angle"),
        (told("D_xx", 2, "D_xy"), "tensor"),
        (told("velocity"), "component of a vector"),
    ],
)
def test_names_in_doubt(found, said):
    assert said in found.doubt and not found.faint


def test_a_lone_u_is_worth_a_warning():
    assert told("u", 1).faint and told("u", 2).faint
    assert not told("u", 1, long_name="temperature").doubt


def test_components_of_one_vector_are_together():
    for one, other in (("vx", "vy"), ("u10", "v10"), ("x_velocity", "y_velocity"), ("ua", "va")):
        assert told(one, 2, other).vector == told(other, 2, one).vector != ""
    assert told("bx", 2, "by").vector != told("vx", 2, "vy").vector


def test_wire_and_files_keep_it():
    fields = (
        Field("w", "s-1", parity="pseudoscalar"),
        Field("bx", "T", parity="x", vector="magnetic field"),
        Field("a"),
    )
    assert fields_from_wire(fields_to_wire(fields)) == fields
    before = {"name", "units", "long_name", "on", "components"}
    assert set(fields_to_wire(fields)[2]) == before
    grid = Grid((4, 6), ((0.0, 1.0), (0.0, 2.0)), ("open", "open"))
    ds = to_dataset(grid, fields, {f.name: np.zeros((2, 4, 6)) for f in fields}, [0.0, 1.0])
    assert ds.bx.attrs["vector"] == "magnetic field" and "parity" not in ds.a.attrs
    assert [f.parity for f in fields_of(ds)] == ["pseudoscalar", "x", ""]
    assert fields_of(ds)[1].vector == "magnetic field"
    # A line along y: what pointed along x is across it.
    assert [f.parity for f in fields_of(ds.isel(x=0))] == ["pseudoscalar", "scalar", ""]


def test_a_file_of_anyone_by_its_standard_names(tmp_path):
    dims, shape = ("time", "lat", "lon"), (2, 4, 6)
    ds = xr.Dataset(
        {
            "vorvar": (dims, np.zeros(shape), {"standard_name": "ocean_relative_vorticity"}),
            "zvel": (dims, np.zeros(shape), {"standard_name": "eastward_sea_water_velocity"}),
        },
        {"lat": np.arange(4.0), "lon": np.arange(6.0)},
    )
    ds.to_netcdf(tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc") as opened:
        found = fields_of(opened)
    assert [(f.parity, f.vector) for f in found] == [
        ("pseudoscalar", ""), ("x", "sea_water_velocity")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Field("w", parity="odd"), "parity='odd'; expected 'scalar'"),
        (lambda: Field("w", vector="wind"), "vector='wind' without an axis"),
    ],
)
def test_bad_parities(make, said):
    with pytest.raises(DomainError, match=said):
        make()
