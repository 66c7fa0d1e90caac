"""Meshes in VTU and XDMF files, read by meshio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.domain.cells import CELLS, POLYGON
from sciml.domain.field import Field
from sciml.domain.mesh import Mesh
from sciml.errors import DomainError

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

State = tuple[float | None, Mapping[str, np.ndarray], Mapping[str, Sequence[np.ndarray]]]


def opened(path: Path) -> list[xr.Dataset]:
    """The mesh of a file and its fields, on nodes and in cells; of an XDMF time series over ``time``.

    Cells of the highest dimension count; triangles and quadrilaterals together are polygons. Points in
    a plane z = 0 have two coordinates, and vectors there two components.

    Raises:
        DomainError: cells of a type that is not supported, or of several volumes.
    """
    import meshio

    if path.suffix.lower() == ".vtu":
        mesh = meshio.vtu.read(path)
        return [_dataset(mesh.points, mesh.cells, [(None, mesh.point_data, mesh.cell_data)])]
    try:
        with meshio.xdmf.TimeSeriesReader(path) as series:
            points, cells = series.read_points_cells()
            states = [series.read_data(step)[:3] for step in range(series.num_steps)]
    except meshio.ReadError:  # no time series
        mesh = meshio.xdmf.read(path)
        points, cells, states = mesh.points, mesh.cells, []
        states = [(None, mesh.point_data, mesh.cell_data)]
    return [_dataset(points, cells, states)]


def _dataset(points: np.ndarray, blocks: Sequence[Any], states: Sequence[State]) -> xr.Dataset:
    from sciml.domain.dataset import to_dataset

    kept, kind = _kept(blocks)
    widest = max(blocks[k].data.shape[1] for k in kept)
    cells = np.concatenate(
        [
            np.pad(b.data, ((0, 0), (0, widest - b.data.shape[1])), constant_values=-1)
            for b in (blocks[k] for k in kept)
        ]
    )
    flat = points.shape[1] == 3 and widest < 5 and kind != "tetrahedron" and not points[:, 2].any()
    mesh = Mesh(points[:, :2] if flat else points, cells, cell_type=kind)
    fields: dict[str, Field] = {}
    values: dict[str, list[np.ndarray]] = {}
    for _, on_points, in_cells in states:
        found = [(name, "point", np.asarray(array)) for name, array in on_points.items()]
        found += [
            (name, "cell", np.concatenate([several[k] for k in kept]))
            for name, several in in_cells.items()
        ]
        for name, on, array in found:
            array = array[:, 0] if array.shape[1:] == (1,) else array
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
    return to_dataset(mesh, list(fields.values()), whole, [time for time, *_ in states])


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
