"""The domain and the fields of a dataset: of our own files exactly, of anyone's by inference.

Works on xarray objects through their methods alone; importing it does not import xarray.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.domain import cf
from sciml.domain.field import Field, Level
from sciml.domain.grid import BOUNDARIES, Grid
from sciml.domain.layout import (
    PARTICLE_NAMES,
    Layout,
    axis_of,
    bounds_of,
    layout_of,
    meaning_of,
    mesh_topology,
    point_dim,
    variable,
)
from sciml.domain.parity import parity_of
from sciml.domain.wire import Domain
from sciml.errors import DomainError, InputError

if TYPE_CHECKING:
    import xarray as xr

# Points of a uniform axis may be this far from where they should be, in spacings: coordinates in
# files are often rounded to three digits or stored as float32.
TOLERANCE = 1e-2
#: Once around the globe, in degrees.
TURN = 360.0
_SPACE = ("X", "Y", "Z")


def domain_of(ds: xr.Dataset, names: Sequence[str] | None = None) -> Domain:
    """The domain on which the named variables, or the widest ones, live.

    What :func:`~sciml.domain.dataset.to_dataset` wrote comes back equal. Otherwise: a UGRID
    topology makes a :class:`Mesh`; a dimension ``particle`` or ``atom`` makes :class:`Particles`;
    anything else is a :class:`Grid` with boundary ``open`` along axes that do not state one.

    Axes ascend in a domain, also where those of the dataset descend. Longitudes that close at 360°
    are periodic, whatever their first one is, where they do not say otherwise.

    Raises:
        InputError: no dataset.
        DomainError: axes that are not uniform, or hold a single point; longitudes that hold a place
            twice; no axis in space.
    """
    require_dataset(ds)
    point = point_dim(ds)
    topology = mesh_topology(ds)
    if topology is not None:
        return cf.read_mesh(topology, ds.variables)
    if point in PARTICLE_NAMES:
        return cf.read_particles(_species(ds, point), ds.variables.get("cell"))
    if point is not None:
        return cf.read_graph(ds.sizes[point], ds.variables.get("edges"))
    return _grid(ds, layout_of(ds, names))


def require_dataset(ds: Any) -> None:
    """Refuse what is none of xarray."""
    if not hasattr(ds, "data_vars"):
        remedy = "such as a file that is open, or what a surrogate predicts"
        if hasattr(ds, "to_dataset"):
            remedy = "an array becomes one by array.to_dataset(name='u')"
        raise InputError(f"got a {type(ds).__name__}; expected a dataset of xarray: {remedy}")


def fields_of(ds: xr.Dataset, names: Sequence[str] | None = None) -> tuple[Field, ...]:
    """The fields of a dataset; by default every variable that changes in time and spans space
    (or nothing of it: a global quantity), or that spans space in a dataset without time.

    Raises:
        InputError: a name that the dataset does not have.
        DomainError: a variable on a part of the axes only.
    """
    layout = layout_of(ds, names)
    if names is None:
        cells = bounds_of(ds)
        arrays = ((str(n), array) for n, array in ds.data_vars.items() if n not in cells)
        names = [name for name, array in arrays if _is_field(array, layout)]
    roles = tuple(axis_of(ds, dim) or "" for dim in layout.space)
    return tuple(_field(variable(ds, name), layout, roles) for name in names)


def _is_field(array: xr.DataArray, layout: Layout) -> bool:
    spans = set(layout.space) & set(array.dims)
    if array.dtype.kind not in "fiuc" or not set(array.dims) <= set(layout.dims):
        return False
    if array.name in cf.SPECIES_NAMES or "cf_role" in array.attrs:
        return False
    if layout.time is None:
        return spans == set(layout.space) or layout.place_of(array.dims) in ("cell", "edge")
    return layout.time in array.dims and spans in (set(), set(layout.space))


def _field(array: xr.DataArray, layout: Layout, roles: tuple[str, ...]) -> Field:
    spans = [dim for dim in layout.space if dim in array.dims]
    if spans and len(spans) < len(layout.space):
        raise DomainError(
            f"field '{array.name}' spans {tuple(array.dims)}; expected all of {layout.space} or "
            "none of them"
        )
    level = Level.noted(array.attrs)
    components = [array.sizes[dim] for dim in layout.components if dim in array.dims]
    if len(components) > 1:
        raise DomainError(
            f"field '{array.name}' spans {tuple(array.dims)}; expected one axis of components: stack "
            "them, ds.stack(component=[...])"
        )
    return Field(
        str(array.name),
        str(array.attrs.get("units", "1")),
        str(array.attrs.get("long_name") or array.attrs.get("standard_name", "")),
        layout.place_of(array.dims),
        *(components or [0]),
        *_turns(array, level, roles),
        level,
        cf.categories_of(array.attrs),
    )


def _turns(array: xr.DataArray, level: Level | None, roles: tuple[str, ...]) -> tuple[str, str]:
    """Parity and vector; the components at one level are a vector of their own."""
    parity, vector = parity_of(str(array.name), array.attrs, roles)
    if level is not None and parity in ("x", "y", "z"):
        vector = f"{vector} at {level.value:g}".strip()
    return parity, vector


def _grid(ds: xr.Dataset, layout: Layout) -> Grid:
    if not layout.space:
        raise DomainError(
            f"no axis in space among the dimensions {tuple(ds.dims)}; rename them to x, y, z, "
            "or set the attribute axis of their coordinates to X, Y, Z"
        )
    axes = [_axis(ds, dim) for dim in layout.space]
    extent, boundary = zip(*axes, strict=True)
    units = {_length_units(ds, dim) for dim in layout.space}
    return Grid(
        tuple(ds.sizes[dim] for dim in layout.space),
        extent,
        boundary,
        # One string for all axes: where they differ (pressure over degrees) there is none to give.
        units.pop() if len(units) == 1 else "1",
        tuple(meaning_of(ds, dim) for dim in layout.space),
    )


def ascending(ds: xr.Dataset) -> tuple[xr.Dataset, tuple[str, ...]]:
    """``ds`` with its axes in space ascending, and the dimensions that were turned for that."""
    turned = tuple(str(dim) for dim in ds.dims if axis_of(ds, dim) in _SPACE and _descends(ds, dim))
    return (ds.isel({dim: slice(None, None, -1) for dim in turned}) if turned else ds), turned


def is_uniform(ds: xr.Dataset, dim: str) -> bool:
    """Whether an axis can be one of a grid, in either direction."""
    if dim not in ds.coords:
        return True
    values = np.asarray(ds[dim].values)
    if values.dtype.kind not in "fiu" or not np.isfinite(values).all() or len(values) < 2:
        return False
    return _off(values[::-1] if _descends(ds, dim) else values) <= 0


def _descends(ds: xr.Dataset, dim: str) -> bool:
    if dim not in ds.coords or ds.sizes[dim] < 2 or ds[dim].dtype.kind not in "fiu":
        return False
    values = ds[dim].values.astype(np.float64)
    return bool((np.diff(values) < 0).all())


def closes(ds: xr.Dataset, dim: str) -> bool:
    """Whether longitudes go once around the globe, and nothing is said of their ends."""
    if not meaning_of(ds, dim).endswith("longitude") or "boundary" in ds[dim].attrs:
        return False
    if ds.sizes[dim] < 3 or ds[dim].dtype.kind not in "fiu":
        return False
    values = ds[dim].values
    spacing, slack = _measures(values)
    return abs(abs(spacing) * len(values) - TURN) <= 2 * slack


def states_extent(ds: xr.Dataset, dim: str) -> bool:
    """Whether a dataset says where an axis begins and ends."""
    return dim in ds.coords and "extent" in ds[dim].attrs


def _length_units(ds: xr.Dataset, dim: str) -> str:
    units = str(ds[dim].attrs.get("units", "1")) if dim in ds.coords else "1"
    return "degrees" if units.lower().startswith("degree") else units


def _axis(ds: xr.Dataset, dim: str) -> tuple[tuple[float, float], str]:
    """Extent and boundary of one axis of a grid."""
    size = ds.sizes[dim]
    if size < 2:
        raise DomainError(
            f"axis '{dim}' holds {size} point; expected at least 2; drop it with "
            f"ds.squeeze('{dim}', drop=True)"
        )
    if dim not in ds.coords:
        return (0.0, float(size - 1)), "open"
    values = np.asarray(ds.coords[dim].values)
    if values.dtype.kind not in "fiu":
        raise DomainError(f"axis '{dim}' has values of type {values.dtype}; expected numbers")
    if _descends(ds, dim):
        values = values[::-1]
    attrs = ds.coords[dim].attrs
    boundary = str(attrs.get("boundary", "open"))
    _require_no_seam(ds, dim, values)
    spacing, slack = _uniform_spacing(dim, values, axis_of(ds, dim) == "Z")
    values = values.astype(np.float64)
    if meaning_of(ds, dim).endswith("longitude"):
        _require_one_turn(dim, values, slack)
    extent = np.atleast_1d(attrs.get("extent", ()))
    if boundary not in BOUNDARIES:
        raise DomainError(
            f"axis '{dim}': boundary {boundary!r}; expected one of {', '.join(BOUNDARIES)}"
        )
    if extent.shape == (2,) and extent.dtype.kind in "fiu":
        low, high = map(float, extent)
        expected = (high - low) / (size if boundary == "periodic" else size - 1)
        # One point less, at either end, and the other end is a spacing off.
        if np.allclose(values, low + expected * np.arange(size), rtol=0, atol=slack):
            return (low, high), boundary
        _require_within(dim, values, (low, high), boundary, slack)
        # A piece cut out of a larger domain keeps the attributes, yet no longer the boundaries.
        boundary = "open"
    if closes(ds, dim):
        return (float(values[0]), float(values[0]) + TURN), "periodic"
    end = values[0] + spacing * size if boundary == "periodic" else values[-1]
    return (float(values[0]), float(end)), boundary


def _require_no_seam(ds: xr.Dataset, dim: str, values: np.ndarray) -> None:
    """Refuse longitudes of a part of the globe that are cut in two."""
    if not meaning_of(ds, dim).endswith("longitude") or not np.isfinite(values).all():
        return
    around = np.sort((values.astype(np.float64) + 180.0) % TURN - 180.0)
    if _off(values) > 0 and _off(around) <= 0:
        raise DomainError(
            f"axis '{dim}' goes from {values[0]:g} to {values[-1]:g} across the meridian where its "
            f"numbers begin anew; expected ascending ones: ds.assign_coords({dim}="
            f"(ds.{dim} + 180) % 360 - 180).sortby('{dim}')"
        )


def _require_one_turn(dim: str, values: np.ndarray, slack: float) -> None:
    """Refuse longitudes that come to the first place again."""
    span = values[-1] - values[0]
    if span > TURN - 2 * slack:
        again = int(np.argmin(np.abs(values - values[0] - TURN)))
        raise DomainError(
            f"axis '{dim}' holds {values[0]:g} and {values[again]:g}, which are one place; expected "
            f"each once, without the cyclic point: ds.isel({dim}=slice(0, {again - len(values)}))"
        )


def _require_within(
    dim: str, values: np.ndarray, extent: tuple[float, float], boundary: str, slack: float
) -> None:
    """Refuse an extent that is not that of the points."""
    low, high = extent
    if values[0] < low - slack or values[-1] > high + slack:
        raise DomainError(
            f"axis '{dim}' goes from {values[0]:g} to {values[-1]:g}, and its attribute extent says "
            f"[{low:g}, {high:g}]; expected one that holds the points, or none: del "
            f"ds['{dim}'].attrs['extent']"
        )
    if boundary == "periodic" and values[-1] - values[0] > high - low - 2 * slack:
        raise DomainError(
            f"axis '{dim}' holds {values[0]:g} and {values[-1]:g}, which by its extent, [{low:g}, "
            f"{high:g}], are one place; expected each once, without the cyclic point: "
            f"ds.isel({dim}=slice(0, -1)), or an extent that is longer by a cell"
        )


def _measures(values: np.ndarray) -> tuple[float, float]:
    """Mean spacing of coordinates, and how far each may be from where it should be."""
    places = values.astype(np.float64)
    spacing = (places[-1] - places[0]) / (len(places) - 1)
    resolved = 0.0
    if values.dtype.kind == "f":
        # Numbers that float32 holds exactly were mostly float32 once, whatever they are now.
        with np.errstate(over="ignore"):
            short = values.dtype.itemsize == 8 and (places == places.astype(np.float32)).all()
        kind = np.float32 if short else values.dtype.type
        resolved = float(np.spacing(np.abs(values).max().astype(kind)))
    # Beyond a quarter of a spacing, points could not be told from their neighbors.
    return float(spacing), max(TOLERANCE * abs(spacing), min(2 * resolved, 0.25 * abs(spacing)))


def _off(values: np.ndarray) -> float:
    """By how much points are farther from even ones than they may be."""
    spacing, slack = _measures(values)
    places = values.astype(np.float64)
    straight = places[0] + spacing * np.arange(len(places))
    return np.inf if spacing <= 0 else float(np.abs(places - straight).max() - slack)


def _uniform_spacing(dim: str, values: np.ndarray, vertical: bool) -> tuple[float, float]:
    """Spacing of an axis that ascends, and how far points may be off."""
    if not np.isfinite(values).all():
        raise DomainError(f"axis '{dim}' has coordinates that are not finite numbers")
    spacing, slack = _measures(values)
    if _off(values) > 0:
        steps = np.diff(values.astype(np.float64))
        fields = "make a field of each level, levels='channels'; " if vertical else ""
        raise DomainError(
            f"axis '{dim}' is not uniform: spacings from {steps.min():g} to {steps.max():g}; "
            f"models on grids, spectral ones above all, need equal ones within {TOLERANCE:.0%}: {fields}"
            f"interpolate onto even ones with ds.interp({dim}=...), or take sciml.surrogates.DeepONet, "
            "whose sensors and points may lie anywhere, in a loop of your own"
        )
    return spacing, slack


def _species(ds: xr.Dataset, point: str) -> xr.Variable:
    for name in cf.SPECIES_NAMES:
        if name in ds.variables:
            species = ds.variables[name]
            break
    else:
        raise DomainError(
            f"dataset of particles without species; expected a variable over '{point}' called one "
            f"of {', '.join(cf.SPECIES_NAMES)}"
        )
    if species.dims != (point,):
        raise DomainError(
            f"'{name}' spans {tuple(species.dims)}; expected ('{point}',): one dataset "
            "holds one set of particles"
        )
    return species
