"""The files that a run ran: a copy of the user's model and of what objectives hold, and checksums.

A run that is evaluated, resumed or opened builds its model from its own copy, whatever became of the
file since. What a Python file imports from beside it is copied along; data that it reads is not.
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

#: What to do where a copy is not what the run kept.
MODEL = "name the file to run: sciml evaluate RUN --model {0}, or load(run, model='{0}')"
CONDITIONS = "put it back, or begin a new run"


def keep(run: RunDirectory, study: Study, program: Path | None = None) -> None:
    """Write down what a new run runs, and copy a model file of the user's.

    Args:
        program: of the solver; ``None``: none is run.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "model": _copied(study.model.name, run.files),
        "solver": None if program is None else noted(program),
        "conditions": {
            name: _copied(file, _folder(run, name)) for name, file in _conditions(study).items()
        },
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
    if content["model"] is None:
        return None
    return _looked_at(run, content, content["model"], run.files, MODEL, trusted)


def with_conditions(run: RunDirectory, study: Study, *, trusted: bool = False) -> Study:
    """The study with the kept copies of the files that hold at the first time and on the sides; files
    that it did not name when the run began stay as they are.

    Raises:
        InputError: as :func:`model_file`.
    """
    named = _conditions(study)
    if not named:
        return study
    content, objectives = read_kept(run), dict(study.training.objectives)
    for name, file in named.items():
        entry = content.get("conditions", {}).get(name)
        if entry is not None and entry["name"] == file:
            copy = _looked_at(run, content, entry, _folder(run, name), CONDITIONS, trusted)
            update = {"solution": {"file": str(copy)}}
            objectives[name] = objectives[name].model_copy(update=update)
    training = study.training.model_copy(update={"objectives": objectives})
    return study.model_copy(update={"training": training})


def _looked_at(
    run: RunDirectory,
    content: dict[str, Any],
    kept: dict[str, Any],
    folder: Path,
    remedy: str,
    trusted: bool,
) -> Path:
    """A kept file, laid out."""
    files = {Path(kept["path"]).name: kept["sha256"], **kept["beside"]}
    for name, wanted in files.items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(f"{run.kept}: '{name}' lies outside of the run")
        if sha256(folder / name) != wanted:
            raise InputError(
                f"{folder / name} is not what the run kept (by its SHA-256); "
                f"{remedy.format(kept['name'])}"
            )
    original = Path(kept["path"])
    changed = [n for n, wanted in files.items() if sha256(original.parent / n) != wanted]
    unmarked = {key: value for key, value in content.items() if key != "mark"}
    runs = own_model.is_file(original.name)
    if changed and runs and not (trusted or is_own(unmarked, content.get("mark"))):
        raise InputError(
            f"{run.path} was made by somebody else or elsewhere, and what it runs is a Python file, "
            f"{folder / original.name}: read it, and say that it may be run: sciml evaluate RUN "
            f"--model FILE, or load(run, model=FILE); to resume, put it at {original}"
        )
    if changed and not trusted:
        log.warning(
            "warning: %s is not what it was when the run began; the run's own copy is used, %s",
            ", ".join(str(original.parent / name) for name in changed),
            folder / original.name,
        )
    return _laid_out(folder, tuple(sorted(files.items()))) / original.name


def with_copy(run: RunDirectory, study: Study, *, trusted: bool = False) -> Study:
    """The study with the kept copies of its files instead of their names, for resuming.

    Args:
        trusted: whoever asks has looked before.

    Raises:
        InputError: as :func:`model_file`.
    """
    file = model_file(run, trusted=trusted)
    study = with_conditions(run, study, trusted=trusted)
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


def _conditions(study: Study) -> dict[str, str]:
    """Files that objectives hold a model to, by the name of the objective."""
    solutions = {n: getattr(o, "solution", None) for n, o in study.training.objectives.items()}
    return {name: told["file"] for name, told in solutions.items() if told and "file" in told}


def _folder(run: RunDirectory, objective: str) -> Path:
    return run.files / "conditions" / objective


def _copied(name: str, folder: Path) -> dict[str, Any] | None:
    """Copy a file, and what it imports from beside it; ``None`` of a name that is none."""
    path = find(name) if own_model.is_file(name) else Path(name)
    if not path.is_file():
        return None
    entry = {"name": name, "path": str(path), "sha256": "", "beside": {}}
    for file in (path, *(own_model.beside_of(path) if own_model.is_file(name) else ())):
        inside = file.relative_to(path.parent)
        copy = folder / inside
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
