"""What jobs and their leader need of a directory, and files that no kill tears."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sciml.errors import InputError, ScimlError, no_room


@contextmanager
def written_aside(path: Path) -> Iterator[IO[str]]:
    """A file to write, renamed to ``path`` once it is whole: a reader sees the old one or the new one,
    never half of one.

    Raises:
        ScimlError: it was cleared away meanwhile, as one does who takes a run over from a process that
            was not heard for long: what that has to say is no longer true.
    """
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yield file
        try:
            os.replace(aside, path)
        except FileNotFoundError as error:
            raise ScimlError(
                f"{path} is not written: whoever leads {path.parent} now has cleared away what this "
                "process, which was not heard for too long, had begun"
            ) from error
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def write_text(path: Path, content: str) -> None:
    with written_aside(path) as file:
        file.write(content)


def write_json(path: Path, content: Any) -> None:
    write_text(path, json.dumps(content, indent=1))


@contextmanager
def without_room(log: logging.Logger | None = None) -> Iterator[None]:
    """What a run can do without where the disk is full: a warning takes its place, if any."""
    try:
        yield
    except (OSError, ScimlError) as error:
        if not no_room(error):
            raise
        if log is not None:
            log.warning("not written: %s", error)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


@contextmanager
def reading(path: Path, version: int, remedy: str) -> Iterator[Any]:
    """The content of a JSON file; what it lacks while this is entered, is said of the file.

    Raises:
        InputError: another ``schema_version``; a file, or an entry, that cannot be read.
    """
    try:
        content = read_json(path)
        if content["schema_version"] != version:
            raise InputError(
                f"{path}: schema_version {content['schema_version']}; this version reads {version}"
            )
        yield content
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} cannot be read ({error}); {remedy}") from error


def place(*names: str) -> Any:
    """A property of a directory: the path of something in it."""
    return property(lambda directory: directory.path.joinpath(*names))


@dataclass(frozen=True, slots=True)
class JobFolders:
    """Paths in the directory of whoever starts many jobs: a run, a dataset in the making."""

    path: Path

    identity = place("run.json")
    kept = place("files.json")
    pids = place("pids")
    #: Only there while worker jobs of Slurm's run.
    keys = place("cluster")
    #: Which process leads the run, or did: see :mod:`sciml.ensemble.leader`.
    supervisor = place("pids", "supervisor.json")
    logs = place("logs")
