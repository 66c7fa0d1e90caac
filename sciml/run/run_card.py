"""What a run says of itself, from the files in its folder: nothing is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from sciml.domain.wire import domain_from_wire, fields_from_wire
from sciml.ensemble.folders import read_json
from sciml.errors import ScimlError
from sciml.report import card
from sciml.report.card import shown
from sciml.run.directory import RunDirectory
from sciml.samples import Task
from sciml.samples.step import Step


def about(run: RunDirectory, status: Mapping[str, Any]) -> tuple[str, card.Rows]:
    """Title and rows: state, what was learned and where, parameters, errors.

    A file that cannot be read is said so in a row, and does not take the others along.

    Args:
        run: its folder.
        status: the last snapshot.
    """
    rows: list[tuple[str, str]] = []
    for part in (_state, _learned, _simulations, _errors):
        try:
            rows += part(run, status)
        except (OSError, ValueError, KeyError, TypeError, ScimlError) as error:
            rows.append(("unreadable", f"{type(error).__name__}: {error}"))
    return f"Run {run.path.name}", [*rows, ("lies in", shown(run.path))]


def _state(run: RunDirectory, status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    said = str(status.get("state", "not begun"))
    training = status.get("training") or {}
    if training.get("step"):
        of = f" of {training['steps']}" if training.get("steps") else ""
        said += f", step {training['step']}{of}"
    if status.get("reason"):
        said += f": {status['reason']}"
    yield "state", said


def _learned(run: RunDirectory, status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """By the card of the surrogate, which is there in the end."""
    path = run.surrogate / "surrogate.json"
    if not path.is_file():
        return
    said = read_json(path)
    domain = said.get("domain")
    kind = (domain or {}).get("kind")
    yield from card.learned(
        Task.of(said["task"]),
        fields_from_wire(said["fields"]),
        domain_from_wire(domain) if kind == "grid" else None,
        Step(**said["step"]) if said.get("step") else None,
        said["model"],
        said["weights"],
        said["increment"],
    )
    if kind not in (None, "grid"):
        yield "domain", f"{kind}s" if not kind.endswith("s") else kind


def _simulations(run: RunDirectory, status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    plan = read_json(run.simulations) if run.simulations.is_file() else []
    roles = Counter(entry["role"] for entry in plan)
    words = {"train": "for training", "validation": "held out", "test": "for testing, not read"}
    yield "simulations", ", ".join(f"{n} {words.get(role, role)}" for role, n in roles.items())
    units = {}
    if run.solver.is_file():
        units = {p["name"]: p.get("units", "1") for p in read_json(run.solver)["parameters"]}
    names = dict.fromkeys(name for entry in plan for name in entry["parameters"])
    spans = {}
    for name in names:
        values = [entry["parameters"][name] for entry in plan if name in entry["parameters"]]
        spans[name] = (min(values), max(values))
    yield "parameters", card.ranges(spans, units)


def _errors(run: RunDirectory, status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if run.summary.is_file():
        summary = read_json(run.summary)
        yield "errors", card.errors(summary)
        fields = summary.get("fields") or {}
        if len(fields) > 1:
            yield from ((f"  of {n}", card.errors({**summary, **of})) for n, of in fields.items())
