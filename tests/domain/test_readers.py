"""Files that other packages read: atoms in extended XYZ, meshes in VTU and XDMF."""

import sys

import numpy as np
import pytest
import xarray as xr

from sciml.domain import Field, Mesh, Particles
from sciml.domain.dataset import domain_of, fields_of, to_dataset
from sciml.domain.files import files_of, open_dataset
from sciml.domain.vtk import write_vtk
from sciml.errors import DomainError, InputError
from sciml.record import open_trajectories
from sciml.samples import Task

POINTS = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0.5, 0]])
TRIANGLES, QUADS = np.array([[1, 4, 2]]), np.array([[0, 1, 2, 3]])


def molecule(n, energy, rng):
    ase = pytest.importorskip("ase")
    from ase.calculators.singlepoint import SinglePointCalculator

    atoms = ase.Atoms([6] + [1] * (n - 1), rng.standard_normal((n, 3)))
    given = {"energy": energy, "forces": rng.standard_normal((n, 3)), "stress": np.arange(6.0)}
    atoms.calc = SinglePointCalculator(atoms, **given)
    return atoms


def test_molecules_that_differ_are_simulations(tmp_path):
    pytest.importorskip("ase")
    from ase.io import write

    rng, path = np.random.default_rng(0), tmp_path / "molecules.extxyz"
    frames = [molecule(n, -4209.0 - k * 1e-4, rng) for k, n in enumerate((3, 3, 5, 4))]
    write(path, frames, format="extxyz")
    task = Task(("positions",), ("energy", "forces"), lead=0)
    found = open_trajectories(path, task)
    assert [len(list(found.frames(n))) for n in found.ids] == [2, 1, 1]
    came = [(found.simulation(n), frame) for n in found.ids for frame in found.frames(n)]
    for (simulation, frame), atoms in zip(came, frames, strict=True):
        assert simulation.domain == Particles(atoms.numbers, units="Å")
        known = {f.name: (f.units, f.on, f.components) for f in simulation.fields}
        assert known["energy"] == ("eV", "global", 0) and known["forces"] == ("eV/Å", "point", 3)
        assert abs(frame.fields["energy"] - atoms.calc.results["energy"]) < 1e-6  # not as float32
        np.testing.assert_allclose(frame.fields["positions"], atoms.positions, atol=1e-7)
        np.testing.assert_allclose(frame.fields["forces"], atoms.calc.results["forces"], atol=1e-7)
    with pytest.raises(InputError, match=r"holds 3 simulations of other atoms or cells each"):
        open_dataset(path)


def test_atoms_in_a_cell_over_time(tmp_path):
    ase = pytest.importorskip("ase")
    from ase.io import write

    path, frames = tmp_path / "argon.xyz", []
    for step in range(3):
        atoms = ase.Atoms("Ar2", [[0, 0, 0], [1 + 0.1 * step, 0, 0]], cell=[4, 5, 6], pbc=True)
        atoms.info["time"] = 0.5 * step
        frames.append(atoms)
    write(path, frames, format="extxyz")
    ds = open_dataset(path)
    assert domain_of(ds) == Particles([18, 18], np.diag([4.0, 5, 6]), (True,) * 3, "Å")
    assert ds.time.values.tolist() == [0, 0.5, 1]
    assert ds.positions.values[:, 1, 0].tolist() == pytest.approx([1, 1.1, 1.2])


def test_as_many_numbers_as_atoms_are_not_one_an_atom(tmp_path):
    ase = pytest.importorskip("ase")
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    path = tmp_path / "water.extxyz"
    atoms = ase.Atoms("OH2", np.eye(3), info={"field": np.arange(3.0)})
    given = {"energy": -1.0, "dipole": np.array([1.0, 2, 3]), "charges": np.array([-2.0, 1, 1])}
    atoms.calc = SinglePointCalculator(atoms, **given)
    write(path, atoms, format="extxyz")
    known = {f.name: (f.on, f.components) for f in fields_of(open_dataset(path))}
    assert known.pop("positions") == known.pop("forces", ("point", 3)) == ("point", 3)
    assert known == {
        "energy": ("global", 0), "dipole": ("global", 3), "field": ("global", 3),
        "charges": ("point", 0),
    }  # fmt: skip


def test_a_slab_repeats_though_nothing_spans_its_height(tmp_path):
    ase = pytest.importorskip("ase")
    from ase.io import write

    path, cell = tmp_path / "slab.extxyz", [[4.0, 0, 0], [0, 5, 0], [0, 0, 0]]
    write(path, ase.Atoms("Cu2", np.eye(2, 3), cell=cell, pbc=(1, 1, 0)), format="extxyz")
    expected = Particles([29, 29], np.diag([4.0, 5, 1]), (True, True, False), "Å")
    assert domain_of(open_dataset(path)) == expected


def test_a_mesh_with_fields_on_nodes_and_in_cells(tmp_path):
    meshio = pytest.importorskip("meshio")
    path = tmp_path / "plate.vtu"
    wind = np.pad(POINTS[:, :2], ((0, 0), (0, 1)))
    cells = [("triangle", TRIANGLES), ("quad", QUADS), ("line", [[0, 1]])]
    in_cells = {"k": [np.array([1.0]), np.array([2.0]), np.array([9.0])]}
    meshio.Mesh(POINTS, cells, {"u": POINTS[:, 0], "wind": wind}, in_cells).write(path)
    ds = open_dataset(path)
    polygons = np.array([[1, 4, 2, -1], [0, 1, 2, 3]])
    assert domain_of(ds) == Mesh(POINTS[:, :2], polygons, cell_type="polygon")
    known = {f.name: (f.on, f.components) for f in fields_of(ds)}
    assert known == {"u": ("point", 0), "wind": ("point", 2), "k": ("cell", 0)}
    assert ds.k.values.tolist() == [1, 2]


def test_a_series_of_states_on_a_mesh(tmp_path, monkeypatch):
    meshio = pytest.importorskip("meshio")
    monkeypatch.chdir(tmp_path)  # the writer's HDF5 lands where one is
    path = tmp_path / "series.xdmf"
    with meshio.xdmf.TimeSeriesWriter(path) as writer:
        writer.write_points_cells(POINTS[:4], [("quad", QUADS)])
        for step in range(3):
            wind = np.outer(POINTS[:4, 0], [1, 0, step])  # out of the plane, but at first
            writer.write_data(0.5 * step, point_data={"u": POINTS[:4, 0] + step, "wind": wind})
    ds = open_dataset(path)
    assert domain_of(ds) == Mesh(POINTS[:4, :2], QUADS)
    assert ds.time.values.tolist() == [0, 0.5, 1] and ds.u.dims == ("time", "node")
    np.testing.assert_array_equal(ds.u[2], POINTS[:4, 0] + 2)
    np.testing.assert_array_equal(ds.wind[2], np.outer(POINTS[:4, 0], [1, 0, 2]))
    assert files_of(tmp_path) == files_of(str(tmp_path / "*")) == [path]  # without its HDF5
    (tmp_path / "other.h5").touch()
    assert [f.name for f in files_of(tmp_path)] == ["other.h5", "series.xdmf"]
    (tmp_path / "series.h5").unlink()
    with pytest.raises(InputError, match=r"series\.xdmf: the HDF5 file .* move it there") as caught:
        open_dataset(path)
    assert str(path.with_suffix(".h5").name) in str(caught.value)


@pytest.mark.parametrize(
    "cells, line",
    [
        ([("triangle6", np.arange(6)[None])], "cells of type triangle6; expected line, triangle"),
        ([("vertex", [[0]])], "cells of type vertex; expected"),
        ([("triangle", [[0, 1, 1]])], "names a node twice"),
        ([("triangle", [[0, 1, 5]]), ("triangle", [[0, 1, 2]])], "has no extent"),
    ],
)
def test_cells_that_make_no_mesh_are_named(tmp_path, cells, line):
    meshio = pytest.importorskip("meshio")
    path = tmp_path / "bad.vtu"
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [3, 1, 0], [2, 0, 0]])
    meshio.Mesh(points, cells).write(path)
    with pytest.raises(InputError, match=line) as error:
        open_dataset(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "ending, package, extra", [(".extxyz", "ase", "particles"), (".vtu", "meshio", "mesh")]
)
def test_a_package_that_is_not_there_is_named(tmp_path, monkeypatch, ending, package, extra):
    path = tmp_path / f"data{ending}"
    path.write_text("nothing of that kind")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"by {package}, .*'sciml-surrogates\[{extra}\]'"):
        open_dataset(path)


@pytest.mark.parametrize(
    "ending, package", [(".extxyz", "ase"), (".vtu", "meshio"), (".xdmf", "meshio")]
)
def test_a_file_of_another_kind_is_refused_in_a_line(tmp_path, ending, package):
    pytest.importorskip(package)
    path = tmp_path / f"data{ending}"
    path.write_text("nothing of that kind")
    with pytest.raises(InputError, match=f"{package} cannot read it") as error:
        open_dataset(path)
    assert "\n" not in str(error.value)


def test_molecules_of_a_file_train_a_model(tmp_path):
    pytest.importorskip("ase")
    import torch
    from ase.io import write

    import sciml

    class Energy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.each = torch.nn.Linear(3, 1)

        def forward(self, positions, *, ptr, owner, **rest):
            return torch.zeros(len(ptr) - 1).index_add(0, owner, self.each(positions)[:, 0])

    rng, path = np.random.default_rng(0), tmp_path / "molecules.extxyz"
    write(path, [molecule(n, float(n), rng) for n in (3, 4, 5, 4)], format="extxyz")
    task = Task(("positions",), ("energy",), lead=0)
    surrogate = sciml.fit(Energy(), path, task=task, epochs=1, batch_size=2, validation=0)
    assert (surrogate.domain.least, surrogate.domain.most) == (3, 5)
    assert surrogate.domain.species == (1, 6)


def test_edges_of_a_graph_are_counted_from_where_they_say():
    edges = np.array([[1, 2, 3], [2, 3, 1]])
    ds = xr.Dataset({"u": (("time", "node"), np.zeros((2, 3))), "edges": (("end", "edge"), edges)})
    with pytest.raises(DomainError, match="nodes 1 to 3; there are 3, counted from 0"):
        domain_of(ds)
    ds.edges.attrs["start_index"] = 1
    assert np.array_equal(domain_of(ds).edges, edges - 1)


#: A mesh of each type of cells, and of triangles beside a quadrilateral.
CUBE = np.array([(x, y, z) for z in (0, 1) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))], float)
MESHES = {
    "triangle": Mesh(POINTS[:, :2], [[0, 1, 2], [0, 2, 3], [1, 4, 2]], groups={"wall": [0, 3]}),
    "quadrilateral": Mesh(POINTS[:4, :2], QUADS, groups={"wall": [0, 3], "in": [1]}),
    "polygon": Mesh(POINTS[:, :2], [[1, 4, 2, -1], [0, 1, 2, 3]], cell_type="polygon"),
    "tetrahedron": Mesh(CUBE, [[0, 1, 2, 5], [0, 2, 3, 7]], cell_type="tetrahedron"),
    "hexahedron": Mesh(CUBE, [range(8)], cell_type="hexahedron", groups={"wall": [0, 3]}),
}


def on_mesh(mesh, times=None):
    fields = [
        Field("u"),
        Field("wind", components=2),
        Field("k", on="cell"),
        Field("e", on="global"),
    ]
    rng, lead = np.random.default_rng(0), () if times is None else (len(times),)
    shapes = {f.name: (*lead, *f.shape(mesh)) for f in fields}
    return to_dataset(mesh, fields, {n: rng.normal(size=s) for n, s in shapes.items()}, times)


@pytest.mark.parametrize("kind", MESHES)
@pytest.mark.parametrize("ending", [".vtu", ".xdmf"])
def test_what_is_written_for_paraview_comes_back(tmp_path, kind, ending):
    pytest.importorskip("meshio")
    times = [0.5] if ending == ".vtu" else [0.5, 1.0, 2.0]
    ds, path = on_mesh(MESHES[kind], times), tmp_path / f"flow{ending}"
    write_vtk(path, ds)
    back = open_dataset(path)
    assert domain_of(back) == MESHES[kind]
    if ending == ".xdmf":
        assert back.time.values.tolist() == times and (tmp_path / "flow.h5").exists()
    else:
        ds = ds.isel(time=0)
    wind = (
        ds.wind
        if MESHES[kind].points.shape[1] == 2
        else np.pad(ds.wind, (*((0, 0),) * (ds.wind.ndim - 1), (0, 1)))
    )
    for name, values in (("u", ds.u), ("wind", wind), ("k", ds.k)):
        np.testing.assert_array_equal(back[name], values)
    assert set(back.data_vars) & {"e", "group wall"} == set()
    with pytest.raises(InputError, match="is there; expected the name of a new file"):
        write_vtk(path, ds)


def test_a_series_keeps_what_does_not_change_and_its_dates(tmp_path):
    pytest.importorskip("meshio")
    mesh, days = MESHES["triangle"], np.array(["2020-01-01", "2020-01-03"], "M8[ns]")
    ds = on_mesh(mesh, [0.0, 1.0]).assign_coords(time=days)
    kind = np.arange(mesh.size)
    write_vtk(tmp_path / "a.xdmf", ds.assign(kind=("node", kind)))
    back = open_dataset(tmp_path / "a.xdmf")
    assert back.kind.dims == ("node",) and back.kind.values.tolist() == kind.tolist()
    np.testing.assert_array_equal(back.u, ds.u)
    assert back.time.values.tolist() == [0.0, 2 * 86400.0]


def test_what_cannot_be_written_for_paraview_is_one_line(tmp_path, monkeypatch):
    pytest.importorskip("meshio")
    ds = on_mesh(MESHES["triangle"], [0.0, 1.0])
    both = ds.assign({name: ds[name].expand_dims(sample=2) for name in ("u", "wind", "k", "e")})
    five = to_dataset(
        MESHES["triangle"],
        [Field("s", components=5)],
        {"s": np.zeros((2, ds.sizes["node"], 5))},
        [0.0, 1.0],
    )
    cases = [
        ("a.vtk", ds, "ends in .vtu or .xdmf"),
        ("a.vtu", ds, r"2 times in a.vtu; .*ds.isel\(time=-1\)"),
        (
            "a.xdmf",
            both,
            r"2 simulations; expected one: ds.isel\(sample=0\)",
        ),
        ("a.xdmf", xr.Dataset({"u": ("x", np.zeros(3))}, {"x": [0.0, 1, 2]}), "on a grid"),
        ("a.xdmf", five, "'s' has 5 components; XDMF holds 1, 2, 3, 6 or 9"),
    ]
    for name, data, line in cases:
        with pytest.raises(InputError, match=line):
            write_vtk(tmp_path / name, data)
    monkeypatch.setitem(sys.modules, "meshio", None)
    with pytest.raises(InputError, match=r"meshio is not there; .*\[mesh\]"):
        write_vtk(tmp_path / "a.xdmf", ds)
    assert not [*tmp_path.iterdir()]


def test_a_model_learns_from_files_of_meshes(tmp_path):
    """VTU, XDMF and UGRID of a solver, and of cells of several types, by one call."""
    pytest.importorskip("meshio")
    import sciml

    task = {"inputs": ["u"], "targets": ["u"]}
    options = {"hidden": 4, "layers": 1, "epochs": 1, "validation": 0}
    flow = sciml.simulate("solvers/heat_mesh.py", spacing=0.2, steps=4, radius=0.1)
    flow.to_netcdf(tmp_path / "ugrid.nc", engine="h5netcdf")
    write_vtk(tmp_path / "triangles.xdmf", flow)
    write_vtk(tmp_path / "polygons.xdmf", on_mesh(MESHES["polygon"], [0.0, 1.0, 2.0]))
    for name in ("ugrid.nc", "triangles.xdmf", "polygons.xdmf"):
        surrogate = sciml.fit("meshgraphnet", tmp_path / name, task=task, **options)
        rolled = surrogate.rollout(open_dataset(tmp_path / name).isel(time=[0]), steps=2)
        assert np.isfinite(rolled.u).all() and rolled.sizes["time"] == 2
        write_vtk(tmp_path / f"rolled-{name}.xdmf", rolled)
    state = on_mesh(MESHES["triangle"])
    write_vtk(tmp_path / "state.vtu", state)
    still = {"inputs": ["u"], "targets": ["wind"], "lead": 0}
    surrogate = sciml.fit("meshgraphnet", tmp_path / "state.vtu", task=still, **options)
    assert surrogate.predict(tmp_path / "state.vtu").wind.dims == ("node", "space")
