"""Files and datasets of others, one after the other, before anybody looks at what is in them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml.domain.files import files_of, open_file, reason, several
from sciml.errors import DomainError, InputError
from sciml.record import index

if TYPE_CHECKING:
    import xarray as xr

#: Bytes of a file above which its end and its size stand for all of it in a checksum.
SUMMED = 2**28


@dataclass(frozen=True, slots=True)
class DataPart:
    """One file, or one dataset that is open.

    Args:
        name: for messages; ``""`` where there is nothing to tell it from.
        path: of the file.
        data: the dataset; of a file, one simulation of several that it holds.
        group: of the file.
    """

    name: str
    path: Path | None = None
    data: xr.Dataset | None = None
    group: str | None = None

    def open(self) -> xr.Dataset:
        """The dataset, read when asked for, and not kept by xarray."""
        if self.path is None or self.data is not None:
            return self.data
        return open_file(self.path, self.group, cache=False)

    @contextmanager
    def opened(self) -> Iterator[xr.Dataset]:
        """The dataset, closed afterwards where it is a file."""
        ds = self.open()
        try:
            yield ds
        finally:
            if self.path is not None:
                ds.close()

    def checksum(self) -> Any:
        """Of the file, or of all files of a store; 0 of a dataset."""
        if self.path is None:
            return 0
        if self.path.is_file():
            return _sum(self.path)
        found = 0
        for file in sorted(f for f in self.path.rglob("*") if f.is_file()):
            found = zlib.crc32(f"{file.name}:{_sum(file)}".encode(), found)
        return found


def _sum(file: Path) -> Any:
    about = file.stat()
    return index.checksum(file) if about.st_size < SUMMED else (about.st_size, about.st_mtime_ns)


def parts_of(data: Any, group: str | None = None) -> list[DataPart]:
    """The files and datasets that are given: one of them, or a list.

    Raises:
        InputError: something else; a group of what has none.
    """
    found = _parts(data, group)
    if group is not None and (whole := [part for part in found if part.data is not None]):
        raise InputError(
            f"group='{group}' of {whole[0].name or 'a dataset that is open'}, which has none; expected "
            "the path of netCDF-4, HDF5 or zarr"
        )
    return found


def _parts(data: Any, group: str | None) -> list[DataPart]:
    if hasattr(data, "data_vars") and hasattr(data, "children"):  # a tree of groups
        raise InputError(
            f"data of type {type(data).__name__}, a tree of groups; expected one of them: "
            "tree['group'].to_dataset(), or a path with group="
        )
    if hasattr(data, "data_vars"):
        return [DataPart("", data=data)]
    if hasattr(data, "to_dataset"):
        return [DataPart("", data=data.to_dataset(name=data.name or "u"))]
    if isinstance(data, Sequence) and any(hasattr(one, "to_array") for one in data):
        if not all(hasattr(one, "data_vars") for one in data):
            raise InputError("data: datasets and others in one list; expected one kind")
        return [DataPart(f"dataset {n}", data=one) for n, one in enumerate(data)]
    files = files_of(data)
    parents = {file.parent for file in files}
    found = []
    for file in files:
        name = file.name if len(parents) == 1 else f"{file.parent.name}/{file.name}"
        simulations = several(file)
        if simulations is None:
            found.append(DataPart(name, file, None, group))
        for number, ds in enumerate(simulations or ()):
            found.append(DataPart(f"{name}, {number}" if len(simulations) > 1 else name, file, ds))
    return found


@contextmanager
def naming(part: DataPart) -> Iterator[None]:
    """What is wrong with a file bears its name."""
    try:
        yield
    except (InputError, DomainError) as error:
        if not part.name:
            raise
        raise InputError(f"{part.name}: {error}") from error
    except (OSError, RuntimeError) as error:  # as HDF5 says that a chunk cannot be read
        if part.path is None:
            raise
        raise InputError(f"{part.path}: {reason(part.path, error)}") from error
