"""Fields as an xarray dataset that any netCDF reader understands, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from sciml.domain.field import Field
from sciml.domain.graph import Graph
from sciml.domain.grid import GLOBE, Grid
from sciml.domain.inference import domain_of, fields_of
from sciml.domain.layout import Layout, layout_of
from sciml.domain.mesh import Mesh
from sciml.domain.names import NODE, PARTICLE, SAMPLE, SPACE, TIME
from sciml.domain.particles import Particles
from sciml.domain.wire import Domain
from sciml.errors import DomainError, nearest

__all__ = ["Layout", "domain_of", "fields_of", "layout_of", "to_dataset"]

CONVENTIONS = "CF-1.11 UGRID-1.0"


def to_dataset(
    domain: Domain,
    fields: Sequence[Field],
    values: Mapping[str, Any],
    times: Any,
    *,
    parameters: Mapping[str, Any] | None = None,
    attrs: Mapping[str, Any] | None = None,
    static: Mapping[str, Any] | None = None,
    time_units: str = "1",
) -> xr.Dataset:
    """A dataset with dimensions ``(sample, time, z, y, x)``, ``(sample, time, node)`` or ``(sample,
    time, particle, space)``; ``sample`` and ``time`` only where there are any.

    Args:
        domain: where the fields live; the same for all samples.
        fields: what the values are; fields without values are left out.
        values: arrays by field name, ``([sample,] time, *field.shape(domain.point_shape))``; dask
            arrays stay lazy. All have the axis ``sample`` or none.
        times: ``(time,)``, in ``time_units``; ``None`` for a single state without time.
        parameters: by name, a scalar or one value a sample; a pair ``(value, units)`` to say units.
        attrs: of the dataset; booleans and nested values are turned into what netCDF can hold.
        static: arrays by name that do not change in time, ``([sample,] *domain.point_shape)``.
        time_units: UDUNITS string. A word such as ``"seconds"`` makes xarray decode durations when
            it opens the file; ``"s"`` does not.

    Raises:
        DomainError: shapes that do not fit, unknown names, names used twice.

    The result opens with plain ``xr.open_dataset`` after ``ds.to_netcdf(path, engine="h5netcdf")``,
    and :func:`domain_of` gives back an equal domain.
    """
    parameters, static = dict(parameters or {}), dict(static or {})
    lead = () if times is None else (len(np.atleast_1d(times)),)
    samples = _samples(domain, fields, values, lead)
    coords, data = _DESCRIBE[domain.kind](domain)
    if times is not None:
        times = np.atleast_1d(np.asarray(times))
        coords[TIME] = (TIME, times, {"axis": "T", "long_name": "time", "units": time_units})
    if samples is not None:
        coords[SAMPLE] = (SAMPLE, np.arange(samples), {"long_name": "simulation"})
    _refuse_repeats([*coords, *data], list(values), list(parameters), list(static))
    head = (() if samples is None else (SAMPLE,)) + (() if times is None else (TIME,))
    marks = {"mesh": "mesh", "location": "node"} if isinstance(domain, Mesh) else {}
    known = {field.name: field for field in fields}
    for name, array in values.items():
        field = known[name]
        tail = domain.dims if field.on == "point" else ()
        tail += (SPACE,) if field.space else ()
        if field.space and SPACE not in coords and field.space <= 3:
            coords[SPACE] = (SPACE, list("xyz")[: field.space], {"long_name": "component"})
        notes = field.attrs
        notes |= marks if field.on == "point" else {}
        data[name] = ((*head, *tail), array, notes)
    for name, array in static.items():
        dims = _static_dims(domain, name, np.shape(array), samples)
        data[name] = (dims, array, {"long_name": name, **marks})
    for name, value in parameters.items():
        coords[name] = _parameter(name, value, samples)
    return xr.Dataset(data, coords, {"Conventions": CONVENTIONS, **_plain(attrs or {})})


def _samples(
    domain: Domain, fields: Sequence[Field], values: Mapping[str, Any], lead: tuple[int, ...]
) -> int | None:
    """Number of samples that all arrays agree on, ``None`` if they have no such axis."""
    known = {field.name: field for field in fields}
    counts: dict[str, int | None] = {}
    for name, array in values.items():
        if name not in known:
            raise DomainError(f"values of unknown field '{name}'; {nearest(name, known)}")
        expected = (*lead, *known[name].shape(domain.point_shape))
        shape = tuple(np.shape(array))
        if shape == expected:
            counts[name] = None
        elif shape[1:] == expected and len(shape) == len(expected) + 1:
            counts[name] = shape[0]
        else:
            raise DomainError(
                f"field '{name}' of shape {shape}; expected {expected}, or (samples, "
                f"{str(expected)[1:]}"
            )
    if len(set(counts.values())) > 1:
        raise DomainError(f"fields differ in their number of samples: {counts}; None has no axis")
    return next(iter(counts.values()), None)


def _static_dims(
    domain: Domain, name: str, shape: tuple[int, ...], samples: int | None
) -> tuple[str, ...]:
    if shape == domain.point_shape:
        return domain.dims
    if samples is not None and shape == (samples, *domain.point_shape):
        return (SAMPLE, *domain.dims)
    raise DomainError(
        f"static field '{name}' of shape {shape}; expected {domain.point_shape}, one for all "
        "samples or one each"
    )


def _parameter(name: str, value: Any, samples: int | None) -> tuple[Any, ...]:
    units = "1"
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], str):
        value, units = value
    array = np.asarray(value)
    dims = () if array.ndim == 0 else (SAMPLE,)
    if array.shape != (() if array.ndim == 0 else (samples,)):
        raise DomainError(
            f"parameter '{name}' of shape {array.shape}; expected a scalar"
            + (f" or one value for each of {samples} samples" if samples is not None else "")
        )
    return dims, array, {"units": units, "long_name": name}


def _refuse_repeats(*groups: list[str]) -> None:
    seen: set[str] = set()
    for name in (name for group in groups for name in group):
        if name in seen:
            raise DomainError(
                f"name '{name}' is used twice; fields, static fields, parameters and coordinates "
                "share one dataset, rename one"
            )
        seen.add(name)


def _describe_grid(grid: Grid) -> tuple[dict[str, Any], dict[str, Any]]:
    coords = {}
    for axis, dim in enumerate(grid.dims):
        coords[dim] = (
            dim,
            grid.coordinates(axis),
            {
                "axis": dim.upper(),
                "units": grid.units,
                "long_name": dim,
                "boundary": grid.boundary[axis],
                "extent": list(grid.extent[axis]),
            }
            | globe_notes(grid, axis),
        )
    return coords, {}


def globe_notes(grid: Grid, axis: int) -> dict[str, str]:
    """Attributes of an axis that means something on the globe."""
    meaning = grid.meanings[axis] if grid.meanings else ""
    return {"standard_name": meaning, "units": GLOBE[meaning]} if meaning else {}


def _describe_mesh(mesh: Mesh) -> tuple[dict[str, Any], dict[str, Any]]:
    dimension, corners = mesh.points.shape[1], mesh.cells.shape[1]
    topological = 1 if corners == 2 else 3 if dimension == 3 and corners > 3 else 2
    element = {1: "edge", 2: "face", 3: "volume"}[topological]
    names = [f"mesh_node_{axis}" for axis in "xyz"[:dimension]]
    coords = {
        name: (NODE, mesh.points[:, i], {"units": mesh.units, "long_name": f"node {'xyz'[i]}"})
        for i, name in enumerate(names)
    }
    table = f"mesh_{element}_nodes"
    topology = {
        "cf_role": "mesh_topology",
        "long_name": "topology of the mesh",
        "topology_dimension": topological,
        "node_coordinates": " ".join(names),
        f"{element}_node_connectivity": table,
        f"{element}_dimension": element,
    }
    notes = {
        "cf_role": f"{element}_node_connectivity",
        "long_name": f"nodes of each {element}",
        "start_index": 0,
    }
    # Only where cells differ in corners: a fill value makes xarray read the indices as floats.
    encoding = {"_FillValue": -1} if (mesh.cells < 0).any() else {}
    data = {
        "mesh": ((), np.int32(0), topology),
        table: ((element, f"{element}_corner"), mesh.cells, notes, encoding),
    }
    return coords, data


def _describe_particles(particles: Particles) -> tuple[dict[str, Any], dict[str, Any]]:
    notes = {
        "long_name": "species",
        "position_units": particles.units,
        "periodic": [int(p) for p in particles.periodic],
    }
    coords: dict[str, Any] = {"species": (PARTICLE, particles.species, notes)}
    if particles.cell is not None:
        coords["cell"] = (
            ("lattice", "cell_component"),
            particles.cell,
            {"units": particles.units, "long_name": "lattice vectors, one a row"},
        )
    return coords, {}


def _describe_graph(graph: Graph) -> tuple[dict[str, Any], dict[str, Any]]:
    coords = {NODE: (NODE, np.arange(graph.nodes), {"long_name": "node"})}
    notes = {"long_name": "sources and receivers of the edges", "start_index": 0}
    return coords, {"edges": (("end", "edge"), graph.edges, notes)}


_DESCRIBE = {
    "grid": _describe_grid,
    "mesh": _describe_mesh,
    "particles": _describe_particles,
    "graph": _describe_graph,
}


def _plain(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as netCDF holds them: numbers, strings and flat lists; JSON for the rest."""
    plain: dict[str, Any] = {}
    for name, value in attrs.items():
        if value is None:
            continue
        if isinstance(value, bool | np.bool_):
            plain[name] = int(value)
        elif isinstance(value, str | int | float | np.number | np.ndarray):
            plain[name] = value
        elif _flat(value):
            plain[name] = list(value)
        else:
            plain[name] = json.dumps(value, default=str)
    return plain


def _flat(value: Any) -> bool:
    """Whether a sequence holds numbers alone, or strings alone."""
    if not isinstance(value, list | tuple) or not value:
        return False
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
    return numbers or all(isinstance(v, str) for v in value)
