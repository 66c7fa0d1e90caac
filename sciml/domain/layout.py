"""Which dimensions of a dataset are samples, time and axes in space.

Works on xarray objects through their methods alone; importing it does not import xarray.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sciml.domain.grid import GLOBE
from sciml.domain.names import NODE, PARTICLE, SPACE
from sciml.errors import DomainError, InputError, nearest

if TYPE_CHECKING:
    import xarray as xr

#: Dimensions of these names hold levels, which are rarely an axis that a model can go along.
LEVEL_NAMES = (
    *("lev", "level", "levels", "plev", "plevel", "pressure", "pressure_level", "pressure_levels"),
    *("model_level", "isobaricinhpa", "isobaricinpa", "hybrid", "nlev", "olevel", "isobaric"),
    *("bottom_top", "model_level_number", "pfull", "sigma", "eta", "st_ocean", "deptht"),
)
PRESSURE = ("pa", "hpa", "kpa", "mbar", "mb", "millibar", "millibars", "bar", "dbar", "decibar")
_NORTH, _EAST = ("degreen",), ("degreee",)
_GLOBE_OF_NAME = {
    **dict.fromkeys(("lat", "latitude"), "latitude"),
    **dict.fromkeys(("lon", "longitude"), "longitude"),
}

# What the names of other people's dimensions usually mean; compared in lower case.
_AXIS_OF_NAME = {
    **dict.fromkeys(("t", "time", "times", "valid_time", "time_counter"), "T"),
    **dict.fromkeys(
        (
            "z",
            "depth",
            "height",
            "altitude",
            "heightaboveground",
            "depthbelowlandlayer",
            *LEVEL_NAMES,
        ),
        "Z",
    ),
    **dict.fromkeys(("y", "lat", "latitude", "rlat", "yc", "y-coordinate", "south_north"), "Y"),
    **dict.fromkeys(("x", "lon", "longitude", "rlon", "xc", "x-coordinate", "west_east"), "X"),
}
_AXIS_OF_STANDARD_NAME = {
    "time": "T",
    **dict.fromkeys(("height", "depth", "altitude", "air_pressure", "model_level_number"), "Z"),
    **dict.fromkeys(("latitude", "grid_latitude", "projection_y_coordinate"), "Y"),
    **dict.fromkeys(("longitude", "grid_longitude", "projection_x_coordinate"), "X"),
}
_COMPONENT_NAMES = (SPACE, "component", "components", "vector", "xyz")
_SAMPLE_NAMES = ("sample", "member", "ensemble", "run", "simulation", "realization", "number")
PARTICLE_NAMES = (PARTICLE, "particles", "atom", "atoms")


@dataclass(frozen=True, slots=True)
class Layout:
    """The dimensions of a dataset by what they are; ``None`` or ``()`` where there is none.

    Args:
        sample: one simulation each.
        time: one frame each.
        space: axes of a grid, slowest first; or the one dimension of nodes or particles.
        components: of vectors and tensors; a variable has one of them, last.
        cells, edges: the dimension of fields in the cells, or on the edges, of a mesh or graph.
    """

    sample: str | None = None
    time: str | None = None
    space: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    cells: str | None = None
    edges: str | None = None

    @property
    def dims(self) -> tuple[str, ...]:
        """All dimensions, in the order that every array of sciml has."""
        places = (*self.space, self.cells, self.edges)
        return tuple(d for d in (self.sample, self.time, *places, *self.components) if d)

    def place_of(self, dims: Iterable[str]) -> str:
        """Where the values of a variable with ``dims`` are: see :attr:`Field.on`."""
        dims = set(dims)
        if dims & set(self.space):
            return "point"
        return "cell" if self.cells in dims else "edge" if self.edges in dims else "global"

    def order(self, dims: Iterable[str]) -> tuple[str, ...]:
        """``dims`` of a variable in standard order, for ``DataArray.transpose``.

        Raises:
            DomainError: a dimension that the layout does not have.
        """
        dims = tuple(dims)
        for dim in dims:
            if dim not in self.dims:
                raise DomainError(
                    f"dimension '{dim}' is neither sample, time nor space here; expected "
                    f"{', '.join(self.dims)}; select one entry of it with ds.isel({dim}=0)"
                )
        return tuple(dim for dim in self.dims if dim in dims)


def layout_of(ds: xr.Dataset, names: Sequence[str] | None = None) -> Layout:
    """The layout of the named variables.

    A dimension is recognized by the CF ``axis`` of its coordinate, then its ``standard_name``, its
    units (``degrees_north``, ``days since …``) or datetime values, then by its name. One that is
    left over is the sample.

    Args:
        ds: any dataset.
        names: variables to look at; by default those that span most axes of space.

    Raises:
        InputError: a name that the dataset does not have.
        DomainError: two dimensions for the same axis, or more than one left over.
    """
    point = point_dim(ds)
    roles = {dim: axis_of(ds, dim) for dim in ds.dims}
    if point is not None:
        roles |= {point: "point"} | other_places(ds)
    dims = _dims(ds, names, roles)
    found: dict[str, str] = {}
    components: list[str] = []
    left: list[str] = []
    for dim in dims:
        role = roles[dim]
        # On a mesh, names such as "level" no longer say that the dimension is an axis of a grid.
        if role is None or (point is not None and role in "XYZ"):
            left.append(dim)
        elif role == "component":
            components.append(dim)
        elif role in found:
            raise DomainError(
                f"dimensions '{found[role]}' and '{dim}' both look like the {role} axis; set "
                f"ds['{dim}'].attrs['axis'] to T, Z, Y or X, or rename it"
            )
        else:
            found[role] = dim
    if components and point is None:
        raise DomainError(
            f"dimension '{components[0]}' holds the components of a vector; expected a variable each on "
            f"a grid: ds.assign(u=ds.velocity.isel({components[0]}=0), ...)"
        )
    if point is not None:
        space = (point,) if point in dims else ()
    else:
        space = tuple(found[role] for role in "ZYX" if role in found)
    sample = _sample(left, space, dims)
    places = found.get("cell"), found.get("edge")
    return Layout(sample, found.get("T"), space, tuple(components), *places)


def axis_of(ds: xr.Dataset, dim: str) -> str | None:
    """``"T"``, ``"Z"``, ``"Y"``, ``"X"``, ``"component"``, or ``None`` where nothing says."""
    if dim in ds.coords:
        coordinate = ds.coords[dim]
        axis = str(coordinate.attrs.get("axis", "")).upper()
        if axis in ("T", "Z", "Y", "X"):
            return axis
        standard = _AXIS_OF_STANDARD_NAME.get(str(coordinate.attrs.get("standard_name", "")))
        if standard is not None:
            return standard
        units = " ".join(str(coordinate.attrs.get("units", "")).lower().split())
        if _bare(units) in _NORTH:
            return "Y"
        if _bare(units) in _EAST:
            return "X"
        if " since " in units or is_date(coordinate):
            return "T"
        if units in PRESSURE or str(coordinate.attrs.get("positive", "")).lower() in ("up", "down"):
            return "Z"
    name = str(dim).lower()
    if name in _COMPONENT_NAMES or name.endswith("_component"):
        return "component"
    return _AXIS_OF_NAME.get(name)


def meaning_of(ds: xr.Dataset, dim: str) -> str:
    """What an axis means on the globe: a CF standard name in degrees, ``""`` for any other axis."""
    attrs = ds.coords[dim].attrs if dim in ds.coords else {}
    standard = str(attrs.get("standard_name", ""))
    units = _bare(str(attrs.get("units", "")).lower())
    if units and not units.startswith("degree"):
        return ""
    if standard:
        return standard if standard in GLOBE else ""
    if units in _NORTH or units in _EAST:
        return "latitude" if units in _NORTH else "longitude"
    return _GLOBE_OF_NAME.get(str(dim).lower(), "") if dim in ds.coords else ""


def _bare(units: str) -> str:
    """``degrees_north``, ``degree_N`` and their like as ``degreen``."""
    return units.replace("_", "").replace(" ", "").replace("degrees", "degree")[:7]


def bounds_of(ds: xr.Dataset) -> set[str]:
    """Variables that hold the bounds of the cells of a coordinate, as CF has them; no fields."""
    found = {str(array.attrs.get("bounds", "")) for array in ds.variables.values()}
    found |= {str(array.encoding.get("bounds", "")) for array in ds.variables.values()}
    return found - {""}


def is_date(coordinate: xr.DataArray) -> bool:
    """Whether values are dates or durations: numpy's, or the calendar objects of cftime."""
    if coordinate.dtype.kind in "mM":
        return True
    return (
        coordinate.dtype == object
        and coordinate.size > 0
        and hasattr(coordinate.values.flat[0], "calendar")
    )


def point_dim(ds: xr.Dataset) -> str | None:
    """The dimension of nodes or particles; ``None`` for a grid."""
    topology = mesh_topology(ds)
    if topology is not None:
        first = str(topology.attrs.get("node_coordinates", "")).split()
        if not first or first[0] not in ds.variables:
            raise DomainError(
                f"mesh topology '{topology.name}' lacks the attribute node_coordinates, which "
                "names the variables with the positions of the nodes (UGRID)"
            )
        return str(ds[first[0]].dims[0])
    for name in PARTICLE_NAMES:
        if name in ds.dims:
            return name
    return NODE if NODE in ds.dims else None


def mesh_topology(ds: xr.Dataset) -> xr.DataArray | None:
    """The variable that describes a mesh by the UGRID conventions."""
    for name, variable in ds.variables.items():
        if variable.attrs.get("cf_role") == "mesh_topology":
            return ds[name]
    return None


def other_places(ds: xr.Dataset) -> dict[str, str]:
    """Dimensions of cells and edges of a mesh, or of edges of a graph; faces of volumes are neither."""
    topology = mesh_topology(ds)
    if topology is None:
        edges = ds.variables.get("edges")
        return {} if edges is None or edges.ndim != 2 else {str(edges.dims[1]): "edge"}
    found = {}
    for element in ("edge", "face", "volume"):  # the last of them are the cells
        table = ds.variables.get(topology.attrs.get(f"{element}_node_connectivity"))
        if table is not None:
            found[element] = str(topology.attrs.get(f"{element}_dimension", table.dims[0]))
    edges = {found["edge"]: "edge"} if "edge" in found else {}
    return edges | ({found.popitem()[1]: "cell"} if found else {})


def variable(ds: xr.Dataset, name: str, what: str = "variable") -> xr.DataArray:
    """``ds[name]``.

    Raises:
        InputError: there is none; names the nearest.
    """
    if name not in ds.variables:
        known = [str(known) for known in ds.variables if known not in ds.dims]
        groups = ds.encoding.get("groups")
        within = f"; its file has the groups {', '.join(groups)}: group=" if groups else ""
        if places := ds.encoding.get("lacking", {}).get(name):
            raise InputError(
                f"no '{name}' in {places}; expected it in all: add it, or leave those frames out"
            )
        raise InputError(f"dataset has no {what} '{name}'; {nearest(name, known)}{within}")
    return ds[name]


def times_of(ds: xr.Dataset, layout: Layout) -> np.ndarray:
    """Times of the frames, float64 ``(time,)``; dates become seconds since the first one.

    Frames without a time coordinate are counted from 0; a dataset without time has one frame.
    """
    if layout.time is None:
        return np.zeros(1)
    if layout.time not in ds.coords:
        return np.arange(ds.sizes[layout.time], dtype=np.float64)
    coordinate = ds.coords[layout.time]
    values = coordinate.values
    if coordinate.dtype.kind == "m":
        return values / np.timedelta64(1, "s")
    if coordinate.dtype.kind == "M":
        # Whole seconds and their parts apart: the whole of them may not fit into nanoseconds.
        seconds = values.astype("M8[s]")
        parts = (values - seconds) / np.timedelta64(1, "s")
        return (seconds - seconds[:1]) / np.timedelta64(1, "s") + (parts - parts[:1])
    if is_date(coordinate):
        return np.array([(value - values[0]).total_seconds() for value in values])
    return values.astype(np.float64)


def _dims(
    ds: xr.Dataset, names: Sequence[str] | None, roles: dict[str, str | None]
) -> dict[str, None]:
    """Dimensions of the named variables, in order of appearance; of the widest ones by default."""
    if names is not None:
        return dict.fromkeys(dim for name in names for dim in variable(ds, name).dims)

    def axes(array: xr.DataArray) -> frozenset[str]:
        return frozenset(d for d in array.dims if roles[d] in ("X", "Y", "Z", "point"))

    cells = bounds_of(ds)
    numeric = [a for n, a in ds.data_vars.items() if a.dtype.kind in "fiuc" and n not in cells]
    if "point" in roles.values():  # what is in cells or on edges is as wide as what is on nodes
        placed = [a for a in numeric if {roles[d] for d in a.dims} & {"point", "cell", "edge"}]
        # So are the components of what there is one of in a frame, as of a stress.
        placed += [a for a in numeric if {roles[d] for d in a.dims} - {None} == {"T", "component"}]
        placed = [a for a in placed if "cf_role" not in a.attrs and a.name != "edges"]
        return dict.fromkeys(dim for array in placed for dim in array.dims)
    widest = max((axes(array) for array in numeric), key=len, default=frozenset())
    return dict.fromkeys(dim for array in numeric if axes(array) == widest for dim in array.dims)


def _sample(left: list[str], space: tuple[str, ...], dims: Iterable[str]) -> str | None:
    if len(left) == 1 and (space or left[0].lower() in _SAMPLE_NAMES):
        return left[0]
    if not left:
        return None
    named = " and ".join(f"'{dim}'" for dim in left)
    if all(dim.startswith("phony_dim_") for dim in left):  # as h5netcdf calls them
        raise DomainError(
            f"dimensions {named} have no names in the file, which is HDF5 and no netCDF; expected "
            "sample, time, z, y, x: open it, ds = sciml.open_dataset(path), and name them, "
            f"ds.rename({left[0]}='sample', ...)"
        )
    raise DomainError(
        f"cannot tell what {named} of dimensions {tuple(dims)} means; expected one sample, one "
        "time and 1 to 3 axes in space: set the attribute axis of a coordinate to T, Z, Y or X "
        "(ds[dim].attrs['axis'] = 'X'), rename dimensions to x, y, z, time, sample (node in "
        "graphs, particle), or select with ds.isel"
    )
