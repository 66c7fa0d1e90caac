"""Variables with a vertical axis: each level a field of its own, or the axis one in space.

Works on xarray objects through their methods alone; importing it does not import xarray.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.domain.field import LEVEL_NOTES, Field, Level
from sciml.domain.inference import is_uniform
from sciml.domain.layout import LEVEL_NAMES, PRESSURE, axis_of
from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

#: ``channels``: ``t(time, level, lat, lon)`` becomes ``t_1000``, ``t_850``, …; ``axis``: the levels are
#: an axis in space, as those of x and y are.
LEVELS = ("channels", "axis")
#: Two numbers are one level within this part of it: files hold them in float32, too.
SAME = 1e-5


def apart(
    ds: xr.Dataset, names: Iterable[str], levels: str | None
) -> tuple[xr.Dataset, dict[str, tuple[str, ...]]]:
    """``ds`` with levels as ``levels`` says, and the fields that each name stands for.

    A single level is no axis: the variable keeps its name. A name such as ``t_850`` is found in ``t``,
    with ``channels``. Names that the dataset does not have are left as they are.

    Args:
        ds: any dataset.
        names: variables.
        levels: ``"channels"``, ``"axis"``, or ``None`` where nothing was said.

    Raises:
        InputError: a vertical axis of which it has to be said what it is; levels without a name of their
            own.
    """
    meant: dict[str, tuple[str, ...]] = {}
    new: dict[str, Any] = {}
    for name in dict.fromkeys(names):
        meant[name] = (name,)
        if name not in ds.variables:
            found = _named(ds, name) if levels == "channels" else None
            if found is not None:
                new[name] = _level(ds, *found)
            continue
        dim = vertical(ds, name)
        if dim is None or name == dim:
            continue
        if levels == "channels":
            labels = _labels(ds, dim)
            array = _read(ds[name])
            meant[name] = tuple(f"{name}_{label}" for label in labels)
            for index, field in enumerate(meant[name]):
                if field in ds.variables:
                    raise InputError(
                        f"dataset has '{field}' besides the levels of '{name}', of which one is called "
                        "so; rename one of them"
                    )
                new[field] = _level(ds, array, dim, index)
        elif ds.sizes[dim] == 1:
            new[name] = _level(ds, ds[name], dim, 0)
        elif levels is None:
            _require_axis(ds, name, dim)
    gone = [name for name, fields in meant.items() if fields != (name,)]
    return ds.drop_vars(gone).assign(new) if new else ds, meant


def written_out(
    given: Mapping[str, Any] | None, meant: Mapping[str, Sequence[str]]
) -> Mapping[str, Any] | None:
    """What is given by name, for each field that a name stands for; one that is given for the field
    itself goes first."""
    if not isinstance(given, Mapping):
        return given
    found = {f: value for name, value in given.items() for f in meant.get(name, (name,))}
    return found | {name: value for name, value in given.items() if name in found}


def vertical(ds: xr.Dataset, name: str) -> str | None:
    """The vertical dimension of a variable, ``None`` if it has none."""
    return next((str(dim) for dim in ds[name].dims if axis_of(ds, dim) == "Z"), None)


def flat(ds: xr.Dataset) -> xr.Dataset:
    """``ds`` at one entry of its vertical axes, to see what else its variables span."""
    return ds.isel({dim: 0 for dim in ds.dims if axis_of(ds, dim) == "Z"}, drop=True)


class Together:
    """The variables that fields at levels came from, put together again; where the dataset has the
    fields themselves, they stay as they are.

    Args:
        ds: the dataset as it came.
        fields: fields that may be levels of a variable.
    """

    def __init__(self, ds: xr.Dataset, fields: Sequence[Field]) -> None:
        self._ds = ds
        groups: dict[str, list[Field]] = {}
        for field in fields:
            if field.level is not None:
                groups.setdefault(field.level.of, []).append(field)
        plain = any(
            f.name in ds.variables for g in groups.values() for f in g if f.name != f.level.of
        )
        self._groups = {} if plain else groups

    def __call__(self, out: xr.Dataset) -> xr.Dataset:
        """``out`` with the variables that ``ds`` has, or had in training.

        Fields at other levels than most of those along one axis stay apart, since one file has one
        axis of a name.
        """
        found: dict[str, dict[tuple[int, ...] | tuple[float, ...], list[list[Field]]]] = {}
        for of, group in self._groups.items():
            group = [f for f in group if f.name in out.data_vars]
            if not group or (
                len(group) == 1 and group[0].name == of and of not in self._ds.variables
            ):
                continue
            dim = self._dim(group[0].level)
            if of in self._ds.variables and dim not in self._ds[of].dims:
                continue  # the caller had taken the level out
            where = self._places(group, dim)
            if where is not None:
                ordered = [f for _, f in sorted(zip(where, group, strict=True), key=lambda p: p[0])]
                found.setdefault(dim, {}).setdefault(tuple(sorted(where)), []).append(ordered)
        for dim, sets in found.items():
            where, groups = max(sets.items(), key=lambda entry: len(entry[0]) * len(entry[1]))
            out = self._along(out, dim, where, groups)
        for array in out.data_vars.values():
            array.attrs = {k: v for k, v in array.attrs.items() if k not in LEVEL_NOTES}
        return out

    def _dim(self, level: Level) -> str:
        dim = vertical(self._ds, level.of) if level.of in self._ds.variables else None
        if dim is not None:
            return dim
        found = [d for d in self._ds.dims if axis_of(self._ds, d) == "Z"]
        return level.dim if level.dim in found or not found else str(found[0])

    def _places(self, group: Sequence[Field], dim: str) -> list | None:
        """Where the levels are along the caller's axis, or their values where there is none."""
        values = [f.level.value for f in group]
        if dim not in self._ds.dims:
            return values
        own = _values(self._ds, dim)
        near = [np.flatnonzero(np.abs(own - v) <= SAME * max(abs(v), 1e-30)) for v in values]
        return [int(n[0]) for n in near] if all(len(n) == 1 for n in near) else None

    def _along(
        self, out: xr.Dataset, dim: str, where: tuple, groups: Sequence[Sequence[Field]]
    ) -> xr.Dataset:
        if dim in self._ds.dims:
            if dim in out.dims:
                out = out.isel({dim: list(where)})
            coordinate = self._ds[dim].variable[list(where)] if dim in self._ds.coords else None
        else:
            level = groups[0][0].level
            coordinate = (
                dim,
                np.array(where),
                {"units": level.units} if level.units != "1" else {},
            )
        new = {}
        for group in groups:
            first, of = out[group[0].name].variable, group[0].level.of
            stacked = first.concat([out[f.name].variable for f in group], dim)
            if of in self._ds.variables:
                order = [d for d in self._ds[of].dims if d in stacked.dims]
                order = [*(d for d in stacked.dims if d not in order), *order]
                notes = dict(self._ds[of].attrs)
            else:
                space = [d for d in stacked.dims if axis_of(self._ds, d) in ("X", "Y")]
                head = [d for d in stacked.dims if d != dim and d not in space]
                order = [*head, dim, *space]
                notes = {
                    k: v for k, v in first.attrs.items() if k not in (*LEVEL_NOTES, "long_name")
                }
            new[of] = (order, stacked.transpose(*order).values, notes)
        out = out.drop_vars([f.name for group in groups for f in group])
        if coordinate is not None:
            out = out.assign_coords({dim: coordinate})
        return out.assign(new)


def _named(ds: xr.Dataset, name: str) -> tuple[Any, str, int] | None:
    """Variable, axis and place of a field that is called by its level."""
    for of in map(str, ds.data_vars):
        if not name.startswith(f"{of}_"):
            continue
        dim = vertical(ds, of)
        if dim is not None and name.removeprefix(f"{of}_") in (labels := _labels(ds, dim)):
            return ds[of], dim, labels.index(name.removeprefix(f"{of}_"))
    return None


def _level(ds: xr.Dataset, array: Any, dim: str, index: int) -> Any:
    """One level of a variable, with notes on which it is."""
    one = array.variable.isel({dim: index}).copy(deep=False)
    units = str(ds[dim].attrs.get("units", "1")) if dim in ds.coords else "1"
    value = float(_values(ds, dim)[index])
    one.attrs = {**one.attrs, **Level(str(array.name), dim, value, units).notes}
    if "long_name" in one.attrs:
        words = f"{value:g}" if units == "1" else f"{value:g} {units}"
        one.attrs["long_name"] = f"{one.attrs['long_name']} at {words}"
    return one


def _read(array: xr.DataArray) -> xr.DataArray:
    """An array of a file, read once: level by level, its chunks would be read as often as it has
    levels. Arrays of dask stay lazy."""
    return array if array.chunks is not None else array.compute()


def _values(ds: xr.Dataset, dim: str) -> np.ndarray:
    """Values of the levels; their numbers where there are none."""
    if dim in ds.coords and ds[dim].dtype.kind in "fiu":
        return ds[dim].values.astype(np.float64)
    return np.arange(ds.sizes[dim], dtype=np.float64)


def _labels(ds: xr.Dataset, dim: str) -> list[str]:
    values = _values(ds, dim)
    labels = [str(int(v)) if v == round(v) and abs(v) < 1e9 else f"{v:g}" for v in values]
    if not np.isfinite(values).all() or len({*labels}) < len(labels):
        raise InputError(
            f"levels '{dim}' are {', '.join(labels)}; expected numbers, each once, since they name the "
            "fields"
        )
    return labels


def _require_axis(ds: xr.Dataset, name: str, dim: str) -> None:
    """That a vertical dimension of which nothing was said is an axis beyond doubt."""
    units = str(ds[dim].attrs.get("units", "")) if dim in ds.coords else ""
    standard = str(ds[dim].attrs.get("standard_name", "")) if dim in ds.coords else ""
    uniform = is_uniform(ds, dim)
    doubtful = dim.lower() in LEVEL_NAMES or units.lower() in PRESSURE or standard == "air_pressure"
    if doubtful or not uniform:
        even = "" if uniform else f", on even ones alone (ds.interp({dim}=...))"
        raise InputError(
            f"'{name}' has {ds.sizes[dim]} levels along '{dim}'; expected a word on what they are: "
            f"levels='channels' makes a field of each, {name}_{_values(ds, dim)[0]:g} and so on, "
            f"levels='axis' an axis in space{even}"
        )
