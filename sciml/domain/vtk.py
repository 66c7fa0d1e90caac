"""Meshes in files of VTK, XDMF and gmsh, read by meshio; VTU and XDMF, written by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import SubElement

import numpy as np

from sciml.domain.cells import CELLS, POLYGON
from sciml.domain.field import Field
from sciml.domain.mesh import Mesh
from sciml.domain.pvd import states_of
from sciml.errors import DomainError, InputError

if TYPE_CHECKING:
    import xarray as xr

#: Types of cells by meshio's names; corners are in VTK's order in both.
TYPES = {
    "line": "edge",
    "triangle": "triangle",
    "quad": "quadrilateral",
    "tetra": "tetrahedron",
    "hexahedron": "hexahedron",
}

#: How names of files that are written end: one state, a series.
FORMATS = (".vtu", ".xdmf")
#: Before the name of a group, whose nodes have 1 in a field of such a name.
GROUP = "group "
#: Before the name of a field that does not change, in a series of states.
STATIC = "static "
#: Components of fields that XDMF holds, as meshio writes them.
WIDTHS = (0, 1, 2, 3, 6, 9)

#: Before what gmsh says of its own, which is no field.
GMSH = "gmsh:"
PHYSICAL = "gmsh:physical"
#: Before the tag of a group without a name, by the dimension of its cells.
UNNAMED = ("vertex", "line", "face", "volume")
#: Modules of meshio that read a file of one state.
ONE_STATE = {".vtu": "vtu", ".vtk": "vtk", ".msh": "gmsh"}

State = tuple[float | None, Mapping[str, np.ndarray], Mapping[str, Sequence[np.ndarray]]]


def opened(path: Path) -> list[xr.Dataset]:
    """The mesh of a file and its fields, on nodes and in cells; of XDMF and PVD over ``time``.

    Cells of the highest dimension count; triangles and quadrilaterals together are polygons. Points in
    a plane z = 0 have two coordinates, and vectors there two components. Groups of nodes are those that
    :func:`write_vtk` wrote, and the physical groups of gmsh, by their names (``line_3``, say, where the
    file has only the tag); one that has all nodes says nothing. Points of gmsh that no cell has, such as
    centers of circles, are left out, and so are fields of MSH files. Of XDMF by DOLFINx, functions at
    the same times are fields, and tags of facets are groups (``line_3``).

    Raises:
        DomainError: cells of a type that is not supported, or of several volumes.
    """
    import meshio

    if (suffix := path.suffix.lower()) in ONE_STATE:
        mesh = getattr(meshio, ONE_STATE[suffix]).read(path)
        data = [mesh.point_data, mesh.cell_data]
        if suffix == ".msh":  # read without the numbers of their nodes, which may come in any order
            data = [{k: v for k, v in one.items() if k.startswith(GMSH)} for one in data]
        groups = _Groups(len(mesh.points), mesh.field_data)
        groups.add_sets(mesh.cells, mesh.cell_sets)
        return [_dataset(mesh.points, mesh.cells, [(None, *data)], groups)]
    if suffix == ".pvd":
        return [_collection(path)]
    try:
        return [_series(path)]
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: the HDF5 file that holds its numbers is not beside it; move it there (a "
            "TimeSeriesWriter of meshio leaves it where it was run), as "
            f"{path.with_suffix('.h5').name} unless the XDMF file calls it otherwise"
        ) from error
    except meshio.ReadError:  # no time series
        mesh = meshio.xdmf.read(path)
        states = [(None, mesh.point_data, mesh.cell_data)]
        return [_dataset(mesh.points, mesh.cells, states, _Groups(len(mesh.points)))]


def _collection(path: Path) -> xr.Dataset:
    """Of VTU files that have one mesh."""
    import meshio

    states: list[State] = []
    for time, file in states_of(path):
        mesh = meshio.vtu.read(file)
        if not states:
            first, begun = mesh, file
        if not _same(mesh, first):
            raise DomainError(
                f"{file.name} has another mesh than {begun.name}; expected one for all times of a "
                "simulation"
            )
        states.append((time, mesh.point_data, mesh.cell_data))
    return _dataset(first.points, first.cells, states, _Groups(len(first.points), first.field_data))


def _same(one: Any, other: Any) -> bool:
    """Whether two meshes of meshio are one."""
    return (
        np.array_equal(one.points, other.points)
        and [block.type for block in one.cells] == [block.type for block in other.cells]
        and all(map(np.array_equal, *([b.data for b in m.cells] for m in (one, other))))
    )


def _series(path: Path) -> xr.Dataset:
    """Of an XDMF file with times. DOLFINx writes a grid for each function, and for each set of tags."""
    import meshio

    with meshio.xdmf.TimeSeriesReader(path) as series:
        for topology in series.domain.iter("Topology"):
            if topology.get("TopologyType") == "PolyLine":  # of two points; meshio knows the other
                topology.set("TopologyType", "Polyline")
        uniform = [grid for grid in series.domain if grid.get("GridType") == "Uniform"]
        read = []
        for grid in uniform or [series.mesh_grid]:
            series.mesh_grid = grid
            read.append((*series.read_points_cells(), grid))
        main = max(read, key=lambda one: max((_dimension(b.type) for b in one[1]), default=0))
        points = next(points for points, *_ in read if points is not None)
        groups = _Groups(len(points))
        for one in read:
            if one is not main:
                _, series.cells, grid = one
                series.collection = [grid]
                SubElement(grid, "Time", Value="0")  # meshio wants one
                for tags in series.read_data(0)[2].values():
                    groups.add_tags(series.cells, tags)
        series.cells = main[1]
        of_functions = []
        for grid in series.domain:
            if grid.get("GridType") == "Collection":
                series.collection = list(grid)
                of_functions.append([series.read_data(k) for k in range(len(series.collection))])
    times = [[time for time, *_ in states] for states in of_functions]
    if differing := [other for other in times if other != times[0]]:
        raise DomainError(
            f"a function at {len(times[0])} times and one at {len(differing[0])}, which differ; "
            "expected all at the same ones: write them into files of their own"
        )
    joined = []
    for several in zip(*of_functions, strict=True):
        on_points, in_cells = ({k: v for one in several for k, v in one[n].items()} for n in (1, 2))
        joined.append((several[0][0], on_points, in_cells))
    return _dataset(points, main[1], joined, groups)


def _dataset(
    points: np.ndarray, blocks: Sequence[Any], states: Sequence[State], tagged: _Groups
) -> xr.Dataset:
    from sciml.domain.dataset import to_dataset

    kept, kind = _kept(blocks)
    widest = max(blocks[k].data.shape[1] for k in kept)
    cells = np.concatenate(
        [
            np.pad(b.data, ((0, 0), (0, widest - b.data.shape[1])), constant_values=-1)
            for b in (blocks[k] for k in kept)
        ]
    )
    tagged.add_tags(blocks, states[0][2].get(PHYSICAL, ()))
    used = np.arange(len(points))
    of_gmsh = any(name.startswith(GMSH) for name in (*states[0][1], *states[0][2]))
    if of_gmsh and cells.max() < len(points):
        used = np.unique(cells[cells >= 0])
        cells = np.where(cells < 0, -1, np.searchsorted(used, cells))
        points = points[used]
    groups = {name: nodes[used] for name, nodes in tagged.masks.items()}
    groups = {name: nodes for name, nodes in groups.items() if not nodes.all()}
    groups |= {
        name.removeprefix(GROUP): np.asarray(array).ravel()[used] != 0
        for name, array in states[0][1].items()
        if name.startswith(GROUP) and np.shape(array) in ((tagged.count,), (tagged.count, 1))
    }
    flat = points.shape[1] == 3 and widest < 5 and kind != "tetrahedron" and not points[:, 2].any()
    mesh = Mesh(points[:, :2] if flat else points, cells, cell_type=kind, groups=groups)
    fields: dict[str, Field] = {}
    values: dict[str, list[np.ndarray]] = {}
    for _, on_points, in_cells in states:
        found = [(name, "point", np.asarray(array)[used]) for name, array in on_points.items()]
        found += [
            (name, "cell", np.concatenate([several[k] for k in kept]))
            for name, several in in_cells.items()
        ]
        for name, on, array in found:
            array = array[:, 0] if array.shape[1:] == (1,) else array
            if name.startswith(GMSH):
                continue
            if name.startswith(GROUP) and name.removeprefix(GROUP) in groups:
                continue
            if array.ndim > 2 or array.dtype.kind not in "fiu":
                continue
            fields[name] = Field(name, on=on, components=sum(array.shape[1:]))
            values.setdefault(name, []).append(array)
    whole = {n: np.stack(v) for n, v in values.items() if len({a.shape for a in v}) == 1}
    whole = {n: v for n, v in whole.items() if len(v) == len(states)}
    for name, array in whole.items():  # of all states: what starts from rest may leave the plane
        if flat and array.shape[2:] == (3,) and not array[..., 2].any():
            whole[name] = array[..., :2]
            fields[name] = replace(fields[name], components=2)
    if states[0][0] is None:
        return to_dataset(mesh, list(fields.values()), {n: v[0] for n, v in whole.items()}, None)
    still = {n.removeprefix(STATIC): whole.pop(n)[0] for n in [*whole] if n.startswith(STATIC)}
    of_still = [replace(fields[STATIC + name], name=name) for name in still]
    times = [time for time, *_ in states]
    return to_dataset(
        mesh, list(fields.values()), whole, times, static=still, static_fields=of_still
    )


class _Groups:
    """Masks of the nodes of groups that cells make.

    Args:
        count: of the nodes.
        names: tag and dimension of each physical group of gmsh.
    """

    def __init__(self, count: int, names: Mapping[str, np.ndarray] | None = None) -> None:
        self.count = count
        self.masks: dict[str, np.ndarray] = {}
        self._names = {tuple(np.ravel(value)): name for name, value in (names or {}).items()}

    def add_tags(self, blocks: Sequence[Any], tags: Sequence[np.ndarray]) -> None:
        """Cells with a tag each, 0 where they are in no group, by blocks."""
        for block, several in zip(blocks, tags, strict=False):
            dimension, several = _dimension(block.type), np.ravel(several)
            for tag in np.unique(several):
                if tag:
                    name = self._names.get((tag, dimension), f"{UNNAMED[dimension]}_{tag}")
                    self._add(name, block.data[several == tag])

    def add_sets(self, blocks: Sequence[Any], sets: Mapping[str, Sequence[np.ndarray]]) -> None:
        """Places of cells in each block, by names."""
        for name, places in sets.items():
            if not name.startswith(GMSH):
                for block, rows in zip(blocks, places, strict=True):
                    if rows is not None:
                        self._add(name, block.data[np.asarray(rows, dtype=int)])

    def _add(self, name: str, cells: np.ndarray) -> None:
        if cells.size:
            name = "_".join(name.split())
            self.masks.setdefault(name, np.zeros(self.count, bool))[cells[cells < self.count]] = (
                True
            )


def _dimension(name: str) -> int:
    """Of cells, by meshio's name of their type; 0 of vertices and of what is not supported."""
    return CELLS[TYPES[name]].dimension if name in TYPES else 0


def _kept(blocks: Sequence[Any]) -> tuple[list[int], str]:
    """Places of the blocks of cells that make the mesh, and their type."""
    types = [block.type for block in blocks if block.type != "vertex"]
    strange = sorted(set(types) - set(TYPES))
    if strange or not types:
        raise DomainError(
            f"cells of type {', '.join(strange) or 'vertex'}; expected {', '.join(TYPES)}: convert "
            "them, or leave out what is of higher order"
        )
    dimension = max(CELLS[TYPES[name]].dimension for name in types)
    kept = [
        place
        for place, block in enumerate(blocks)
        if block.type in TYPES and CELLS[TYPES[block.type]].dimension == dimension
    ]
    kinds = sorted({TYPES[blocks[place].type] for place in kept})
    if len(kinds) > 1 and dimension == 3:
        raise DomainError(
            f"cells of type {' and '.join(kinds)} in one mesh; expected one type of volumes: cut them "
            "into tetrahedra"
        )
    return kept, kinds[0] if len(kinds) == 1 else POLYGON


def write_vtk(path: str | Path, data: xr.Dataset) -> None:
    """Write fields on a mesh for ParaView: one state as VTU, a series of states as XDMF.

    >>> sciml.write_vtk("flow.xdmf", surrogate.rollout(first, steps=100))     # doctest: +SKIP

    Fields on nodes and in cells are there by their names, vectors of a plane with a third component 0,
    in a series those that do not change as ``static node_type``, and groups of nodes as ``group wall``,
    1 at its nodes; what is on edges or one number a frame is left out. Times are numbers, of dates
    seconds since the first one. Values of XDMF are in a file of HDF5 beside it, of the same name.
    :func:`sciml.open_dataset` reads either; VTU says no time, and neither says units.

    Args:
        path: ends in ``.vtu`` or ``.xdmf``; must not exist.
        data: one simulation on a mesh, such as a file of a solver, a prediction or a rollout.

    Raises:
        InputError: meshio is not there, the file is; no mesh, several simulations, several times in VTU,
            polygons of more than four corners, 4, 5, 7, 8 or more than 9 components in XDMF.
    """
    path = Path(path)
    series = path.suffix.lower() == ".xdmf"
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: expected a name that ends in {' or '.join(FORMATS)}")
    beside = path.with_suffix(".h5")
    for file in (path, beside) if series else (path,):
        if file.exists():
            raise InputError(f"{file} is there; expected the name of a new file")
    try:
        import meshio
    except ImportError as error:
        raise InputError(
            "meshio is not there; install it with pip install 'sciml-surrogates[mesh]'"
        ) from error
    from sciml.domain.inference import domain_of, fields_of
    from sciml.domain.layout import layout_of, times_of

    domain = domain_of(data)
    if not isinstance(domain, Mesh):
        raise InputError(f"write_vtk: a dataset on a {domain.kind}; expected one on a mesh")
    moving = fields_of(data)
    time = layout_of(data, [field.name for field in moving]).time
    every = moving if time is None else fields_of(data.isel({time: 0}, drop=True))
    fields = [field for field in every if field.on in ("point", "cell")]
    if wide := [field for field in fields if series and field.components not in WIDTHS]:
        raise InputError(
            f"write_vtk: '{wide[0].name}' has {wide[0].components} components; XDMF holds 1, 2, 3, 6 or "
            f"9: leave it out, ds.drop_vars('{wide[0].name}'), or write states as VTU"
        )
    layout = layout_of(data, [field.name for field in fields])
    if layout.sample is not None:
        count = data.sizes[layout.sample]
        if count > 1:
            raise InputError(
                f"write_vtk: {count} simulations; expected one: ds.isel({layout.sample}=0)"
            )
        data = data.isel({layout.sample: 0})
    times = times_of(data, layout)
    if len(times) > 1 and not series:
        raise InputError(
            f"write_vtk: {len(times)} times in {path.name}; expected a name that ends in .xdmf, or one "
            f"time: ds.isel({layout.time}=-1)"
        )
    points = np.pad(domain.points, ((0, 0), (0, 3 - domain.points.shape[1])))
    parts = _blocks(domain)
    cells = [(kind, domain.cells[rows][:, : CELLS[TYPES[kind]].corners]) for kind, rows in parts]
    marks = {}
    for name, nodes in domain.groups.items():
        marks[GROUP + name] = np.isin(np.arange(domain.size), nodes).astype(np.int32)

    def state(place: int) -> dict[str, Any]:
        on_points, in_cells = dict(marks), {}
        for field in fields:
            array = data[field.name]
            name = field.name
            if layout.time in array.dims:
                array = array.isel({layout.time: place})
            elif layout.time is not None and series:
                name = STATIC + name
            values = array.transpose(*layout.order(array.dims)).values
            if field.components == 2:
                values = np.pad(values, ((0, 0), (0, 1)))
            if field.on == "point":
                on_points[name] = values
            else:
                in_cells[name] = [values[rows] for _, rows in parts]
        return {"point_data": on_points, "cell_data": in_cells}

    path.parent.mkdir(parents=True, exist_ok=True)
    if not series:
        meshio.Mesh(points, cells, **state(0)).write(path)
        return
    import h5py

    writer = meshio.xdmf.TimeSeriesWriter(path)
    # Its own __enter__ puts this file into the current folder.
    writer.h5_filename, writer.h5_file = str(beside), h5py.File(beside, "w")
    try:
        writer.write_points_cells(points, cells)
        for place, time in enumerate(times):
            writer.write_data(float(time), **state(place))
    finally:
        writer.__exit__()


def _blocks(mesh: Mesh) -> list[tuple[str, np.ndarray]]:
    """Cells by meshio's name of their type: their numbers."""
    names = {ours: theirs for theirs, ours in TYPES.items()}
    if mesh.cell_type != POLYGON:
        return [(names[mesh.cell_type], np.arange(len(mesh.cells)))]
    corners = (mesh.cells >= 0).sum(axis=1)
    if corners.max() > 4:
        raise InputError(
            f"write_vtk: polygons of {corners.max()} corners; expected 3 or 4: cut them into triangles"
        )
    by = {"triangle": np.flatnonzero(corners == 3), "quad": np.flatnonzero(corners == 4)}
    return [(name, rows) for name, rows in by.items() if len(rows)]
