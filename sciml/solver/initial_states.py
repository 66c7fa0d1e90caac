"""A state of one's own from which a program starts: ``--initial FILE.nc`` or ``FILE.npy``.

A netCDF file names its variables, dimensions and, where it has coordinates and units, says where the
points lie: all of it must be what the program has. Nothing is interpolated, converted or guessed. An
array of numpy says nothing but numbers: its shape must fit, the rest is taken on trust.

On grids each rank reads its block (:func:`initial_state`); of meshes, particles and graphs every rank
reads all (:func:`initial_fields`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.domain import Block, Domain, Field, Grid
from sciml.domain.cf import describe, dims_of
from sciml.domain.names import SAMPLE, TIME
from sciml.errors import InputError, nearest
from sciml.solver.declaration import is_file
from sciml.solver.unit_spelling import same_units

if TYPE_CHECKING:
    from sciml.solver.program import Program


#: Spacings by which a coordinate may be off: those stored as float32 are, by their rounding.
TOLERANCE = 1e-3

#: Part of the largest value that counts as zero where a boundary holds fields there.
ZERO = 1e-9

#: Names of a dimension along which there are several states.
SAMPLES = (SAMPLE, "member", "ensemble", "run", "simulation", "realization", "number")

#: What may be done about a dimension that a state does not have.
_SEVERAL = {
    TIME: "expected one: ds.isel(time=-1)",
    SAMPLE: "expected one: ds.isel(sample=0), or all of them as parameters.files of a study",
}


def initial_state(
    program: Program, comm: Any, block: Block, *, held_at_zero: bool = False
) -> np.ndarray | None:
    """The state of the file that ``--initial`` names, if it names one; every rank calls it.

    Args:
        program: with its flags as ``given``, on a grid.
        comm: an mpi4py communicator.
        block: what this rank reads of the grid.
        held_at_zero: whether fields vanish on sides of the boundary ``dirichlet``.

    Returns:
        float64 ``(fields, *block.shape)``; ``None`` where the program makes its own.

    Raises:
        InputError: the file does not fit; the same on all ranks.
    """
    path = program.given.initial
    if not is_file(path):
        return None
    grid = program.domain()
    values, reason, sizes = None, None, (0.0, 0.0)
    try:
        values = read_state(path, program.fields, grid, block)
        sizes = (float(np.abs(values).max()), _on_sides(values, grid, block))
    except InputError as error:
        reason = f"--initial {error}"
    # A value that is not finite is seen by one rank alone; all must end.
    several = comm.allgather((reason, sizes)) if comm.size > 1 else [(reason, sizes)]
    reason = next((one for one, _ in several if one is not None), None)
    largest, side = (max(sizes[i] for _, sizes in several) for i in (0, 1))
    if reason is None and held_at_zero and side > ZERO * largest:
        reason = f"--initial {path}: up to {side:.3g} on the sides; expected 0, which is held there"
    if reason is not None:
        raise InputError(reason)
    return values


def initial_fields(
    program: Program, comm: Any, fields: Sequence[Field] | None = None
) -> dict[str, np.ndarray] | None:
    """The state of the file that ``--initial`` names, on a domain of any kind; every rank calls it.

    Args:
        program: with its flags as ``given``.
        comm: an mpi4py communicator.
        fields: what is read; by default the fields of the program.

    Returns:
        float64 ``field.shape(domain)`` by name, whole on every rank; ``None`` where the program makes
        its own.

    Raises:
        InputError: the file does not fit, or lies on another mesh or graph.
    """
    path = program.given.initial
    if not is_file(path):
        return None
    domain, fields = program.domain(), tuple(fields or program.fields)
    values, reason = None, None
    if comm.rank == 0:
        try:
            values = _whole_fields(path, fields, domain)
        except InputError as error:
            reason = f"--initial {error}"
    if comm.size > 1:
        values, reason = comm.bcast((values, reason))
    if reason is not None:
        raise InputError(reason)
    return values


def _whole_fields(
    path: str | Path, fields: Sequence[Field], domain: Domain
) -> dict[str, np.ndarray]:
    if Path(path).suffix.lower() == ".npy":
        if len(fields) > 1:
            raise InputError(
                f"{path}: an array has no names; expected a netCDF file with {_listed(_names(fields))}"
            )
        values = _array(path, 1, fields[0].shape(domain), (...,), None)
    else:
        with _opened(path) as file:
            _check_domain(path, file, domain)
            places = {field.name: dims_of(domain, field) for field in fields}
            values = [
                _variable(path, file, f, places[f.name], (slice(None),) * len(places[f.name]), None)
                for f in fields
            ]
    for field, one in zip(fields, values, strict=True):
        _check_finite(path, field, one, (0,) * one.ndim)
    return dict(zip(_names(fields), values, strict=True))


def _names(fields: Sequence[Field]) -> list[str]:
    return [field.name for field in fields]


def _check_domain(path: str | Path, file: Mapping[str, Any], domain: Domain) -> None:
    """That what a file says of its mesh, particles or graph is so."""
    sizes: dict[str, int] = {}
    for variable in file.values():
        sizes |= dict(zip(variable.dims, variable.shape, strict=True))
    for dim, n in zip(domain.dims, domain.point_shape, strict=True):
        if sizes.get(dim, n) != n:
            raise InputError(
                f"{path}: {sizes[dim]} points along {dim}; expected {n}, those of the program"
            )
    for name, wanted in describe(domain).items():
        if name not in file or wanted.values.dtype.kind not in "fi":
            continue
        stored = np.asarray(file[name][...])
        if stored.shape != wanted.values.shape or not np.allclose(
            stored, wanted.values, 1e-6, 1e-9
        ):
            raise InputError(
                f"{path}: '{name}' is that of another domain than the program's, which depends on its "
                "flags: give those of the run that the state comes from, its seed above all"
            )


def _on_sides(values: np.ndarray, grid: Grid, block: Block) -> float:
    """Largest value on sides of the boundary ``dirichlet``, of those in the block."""
    largest = 0.0
    for axis, (n, kind) in enumerate(zip(grid.shape, grid.boundary, strict=True)):
        for end in (0, n - 1) if kind == "dirichlet" else ():
            at = end - block.offset[axis]
            if 0 <= at < block.shape[axis]:
                largest = max(largest, float(np.abs(values.take(at, axis + 1)).max()))
    return largest


def read_state(
    path: str | Path,
    fields: Sequence[Field],
    grid: Grid,
    block: Block | None = None,
    *,
    sample: int | None = None,
) -> np.ndarray:
    """A block of the state in a file, by default all of it; float64 ``(fields, *block.shape)``.

    Args:
        path: of a netCDF file (4 or 3) with a variable for each field on ``(z, y, x)``, or of an array
            of numpy, ``(fields, z, y, x)`` or, of one field, ``(z, y, x)``.
        fields: whose values are wanted.
        grid: where they live; points, box and units must be those of the file.
        block: of the grid.
        sample: which of several states in the file; see :func:`count_states`.

    Raises:
        InputError: in one line what does not fit, and what to do.
    """
    slices = (slice(None),) * grid.ndim if block is None else block.slices
    if Path(path).suffix.lower() == ".npy":
        values = _array(path, len(fields), grid.shape, slices, sample)
    else:
        with _opened(path) as file:
            _check_points(path, file, grid)
            values = np.stack(
                [_variable(path, file, field, grid.dims, slices, sample) for field in fields]
            )
    offset = (0,) * grid.ndim if block is None else block.offset
    for field, one in zip(fields, values, strict=True):
        _check_finite(path, field, one, offset)
    return values


def _check_finite(
    path: str | Path, field: Field, values: np.ndarray, offset: tuple[int, ...]
) -> None:
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        at = tuple(int(i + o) for i, o in zip(bad[0], offset, strict=True))
        raise InputError(
            f"{path}: {field.name} is {values[tuple(bad[0])]:g} at index {at}; expected finite numbers"
        )


def count_states(path: str | Path, fields: Sequence[Field], grid: Grid) -> int | None:
    """How many states a file holds along a leading dimension ``sample``; ``None`` without one.

    Raises:
        InputError: it cannot be read.
    """
    if Path(path).suffix.lower() == ".npy":
        with _readable(path):
            shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
        lead = shape[: len(shape) - grid.ndim] if shape[-grid.ndim :] == grid.shape else ()
        if lead[-1:] == (len(fields),) and (len(fields) > 1 or len(lead) > 1):
            lead = lead[:-1]
        return lead[0] if len(lead) == 1 and (lead[0] > 1 or len(fields) > 1) else None
    with _opened(path) as file:
        variable = file.get(fields[0].name)
        if variable is None:
            return None  # which is said when it is read
        sizes = dict(zip(variable.dims, variable.shape, strict=True))
        return next((n for dim, n in sizes.items() if dim in SAMPLES), None)


def _array(
    path: str | Path,
    count: int,
    points: tuple[int, ...],
    slices: tuple[Any, ...],
    sample: int | None,
) -> np.ndarray:
    with _readable(path):
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    _check_dtype(path, "the array", stored.dtype)
    if sample is not None:
        stored = stored[sample]
    expected = (count, *points)
    if stored.shape != expected and not (count == 1 and stored.shape == points):
        several = f"{expected}" if count > 1 else f"{points}"
        raise InputError(
            f"{path}: shape {stored.shape}; expected {several}, the points of the program (its --shape "
            "or --points): nothing is interpolated"
        )
    return np.asarray(stored.reshape(expected)[(slice(None), *slices)], np.float64)


def _variable(
    path: str | Path,
    file: Mapping[str, Any],
    field: Field,
    wanted: tuple[str, ...],
    slices: tuple[slice, ...],
    sample: int | None,
) -> np.ndarray:
    """A block of one field, axes in the order that is wanted."""
    if field.name not in file:
        known = [name for name in file if name not in wanted]
        groups = getattr(file, "groups", ())
        within = f"xr.open_dataset('{path}', group='{groups[0]}').to_netcdf(...)" if groups else ""
        raise InputError(
            f"{path} has no variable '{field.name}'; {nearest(field.name, known)}"
            + (
                f"; it has the groups {', '.join(groups)}: write one out, {within}"
                if groups
                else ""
            )
        )
    variable = file[field.name]
    _check_dtype(path, field.name, variable.dtype)
    units = variable.attrs.get("units")
    if units is not None and not same_units(units, field.units):
        raise InputError(f"{path}: {field.name} is in {units}; expected {field.units}: convert it")
    packed = {"scale_factor", "add_offset"} & set(variable.attrs)
    if packed:
        raise InputError(
            f"{path}: {field.name} is packed ({min(packed)}); write it as it is, without an encoding"
        )
    # Axes of one point, such as a single time, say nothing; the others may come in any order.
    dims = [d for d, n in zip(variable.dims, variable.shape, strict=True) if n > 1]
    for dim in dims:
        if dim not in wanted and not (dim in SAMPLES and sample is not None):
            n = variable.shape[variable.dims.index(dim)]
            kind = SAMPLE if dim in SAMPLES else dim
            hint = _SEVERAL.get(kind, f"expected dimensions {_listed(wanted)}: ds.rename")
            raise InputError(f"{path}: {field.name} has {n} points along '{dim}'; {hint}")
    if missing := set(wanted) - set(variable.dims):
        raise InputError(
            f"{path}: {field.name} has the dimensions {_listed(variable.dims)}; expected "
            f"{_listed(wanted)}, '{min(missing)}' is missing"
        )
    by_name: dict[str, Any] = dict(zip(wanted, slices, strict=True))
    at = by_name | dict.fromkeys(SAMPLES, sample or 0)
    values = np.asarray(variable[tuple(at.get(dim, 0) for dim in variable.dims)], np.float64)
    fill = variable.attrs.get("_FillValue", variable.attrs.get("missing_value"))
    if fill is not None and np.isin(values, np.atleast_1d(fill).astype(np.float64)).any():
        raise InputError(f"{path}: {field.name} has missing values ({fill}); expected all of them")
    order = [dim for dim in variable.dims if dim in by_name]
    return values.transpose([order.index(dim) for dim in wanted])


def _check_points(path: str | Path, file: Mapping[str, Any], grid: Grid) -> None:
    """That dimensions and coordinates which a file has are those of a grid."""
    sizes: dict[str, int] = {}
    for variable in file.values():
        sizes |= dict(zip(variable.dims, variable.shape, strict=True))
    for axis, dim in enumerate(grid.dims):
        wanted = grid.coordinates(axis)
        if dim in sizes and sizes[dim] != len(wanted):
            raise InputError(
                f"{path}: {sizes[dim]} points along {dim}; expected {len(wanted)}, those of the program "
                "(its --shape or --points): nothing is interpolated"
            )
        if dim not in file or file[dim].dims != (dim,):
            continue
        units = file[dim].attrs.get("units")
        if units is not None and not same_units(units, grid.units):
            raise InputError(f"{path}: {dim} is in {units}; expected {grid.units}: convert it")
        stored = np.asarray(file[dim][...])
        if stored.dtype.kind not in "fiu":
            raise InputError(f"{path}: {dim} is of type {stored.dtype}; expected numbers")
        stored = stored.astype(np.float64)
        # Rounded to float32 where they are stored so.
        slack = TOLERANCE * grid.spacing[axis] + 1e-7 * np.abs(wanted).max()
        if not np.abs(stored - wanted).max() <= slack:
            raise InputError(
                f"{path}: {dim} goes from {stored[0]:.8g} to {stored[-1]:.8g}; expected {wanted[0]:.8g} "
                f"to {wanted[-1]:.8g} in equal steps, the points of the program (--length, --shape)"
            )


def _check_dtype(path: str | Path, what: str, dtype: np.dtype) -> None:
    if dtype.kind == "f" and dtype.itemsize in (4, 8):
        return
    hint = "convert it, with astype('float64')"
    if dtype.kind == "c" or dtype.names:
        hint = "give real numbers, of a complex field real and imaginary part by themselves"
    raise InputError(f"{path}: {what} is of type {dtype}; expected float32 or float64: {hint}")


@contextmanager
def _readable(path: str | Path) -> Iterator[None]:
    """Make one line of what a library says of a file that it cannot read."""
    from zipfile import BadZipFile

    if not Path(path).is_file():
        raise InputError(f"{path}: no such file" + (" (a folder)" if Path(path).is_dir() else ""))
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError, EOFError, LookupError, TypeError, BadZipFile) as error:
        raise InputError(
            f"{path} cannot be read ({error}); expected netCDF (.nc) or an array of numbers (.npy)"
        ) from error


@contextmanager
def _opened(path: str | Path) -> Iterator[Mapping[str, Any]]:
    """Variables of a netCDF file by name."""
    with _readable(path):
        with Path(path).open("rb") as raw:
            classic = raw.read(3) == b"CDF"
        if classic:
            from scipy.io import netcdf_file

            file = netcdf_file(path, "r", mmap=False)
        else:
            import h5netcdf

            file = h5netcdf.File(path, "r")
    try:
        with _readable(path):
            yield _Variables(file)
    finally:
        file.close()


class _Variables(dict):
    """Variables of a file by name, and the names of its groups."""

    def __init__(self, file: Any) -> None:
        super().__init__(
            (name, _StoredArray(variable)) for name, variable in file.variables.items()
        )
        self.groups = list(getattr(file, "groups", ()))


class _StoredArray:
    """A variable of an HDF5 file or, which has ``data``, of a classic one."""

    def __init__(self, variable: Any) -> None:
        self._values = getattr(variable, "data", variable)
        self.dims, self.shape = tuple(variable.dimensions), tuple(variable.shape)
        self.dtype = np.dtype(self._values.dtype)
        self.attrs = variable.attrs if self._values is variable else _decoded(variable)

    def __getitem__(self, at: Any) -> np.ndarray:
        return self._values[at]


def _decoded(variable: Any) -> dict[str, Any]:
    attrs = variable._attributes
    return {n: v.decode() if isinstance(v, bytes) else v for n, v in attrs.items()}


def _listed(dims: Sequence[str]) -> str:
    return f"({', '.join(dims)})"
