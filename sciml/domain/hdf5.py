"""HDF5 that is no netCDF: its groups by name, its arrays as variables that are read when asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import h5py
import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from sciml.errors import InputError


@final
class Stored(BackendArray):
    """Arrays of a file, stacked along a first axis where they are several; nothing is read yet.

    Args:
        arrays: one, or several of one shape.
        stacked: whether they have a first axis of their own.
        fixed: entry of each axis that is left away, by its number: a component, or the only point.

    Raises:
        InputError: arrays of different shapes.
    """

    def __init__(
        self,
        arrays: Sequence[h5py.Dataset],
        *,
        stacked: bool = False,
        fixed: Mapping[int, int] | None = None,
    ) -> None:
        first = arrays[0]
        for other in arrays[1:]:
            if other.shape != first.shape or other.dtype != first.dtype:
                raise InputError(
                    f"'{other.name}' is {other.dtype} {other.shape}, '{first.name}' {first.dtype} "
                    f"{first.shape}; expected the same in all"
                )
        self._arrays, self._stacked = arrays, stacked
        ndim = first.ndim
        self._fixed = {axis % ndim: place for axis, place in (fixed or {}).items()}
        self._kept = [axis for axis in range(ndim) if axis not in self._fixed]
        own = tuple(first.shape[axis] for axis in self._kept)
        self.shape = (len(arrays), *own) if stacked else own
        self.dtype = first.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        support = indexing.IndexingSupport.BASIC
        return indexing.explicit_indexing_adapter(key, self.shape, support, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        if not self._stacked:
            return self._entry(self._arrays[0], key)
        which, *rest = key
        if isinstance(which, slice):
            found = [self._entry(array, rest) for array in self._arrays[which]]
            return np.stack(found) if found else np.empty((0, *self.shape[1:]), self.dtype)
        return self._entry(self._arrays[which], rest)

    def _entry(self, array: h5py.Dataset, key: Sequence[Any]) -> np.ndarray:
        full: list[Any] = [self._fixed.get(axis) for axis in range(array.ndim)]
        for axis, one in zip(self._kept, key, strict=True):
            full[axis] = one
        return np.asarray(array[tuple(full)])


def variable(
    dims: Sequence[str],
    arrays: h5py.Dataset | Sequence[h5py.Dataset],
    attrs: Mapping[str, Any] | None = None,
    **options: Any,
) -> xr.Variable:
    """A variable of :class:`Stored` arrays, which xarray takes parts of before it reads."""
    arrays = [arrays] if isinstance(arrays, h5py.Dataset) else arrays
    data = indexing.LazilyIndexedArray(Stored(arrays, **options))
    return xr.Variable(tuple(dims), data, dict(attrs or {}))


def words(value: Any) -> list[str]:
    """An attribute of one text or several, as h5py gives either."""
    return [
        one.decode(errors="replace") if isinstance(one, bytes) else str(one)
        for one in np.atleast_1d(value).tolist()
    ]


def numbers_in(attrs: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    """Those of the named attributes that are one number."""
    found = {}
    for name in names:
        value = np.asarray(attrs[name]) if name in attrs else None
        if value is not None and value.size == 1 and value.dtype.kind in "fiub":
            found[name] = float(value.reshape(()))
    return found


def groups_in(file: h5py.File) -> list[str]:
    """Groups that hold arrays, by their paths."""
    found: list[str] = []

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and any(isinstance(v, h5py.Dataset) for v in item.values()):
            found.append(name)

    file.visititems(look)
    return found
