"""The states that simulations start from: files that ``parameters.files`` of a study or recipe names.

A file holds one state, or several along a leading dimension ``sample``. They are looked at before
anything runs, and what is used of them is copied to where the run is: it does not change under its
feet, and a resumed run, or one that mends its spool, starts from the same bits.
"""

from __future__ import annotations

import glob
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sciml.domain import Grid
from sciml.errors import InputError, ScimlError
from sciml.solver.declaration import ENDINGS, is_file
from sciml.solver.initial_states import count_states, read_state
from sciml.solver.program_description import Description
from sciml.solver.simulate import simulated

#: Folder with the copies, and what tells where they come from.
FOLDER, INDEX = "initial", "index.json"


@dataclass(frozen=True, slots=True)
class Start:
    """One state: a file, and which of the states in it."""

    path: Path
    sample: int | None = None

    def __str__(self) -> str:
        return str(self.path) if self.sample is None else f"{self.path}, sample {self.sample}"


@dataclass(frozen=True)
class Starts:
    """All states that files hold, on the grid of a program.

    Args:
        description: of the program.
        grid: that it runs on.
        states: in order.
    """

    description: Description
    grid: Grid
    states: tuple[Start, ...]

    def __len__(self) -> int:
        return len(self.states)

    def read(self, number: int) -> np.ndarray:
        """A state, ``(fields, *grid.shape)``.

        Raises:
            InputError: it does not fit the program.
        """
        start = self.states[number]
        try:
            return read_state(start.path, self.description.fields, self.grid, sample=start.sample)
        except InputError as error:
            raise InputError(f"parameters.files: {error}") from error

    def keep(self, number: int, folder: Path) -> Path:
        """Copy a state into a folder; returns its path there."""
        from sciml.domain.dataset import to_dataset

        values = {
            field.name: value
            for field, value in zip(self.description.fields, self.read(number), strict=True)
        }
        start, path = self.states[number], copy_of(number, folder)
        folder.mkdir(exist_ok=True)
        ds = to_dataset(
            self.grid, self.description.fields, values, None,
            attrs={"source": str(start), "sha256": self.checksums[start.path]},
        )  # fmt: skip
        aside = path.with_name(f".{path.name}")
        ds.to_netcdf(aside, engine="h5netcdf")
        aside.replace(path)
        return path

    @cached_property
    def checksums(self) -> dict[Path, str]:
        """SHA-256 of each file."""
        sums = {}
        for path in dict.fromkeys(start.path for start in self.states):
            with path.open("rb") as file:
                sums[path] = hashlib.file_digest(file, "sha256").hexdigest()
        return sums


def keep_starts(starts: Starts, used: Iterable[int | None], folder: Path) -> None:
    """Copy states that are used into a folder, and note where they come from.

    Raises:
        InputError: one does not fit the program, or there is no room.
    """
    try:
        folder.mkdir(exist_ok=True)
        for number in sorted({number for number in used if number is not None}):
            starts.keep(number, folder)
        content = {
            "states": [str(start) for start in starts.states],
            "sha256": {str(path): found for path, found in starts.checksums.items()},
        }
        (folder / INDEX).write_text(json.dumps(content, indent=1), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error}") from error


def kept(folder: Path) -> int:
    """How many states there were to choose from when :func:`keep_starts` wrote into a folder.

    Raises:
        InputError: the folder is not what it left.
    """
    try:
        return len(json.loads((folder / INDEX).read_text(encoding="utf-8"))["states"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder / INDEX} cannot be read ({error}); a run goes on from the copies that it made: "
            "put the folder back, or begin a new run"
        ) from error


@contextmanager
def kept_for_a_while(starts: Starts, used: Iterable[int | None]) -> Iterator[Path]:
    """The first of the states that are used, in a file; all have been read before."""
    numbers = sorted({number for number in used if number is not None})
    for number in numbers:
        starts.read(number)
    with tempfile.TemporaryDirectory(prefix="sciml-") as folder:
        yield starts.keep(numbers[0], Path(folder))


def copy_of(number: int, folder: Path) -> Path:
    """Where the copy of a state lies."""
    return folder / f"{number:05d}.nc"


def find_starts(
    files: Sequence[str], description: Description, options: Mapping[str, Any]
) -> Starts:
    """The states that files hold, in order of the list, then of names.

    Args:
        files: paths and patterns, from :func:`anchored`.
        description: of the program.
        options: that fix its grid.

    Raises:
        InputError: a program that takes no file, a pattern without a match, a file that is no state.
    """
    flag = description.flags.get("initial")
    if not getattr(flag, "files", False):
        raise InputError(
            f"parameters.files: {description.name} starts from no file; expected a program whose option "
            "'initial' takes one (sciml describe)"
        )
    paths: list[Path] = []
    for pattern in files:
        matching = matches(pattern)
        if not matching:
            raise InputError(
                f"parameters.files: nothing matches {pattern}; expected .nc or .npy files"
            )
        for path in matching:
            if not is_file(str(path)):
                raise InputError(f"parameters.files: {path}; expected one of {', '.join(ENDINGS)}")
        paths += matching
    grid = _grid(description, options)
    states: list[Start] = []
    for path in dict.fromkeys(paths):
        try:
            count = count_states(path, description.fields, grid)
        except InputError as error:
            raise InputError(f"parameters.files: {error}") from error
        states += [Start(path)] if count is None else [Start(path, i) for i in range(count)]
    return Starts(description, grid, tuple(states))


def matches(pattern: str) -> list[Path]:
    """Files of a pattern, by name; a path that is there is taken as it is, whatever signs are in it."""
    if Path(pattern).exists():
        return [Path(pattern)]
    return [Path(found) for found in sorted(glob.glob(pattern, recursive=True))]


def anchored(files: Sequence[str], folder: Path) -> list[str]:
    """Patterns as absolute ones: from the folder of the study file, or else from where we are."""
    absolute = []
    for pattern in files:
        wanted = Path(pattern).expanduser()
        places = [folder.resolve() / wanted, Path.cwd() / wanted]
        absolute.append(str(next((place for place in places if matches(str(place))), places[0])))
    return absolute


def _grid(description: Description, options: Mapping[str, Any]) -> Grid:
    """The grid that a program runs on, however long its steps are."""
    from sciml.domain.inference import domain_of

    given = {**options, "steps": 0}
    if "dt" in description.flags:
        given["dt"] = float(description.flags["dt"].low or 1e-12)
    try:
        grid = domain_of(
            simulated(description.path, **given), [field.name for field in description.fields]
        )
    except ScimlError as error:
        raise InputError(f"solver with its options: {error}") from error
    if not isinstance(grid, Grid):
        raise InputError(f"parameters.files: {description.name} runs on no grid; expected a grid")
    return grid
