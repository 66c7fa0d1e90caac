"""What an object says of itself, in a few rows: as text, and in notebooks as a table."""

from __future__ import annotations

import html as escaping
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sciml.domain import Field, Grid
from sciml.domain.grid import GLOBE
from sciml.samples import Task

#: Names in a row; more are counted.
MOST = 12

Rows = Sequence[tuple[str, str]]


def text(title: str, rows: Rows) -> str:
    """Title, and a row each below it; rows without text stay out."""
    there = [(name, said) for name, said in rows if said]
    width = max((len(name) for name, _ in there), default=0)
    return "\n".join([title, *(f"  {name:<{width}}  {said}" for name, said in there)])


def html(title: str, rows: Rows) -> str:
    """The same for a notebook."""
    cells = "".join(
        f"<tr><th style='text-align:left'>{escaping.escape(name)}</th>"
        f"<td style='text-align:left'>{escaping.escape(said)}</td></tr>"
        for name, said in rows
        if said
    )
    return f"<div><b>{escaping.escape(title)}</b><table>{cells}</table></div>"


def shown(path: Path) -> str:
    """A path as a person would type it."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def among(names: Iterable[str]) -> str:
    """Names behind each other, as many as one can read."""
    names = list(names)
    more = f", … ({len(names)} in all)" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more


def fields(known: Iterable[Field]) -> str:
    """``u [K], v [m s-1] (3 components)``."""
    return among(_field(field) for field in known)


def place(domain: Any) -> str:
    """Where fields live: points, box and boundaries of a grid; of anything else its kind."""
    if domain is None:
        return ""
    if not isinstance(domain, Grid):
        least, most = getattr(domain, "least", 0), getattr(domain, "most", 0)
        count = f"{least} to {most}" if most and least != most else f"{most or domain.size}"
        many = {"mesh": "meshes of {} points", "graph": "graphs of {} nodes"}
        return many.get(domain.kind, f"{{}} {domain.kind}").format(count)
    axes = []
    for axis, (dim, size) in enumerate(zip(domain.dims, domain.shape, strict=True)):
        meaning = domain.meanings[axis] if domain.meanings else ""
        low, high = domain.extent[axis]
        units = GLOBE.get(meaning, domain.units)
        box = f"{low:g} … {high:g}{'' if units == '1' else f' {units}'}"
        axes.append(f"{meaning or dim} {size} ({box}, {domain.boundary[axis]})")
    return " × ".join(axes)


def learned(
    task: Task,
    known: Iterable[Field],
    domain: Any,
    step: Any,
    model: Mapping[str, Any] | None,
    weights: int,
    increment: bool,
) -> Rows:
    """Rows that a surrogate and its run share.

    Args:
        task: of it.
        known: fields with their units.
        domain: where it was trained.
        step: between two frames; ``None``: not known.
        model: name and options; ``None``: a module of the user's.
        weights: how many there are.
        increment: whether the model gives the change.
    """
    by_name = {field.name: field for field in known}
    moving = [by_name.get(name, Field(name)) for name in dict.fromkeys(task.moving)]
    given = [*task.inputs, *task.static, *task.forcing, *task.parameters]
    ahead = "at the same time"
    if task.lead and task.history:
        ahead = f"{task.lead} step{'s' if task.lead > 1 else ''} ahead"
    ahead += ", as a change" if increment else ""
    if task.history > 1:
        ahead += f", from {task.history} frames"
    options = dict(model or {})
    name = options.pop("name", "a module of your own")
    said = ", ".join(f"{key}={value}" for key, value in options.items())
    return [
        ("learned", f"{among(given) or 'time'} → {among(task.targets)}, {ahead}"),
        ("fields", fields(moving)),
        ("grid" if isinstance(domain, Grid) else "domain", place(domain)),
        ("dt", "" if step is None else str(step)),
        ("model", f"{name}{f': {said}' if said else ''}; {weights} weights"),
    ]


def ranges(parameters: Mapping[str, tuple[float, float] | None], units: Mapping[str, str]) -> str:
    """``kappa 0.1 … 0.2 m2 s-1``."""
    words = []
    for name, span in parameters.items():
        values = "" if span is None else f" {span[0]:g} … {span[1]:g}"
        if span is not None and span[0] == span[1]:
            values = f" {span[0]:g}"
        unit = units.get(name, "1")
        words.append(f"{name}{values}{'' if unit in ('', '1') or not values else f' {unit}'}")
    return among(words)


def errors(figures: Mapping[str, Any]) -> str:
    """Of a validation: VRMSE of one call and along the rollout, relative L2 where there is none."""
    words = []
    for pairs, where in (
        ((("vrmse", "vrmse_persistence"), ("one_step", "persistence")),
         "" if figures.get("same_frame") else " after one step"),
        ((("vrmse_rollout_last", "vrmse_persistence_last"), ("rollout_last", "persistence_last")),
         f" after {figures.get('rollout_steps', '')} steps"),
    ):  # fmt: skip
        for key, beside in pairs:
            if figures.get(key) is not None:
                measure = "VRMSE" if key.startswith("vrmse") else "relative L2"
                still = f" (persistence {figures[beside]:.2e})" if figures.get(beside) else ""
                words.append(f"{measure} {figures[key]:.2e}{still}{where}")
                break
    return "; ".join(words)


def _field(field: Field) -> str:
    said = field.name if field.units in ("", "1") else f"{field.name} [{field.units}]"
    if field.components:
        said += f" ({field.components} components)"
    return said if field.on == "point" else f"{said}, a value {_PLACE[field.on]}"


_PLACE = {"cell": "a cell", "edge": "an edge", "global": "a frame"}
