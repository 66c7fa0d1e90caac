"""The files that a run ran: a copy of the user's model, checksums of model and solver program.

A run that is evaluated, resumed or opened builds its model from its own copy, whatever became of the
file since. What the model's file imports from beside it is copied along; data that it reads is not.
Solver programs read what lies beside them, and may be of any language: they stay where they are, and
one that was changed is refused.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from sciml.ensemble.folders import write_json
from sciml.ensemble.kept_program import SCHEMA_VERSION, noted, program_changed, read_kept, sha256
from sciml.errors import InputError
from sciml.run.directory import RunDirectory
from sciml.run.trust import is_own, mark
from sciml.share import find
from sciml.study.schema import Study
from sciml.surrogates import own_model

log = logging.getLogger("sciml.run")


def keep(run: RunDirectory, study: Study, program: Path | None = None) -> None:
    """Write down what a new run runs, and copy a model file of the user's.

    Args:
        program: of the solver; ``None``: none is run.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "model": _copied(run, study.model.name),
        "solver": None if program is None else noted(program),
    }
    write_json(run.kept, {**content, "mark": mark(content)})


def model_file(run: RunDirectory, *, trusted: bool = False) -> Path | None:
    """The kept file that builds the model of a run, laid out to be run; ``None`` where no model
    of the user's was kept.

    It is run from a place of its own, which holds what the run's checksums say and nothing else. Where
    the file that it was copied from is another now, that is said.

    Args:
        trusted: whoever asks has looked before.

    Raises:
        InputError: a copy that is not what it was; a run that somebody else made, or that was made on
            another machine, and whose files are not there as they were.
    """
    content = read_kept(run)
    kept = content["model"]
    if kept is None:
        return None
    files = {Path(kept["path"]).name: kept["sha256"], **kept["beside"]}
    for name, wanted in files.items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(f"{run.kept}: '{name}' lies outside of the run")
        if sha256(run.files / name) != wanted:
            raise InputError(
                f"{run.files / name} is not what the run kept (by its SHA-256); name the file to run: "
                f"sciml evaluate RUN --model {kept['name']}, or load(run, model='{kept['name']}')"
            )
    original = Path(kept["path"])
    changed = [n for n, wanted in files.items() if sha256(original.parent / n) != wanted]
    unmarked = {key: value for key, value in content.items() if key != "mark"}
    if changed and not (trusted or is_own(unmarked, content.get("mark"))):
        raise InputError(
            f"{run.path} was made by somebody else or elsewhere, and its model is a Python file, "
            f"{run.files / original.name}: read it, and say that it may be run: sciml evaluate RUN "
            f"--model FILE, or load(run, model=FILE); to resume, put it at {original}"
        )
    if changed and not trusted:
        log.warning(
            "warning: %s is not what it was when the run began; the run's own copy is used, %s",
            ", ".join(str(original.parent / name) for name in changed),
            run.files / original.name,
        )
    return _laid_out(run.files, tuple(sorted(files.items()))) / original.name


def with_copy(run: RunDirectory, study: Study, *, trusted: bool = False) -> Study:
    """The study with the kept copy of its model instead of the name, for resuming.

    Args:
        trusted: whoever asks has looked before.

    Raises:
        InputError: as :func:`model_file`.
    """
    file = model_file(run, trusted=trusted)
    if file is None:
        return study
    return study.model_copy(update={"model": study.model.model_copy(update={"name": str(file)})})


def require_program(run: RunDirectory, program: Path, *, force: bool = False) -> None:
    """That a solver program is the one that the run began with; with ``force`` another takes its place.

    Raises:
        InputError: it was changed; of a program that comes with the package, another version.
    """
    changed = program_changed(run, program)
    if changed is None:
        return
    if not force:
        raise InputError(f"{changed}: put it back, begin a new run, or go on with this by --force")
    content = {k: v for k, v in read_kept(run).items() if k != "mark"} | {"solver": noted(program)}
    write_json(run.kept, {**content, "mark": mark(content)})
    log.warning("%s; the run goes on with it", changed)


def _copied(run: RunDirectory, name: str) -> dict[str, Any] | None:
    if not own_model.is_file(name):
        return None
    path = find(name)
    entry = {"name": name, "path": str(path), "sha256": "", "beside": {}}
    for file in (path, *own_model.beside_of(path)):
        inside = file.relative_to(path.parent)
        copy = run.files / inside
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
        if file == path:
            entry["sha256"] = sha256(copy)
        else:
            entry["beside"][str(inside)] = sha256(copy)
    return entry


@cache
def _laid_out(folder: Path, files: tuple[tuple[str, str], ...]) -> Path:
    """A new folder with these files alone, until the process ends: Python would read others beside
    them, and compiled ones in their place."""
    place = Path(tempfile.mkdtemp(prefix="sciml-model-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    for name, wanted in files:
        content = (folder / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != wanted:
            raise InputError(f"{folder / name} was changed just now; try again")
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return place
