"""HDF5 files of The Well, a collection of simulations by many solvers, as datasets.

The layout is that of its `data format <https://polymathic-ai.org/the_well/data_format/>`_ (Ohana et al.,
*The Well: a Large-Scale Collection of Diverse Physics Simulations for Machine Learning*, NeurIPS 2024)::

    /                     @n_trajectories @n_spatial_dims @grid_type @simulation_parameters @<parameter>
    dimensions            @spatial_dims  time (T) or (B, T)  x (W)  y (H)
    boundary_conditions   <group>  @associated_dims @bc_type  mask
    scalars               () or (1), (B), (T), (B, T)
    t0_fields             (B, T, W, H)     less the axes along which they do not vary
    t1_fields             (B, T, W, H, D)        by @sample_varying, @time_varying, @dim_varying
    t2_fields             (B, T, W, H, D, D)

Components are called as in its own package: ``velocity_x``, ``stress_xy``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import h5py
import numpy as np
import xarray as xr

from sciml.domain.hdf5 import numbers_in, variable, words
from sciml.domain.names import SAMPLE, TIME
from sciml.errors import InputError

_FIELDS = ("t0_fields", "t1_fields", "t2_fields")
_LETTERS = ("x", "y", "z")
#: Vectors that reflections treat in a way of their own.
_AXIAL = re.compile("magnetic|vortic")


def is_the_well(file: h5py.File) -> bool:
    """Whether a file has that layout, by the groups that it cannot do without."""
    return "dimensions" in file and any(name in file for name in _FIELDS)


def opened(file: h5py.File) -> xr.Dataset:
    """Fields as variables ``(sample, time, …)``, scalars as coordinates; nothing large is read.

    Periodic boundaries become the attribute ``boundary`` of their axis. Scalars that vary in time are
    for ``forcing``; parameters that the file states as attributes are scalars too. A field that moves
    and varies along some axes alone is repeated along the others.

    Raises:
        InputError: shapes that are not those of the specification; times that differ between
            trajectories.
    """
    axes = _axes(file)
    stored = [
        (group, name, array, order)
        for order, group in enumerate(_FIELDS)
        if group in file
        for name, array in file[group].items()
        if isinstance(array, h5py.Dataset)
    ]
    coords = _coordinates(file, axes)
    sizes = {name: len(places) for name, (_, places, _) in coords.items()}
    data: dict[str, Any] = {}
    for group, name, array, order in stored:
        for own, part in _components(file, f"{group}/{name}", array, order, axes):
            lacking = [a for a in axes if a not in part.dims]
            if TIME in part.dims and lacking and set(axes) <= set(sizes):
                full = {d: part.sizes.get(d, sizes.get(d)) for d in (*part.dims, *lacking)}
                part = part.set_dims(full)
            data[own] = part
    scalars = file.get("scalars", {})
    for name, array in scalars.items():
        if isinstance(array, h5py.Dataset) and name not in data and name not in coords:
            coords[name] = _scalar(array)
    listed = words(file.attrs.get("simulation_parameters", ()))
    for name, value in numbers_in(file.attrs, listed).items():
        if name not in data and name not in coords:
            coords[name] = ((), value)
    ds = xr.Dataset(data, {k: v for k, v in coords.items() if k != TIME})
    ds = _timed(file, ds)
    ds.attrs["title"] = str(file.attrs.get("dataset_name", "The Well"))
    return ds


def _axes(file: h5py.File) -> list[str]:
    """Names of the axes in space, in the order that fields have them."""
    group = file["dimensions"]
    if "spatial_dims" in group.attrs:
        return words(group.attrs["spatial_dims"])
    # Without it: those that there are, and, where fields have more, the letters that are left.
    names = [name for name in group if name != TIME]
    count = 0
    for order, fields in enumerate(_FIELDS):
        for array in file.get(fields, {}).values():
            varying = _flag(array, "sample_varying") + _flag(array, "time_varying")
            count = max(count, array.ndim - varying - order)
    return names + [letter for letter in _LETTERS if letter not in names][: count - len(names)]


def _flag(array: h5py.Dataset, name: str) -> bool:
    return bool(array.attrs.get(name, True))


def _coordinates(file: h5py.File, axes: list[str]) -> dict[str, Any]:
    periodic = _periodic(file)
    # Words of its own for an axis, such as theta, say nothing of which it is: their order does.
    roles = dict(zip(axes, "ZYX"[-len(axes) :], strict=False))
    roles |= {name: name.upper() for name in axes if name in _LETTERS}
    coords: dict[str, Any] = {}
    for name in axes:
        places = file["dimensions"].get(name)
        if places is None:
            continue
        values = places[()]
        if values.ndim != 1:
            if values.ndim != 2 or not (values == values[:1]).all():
                raise InputError(
                    f"dimensions/{name} of shape {values.shape}; expected one line of coordinates for "
                    "all trajectories and times"
                )
            values = values[0]
        notes = {"axis": roles[name], "long_name": name}
        if name in periodic:
            notes["boundary"] = "periodic"
        coords[name] = (name, values, notes)
    return coords


def _periodic(file: h5py.File) -> set[str]:
    found: set[str] = set()
    for about in file.get("boundary_conditions", {}).values():
        if str(words(about.attrs.get("bc_type", ""))[0]).lower() == "periodic":
            found |= set(words(about.attrs.get("associated_dims", ())))
    return found


def _components(
    file: h5py.File, path: str, array: h5py.Dataset, order: int, axes: list[str]
) -> Iterator[tuple[str, xr.Variable]]:
    """The variables of one array: itself, or its components."""
    varying = np.atleast_1d(array.attrs.get("dim_varying", [True] * len(axes)))
    dims = [SAMPLE] if _flag(array, "sample_varying") else []
    dims += [TIME] if _flag(array, "time_varying") else []
    dims += [name for name, varies in zip(axes, varying, strict=False) if varies]
    rest = array.shape[len(dims) :]
    sizes = dict(zip(dims, array.shape, strict=False))
    known = {name: len(file["dimensions"][name]) for name in axes if name in file["dimensions"]}
    wrong = next((d for d in dims if d in known and sizes.get(d) != known[d]), None)
    fits = (
        rest
        in ({0: ((), (1,)), 1: ((len(axes),),), 2: ((len(axes),) * 2, (len(axes) ** 2,))})[order]
    )
    if wrong or not fits or array.ndim < len(dims):
        spelled = ", ".join([*dims, *["component"] * order])
        raise InputError(
            f"'{path}' has the shape {array.shape}; expected ({spelled}), by its attributes and "
            f"'dimensions', where {', '.join(f'{d} has {n}' for d, n in known.items())} points"
        )
    stem = path.rpartition("/")[2]
    if order == 0:
        fixed = {len(dims): 0} if rest else {}
        yield stem, variable(dims, array, fixed=fixed)
        return
    for number, letters in enumerate(product(axes, repeat=order)):
        place = (number,) if len(rest) == 1 else divmod(number, len(axes))
        fixed = dict(zip(range(len(dims), array.ndim), place, strict=True))
        notes = {}
        if order == 1 and set(axes) <= set(_LETTERS) and not _AXIAL.search(stem):
            notes = {"parity": letters[0], "vector": stem}
        yield f"{stem}_{''.join(letters)}", variable(dims, array, notes, fixed=fixed)


def _scalar(array: h5py.Dataset) -> xr.Variable:
    dims = [SAMPLE] if array.attrs.get("sample_varying", False) else []
    dims += [TIME] if array.attrs.get("time_varying", False) else []
    values = array[()]
    if values.ndim > len(dims) and values.size == np.prod(values.shape[: len(dims)]):
        values = values.reshape(values.shape[: len(dims)])
    if values.ndim != len(dims):
        raise InputError(
            f"'{array.name}' has the shape {values.shape}; expected ({', '.join(dims) or '1'})"
        )
    return xr.Variable(dims, values)


def _timed(file: h5py.File, ds: xr.Dataset) -> xr.Dataset:
    """``ds`` with its times, where it has any."""
    times = file["dimensions"].get(TIME)
    if times is None or TIME not in ds.dims:
        return ds
    values = times[()]
    if values.ndim == 2:
        if not np.allclose(np.diff(values), np.diff(values[:1]), rtol=1e-4):
            raise InputError(
                "dimensions/time differs from trajectory to trajectory; expected one step in all: train "
                "on those that agree"
            )
        values = values[0]
    return ds.assign_coords({TIME: (TIME, cut(values, ds.sizes[TIME], "dimensions/time"))})


def cut(times: np.ndarray, count: int, name: str) -> np.ndarray:
    """Times of so many frames, where a file may have one more.

    Raises:
        InputError: fewer, or many more.
    """
    if len(times) not in (count, count + 1):
        raise InputError(f"'{name}' has {len(times)} times; expected {count}, as the fields have")
    return times[:count]
