"""Datasets of several files as one, along the samples; what differs is named with its file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from sciml.domain.layout import layout_of
from sciml.domain.names import SAMPLE
from sciml.errors import InputError

#: Part of its length by which points of an axis may lie elsewhere in another file; else it is refused.
SAME = 1e-5


def joined(named: Sequence[tuple[str, xr.Dataset]], chunks: Any = None) -> xr.Dataset:
    """One dataset along ``sample`` of several, each of one simulation or more; with dask, so lazily.

    Args:
        named: name of a file, and its dataset.
        chunks: of dask; ``None``: a simulation each.

    Raises:
        InputError: variables, dimensions or points in space of one that are not those of the first.
    """
    first_name, first = named[0]
    space = layout_of(first).space
    prepared = []
    for name, ds in named:
        require_alike(name, ds, first_name, first, space)
        sample = layout_of(ds).sample
        if sample is None:
            alone = [n for n, v in ds.data_vars.items() if not v.dims]
            ds = ds.set_coords(alone).expand_dims(SAMPLE)
        elif sample != SAMPLE:
            ds = ds.rename({sample: SAMPLE})
        ds = ds.drop_vars(SAMPLE, errors="ignore")
        prepared.append(_spread(ds).chunk({SAMPLE: 1} if chunks is None else chunks))
    times = [ds[d] for _, ds in named if (d := layout_of(ds).time) and d in ds.coords]
    longest = max(times, key=len, default=None)
    if longest is not None:
        for (name, _), time in zip(named, times, strict=False):
            if not np.array_equal(time.values, longest.values[: len(time)]):
                raise InputError(
                    f"{name}: '{longest.name}' goes from {time.values[0]} to {time.values[-1]}, "
                    f"elsewhere from {longest.values[0]}; expected one sequence of times in all: "
                    "sciml.fit and sciml train take files of different times; pieces of one simulation "
                    "are joined by xr.open_mfdataset(paths, combine='by_coords')"
                )
    together = xr.concat(
        prepared, SAMPLE, data_vars="minimal", coords="minimal", compat="override",
        join="outer", combine_attrs="override",
    )  # fmt: skip
    # A number a simulation is small, and what simulations are chosen by.
    numbers = {n: c.compute() for n, c in together.coords.items() if c.dims == (SAMPLE,)}
    return together.assign_coords(numbers | {SAMPLE: np.arange(together.sizes[SAMPLE])})


def _spread(ds: xr.Dataset) -> xr.Dataset:
    """``ds`` with numbers for all its samples as one a sample: another file has others. A projection
    (CF) is no number."""
    count = ds.sizes[SAMPLE]
    scalars = [
        n
        for n, v in ds.variables.items()
        if not v.dims and v.dtype.kind in "fiub" and "grid_mapping_name" not in v.attrs
    ]
    return ds.assign_coords(
        {n: (SAMPLE, np.full(count, ds[n].values), ds[n].attrs) for n in scalars}
    )


def require_alike(
    name: str, ds: xr.Dataset, first_name: str, first: xr.Dataset, space: Sequence[str]
) -> None:
    """Refuse a file with other variables, dimensions or points than the first one."""
    for own in first.data_vars:
        if own not in ds.variables:
            raise InputError(
                f"{name} has no variable '{own}', which {first_name} has; expected the same in all: "
                "leave one of them out, or rename"
            )
    for dim in space:
        if dim not in ds.dims:
            raise InputError(
                f"{name} has the dimensions {', '.join(map(str, ds.dims))}, {first_name} "
                f"{', '.join(map(str, first.dims))}; expected the same in all: rename, or leave one out"
            )
        if ds.sizes[dim] != first.sizes[dim]:
            raise InputError(
                f"{name} has {ds.sizes[dim]} points along '{dim}', {first_name} {first.sizes[dim]}; "
                f"expected one grid in all: leave one out, or interpolate, ds.interp({dim}=...)"
            )
        if dim in ds.coords and dim in first.coords:
            here, there = ds[dim].values, first[dim].values
            if here.dtype.kind in "fiu" and there.dtype.kind in "fiu":
                slack = SAME * float(np.ptp(there)) or SAME
                if np.abs(here - there).max() > slack:
                    raise InputError(
                        f"{name} spans [{here[0]:g}, {here[-1]:g}] along {dim}, {first_name} "
                        f"[{there[0]:g}, {there[-1]:g}]; expected one grid in all: leave one out"
                    )
