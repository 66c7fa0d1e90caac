"""Meshes of gmsh and DOLFINx: their groups and tags become groups of nodes, in any file."""

import numpy as np
import pytest

import sciml
from sciml.domain.files import files_of
from sciml.domain.inference import domain_of, fields_of
from sciml.domain.vtk import write_vtk
from sciml.errors import InputError

meshio = pytest.importorskip("meshio")

#: A channel as gmsh 4 writes it: curves of two points each, a point that no cell has, a flow.
CHANNEL = """$MeshFormat
4.1 0 8
$EndMeshFormat
$PhysicalNames
4
1 1 "inflow"
1 2 "outflow"
1 3 "no slip"
2 1 "fluid"
$EndPhysicalNames
$Entities
5 4 1 0
1 0 0 0 0
2 2 0 0 0
3 2 1 0 0
4 0 1 0 0
5 0.5 0.5 0 0
1 0 0 0 2 0 0 1 3 2 1 -2
2 2 0 0 2 1 0 1 2 2 2 -3
3 0 1 0 2 1 0 1 3 2 3 -4
4 0 0 0 0 1 0 1 1 2 4 -1
1 0 0 0 2 1 0 1 1 4 1 2 3 4
$EndEntities
$Nodes
6 8 1 8
0 1 0 1
1
0 0 0
0 2 0 1
2
2 0 0
0 3 0 1
3
2 1 0
0 5 0 1
5
0.5 0.5 0
0 4 0 1
4
0 1 0
2 1 0 3
6
7
8
1 0 0
1 1 0
1 0.5 0
$EndNodes
$Elements
5 12 1 12
1 1 1 2
1 1 6
2 6 2
1 2 1 1
3 2 3
1 3 1 2
4 3 7
5 7 4
1 4 1 1
6 4 1
2 1 2 6
7 1 6 8
8 1 8 4
9 4 8 7
10 6 2 8
11 2 3 8
12 8 3 7
$EndElements
$NodeData
1
"u"
1
0.0
3
0
1
8
1 0.0
2 2.0
3 2.0
5 9.0
4 0.0
6 1.0
7 1.0
8 1.0
$EndNodeData
"""
GROUPS = {"inflow": [0, 3], "outflow": [1, 2], "no_slip": [0, 1, 2, 3, 4, 5]}


@pytest.fixture
def channel(tmp_path):
    path = tmp_path / "channel.msh"
    path.write_text(CHANNEL)
    return path


def groups_of(ds):
    return {name: nodes.tolist() for name, nodes in domain_of(ds).groups.items()}


def test_physical_groups_are_groups_of_nodes_by_their_names(channel):
    ds = sciml.open_dataset(channel)
    mesh = domain_of(ds)
    assert groups_of(ds) == GROUPS and mesh.cell_type == "triangle" and len(mesh.cells) == 6
    assert mesh.points.shape == (7, 2)  # the stray point is gone, and so is the axis without extent
    assert not fields_of(ds)  # meshio has those of MSH without the numbers of their nodes
    assert files_of(channel) == [channel]


@pytest.mark.parametrize("ending", ["vtu", "vtk", "xdmf"])
def test_groups_survive_what_meshio_converts(channel, tmp_path, ending):
    """Which loses their names: tags and types of their cells are what is left."""
    path = tmp_path / f"converted.{ending}"
    mesh = meshio.gmsh.read(channel)
    mesh.cell_sets = {}  # VTU and VTK have none, and the writers stumble over gmsh's
    mesh.write(path)
    ds = sciml.open_dataset(path)
    assert groups_of(ds) == {f"line_{n + 1}": nodes for n, nodes in enumerate(GROUPS.values())}
    np.testing.assert_array_equal(ds.u, domain_of(ds).points[:, 0])
    if ending == "vtu":  # where somebody wrote the names, they are there
        said = {"inflow": "1 1", "outflow": "2 1", "no slip": "3 1", "time": "0"}
        named = "".join(
            f'<DataArray type="Int64" Name="{name}" format="ascii">{tag}</DataArray>'
            for name, tag in said.items()
        )
        grid = "<UnstructuredGrid>"
        path.write_text(path.read_text().replace(grid, f"{grid}<FieldData>{named}</FieldData>"))
        assert groups_of(sciml.open_dataset(path)) == GROUPS


@pytest.mark.parametrize("ending", ["vtu", "xdmf"])
def test_groups_go_out_to_paraview_and_come_back(channel, tmp_path, ending):
    ds = sciml.open_dataset(channel)
    ds = ds.assign(u=("node", domain_of(ds).points[:, 0]))
    write_vtk(tmp_path / f"out.{ending}", ds)
    back = sciml.open_dataset(tmp_path / f"out.{ending}")
    assert domain_of(back) == domain_of(ds)


def test_a_wall_of_gmsh_is_prescribed(channel):
    mesh = sciml.open_dataset(channel)
    velocity = np.random.default_rng(0).normal(size=(5, mesh.sizes["node"], 2))
    flow = mesh.assign(velocity=(("time", "node", "space"), velocity))
    flow = flow.assign_coords(time=0.1 * np.arange(5))
    task = {"inputs": ["velocity"], "targets": ["velocity"]}
    options = {"hidden": 4, "layers": 1, "epochs": 1, "validation": 0}
    with pytest.raises(InputError, match="no_slip") as caught:
        sciml.fit("meshgraphnet", flow, task | {"prescribed": {"velocity": ["wall"]}}, **options)
    assert "'wall'" in str(caught.value)
    task["prescribed"] = {"velocity": ["inflow", "no_slip"]}
    first = flow.isel(time=[0])
    rolled = sciml.fit("meshgraphnet", flow, task, **options).rollout(first, steps=2)
    held = sorted({*GROUPS["inflow"], *GROUPS["no_slip"]})
    for step in range(2):
        np.testing.assert_allclose(rolled.velocity[step, held], velocity[0, held], rtol=1e-5)
    assert not np.allclose(rolled.velocity[1, 6], velocity[0, 6])


CUBE = np.array(
    [[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]]
)
PLATE = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0, 0]])


@pytest.mark.parametrize(
    ("points", "cells", "kind", "groups"),
    [
        (
            CUBE,
            {
                "triangle": ([[0, 1, 2], [0, 2, 3]], [7, 0]),
                "tetra": ([[0, 1, 2, 5], [0, 2, 3, 7]], [1, 2]),
            },
            "tetrahedron",
            {"floor": [0, 1, 2], "hot": [0, 1, 2, 5], "volume_2": [0, 2, 3, 7]},
        ),
        (
            CUBE,
            {"quad": ([[0, 1, 2, 3]], [7]), "hexahedron": ([range(8)], [1])},
            "hexahedron",
            {"floor": [0, 1, 2, 3]},
        ),
        (
            PLATE,
            {
                "vertex": ([[4]], [3]),
                "line": ([[0, 1], [1, 4]], [5, 5]),
                "quad": ([[0, 1, 2, 3]], [1]),
                "triangle": ([[1, 4, 2]], [1]),
            },
            "polygon",
            {"vertex_3": [4], "line_5": [0, 1, 4]},
        ),
    ],
)
def test_cells_of_every_type_have_groups(tmp_path, points, cells, kind, groups):
    """In space too; a group of all nodes says nothing."""
    path = tmp_path / "body.msh"
    tags = [np.array(tags) for _, tags in cells.values()]
    several = {"gmsh:physical": tags, "gmsh:geometrical": tags}
    blocks = [(name, np.array([*map(list, corners)])) for name, (corners, _) in cells.items()]
    names = {"floor": np.array([7, 2]), "hot": np.array([1, 3])}
    mesh = meshio.Mesh(points, blocks, cell_data=several, field_data=names)
    meshio.gmsh.write(path, mesh, fmt_version="2.2", binary=False)
    ds = sciml.open_dataset(path)
    used = np.unique(np.concatenate([b.data.ravel() for b in mesh.cells if b.type != "vertex"]))
    again = {name: [*np.searchsorted(used, nodes)] for name, nodes in groups.items()}
    assert groups_of(ds) == again and domain_of(ds).cell_type == kind
    assert domain_of(ds).size == len(used) and not fields_of(ds)


def test_cells_that_are_not_supported_are_named(tmp_path):
    path = tmp_path / "curved.msh"
    cells = [("line3", [[0, 1, 3]]), ("triangle6", [[0, 1, 2, 3, 4, 5]])]
    tags = {"gmsh:physical": [np.array([1]), np.array([2])]} | {
        "gmsh:geometrical": [np.array([1]), np.array([2])]
    }
    mesh = meshio.Mesh(np.random.default_rng(0).normal(size=(6, 3)), cells, cell_data=tags)
    meshio.gmsh.write(path, mesh, fmt_version="2.2", binary=False)
    with pytest.raises(
        InputError, match="cells of type line3, triangle6; expected line, triangle, q"
    ):
        sciml.open_dataset(path)
    path.write_text("$MeshFormat\nfour\n")
    with pytest.raises(InputError, match=r"curved\.msh: meshio cannot read it"):
        sciml.open_dataset(path)


def test_a_mesh_without_nodes_for_its_cells_is_refused(tmp_path):
    mesh = meshio.Mesh(PLATE, [("line", [[0, 9]]), ("triangle", [[1, 4, 7]])])
    mesh.cell_data["gmsh:physical"] = [np.array([1]), np.array([1])]
    mesh.write(tmp_path / "broken.vtu")
    with pytest.raises(InputError, match="cells name nodes 1 to 7; there are 5 nodes"):
        sciml.open_dataset(tmp_path / "broken.vtu")


DOLFINX = """<?xml version="1.0"?>
<Xdmf Version="3.0" xmlns:xi="https://www.w3.org/2001/XInclude">
  <Domain>
    <Grid Name="mesh" GridType="Uniform">
      <Topology TopologyType="Triangle" NumberOfElements="2" NodesPerElement="3">
        <DataItem Dimensions="2 3" NumberType="Int" Format="XML">0 1 2 0 2 3</DataItem>
      </Topology>
      <Geometry GeometryType="XY">
        <DataItem Dimensions="4 2" Format="XML">0 0 1 0 1 1 0 1</DataItem>
      </Geometry>
    </Grid>
    <Grid Name="facets" GridType="Uniform">
      <xi:include xpointer="xpointer(/Xdmf/Domain/Grid[@Name='mesh']/Geometry)" />
      <Topology TopologyType="PolyLine" NumberOfElements="2" NodesPerElement="2">
        <DataItem Dimensions="2 2" NumberType="Int" Format="XML">0 3 1 2</DataItem>
      </Topology>
      <Attribute Name="facets" AttributeType="Scalar" Center="Cell">
        <DataItem Dimensions="2 1" NumberType="Int" Format="XML">5 6</DataItem>
      </Attribute>
    </Grid>
    <Grid Name="cells" GridType="Uniform">
      <xi:include xpointer="xpointer(/Xdmf/Domain/Grid[@Name='mesh']/Geometry)" />
      <Topology TopologyType="Triangle" NumberOfElements="2" NodesPerElement="3">
        <DataItem Dimensions="2 3" NumberType="Int" Format="XML">0 1 2 0 2 3</DataItem>
      </Topology>
      <Attribute Name="cells" AttributeType="Scalar" Center="Cell">
        <DataItem Dimensions="2 1" NumberType="Int" Format="XML">1 2</DataItem>
      </Attribute>
    </Grid>
    FUNCTIONS
  </Domain>
</Xdmf>
"""
FUNCTION = """<Grid Name="NAME" GridType="Collection" CollectionType="Temporal">STEPS</Grid>"""
STEP = """<Grid Name="NAME" GridType="Uniform">
  <xi:include xpointer="xpointer(/Xdmf/Domain/Grid[@GridType='Uniform'][1]/*[self::Topology])" />
  <Time Value="TIME" />
  <Attribute Name="NAME" AttributeType="Scalar" Center="CENTER">
    <DataItem Dimensions="ROWS 1" Format="XML">VALUES</DataItem>
  </Attribute>
</Grid>"""


def function(name, center, values, times):
    steps = ""
    for time, row in zip(times, values, strict=True):
        step = STEP.replace("NAME", name).replace("CENTER", center).replace("TIME", str(time))
        step = step.replace("ROWS", str(len(row)))
        steps += step.replace("VALUES", " ".join(map(str, row)))
    return FUNCTION.replace("NAME", name).replace("STEPS", steps)


def test_functions_and_tags_of_dolfinx_are_fields_and_groups(tmp_path):
    path, times = tmp_path / "flow.xdmf", [0.5, 1.0, 1.5]
    u, p, k = (np.random.default_rng(0).normal(size=(3, n)).round(3) for n in (4, 4, 2))
    functions = function("u", "Node", u, times) + function("p", "Node", p, times)
    functions += function("k", "Cell", k, times)
    path.write_text(DOLFINX.replace("FUNCTIONS", functions))
    ds = sciml.open_dataset(path)
    assert domain_of(ds).cells.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert groups_of(ds) == {
        "line_5": [0, 3],
        "line_6": [1, 2],
        "face_1": [0, 1, 2],
        "face_2": [0, 2, 3],
    }
    assert ds.time.values.tolist() == times and {f.name for f in fields_of(ds)} == {"u", "p", "k"}
    for name, values in (("u", u), ("p", p), ("k", k)):
        np.testing.assert_allclose(ds[name], values, rtol=1e-6)
    late = function("u", "Node", u, times) + function("p", "Node", p[:2], times[:2])
    path.write_text(DOLFINX.replace("FUNCTIONS", late))
    with pytest.raises(InputError, match="a function at 3 times and one at 2, which differ"):
        sciml.open_dataset(path)
