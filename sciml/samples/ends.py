"""Periodic axes whose last point is the first one again, as in some archives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, final

import numpy as np

from sciml.domain import Domain
from sciml.domain.inference import states_extent
from sciml.domain.layout import Layout
from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

#: Part of the spread of values near the ends within which two are one.
SAME = 1e-6


@final
class Ends:
    """Looks at the first and the last values along each periodic axis of a dataset.

    The last point is the first one again where all fields at all times say so and do not go back from
    there as they came, which would be a mirror: fields that are even about the middle between two points
    have two values alike. An axis that states its extent is believed.
    """

    def __init__(self, ds: xr.Dataset, layout: Layout, domain: Domain) -> None:
        self._layout = layout
        self._mirrored: dict[str, bool] = {}
        if domain.kind == "grid":
            for dim, kind, size in zip(layout.space, domain.boundary, domain.shape, strict=True):
                if kind == "periodic" and size > 3 and not states_extent(ds, dim):
                    self._mirrored[dim] = True

    def look(self, arrays: Mapping[str, tuple[np.ndarray, np.ndarray | None]]) -> None:
        """Take the fields of a simulation into account, at the times that count."""
        for dim in list(self._mirrored):
            axis = self._layout.space.index(dim) - len(self._layout.space)
            for array, times in arrays.values():
                if array.dtype.kind not in "fiu" or array.ndim < len(self._layout.space):
                    continue
                first, second, before, last = (_at(array, k, axis, times) for k in (0, 1, -2, -1))
                near = np.stack([first, second, before, last])
                near = near[np.isfinite(near)]
                slack = SAME * float(np.ptp(near)) if near.size else 0.0
                if not _alike(first, last, slack):
                    del self._mirrored[dim]
                    break
                self._mirrored[dim] &= _alike(second, before, slack)

    def require_once(self) -> None:
        """Refuse axes that hold a point twice."""
        for dim, mirrored in self._mirrored.items():
            if not mirrored:
                raise InputError(
                    f"the last values along '{dim}', which is periodic, are the first ones again; "
                    f"expected each point once: ds.isel({dim}=slice(0, -1)); between walls, leave away "
                    "the attribute boundary"
                )


def _at(array: np.ndarray, place: int, axis: int, times: np.ndarray | None) -> np.ndarray:
    values = np.take(array, place, axis=axis)
    return (values if times is None else values[times]).astype(np.float64)


def _alike(one: np.ndarray, other: np.ndarray, slack: float) -> bool:
    return bool(np.allclose(one, other, rtol=0, atol=slack, equal_nan=True))
