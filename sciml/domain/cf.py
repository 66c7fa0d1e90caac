"""How each kind of domain is described in a file: CF for grids, UGRID for meshes, ours for the rest.

Knows arrays and attributes alone: whoever writes a file, by xarray or by HDF5, writes what
:func:`describe` says, and :func:`read_mesh` and its like take the variables of any reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from sciml.domain.cells import CELLS, POLYGON
from sciml.domain.field import Field
from sciml.domain.graph import Graph, places
from sciml.domain.grid import GLOBE, Grid
from sciml.domain.mesh import Mesh
from sciml.domain.names import NODE, PARTICLE, SPACE
from sciml.domain.particles import Particles
from sciml.domain.wire import Domain
from sciml.errors import DomainError

CONVENTIONS = "CF-1.11 UGRID-1.0"
#: Names under which files have the kinds of particles.
SPECIES_NAMES = ("species", "atomic_numbers", "atomic_number")
#: Elements of UGRID by their dimension.
ELEMENTS = {1: "edge", 2: "face", 3: "volume"}
#: Groups of nodes that fit into the bits of one variable; more are refused.
GROUPS = 63
EDGE = "edge"


class Readable(Protocol):
    """A variable of a file, as xarray and h5netcdf have them."""

    dims: tuple[str, ...]
    attrs: Mapping[str, Any]

    @property
    def values(self) -> np.ndarray: ...


@dataclass(frozen=True, slots=True)
class Variable:
    """What a file holds under a name.

    Args:
        dims: its dimensions.
        values: its values.
        attrs: its attributes, as netCDF takes them.
        coordinate: it says where values lie and is no value itself.
        fill: what marks missing values, ``None`` where there are none.
    """

    dims: tuple[str, ...]
    values: np.ndarray
    attrs: dict[str, Any] = field(default_factory=dict)
    coordinate: bool = True
    fill: int | None = None


def describe(domain: Domain, fields: Iterable[Field] = ()) -> dict[str, Variable]:
    """The variables that say what ``domain`` is, and what the components of ``fields`` are.

    Raises:
        DomainError: more groups of nodes than a file can mark.
    """
    match domain:
        case Grid():
            found = {dim: _axis(domain, axis) for axis, dim in enumerate(domain.dims)}
        case Mesh():
            found = _mesh(domain, any(f.on == "edge" for f in fields))
        case Particles():
            found = _particles(domain)
        case Graph():
            found = _graph(domain)
    if any(f.components and _component_dim(domain, f) == SPACE for f in fields):
        axes = np.array(list("xyz")[: _dimension(domain)])
        found[SPACE] = Variable((SPACE,), axes, {"long_name": "component"})
    return found


def dims_of(domain: Domain, what: Field) -> tuple[str, ...]:
    """Dimensions of one frame of a field in a file."""
    dims = {"point": domain.dims, "cell": (_element(domain),), "edge": (EDGE,)}.get(what.on, ())
    return dims + ((_component_dim(domain, what),) if what.components else ())


def notes_of(domain: Domain, what: Field) -> dict[str, Any]:
    """Attributes of a field's variable in a file."""
    notes = what.attrs
    if isinstance(domain, Mesh) and what.on != "global":
        location = {"point": NODE, "edge": EDGE}.get(what.on, _element(domain))
        notes |= {"mesh": "mesh", "location": location}
    return notes


def categories_of(attrs: Mapping[str, Any]) -> tuple[str, ...]:
    """The kinds that the values 0, 1, … stand for, as CF's flags say."""
    names = str(attrs.get("flag_meanings", "")).split()
    values = np.atleast_1d(attrs.get("flag_values", ()))
    return tuple(names) if len(names) > 1 and np.array_equal(values, range(len(names))) else ()


def _component_dim(domain: Domain, what: Field) -> str:
    """Vectors in the space of the domain share their axis; what has other components has its own."""
    return SPACE if what.components == _dimension(domain) else f"{what.name}_component"


def _dimension(domain: Domain) -> int:
    """Of the space that a domain lies in, 0 where there is none."""
    match domain:
        case Grid():
            return domain.ndim
        case Mesh():
            return domain.points.shape[1]
        case Particles():
            return len(domain.periodic)
    return 0


def _element(domain: Domain) -> str:
    """Dimension of the cells of a mesh."""
    return ELEMENTS[domain.topological_dimension] if isinstance(domain, Mesh) else "cell"


def _axis(grid: Grid, axis: int) -> Variable:
    dim = grid.dims[axis]
    notes = {
        "axis": dim.upper(),
        "units": grid.units,
        "long_name": dim,
        "boundary": grid.boundary[axis],
        "extent": list(grid.extent[axis]),
    }
    return Variable((dim,), grid.coordinates(axis), notes | globe_notes(grid, axis))


def globe_notes(grid: Grid, axis: int) -> dict[str, str]:
    """Attributes of an axis that means something on the globe."""
    meaning = grid.meanings[axis] if grid.meanings else ""
    return {"standard_name": meaning, "units": GLOBE[meaning]} if meaning else {}


def _mesh(mesh: Mesh, with_edges: bool) -> dict[str, Variable]:
    element = _element(mesh)
    names = [f"mesh_node_{axis}" for axis in "xyz"[: mesh.points.shape[1]]]
    table = f"mesh_{element}_nodes"
    topology = {
        "cf_role": "mesh_topology",
        "long_name": "topology of the mesh",
        "topology_dimension": mesh.topological_dimension,
        "node_coordinates": " ".join(names),
        f"{element}_node_connectivity": table,
        f"{element}_dimension": element,
    }
    found = {
        name: Variable(
            (NODE,), mesh.points[:, i], {"units": mesh.units, "long_name": f"node {'xyz'[i]}"}
        )
        for i, name in enumerate(names)
    }
    cells = _connectivity(element, mesh.cells)
    cells.attrs["cell_type"] = mesh.cell_type
    if with_edges and element != EDGE:
        topology |= {"edge_node_connectivity": "mesh_edge_nodes", "edge_dimension": EDGE}
        found["mesh_edge_nodes"] = _connectivity(EDGE, mesh.sides)
    found |= {"mesh": Variable((), np.int32(0), topology, coordinate=False), table: cells}
    if mesh.groups:
        found["node_groups"] = _groups(mesh)
    return found


def _connectivity(element: str, nodes: np.ndarray) -> Variable:
    notes = {
        "cf_role": f"{element}_node_connectivity",
        "long_name": f"nodes of each {element}",
        "start_index": 0,
    }
    # Only where cells differ in corners: a fill value makes xarray read the indices as floats.
    fill = -1 if (nodes < 0).any() else None
    return Variable((element, f"{element}_corner"), nodes, notes, coordinate=False, fill=fill)


def _groups(mesh: Mesh) -> Variable:
    """Groups of nodes as CF's flags: a bit a group, since a node may be in several."""
    if len(mesh.groups) > GROUPS:
        raise DomainError(f"mesh: {len(mesh.groups)} groups of nodes; a file marks {GROUPS}")
    masks = np.left_shift(np.int64(1), np.arange(len(mesh.groups), dtype=np.int64))
    values = np.zeros(mesh.size, np.int64)
    for mask, nodes in zip(masks, mesh.groups.values(), strict=True):
        values[nodes] |= mask
    notes = {
        "long_name": "groups that a node is in",
        "flag_masks": masks,
        "flag_meanings": " ".join(mesh.groups),
    }
    return Variable((NODE,), values, notes)


def _particles(particles: Particles) -> dict[str, Variable]:
    notes = {
        "long_name": "species",
        "position_units": particles.units,
        "periodic": [int(p) for p in particles.periodic],
    }
    if particles.expected:
        notes["expected"] = list(particles.expected)
    found = {"species": Variable((PARTICLE,), particles.species, notes)}
    if particles.cell is not None:
        found["cell"] = Variable(
            ("lattice_vector", "cell_component"),
            particles.cell,
            {"units": particles.units, "long_name": "lattice vectors, one a row"},
        )
    return found


def _graph(graph: Graph) -> dict[str, Variable]:
    notes = {"long_name": "sources and receivers of the edges", "start_index": 0}
    return {
        NODE: Variable((NODE,), np.arange(graph.nodes), {"long_name": "node"}),
        "edges": Variable(("end", EDGE), graph.edges, notes, coordinate=False),
    }


def read_mesh(topology: Readable, variables: Mapping[str, Readable]) -> Mesh:
    """The mesh that UGRID's variable of the topology describes."""
    names = str(topology.attrs["node_coordinates"]).split()
    for name in names:
        if len(dims := variables[name].dims) != 1:
            raise DomainError(
                f"mesh: coordinate '{name}' spans {tuple(map(str, dims))}; expected one number a node: "
                "of a mesh that moves take one time, and displacements as a field"
            )
    points = np.stack([np.asarray(variables[name].values) for name in names], axis=-1)
    for dimension in sorted(ELEMENTS, reverse=True):
        element = ELEMENTS[dimension]
        attribute = f"{element}_node_connectivity"
        if attribute not in topology.attrs:
            continue
        table, cells = _table(topology, variables, element)
        kind = str(table.attrs.get("cell_type") or _usual(dimension, cells))
        units = str(variables[names[0]].attrs.get("units", "1"))
        mesh = Mesh(points, cells, units, kind, _read_groups(variables.get("node_groups")))
        if element != EDGE and f"{EDGE}_node_connectivity" in topology.attrs:
            _take_sides(mesh, _table(topology, variables, EDGE)[1])
        return mesh
    raise DomainError(
        "mesh topology that names no cells; expected one of the attributes "
        f"{', '.join(f'{e}_node_connectivity' for e in ELEMENTS.values())} (UGRID)"
    )


def _table(
    topology: Readable, variables: Mapping[str, Readable], element: str
) -> tuple[Readable, np.ndarray]:
    """The variable that joins nodes to elements, and nodes of each element, a row each."""
    table = variables[str(topology.attrs[f"{element}_node_connectivity"])]
    nodes = _indices(table)
    # UGRID lets the table lie on its side if the topology names the dimension of elements.
    return table, nodes.T if topology.attrs.get(f"{element}_dimension") == table.dims[1] else nodes


def _take_sides(mesh: Mesh, sides: np.ndarray) -> None:
    """Number and direct the sides of a mesh as a file does whose fields are there."""
    ordered = np.sort(sides, axis=1)
    if np.array_equal(np.unique(ordered, axis=0), mesh.sides) and len(sides) == len(mesh.sides):
        vars(mesh)["sides"] = sides
    elif len(sides) == len(mesh.sides):
        raise DomainError(
            "mesh: edge_node_connectivity names other pairs of nodes than the sides of the cells; "
            "expected each side once, or no such table"
        )


def _usual(dimension: int, cells: np.ndarray) -> str:
    """The type of cells of which a file says no more than their dimension."""
    padded = bool((cells < 0).any())
    for name, kind in CELLS.items():
        if kind.dimension == dimension and kind.corners == cells.shape[1] and not padded:
            return name
    if dimension == 2:
        return POLYGON
    known = " or ".join(f"{name}s" for name, k in CELLS.items() if k.dimension == dimension)
    raise DomainError(
        f"mesh: {ELEMENTS[dimension]}s of {cells.shape[1]} nodes{' or fewer' * padded}; expected {known}"
    )


def _indices(table: Readable) -> np.ndarray:
    """Node indices from 0, padded with −1, from a UGRID connectivity."""
    values = np.asarray(table.values)
    start = int(table.attrs.get("start_index", 0))
    # Opened with its fill value decoded, the table is float with NaN; raw, it still holds the fill.
    if values.dtype.kind == "f":
        padding = ~np.isfinite(values)
    else:
        padding = values == table.attrs.get("_FillValue", -1)
        padding |= values < start
    cells = np.where(padding, 0, values).astype(np.int64) - start
    cells[padding] = -1
    return cells


def _read_groups(marks: Readable | None) -> dict[str, np.ndarray]:
    if marks is None or not {"flag_masks", "flag_meanings"} <= set(marks.attrs):
        return {}
    masks = np.atleast_1d(marks.attrs["flag_masks"])
    values = np.asarray(marks.values)
    names = str(marks.attrs["flag_meanings"]).split()
    return {n: np.flatnonzero(values & m) for n, m in zip(names, masks, strict=True)}


def read_particles(species: Readable, cell: Readable | None) -> Particles:
    """Particles by the variable of their species, and that of a cell that stays."""
    periodic = tuple(bool(p) for p in np.atleast_1d(species.attrs.get("periodic", (0, 0, 0))))
    lattice = None if cell is None else np.asarray(cell.values)
    units = str(species.attrs.get("position_units", "1"))
    expected = tuple(np.atleast_1d(species.attrs.get("expected", ())).tolist())
    return Particles(np.asarray(species.values), lattice, periodic, units, expected)


def read_graph(nodes: int, edges: Readable | None) -> Graph:
    """A graph of so many nodes by the variable of its edges."""
    if edges is None or len(edges.dims) != 2:
        raise DomainError(
            f"dimension '{NODE}' without a UGRID topology or a variable 'edges' of shape "
            "(2, edges); cannot tell how the nodes are joined"
        )
    return Graph(nodes, places(edges.values) - int(edges.attrs.get("start_index", 0)))
