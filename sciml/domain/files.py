"""Files of others as xarray datasets: netCDF, zarr, and HDF5 in the layouts of collections.

A file that cannot be read says why, in a line: what it is, what is wrong with it, which package is
missing. Works without xarray being imported before a file is opened.
"""

from __future__ import annotations

import glob
import os
import re
import warnings
from collections.abc import Iterable, Sequence
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml.domain.pvd import states_of
from sciml.errors import InputError, ScimlError, nearest

if TYPE_CHECKING:
    import xarray as xr

#: Endings of what is looked for in folders; a file that is named may have any.
ENDINGS = (
    *(".nc", ".nc4", ".cdf", ".netcdf", ".h5", ".hdf5", ".he5", ".zarr"),
    *(".extxyz", ".xyz", ".vtu", ".vtk", ".pvd", ".xdmf"),
)
#: Files that other packages read, by their endings: the package, its extra, and the module of ours.
READERS = {
    **dict.fromkeys((".extxyz", ".xyz"), ("ase", "particles", "sciml.domain.extxyz")),
    **dict.fromkeys(
        (".vtu", ".vtk", ".pvd", ".xdmf", ".msh"), ("meshio", "mesh", "sciml.domain.vtk")
    ),
}
#: Folders of these names hold the parts of a split, as those of The Well do.
PARTS = ("train", "training", "valid", "validation", "val", "test", "testing")
#: Files that make a folder one of ours, and what to do with those.
_OURS = {
    "lineage.json": (
        "a run",
        "what it recorded is trained on by sciml train --from, and opened by sciml.open_recording",
    ),
    "index.jsonl": (
        "a recording",
        "sciml train --from takes it, sciml.open_recording(path).open_dataset() gives it to fit",
    ),
}
_ZARR = ("zarr.json", ".zgroup", ".zmetadata")
_HDF5 = b"\x89HDF\r\n\x1a\n"
#: How files begin that are taken for netCDF, and what they are.
_BEGINNINGS = {
    b"GRIB": "GRIB: pip install cfgrib, then xr.open_dataset(path, engine='cfgrib')",
    b"\x0e\x03\x13\x01": "HDF4, which is another format than HDF5: convert it, h4toh5",
    b"\x93NUMPY": "an array of numpy without names: xr.Dataset({'u': (('sample', 'time', 'x'), array)})",
    b"PK\x03\x04": "a zip file, as np.savez writes: put its arrays into an xr.Dataset",
    b"\x1f\x8b": "compressed by gzip: unpack it first",
    b"MATLAB": "a MATLAB file: read it with scipy.io.loadmat, and put its arrays into an xr.Dataset",
    b"<": "text, such as a page of the web that says why there was nothing to download",
}


def files_of(source: Any) -> list[Path]:
    """The files that a path, folder, pattern or list stands for, in order of names.

    Args:
        source: path of a file, a zarr store or a folder, a pattern such as ``"runs/*.nc"``, or a list.
            Of a folder, the files with one of :data:`ENDINGS`, or those of its folders ``train``,
            ``valid`` and ``test``.

    Raises:
        InputError: nothing there; a file twice.
    """
    if isinstance(source, str) and "://" in source:
        raise InputError(
            f"{source} is an address; expected a path: open it with xr.open_dataset, and give that"
        )
    if isinstance(source, str | PathLike):
        return _unfolded(Path(source))
    if not isinstance(source, Sequence) or not source:
        raise InputError(
            f"data of type {type(source).__name__}; expected the path of a file, a folder or a "
            "pattern, a list of paths, or an xarray dataset"
        )
    found = [file for one in source for file in files_of(one)]
    for file in found:
        if found.count(file) > 1:
            raise InputError(f"{file} is named twice; expected each file once")
    return found


def _unfolded(path: Path) -> list[Path]:
    if path.is_dir() and not is_zarr(path):
        for name, (what, how) in _OURS.items():
            if (path / name).is_file():
                raise InputError(
                    f"{path} is {what}, whose files are not data as they lie there; {how}"
                )
        inside = _in_folder(path)
        parts = [path / part for part in PARTS if (path / part).is_dir()]
        if not inside and parts:
            inside = [file for part in parts for file in _in_folder(part)]
        if not inside:
            raise InputError(
                f"{path} holds no data files ({', '.join(f'*{e}' for e in ENDINGS)}); name another "
                "folder, or files"
            )
        return inside
    if path.exists():
        return [path]
    if any(letter in str(path) for letter in "*?["):
        found = _by_themselves(map(Path, glob.glob(str(path), recursive=True)))
        if not found:
            raise InputError(f"{path}: no file of that pattern; expected at least one")
        return [file for one in found for file in _unfolded(one)]
    raise InputError(f"{path}: nothing there; expected a file of data, or a folder of them")


def _in_folder(folder: Path) -> list[Path]:
    return _by_themselves(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in ENDINGS and not file.name.startswith(".")
    )


def _by_themselves(files: Iterable[Path]) -> list[Path]:
    """Without the HDF5 beside an XDMF file, which holds its numbers, and the states of a collection."""
    found = sorted(files)
    held = {f.with_suffix(".h5") for f in found if f.suffix.lower() == ".xdmf"}
    for file in found:
        if file.suffix.lower() == ".pvd":
            held |= {state for _, state in states_of(file)}
    return [file for file in found if file not in held]


def is_zarr(path: Path) -> bool:
    return path.is_dir() and (
        path.suffix.lower() == ".zarr" or any((path / name).exists() for name in _ZARR)
    )


def open_file(
    path: str | PathLike[str], group: str | None = None, *, decode: bool = True, **options: Any
) -> xr.Dataset:
    """One file as a dataset: netCDF, a zarr store, The Well's or PDEBench's HDF5; nothing large is read.

    Dates beyond the years 1678 to 2262 come in microseconds where cftime is not there.

    Args:
        path: of the file.
        group: of netCDF-4, HDF5 or zarr, in which the variables are; coordinates of the groups that it
            is in come along.
        decode: whether The Well's and PDEBench's layouts are looked for.
        options: of ``xr.open_dataset``.

    Raises:
        InputError: it cannot be read, and why; no such group; all is in groups, and none was named.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: nothing there; expected a file of data")
    if (simulations := several(path)) is not None:
        if len(simulations) > 1:
            raise InputError(
                f"{path} holds {len(simulations)} simulations of other atoms or cells each, which make "
                "no single dataset; sciml.fit, evaluate and sciml train --from take the file as it is, "
                "predict and rollout a file of one"
            )
        return simulations[0]
    try:
        if decode and group is None and (ds := _of_a_collection(path)) is not None:
            return ds
        ds = _opened(path, group, options)
    except InputError as error:
        raise InputError(_with(path, str(error))) from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
        raise InputError(f"{path}: {reason(path, error)}") from error
    if group is None and (groups := _groups(path)):
        if not ds.data_vars:
            ds.close()
            raise InputError(
                f"{path} has its variables in groups: {', '.join(groups)}; expected one of them: "
                f"group='{groups[0]}', on the command line --group {groups[0]}"
            )
        ds.encoding["groups"] = groups  # for whoever does not find a variable
    return ds


def _with(path: Path, line: str) -> str:
    return line if str(path) in line else f"{path}: {line}"


def several(path: Path) -> list[xr.Dataset] | None:
    """All simulations of a file that other packages read, one dataset each; ``None`` of other files.

    Raises:
        InputError: the package is not there; the file cannot be read, and why.
    """
    if path.suffix.lower() not in READERS:
        return None
    package, extra, module = READERS[path.suffix.lower()]
    try:
        import_module(package)
    except ImportError as error:
        raise InputError(
            f"{path}: files that end in {path.suffix} are read by {package}, which is not there; "
            f"install it with pip install 'sciml-surrogates[{extra}]'"
        ) from error
    try:
        found = import_module(module).opened(path)
    except ScimlError as error:
        raise InputError(_with(path, str(error))) from error
    except Exception as error:  # of many kinds, and none of them ours
        said = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: {package} cannot read it: {_first(said)}") from error
    if not found:
        raise InputError(f"{path}: {package} finds nothing in it; expected one state at least")
    return found


def open_dataset(
    source: Any, group: str | None = None, *, chunks: Any = None, **options: Any
) -> xr.Dataset:
    """Data of others as one xarray dataset, whatever layout they have; values are read when asked for.

    >>> ds = sciml.open_dataset("turbulence/data/train")     # doctest: +SKIP

    Args:
        source: a file (netCDF, HDF5 of The Well or PDEBench, a zarr store), a folder of them, a pattern
            such as ``"runs/*.nc"``, or a list. Several become one along ``sample``, with dask: each
            is one simulation, or has several.
        group: of netCDF-4, HDF5 or zarr, in which the variables are.
        chunks: of dask; ``None``: none for a single file, one simulation each for several.
        options: of ``xr.open_dataset``.

    Raises:
        InputError: a file that cannot be read, and why; files that differ in their variables,
            dimensions or coordinates in space.
    """

    files = files_of(source)
    if len(files) == 1:
        ds = open_file(files[0], group, **options)
        return ds if chunks is None else ds.chunk(chunks)
    from sciml.domain.concatenation import joined

    opened = [open_file(file, group, **options) for file in files]
    return joined([(file.name, ds) for file, ds in zip(files, opened, strict=True)], chunks)


def _of_a_collection(path: Path) -> xr.Dataset | None:
    """A file of The Well or PDEBench; ``None`` if it is neither."""
    if path.is_dir():
        return None
    import h5py

    if not h5py.is_hdf5(path):
        return None
    from sciml.domain import pdebench, the_well

    file = h5py.File(path, "r")
    if the_well.is_the_well(file):
        layout = the_well.opened
    elif pdebench.is_pdebench(file):
        layout = pdebench.opened
    else:
        file.close()
        return None
    try:
        ds = layout(file)
    except BaseException:
        file.close()
        raise
    ds.set_close(file.close)
    ds.encoding["source"] = str(path)
    return ds


def _opened(path: Path, group: str | None, options: dict[str, Any]) -> xr.Dataset:
    """As xarray opens it."""
    import xarray as xr

    if is_zarr(path):
        options = {"engine": "zarr", **options}
    if group is not None:
        known = _groups(path)
        if known is not None and group.strip("/") not in known:
            what = f"known: none: give no group, {path.name} has its variables at the root"
            raise InputError(
                f"{path} has no group '{group}'; {nearest(group, known) if known else what}"
            )
        options = {"group": group, **options}
    try:
        with warnings.catch_warnings():
            # Of HDF5 without names of dimensions, which is told where they are looked for.
            warnings.filterwarnings("ignore", "The 'phony_dims'")
            ds = _with_named_dims(xr.open_dataset(path, **options))
    except ValueError as error:
        if "cftime" not in str(error):
            raise
        ds = _without_cftime(path, options, error)
    if group is None or is_zarr(path):
        return ds
    return _with_outer_coordinates(path, group, ds, options)


def _with_named_dims(ds: xr.Dataset) -> xr.Dataset:
    """Dimensions of HDF5 that have no names, called by the coordinates that lie on them."""
    from sciml.domain.layout import axis_of

    lines: dict[str, list[str]] = {}
    for name, array in ds.variables.items():
        if array.ndim == 1 and str(array.dims[0]).startswith("phony_dim_") and axis_of(ds, name):
            lines.setdefault(str(array.dims[0]), []).append(str(name))
    found = {dim: names[0] for dim, names in lines.items() if len(names) == 1}
    if not found:
        return ds
    coords = {n: (n, ds[n].values, ds[n].attrs) for n in found.values()}
    return ds.drop_vars(list(coords)).rename_dims(found).assign_coords(coords)


def _without_cftime(path: Path, options: dict[str, Any], error: ValueError) -> xr.Dataset:
    import xarray as xr

    coders = getattr(xr, "coders", None)
    if coders is not None:
        try:
            decode = coders.CFDatetimeCoder(time_unit="us")
            return xr.open_dataset(path, **{**options, "decode_times": decode})
        except ValueError:
            pass  # the calendar is the matter, not the year
    raise InputError(
        f"{path}: its dates are of a calendar that needs cftime; install it with "
        "pip install 'sciml-surrogates[climate]'"
    ) from error


def _with_outer_coordinates(
    path: Path, group: str, ds: xr.Dataset, options: dict[str, Any]
) -> xr.Dataset:
    """``ds`` with coordinates of its dimensions from the groups around its own."""
    import xarray as xr

    parts = group.strip("/").split("/")
    for depth in reversed(range(len(parts))):
        lacking = [d for d in ds.dims if d not in ds.coords]
        if not lacking:
            break
        with xr.open_dataset(
            path, **{**options, "group": "/".join(parts[:depth]) or None}
        ) as outer:
            found = {
                d: outer[d].load().variable
                for d in lacking
                if d in outer.coords and outer.sizes[d] == ds.sizes[d]
            }
        ds = ds.assign_coords(found) if found else ds
    return ds


def _groups(path: Path) -> list[str] | None:
    """Groups of a file that hold variables; ``None`` where there can be none."""
    if path.is_dir():
        stores = sorted(
            str(one.parent.relative_to(path))
            for name in (".zgroup", "zarr.json")
            for one in path.rglob(name)
            if one.parent != path and _is_zarr_group(one)
        )
        return stores
    import h5py

    if not h5py.is_hdf5(path):
        return None
    from sciml.domain.hdf5 import groups_in

    with h5py.File(path, "r") as file:
        return groups_in(file)


def _is_zarr_group(about: Path) -> bool:
    return about.name == ".zgroup" or bool(
        re.search(r'"node_type"\s*:\s*"group"', about.read_text(errors="replace"))
    )


def reason(path: Path, error: BaseException) -> str:
    """Why a file could not be read, in one line."""
    said = " ".join(str(error).split())
    if isinstance(error, PermissionError):
        return "may not be read by this user"
    if path.is_dir():
        if "engine" in said or isinstance(error, ImportError):
            return "a zarr store, which needs zarr; install it with pip install 'sciml-surrogates[zarr]'"
        return f"a zarr store that cannot be read: {said}"
    if "filter" in said and ("not registered" in said or "required" in said):
        return (
            f"compressed by a filter that h5py does not have ({said}); install it: pip install "
            "hdf5plugin, and import hdf5plugin"
        )
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError as failed:
        return f"cannot be read: {failed.strerror or failed}"
    if not head:
        return "an empty file; copy or download it again"
    if head.startswith(_HDF5):
        return f"HDF5 that is damaged or not complete ({said}); copy or download it again"
    if head[:3] == b"CDF":
        if head[3:4] == b"\x05":
            return (
                "netCDF of the kind CDF-5, which needs netCDF4; install it with pip install netCDF4"
            )
        return f"netCDF that is damaged or not complete ({said}); copy or download it again"
    for beginning, what in _BEGINNINGS.items():
        if head.startswith(beginning):
            return what
    return f"no netCDF, HDF5 or zarr: it begins with {head[:12]!r}; xarray says: {_first(said)}"


def _first(said: str) -> str:
    """The first sentence: the second of xarray's is about its engines."""
    return said if os.linesep in said or len(said) < 160 else said[:157] + "…"
