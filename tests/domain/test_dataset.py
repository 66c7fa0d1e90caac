"""Every domain survives the way into a netCDF file and back."""

import numpy as np
import pytest
import xarray as xr

from sciml.domain import Field, Graph, Grid, Mesh, Particles
from sciml.domain.dataset import Layout, domain_of, fields_of, layout_of, to_dataset
from sciml.errors import DomainError
from sciml.samples.dataset import simulations_of

TRIANGLES = Mesh(np.array([[0, 0], [1, 0], [0, 1], [1, 1.5]]), [[0, 1, 2], [1, 3, 2]], "m")
PADDED = Mesh(
    np.array([[0, 0], [1, 0], [0, 1], [1, 1], [2, 0.0]]), [[0, 1, 3, 2], [1, 4, 3, -1]], "m"
)
TETRAHEDRA = Mesh(np.vstack([np.zeros(3), np.eye(3)]), [[0, 1, 2, 3]], cell_type="tetrahedron")
CHAIN = Mesh(np.array([[0.0], [0.5], [2.0]]), [[0, 1], [1, 2]])
DOMAINS = {
    "line": Grid((7,), ((0, 1),), ("periodic",), "m"),
    "plane": Grid((4, 6), ((-1, 1), (0.1, 0.7)), ("dirichlet", "periodic"), "km"),
    "box": Grid((2, 3, 4), ((0, 1),) * 3, ("open", "neumann", "periodic")),
    "triangles": TRIANGLES,
    "padded": PADDED,
    "tetrahedra": TETRAHEDRA,
    "chain": CHAIN,
    "crystal": Particles([6, 1, 1], np.diag([3.0, 4.0, 5.0]), (True, True, False), "angstrom"),
    "molecule": Particles([8, 1, 1], expected=(1, 6, 8)),
    "graph": Graph(4, [[0, 1, 2], [1, 2, 3]]),
}
TIMES = np.array([0.0, 0.5, 1.0])


def example(domain, samples=None, dtype=np.float32):
    fields = [Field("u", "K", "temperature"), Field("energy", "J", on="global")]
    if isinstance(domain, Particles):
        fields.append(Field("position", "angstrom", "position", components=3))
    rng = np.random.default_rng(0)
    head = (len(TIMES),) if samples is None else (samples, len(TIMES))
    values = {f.name: rng.normal(size=(*head, *f.shape(domain))).astype(dtype) for f in fields}
    kappa = 0.5 if samples is None else np.linspace(0.5, 1, samples)
    ds = to_dataset(
        domain,
        fields,
        values,
        TIMES,
        parameters={"kappa": (kappa, "m2/s"), "nu": 3.0},
        static={"mask": np.ones(domain.point_shape)},
        attrs={"seed": 3, "stable": True, "nothing": None, "scheme": {"order": 2}},
    )
    return fields, values, ds


@pytest.mark.parametrize("samples", [None, 2])
@pytest.mark.parametrize("name", DOMAINS)
def test_round_trip_through_a_file(name, samples, tmp_path):
    domain = DOMAINS[name]
    fields, values, ds = example(domain, samples)
    path = tmp_path / "f.nc"
    ds.to_netcdf(path, engine="h5netcdf")
    with xr.open_dataset(path) as opened, xr.open_dataset(path, chunks={"time": 1}) as lazy:
        for back in (ds, opened, lazy):
            assert domain_of(back) == domain
            assert getattr(domain_of(back), "expected", ()) == getattr(domain, "expected", ())
            assert {f.name: f for f in fields_of(back, [f.name for f in fields])} == {
                f.name: Field(f.name, f.units, f.long_name or f.name, f.on, f.components)
                for f in fields
            }
            for field, array in values.items():
                np.testing.assert_array_equal(back[field].values, array)
                assert back[field].dtype == array.dtype
        assert {f.name for f in fields_of(opened)} == {f.name for f in fields}
        if name != "padded":  # a fill value turns the table of indices into floats
            xr.testing.assert_identical(opened.load(), ds.load())
        assert opened.kappa.attrs["units"] == "m2/s" and opened.kappa.ndim == (samples is not None)
        assert opened.attrs["seed"] == 3 and opened.attrs["stable"] == 1
        assert opened.attrs["scheme"] == '{"order": 2}' and "nothing" not in opened.attrs
        expected = ("sample",) if samples else ()
        expected += ("time", *domain.dims)
        assert opened.u.dims == expected
        assert layout_of(opened, ["u"]) == Layout(
            "sample" if samples else None, "time", domain.dims
        )


def test_cf_and_ugrid_attributes():
    _, _, ds = example(DOMAINS["plane"])
    assert {d: ds[d].attrs["axis"] for d in ds.u.dims} == {"time": "T", "y": "Y", "x": "X"}
    assert all({"units", "long_name"} <= set(ds[d].attrs) for d in ds.u.dims)
    assert ds.u.attrs == {"units": "K", "long_name": "temperature"}
    _, _, ds = example(PADDED)
    topology = ds["mesh"].attrs
    assert topology["cf_role"] == "mesh_topology" and topology["topology_dimension"] == 2
    assert ds[topology["face_node_connectivity"]].attrs["start_index"] == 0
    assert ds[topology["face_node_connectivity"]].encoding["_FillValue"] == -1
    assert ds.u.attrs["mesh"] == "mesh" and ds.u.attrs["location"] == "node"
    assert ds[topology["node_coordinates"].split()[0]].attrs["units"] == "m"


@pytest.mark.parametrize("dtype", ["int32", "int64", "float64", "float32"])
def test_dtype_is_kept(dtype, tmp_path):
    _, _, ds = example(DOMAINS["line"], dtype=dtype)
    ds.to_netcdf(tmp_path / "f.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "f.nc") as opened:
        assert opened.u.dtype == np.dtype(dtype)


def test_a_mesh_that_moves_is_refused():
    mesh = Mesh(np.array([(0.0, 0), (1, 0), (0, 1)]), [[0, 1, 2]])
    ds = to_dataset(mesh, (Field("u"),), {"u": np.zeros((2, 3))}, [0.0, 1.0])
    x = ds.mesh_node_x
    moves = xr.DataArray(np.stack([x, x + 1]), dims=("time", "node"), attrs=x.attrs)
    with pytest.raises(DomainError, match=r"'mesh_node_x' spans \('time', 'node'\); .* moves"):
        domain_of(ds.drop_vars("mesh_node_x").assign_coords(mesh_node_x=moves))


def test_foreign_mesh_counted_from_one_and_on_its_side():
    ds = xr.Dataset(
        {
            "topo": (
                (),
                0,
                {
                    "cf_role": "mesh_topology",
                    "topology_dimension": 2,
                    "node_coordinates": "lon lat",
                    "face_node_connectivity": "tri",
                    "face_dimension": "nface",
                },
            ),
            "tri": (("three", "nface"), [[1, 2], [2, 4], [3, 3]], {"start_index": 1}),
            "h": (("time", "nnode"), np.zeros((2, 4))),
            "lon": ("nnode", TRIANGLES.points[:, 0], {"units": "m"}),
            "lat": ("nnode", TRIANGLES.points[:, 1], {"units": "m"}),
        }
    )
    assert domain_of(ds, ["h"]) == TRIANGLES
    assert layout_of(ds, ["h"]) == Layout(None, "time", ("nnode",))
    assert [f.name for f in fields_of(ds)] == ["h"]


def test_a_piece_of_a_periodic_domain_is_open():
    _, _, ds = example(DOMAINS["plane"])
    piece = domain_of(ds.isel(x=slice(0, 3)))
    assert piece.boundary == ("dirichlet", "open") and piece.shape == (4, 3)
    np.testing.assert_allclose(piece.coordinates(1), ds.x[:3])
    assert domain_of(ds.isel(time=0)) == DOMAINS["plane"]


@pytest.mark.parametrize("n", [50, 1000])
def test_rounded_coordinates_keep_extent_and_boundary(n):
    grid = Grid((n,), ((-1.0, 2.0),), ("periodic",))
    ds = to_dataset(grid, [Field("u")], {"u": np.zeros((2, n))}, [0.0, 1.0])
    notes = ds.x.attrs
    ds = ds.assign_coords(x=ds.x.astype(np.float32).assign_attrs(notes))
    assert domain_of(ds) == grid
    for piece in (slice(0, n - 1), slice(1, n)):
        assert domain_of(ds.isel(x=piece)).boundary == ("open",)


def test_without_time():
    grid = DOMAINS["plane"]
    ds = to_dataset(grid, [Field("a"), Field("p")], {"a": np.ones((3, 4, 6))}, None)
    assert ds.a.dims == ("sample", "y", "x")
    assert layout_of(ds) == Layout("sample", None, ("y", "x")) and domain_of(ds) == grid


GRID = DOMAINS["line"]


@pytest.mark.parametrize(
    ("fields", "values", "more", "message"),
    [
        (["u"], {"u": np.zeros((3, 8))}, {}, r"shape \(3, 8\); expected \(3, 7\)"),
        (["u"], {"v": np.zeros((3, 7))}, {}, "unknown field 'v'"),
        (
            ["u", "v"],
            {"u": np.zeros((3, 7)), "v": np.zeros((2, 3, 7))},
            {},
            "differ in their number of samples",
        ),
        (["x"], {"x": np.zeros((3, 7))}, {}, "'x' is used twice"),
        (["u"], {"u": np.zeros((3, 7))}, {"parameters": {"u": 1.0}}, "'u' is used twice"),
        (["u"], {"u": np.zeros((3, 7))}, {"parameters": {"k": [1.0, 2]}}, "expected a scalar"),
        (["u"], {"u": np.zeros((2, 3, 7))}, {"parameters": {"k": [1.0]}}, "each of 2 samples"),
        (["u"], {"u": np.zeros((3, 7))}, {"static": {"m": np.zeros(6)}}, r"expected \(7,\)"),
    ],
)
def test_what_does_not_fit_is_refused(fields, values, more, message):
    with pytest.raises(DomainError, match=message):
        to_dataset(GRID, [Field(name) for name in fields], values, TIMES, **more)


def test_fields_in_cells_on_edges_and_of_kinds_come_back(tmp_path):
    groups = {"inflow": [0, 1], "wall": [1, 2]}
    mesh = Mesh(TRIANGLES.points, TRIANGLES.cells, "m", groups=groups)
    fields = (
        Field("u"),
        Field("velocity", "m/s", components=2),
        Field("stress", "Pa", on="cell", components=6),
        Field("flux", on="edge"),
        Field("energy", on="global"),
    )
    rng = np.random.default_rng(0)
    values = {f.name: rng.normal(size=(len(TIMES), *f.shape(mesh))) for f in fields}
    kinds = Field("kind", categories=("fluid", "wall", "inflow"))
    ds = to_dataset(
        mesh, fields, values, TIMES,
        static={"kind": np.arange(mesh.size, dtype=np.int32) % 3, "area": np.ones(len(mesh.cells))},
        static_fields=(kinds, Field("area", "m2", on="cell")),
    )  # fmt: skip
    ds.to_netcdf(tmp_path / "f.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "f.nc") as back:
        assert domain_of(back) == mesh and back.stress.attrs["location"] == "face"
        assert [f.on for f in fields_of(back)] == [f.on for f in fields]
        assert [f.components for f in fields_of(back)] == [0, 2, 6, 0, 0]
        assert back.stress.dims == ("time", "face", "stress_component")
        kind, area = fields_of(back, ["kind", "area"])
        assert kind.categories == kinds.categories and (area.on, area.units) == ("cell", "m2")
        np.testing.assert_array_equal(back.mesh_edge_nodes, mesh.sides)
        assert layout_of(back, [f.name for f in fields]).edges == "edge"


def test_edges_of_others_keep_their_numbers_and_directions(tmp_path):
    mesh, order = Mesh(TRIANGLES.points, TRIANGLES.cells), [3, 0, 4, 2, 1]
    flux = np.arange(5.0)
    ds = to_dataset(mesh, [Field("flux", on="edge")], {"flux": flux}, None).isel(edge=order)
    sides = mesh.sides[order]
    sides[1] = sides[1, ::-1]
    ds["mesh_edge_nodes"] = ds.mesh_edge_nodes.copy(data=sides)
    ((simulation, (frame,)),) = simulations_of(ds)
    np.testing.assert_array_equal(simulation.domain.sides, sides)
    np.testing.assert_array_equal(frame.fields["flux"], flux[order])
    again = to_dataset(simulation.domain, simulation.fields, frame.fields, None)
    np.testing.assert_array_equal(again.mesh_edge_nodes, sides)
    np.testing.assert_array_equal(domain_of(again).edges, mesh.edges)
    ds["mesh_edge_nodes"] = ds.mesh_edge_nodes.copy(data=np.roll(sides, 1, axis=0)[:, [0, 0]])
    with pytest.raises(DomainError, match="names other pairs of nodes than the sides"):
        domain_of(ds)


def test_faces_of_volumes_are_neither_cells_nor_edges():
    mesh = Mesh(np.eye(4, 3), [[0, 1, 2, 3]], cell_type="tetrahedron")
    ds = to_dataset(mesh, [Field("u")], {"u": np.ones(4)}, None)
    ds["faces"] = (
        ("face", "three"),
        [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]],
        {"start_index": 0},
    )
    ds["through"] = "face", np.ones(4)
    ds.mesh.attrs.update(face_node_connectivity="faces", face_dimension="face")
    assert [f.name for f in fields_of(ds)] == ["u"]
    assert layout_of(ds, ["u"]).edges is None


def test_a_surface_of_quadrilaterals_is_no_tetrahedron(tmp_path):
    points = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0.2), (0, 1, 0)], float)
    for kind in ("quadrilateral", "tetrahedron"):
        mesh = Mesh(points, [[0, 1, 2, 3]], cell_type=kind)
        to_dataset(mesh, (), {}, None).to_netcdf(tmp_path / f"{kind}.nc", engine="h5netcdf")
        with xr.open_dataset(tmp_path / f"{kind}.nc") as back:
            assert domain_of(back) == mesh
            del back.load()[f"mesh_{'face' if kind[0] == 'q' else 'volume'}_nodes"].attrs[
                "cell_type"
            ]
            assert domain_of(back).cell_type == kind  # a file of others: by its dimension
