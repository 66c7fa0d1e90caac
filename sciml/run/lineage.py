"""Which study a run is trained by, and from which step on: what a resumed run is held against.

``lineage.json`` holds every study that the run went on with, the last one being in force;
``study.yaml`` beside it is the same for people. A hand that edits ``study.yaml`` so changes nothing
by itself: the next ``sciml resume`` sees the difference, and treats the file as any other study that
it is given.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sciml.ensemble.folders import read_json, reading, write_json, write_text
from sciml.errors import InputError
from sciml.run.directory import RunDirectory
from sciml.run.trust import require_trust, signed
from sciml.study.changes import Change, changes
from sciml.study.complaint import complaint
from sciml.study.schema import Study, dump_study, load_study

SCHEMA_VERSION = 1


def begin(run: RunDirectory, study: Study) -> None:
    """Write down what a new run is trained by."""
    _write(run, study, [_entry(study, 0)])


def current(run: RunDirectory) -> Study:
    """The study in force.

    Raises:
        InputError: it cannot be read.
    """
    entries = _entries(run)
    if not entries:
        return load_study(run.study)
    try:
        return Study.model_validate(entries[-1]["study"])
    except ValidationError as error:
        raise InputError(f"{run.lineage}: {complaint(error, Study)}") from error


def require_own(run: RunDirectory) -> None:
    """That the programs which a folder names may be run; see :mod:`sciml.run.trust`.

    Raises:
        InputError: they may not without ``--trust``.
    """
    entries = _entries(run)
    study = entries[-1]["study"] if entries else current(run).model_dump()
    require_trust(run, study, read_json(run.lineage).get("mark") if entries else None)


def propose(
    run: RunDirectory,
    study: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    force: bool = False,
) -> tuple[Study, list[Change]]:
    """The study that a resumed run goes on with, and what is new in it; nothing is written.

    Args:
        run: what is resumed.
        study: a study file; default: ``study.yaml`` in the run, which may have been edited.
        overrides: ``"training.batch_size=8"``.
        force: take differences on, where the run stays the same run.

    Raises:
        InputError: it differs and ``force`` is not given, or it differs in what makes the run.
    """
    old = current(run)
    offline = run.replay.is_file()
    new = load_study(run.study if study is None else study, overrides, solver=not offline)
    differing = changes(old, new)
    if not differing:
        return old, []
    edited = study is None and not overrides
    source = f"{run.study} was edited" if edited else f"not the study of {run.path}"
    fixed = [change for change in differing if change.fixed]
    if fixed:
        more = f" (and {len(fixed) - 1} more such keys)" if len(fixed) > 1 else ""
        raise InputError(
            f"{source}: {fixed[0]} cannot change in a run: {fixed[0].fixed}{more}; "
            f"{'set it back' if edited else 'leave it as it was'}, or begin a new run"
        )
    if not force:
        raise InputError(
            f"{source}: {'; '.join(map(str, differing))}; to go on with "
            f"{'this' if len(differing) == 1 else 'these'}, add --force"
            + (f", else set {'it' if len(differing) == 1 else 'them'} back" if edited else "")
        )
    return new, differing


def adopt(run: RunDirectory, study: Study, changed: Sequence[Change]) -> None:
    """Go on with what :func:`propose` gave, from the newest checkpoint on; nothing else of the run
    may be alive.

    Raises:
        InputError: the checkpoint does not go with it.
    """
    old = current(run)
    entries = _entries(run) or [_entry(old, 0)]
    if changed:
        entries.append(_entry(study, _check_checkpoint(run, old, study), changed))
    _write(run, study, entries)


def _check_checkpoint(run: RunDirectory, old: Study, new: Study) -> int:
    """Step of the newest checkpoint, which ``new`` must be able to go on from; 0 without one."""
    from sciml.training.checkpoint import Checkpoints  # torch

    checkpoint = Checkpoints(run.checkpoints).newest()
    if checkpoint is None:
        return 0
    state = checkpoint.state
    reached = range(state["phase"] + 1)
    for number, (one, other) in enumerate(
        zip(old.training.phases, new.training.phases, strict=False)
    ):
        if number in reached and one.optimizer != other.optimizer:
            raise InputError(
                f"training.phases.{number}.optimizer: {one.optimizer} → {other.optimizer}, yet the "
                f"checkpoint of step {checkpoint.step} holds the state of {one.optimizer} in that "
                "phase; leave it, and change a later phase"
            )
    sources = [state["source"], *state["source"].values()]
    buffers = [one["buffer"] for one in sources if isinstance(one, dict) and one.get("buffer")]
    held = max((len(buffer.get("entries", ())) for buffer in buffers), default=0)
    if held > new.buffer.capacity:
        raise InputError(
            f"buffer.capacity: {old.buffer.capacity} → {new.buffer.capacity}, yet the checkpoint of "
            f"step {checkpoint.step} holds {held} samples; expected a capacity of {held} or more"
        )
    return checkpoint.step


def _entry(study: Study, step: int, changed: Sequence[Change] = ()) -> dict[str, Any]:
    return {"from_step": step, "changed": [str(c) for c in changed], "study": study.model_dump()}


def _entries(run: RunDirectory) -> list[dict[str, Any]]:
    if not run.lineage.is_file():
        return []
    remedy = f"remove it to take {run.study.name} as it is"
    with reading(run.lineage, SCHEMA_VERSION, remedy) as content:
        return content["studies"]


def _write(run: RunDirectory, study: Study, entries: list[dict[str, Any]]) -> None:
    text = dump_study(study)
    if not run.study.exists() or run.study.read_text(encoding="utf-8") != text:
        write_text(run.study, text)
    content = {"schema_version": SCHEMA_VERSION, "studies": entries}
    write_json(run.lineage, {**content, "mark": signed(run, entries[-1]["study"])})


def print_changes(changed: Sequence[Change]) -> None:
    """What a resumed run does otherwise from now on."""
    for change in changed:
        print(f"changed: {change}", file=sys.stderr)
