"""Small public datasets: files of others, found or fetched, checked, and given names and units."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from sciml.domain.names import SAMPLE, SPLIT
from sciml.errors import InputError, nearest
from sciml.share import share_root
from sciml.study.complaint import complaint
from sciml.study.schema import Positive, Section
from sciml.study.text import parse

if TYPE_CHECKING:
    import xarray as xr

FILE = "files.yaml"
#: Folder where datasets of others lie, if the caller names none.
VARIABLE = "SCIML_DATA"
#: Seconds in which an origin has to answer.
TIMEOUT = 30.0


class PublishedAxis(Section):
    """Positions along a dimension. A ``closed`` one has points on both ends; on the others point i of n
    lies at ``low + (high − low) i / n``."""

    low: float
    high: float
    boundary: Literal["closed", "periodic", "open"]
    units: str = "1"

    def coordinate(self, name: str, n: int) -> tuple[str, np.ndarray, dict[str, Any]]:
        closed = self.boundary == "closed"
        values = self.low + (self.high - self.low) * np.arange(n) / (n - 1 if closed else n)
        notes: dict[str, Any] = {"axis": name[0].upper(), "long_name": name, "units": self.units}
        if not closed:
            # A grid that is not periodic ends at its last point.
            end = self.high if self.boundary == "periodic" else float(values[-1])
            notes |= {"boundary": self.boundary, "extent": [self.low, end]}
        return name, values, notes


class PublishedVariable(Section):
    """An array of the files: ``key`` is its name there."""

    key: str
    dims: list[str] = []
    long_name: str
    units: str = "1"


class PublishedFile(Section):
    """One file; several may make a split at different resolutions."""

    name: Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
    split: Literal["train", "validation", "test"]
    resolution: Positive
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Published(Section):
    """What ``files.yaml`` says of a dataset."""

    schema_version: Literal[1] = 1
    name: str
    title: str
    equation: str
    references: str
    license: str
    origin: Annotated[str, Field(pattern=r"^https?://.+/$")]
    axes: dict[str, PublishedAxis]
    variables: dict[str, PublishedVariable]
    parameters: dict[str, PublishedVariable] = {}
    files: Annotated[list[PublishedFile], Field(min_length=1)]


def load_dataset(
    name: str, folder: str | os.PathLike[str] | None = None, *, resolution: int | None = None
) -> xr.Dataset:
    """A small public dataset, as `sciml.fit` takes it.

    Its files are looked for in ``folder``; without one, in the folder that the environment variable
    ``SCIML_DATA`` names (and those right below it), then among those fetched before, in
    ``~/.cache/sciml``; else they are fetched from their origin. Each is checked by its SHA-256 before
    it is read.

    Args:
        name: of a folder in ``data/`` with a ``files.yaml``, such as ``neuraloperator_darcy``.
        folder: where the files lie; nothing is fetched then.
        resolution: points along x; by default that of the training set.

    Returns:
        Variables on ``(sample, [time,] [y,] x)`` with the coordinate ``split``.

    Raises:
        InputError: no such dataset or resolution, a file that is not there and cannot be fetched,
            or one that is not what was published.
    """
    import torch
    import xarray as xr

    about = describe_published(name)
    resolutions = sorted({file.resolution for file in about.files})
    if resolution is None:
        resolution = about.files[0].resolution
    chosen = [file for file in about.files if file.resolution == resolution]
    if not chosen:
        raise InputError(
            f"{name}: resolution {resolution}; expected one of {', '.join(map(str, resolutions))}"
        )
    several = []
    for file in chosen:
        path = _locate(about, file, None if folder is None else Path(folder))
        held = torch.load(path, map_location="cpu", weights_only=True)
        several.append({key: np.asarray(value) for key, value in held.items()})
    counts = [len(one[next(iter(about.variables.values())).key]) for one in several]
    data: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    for variable, entry in about.variables.items():
        values = np.concatenate([one[entry.key] for one in several])
        # Phases are stored as booleans, which no network takes.
        values = values.astype(np.float32) if values.dtype == bool else values
        notes = {"units": entry.units, "long_name": entry.long_name}
        data[variable] = (tuple(entry.dims), values, notes)
        sizes |= dict(zip(entry.dims, values.shape, strict=True))
    coords: dict[str, Any] = {
        SAMPLE: (SAMPLE, np.arange(sum(counts)), {"long_name": "sample"}),
        SPLIT: (SAMPLE, np.repeat([f.split for f in chosen], counts)),
    }
    coords |= {dim: axis.coordinate(dim, sizes[dim]) for dim, axis in about.axes.items()}
    for parameter, entry in about.parameters.items():
        value = float(several[0][entry.key].squeeze())
        coords[parameter] = ((), value, {"units": entry.units, "long_name": entry.long_name})
    attrs = about.model_dump(include={"title", "equation", "references", "license"})
    return xr.Dataset(data, coords, {"Conventions": "CF-1.11", "dataset": about.name, **attrs})


def describe_published(name: str) -> Published:
    """What ``data/<name>/files.yaml`` says.

    Raises:
        InputError: no such dataset; names the nearest.
    """
    path = share_root() / "data" / name / FILE
    if not path.is_file():
        known = sorted(p.parent.name for p in (share_root() / "data").glob(f"*/{FILE}"))
        if (path.parent / "recipe.yaml").is_file():
            raise InputError(
                f"'{name}' is generated: sciml generate data/{name} --out {name}.nc; published: "
                f"{', '.join(known)}"
            )
        raise InputError(f"no published dataset '{name}'; {nearest(name, known)}")
    try:
        return Published.model_validate(parse(path.read_text(encoding="utf-8"), path.name))
    except ValidationError as error:
        raise InputError(f"{name}/{FILE}: {complaint(error, Published)}") from error


def _locate(about: Published, file: PublishedFile, folder: Path | None) -> Path:
    """The path of a file whose content is what it should be."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sciml" / about.name
    named = folder or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    places: list[Path] = []
    if named is not None:
        if not named.is_dir():
            raise InputError(f"{about.name}: no folder {named}; expected one with {file.name}")
        places += [named, *sorted(p for p in named.iterdir() if p.is_dir())]
    if folder is None:
        places.append(cache)
    for place in places:
        if (place / file.name).is_file():
            return _checked(about, file, place / file.name)
    if folder is not None:
        raise InputError(
            f"{about.name}: no {file.name} in {folder}; leave the folder out to fetch it from "
            f"{about.origin}"
        )
    return _fetched(about, file, cache)


def _checked(about: Published, file: PublishedFile, path: Path) -> Path:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 != file.sha256:
        raise InputError(
            f"{about.name}: {path} has SHA-256 {sha256[:12]}…; expected {file.sha256[:12]}…: it is not "
            "the published file, remove it"
        )
    return path


def _fetched(about: Published, file: PublishedFile, cache: Path) -> Path:
    """Fetch a file, check it, and only then give it its name."""
    url = about.origin + file.name
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            content = response.read()
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", error)
        raise InputError(
            f"{about.name}: {url} cannot be fetched ({reason}); fetch it elsewhere and name its "
            f"folder, by folder=... or {VARIABLE}"
        ) from error
    handle, aside = tempfile.mkstemp(dir=cache, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.replace(_checked(about, file, Path(aside)), cache / file.name)
    finally:
        Path(aside).unlink(missing_ok=True)
    return cache / file.name
