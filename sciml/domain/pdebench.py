"""HDF5 files of PDEBench as datasets.

Takamoto et al., *PDEBench: An Extensive Benchmark for Scientific Machine Learning*, NeurIPS 2022; the
layouts are those that its generators write (``data_gen/data_gen_NLE/Data_Merge.py``,
``data_gen/gen_diff_react.py``, ``gen_diff_sorp.py``, ``gen_radial_dam_break.py``, ``src/data_io.py`` of
https://github.com/pdebench/PDEBench):

* advection, Burgers, diffusion-reaction on a line: ``tensor (b, t, x)``, ``x-coordinate``,
  ``t-coordinate``, a parameter (``beta``, ``Nu``, ``Rho``) as attribute or in the name of the file;
* Darcy: ``nu (b, x, y)`` and ``tensor (b, 1, x, y)``;
* compressible flow: ``density``, ``pressure``, ``Vx``, … ``(b, t, x[, y[, z]])``, with ``eta``, ``zeta``
  and ``M``;
* diffusion-reaction and -sorption, radial dam break: a group a simulation, ``0000/data (t, …, v)``,
  ``0000/grid/x``;
* incompressible flow: ``velocity (b, t, x, y, 2)``, ``particles (b, t, x, y, 1)``,
  ``force (b, x, y, 2)``, ``t (b, t)``.

``t-coordinate`` has one time more than there are frames.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from sciml.domain.hdf5 import numbers_in, variable
from sciml.domain.names import SAMPLE, TIME
from sciml.domain.the_well import cut
from sciml.errors import InputError

_FLOW = ("density", "pressure", "Vx", "Vy", "Vz")
_LETTERS = ("x", "y", "z")
_PARAMETERS = ("beta", "Nu", "nu", "Rho", "rho", "eta", "zeta", "M")
#: As names of files say them: 1D_Burgers_Sols_Nu0.01.hdf5, 2D_CFD_Rand_M0.1_Eta1e-08_….
_IN_NAMES = re.compile(r"(?:^|_)(beta|Nu|Rho|Eta|Zeta|M)(\d+\.?\d*(?:[eE][-+]?\d+)?)(?=_|$)")


def is_pdebench(file: h5py.File) -> bool:
    """Whether a file has one of the layouts, by names that these need."""
    if "tensor" in file:
        return any(name in file for name in ("x-coordinate", "t-coordinate", "nu"))
    if any(name in file for name in _FLOW):
        return "x-coordinate" in file
    return _by_seed(file) or {"velocity", "particles", "t"} <= set(file)


def _by_seed(file: h5py.File) -> bool:
    return bool(len(file)) and all(
        name.isdigit() and isinstance(one, h5py.Group) and "data" in one and "grid" in one
        for name, one in file.items()
    )


def opened(file: h5py.File) -> xr.Dataset:
    """Fields as variables ``(sample, time, …)``, parameters as coordinates; nothing large is read.

    Components of ``velocity`` and ``force`` are called ``velocity_x``, …; the two of
    diffusion-reaction on a plane ``u`` and ``v``. Axes are marked periodic where the paper says so
    (``tensor`` on a line) or the name of the file does.

    Raises:
        InputError: shapes that are none of these.
    """
    if "tensor" in file or any(name in file for name in _FLOW):
        ds = _by_coordinate(file)
    elif _by_seed(file):
        ds = _of_seeds(file)
    else:
        ds = _incompressible(file)
    ds = ds.assign_coords({n: ((), v) for n, v in _parameters(file).items() if n not in ds})
    ds.attrs["title"] = "PDEBench"
    return ds


def _parameters(file: h5py.File) -> dict[str, float]:
    found = numbers_in(file.attrs, _PARAMETERS)
    told = {name.lower() for name in found}
    for name, value in _IN_NAMES.findall(Path(file.filename).stem):
        # Attributes have eta and zeta where names have Eta and Zeta.
        own = name.lower() if name in ("Eta", "Zeta") else name
        if own.lower() not in told:
            found[own] = float(value)
    return found


def _by_coordinate(file: h5py.File) -> xr.Dataset:
    axes = [letter for letter in _LETTERS if f"{letter}-coordinate" in file]
    timed = "t-coordinate" in file
    data = {}
    for name in ("tensor", "nu", *_FLOW):
        if name not in file:
            continue
        array = file[name]
        dims = [SAMPLE, TIME, *axes] if timed and name != "nu" else [SAMPLE, *axes]
        sizes = dict(zip(axes, (len(file[f"{a}-coordinate"]) for a in axes), strict=True))
        # Darcy has one time, others may have an axis for a single channel.
        fixed = {}
        if array.ndim == len(dims) + 1:
            single = next((a for a in (1, array.ndim - 1) if array.shape[a] == 1), None)
            fixed = {} if single is None else {single: 0}
        kept = [n for axis, n in enumerate(array.shape) if axis not in fixed]
        if len(kept) != len(dims) or any(
            sizes.get(d, n) != n for d, n in zip(dims, kept, strict=True)
        ):
            spelled = ", ".join(f"{d} {sizes[d]}" if d in sizes else d for d in dims)
            raise InputError(
                f"'{name}' has the shape {array.shape}; expected ({spelled}), by the coordinates"
            )
        notes = {"parity": name[1], "vector": "V"} if name.startswith("V") else {}
        data[name] = variable(dims, array, notes, fixed=fixed)
    ds = xr.Dataset(data)
    line = "tensor" in file and timed and axes == ["x"]
    periodic = "periodic" in Path(file.filename).stem.lower() or (line and bool(_parameters(file)))
    places = {a: file[f"{a}-coordinate"][()] for a in axes}
    ds = _placed(ds, places, "periodic" if periodic else None)
    if timed:
        times = file["t-coordinate"][()]
        ds = ds.assign_coords({TIME: (TIME, cut(times, ds.sizes[TIME], "t-coordinate"))})
    return ds


def _placed(ds: xr.Dataset, places: Mapping[str, Any], boundary: str | None = None) -> xr.Dataset:
    notes = {} if boundary is None else {"boundary": boundary}
    return ds.assign_coords(
        {name: (name, values, {"axis": name.upper(), **notes}) for name, values in places.items()}
    )


def _of_seeds(file: h5py.File) -> xr.Dataset:
    names = sorted(file)
    arrays = [file[name]["data"] for name in names]
    grid = file[names[0]]["grid"]
    axes = [letter for letter in _LETTERS if letter in grid]
    count = arrays[0].shape[-1]
    # Clawpack has x first, and the generator of diffusion-reaction writes (t, y, x, v).
    if len(axes) == 2 and count == 2:
        axes = ["y", "x"]
    sizes = (len(grid["t"]), *(len(grid[a]) for a in axes))
    if arrays[0].shape[:-1] not in (sizes, (sizes[0] - 1, *sizes[1:])):
        raise InputError(
            f"'{names[0]}/data' has the shape {arrays[0].shape}; expected (t, {', '.join(axes)}, v) = "
            f"({', '.join(map(str, sizes))}, v), by its grid"
        )
    own = ["u", "v"] if count == 2 else [f"data_{k}" for k in range(count)]
    own = ["data"] if count == 1 else own
    dims = (SAMPLE, TIME, *axes)
    data = {
        name: variable(dims, arrays, {"parity": "scalar"}, stacked=True, fixed={-1: k})
        for k, name in enumerate(own)
    }
    ds = _placed(xr.Dataset(data), {a: grid[a][()] for a in axes})
    times = cut(grid["t"][()], ds.sizes[TIME], f"{names[0]}/grid/t")
    return ds.assign_coords({TIME: (TIME, times), SAMPLE: (SAMPLE, [int(n) for n in names])})


def _incompressible(file: h5py.File) -> xr.Dataset:
    times = file["t"][()]
    if not np.allclose(times, times[:1]):
        raise InputError("'t' differs from simulation to simulation; expected the same in all")
    data = {}
    for name in ("velocity", "particles", "force"):
        if name not in file:
            continue
        array = file[name]
        dims = [SAMPLE, *([] if name == "force" else [TIME]), "x", "y"]
        if array.ndim != len(dims) + 1:
            raise InputError(
                f"'{name}' has the shape {array.shape}; expected ({', '.join(dims)}, v)"
            )
        if name == "particles":
            data[name] = variable(dims, array, {"parity": "scalar"}, fixed={-1: 0})
            continue
        for k, letter in enumerate("xy"):
            notes = {"parity": letter, "vector": name}
            data[f"{name}_{letter}"] = variable(dims, array, notes, fixed={-1: k})
    ds = xr.Dataset(data)
    return ds.assign_coords({TIME: (TIME, cut(times[0], ds.sizes[TIME], "t"))})
