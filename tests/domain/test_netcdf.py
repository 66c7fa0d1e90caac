"""A file that is laid out by HDF5 alone is the one that xarray would write."""

import numpy as np
import pytest
import xarray as xr

from sciml.domain import Field, Graph, Grid, Mesh, Particles
from sciml.domain.cf import Variable
from sciml.domain.dataset import domain_of, to_dataset
from sciml.domain.netcdf import lay_out
from sciml.errors import DomainError

SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [2.0, 0.5]])
VECTORS = (Field("a", "N", components=3), Field("b", components=2), Field("c", components=6))
ENERGY = Field("energy", "J", on="global")

DOMAINS = {
    "grid": (Grid((3, 4), ((0.0, 1.0), (0.0, 2.0)), ("periodic", "open"), "m"), (Field("u"), ENERGY)),
    "mesh": (
        Mesh(SQUARE, [[0, 1, 2], [0, 2, 3], [1, 4, 2]], "m", groups={"wall": [0, 1], "in": [1]}),
        (Field("u", "K"), Field("s", on="cell"), Field("f", on="edge"), *VECTORS),
    ),
    "polygons": (
        Mesh(SQUARE, [[0, 1, 2, 3], [1, 4, 2, -1]], "m", "polygon"),
        (Field("u"), Field("s", on="cell", components=2)),
    ),
    "particles": (
        Particles([1, 8, 1], np.eye(3), (True, True, False), "angstrom"),
        (*VECTORS, Field("stress", on="global", components=6), ENERGY),
    ),
    "graph": (Graph(3, [[0, 1], [1, 2]]), (Field("u"), Field("w", on="edge"), Field("v", components=2))),
    "no edges": (Graph(3, np.zeros((2, 0), int)), (Field("u"), Field("w", on="edge"))),
}  # fmt: skip


@pytest.mark.parametrize("times", [4, None], ids=["as long as it is", "growing"])
@pytest.mark.parametrize("name", DOMAINS)
def test_it_is_what_xarray_writes(tmp_path, name, times):
    domain, fields = DOMAINS[name]
    draws = np.random.default_rng(0)
    values = {f.name: draws.random((4, *f.shape(domain))).astype("f4") for f in fields}
    kind = Field("kind", categories=("in", "out"))
    still = {"kind": draws.integers(0, 2, kind.shape(domain))}
    attrs = {"note": "ö", "numbers": [1.0, 2.0], "yes": True, "nested": {"a": 1}, "none": None}
    wanted = to_dataset(
        domain, fields, values, 0.1 * np.arange(4), parameters={"nu": (0.2, "m2 s-1")}, attrs=attrs,
        static=still, static_fields=(kind,), time_units="s",
    )  # fmt: skip
    file = lay_out(
        tmp_path / "f.nc",
        domain,
        fields,
        {n: v.dtype for n, v in (values | still).items()},
        times=times,
        time={"long_name": "time", "units": "s"},
        static=(kind,),
        beside={"nu": Variable((), np.float64(0.2), {"units": "m2 s-1", "long_name": "nu"})},
        attrs=attrs,
    )
    if times is None:
        file.resize_dimension("time", 4)
    file.variables["time"][:] = 0.1 * np.arange(4)
    for n, array in values.items():
        for step in range(4):
            file.variables[n][step] = array[step]
    file.variables["kind"][...] = still["kind"]
    file.close()
    wanted.to_netcdf(tmp_path / "wanted.nc", engine="h5netcdf")
    with (
        xr.open_dataset(tmp_path / "f.nc") as ds,
        xr.open_dataset(tmp_path / "wanted.nc") as written,
    ):
        xr.testing.assert_identical(ds, written)
        assert set(ds.coords) == set(written.coords)
        assert domain_of(ds) == domain


def test_vectors_of_other_lengths_have_an_axis_of_their_own():
    particles, fields = DOMAINS["particles"]
    values = {f.name: np.ones((1, *f.shape(particles))) for f in fields}
    ds = to_dataset(particles, fields, values, [0.0])
    assert ds.a.dims[-1] == "space" and ds.b.dims[-1] == "b_component"
    assert ds.space.values.tolist() == ["x", "y", "z"]
    flat = Particles([1, 1], periodic=(False, False))
    assert to_dataset(flat, VECTORS[1:2], {"b": np.ones((1, 2, 2))}, [0.0]).b.dims[-1] == "space"


def test_a_name_used_twice_leaves_no_file(tmp_path):
    grid, fields = DOMAINS["grid"]
    for beside in ({"u": Variable((), np.float64(1.0))}, {"time": Variable((), np.float64(1.0))}):
        with pytest.raises(DomainError, match="is used twice; fields, static fields, parameters"):
            lay_out(
                tmp_path / "f.nc", grid, fields, dict.fromkeys(("u", "energy"), "f8"), times=1,
                time={}, beside=beside,
            )  # fmt: skip
    assert not any(tmp_path.iterdir())
