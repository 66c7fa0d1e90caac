"""Warnings of solver programs as data: bounded, merged by kind, the largest one of each kept.

A program that steps on warns: the data that it gives are worth less than they look. So a warning goes
with the data: from the program through file or stream into recording, dataset, run, and the training.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

#: Kinds of warnings that one simulation keeps apart; what comes beyond is counted as one more kind.
KINDS = 8
#: Characters of the name of a kind, and of a text; the rest is cut off.
KIND_LIMIT, TEXT_LIMIT = 64, 300
MORE = "more"
#: Attribute of a dataset that holds its warnings, as JSON; coordinate of its samples with their kinds.
ATTRIBUTE, COORDINATE = "warnings", "warned"


@dataclass(frozen=True, slots=True)
class Warned:
    """All warnings of one kind in one simulation.

    Args:
        kind: what they have in common: ``under-resolved``.
        message: text of the largest one; of the first, where they have no values.
        value: how bad it is, the larger the worse; ``None`` where it has no measure.
        step: of the program, at which the largest one came.
        count: how many there were.
    """

    kind: str
    message: str
    value: float | None = None
    step: int | None = None
    count: int = 1

    @classmethod
    def made(
        cls,
        message: Any,
        value: float | None = None,
        step: int | None = None,
        kind: str | None = None,
    ) -> Warned:
        """From what a program says; texts are cut, and one line each.

        Without a kind, texts that differ in their numbers alone are of one.
        """
        text = _plain(message, TEXT_LIMIT)
        kind = _plain(
            kind if kind is not None else re.sub(r"\d[\d.,]*(e[-+]?\d+)?", "#", text), KIND_LIMIT
        )
        try:
            number = None if value is None else float(value)
        except OverflowError:
            number = None
        if number is not None and not math.isfinite(number):
            number = None
        return cls(kind or "warning", text, number, None if step is None else int(step))

    def worse(self, other: Warned) -> bool:
        """Whether this one is larger."""
        return self.value is not None and (other.value is None or self.value > other.value)

    def joined(self, other: Warned, count: int) -> Warned:
        """Both as one: text and step are those of the larger."""
        return replace(other if other.worse(self) else self, count=count)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Warnings:
    """What one rank of a program has warned of; of bounded size whatever is said.

    Attributes:
        version: changes when there is something worth sending: a new kind, or a value that has grown.
    """

    def __init__(self) -> None:
        self._by_kind: dict[str, Warned] = {}
        self.version = 0

    def add(self, warned: Warned) -> bool:
        """Count one in; whether it is the first of its kind."""
        kind = warned.kind
        if kind not in self._by_kind and len(self._by_kind) >= KINDS:
            kind = MORE
            warned = replace(warned, kind=MORE)
        before = self._by_kind.get(kind)
        if before is None:
            self._by_kind[kind] = warned
            self.version += 1
            return True
        self._by_kind[kind] = before.joined(warned, before.count + warned.count)
        self.version += warned.worse(before)
        return False

    def all(self) -> list[Warned]:
        return list(self._by_kind.values())


def joined(one: Iterable[Warned], other: Iterable[Warned]) -> list[Warned]:
    """What two ranks say of one simulation; the same said twice stays what it was."""
    by_kind = {w.kind: w for w in one}
    for w in other:
        before = by_kind.get(w.kind)
        by_kind[w.kind] = w if before is None else before.joined(w, max(before.count, w.count))
    return list(by_kind.values())[: KINDS + 1]


@dataclass(frozen=True, slots=True)
class Finding:
    """All warnings of one kind in many simulations.

    Args:
        kind, message, value, step: of the largest one; see :class:`Warned`.
        simulations: how many warned so.
        simulation: number of the one with the largest; −1: not known.
    """

    kind: str
    message: str
    value: float | None = None
    step: int | None = None
    simulations: int = 1
    simulation: int = -1

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def line(self, total: int | None = None, things: str = "simulations") -> str:
        """``3 of 66 simulations warned: …(largest, simulation 12, step 320)``."""
        thing = things.removesuffix("s")
        of = "" if total is None else f" of {total}"
        many = self.simulations > 1 or of
        where = [] if self.simulation < 0 else [f"{thing} {self.simulation}"]
        where += [] if self.step is None else [f"step {self.step}"]
        if where and self.simulations > 1:
            where = ["largest" if self.value is not None else "the first", *where]
        end = f" ({', '.join(where)})" if where else ""
        return f"{self.simulations}{of} {things if many else thing} warned: {self.message}{end}"


def findings(simulations: Mapping[int, Sequence[Warned]]) -> list[Finding]:
    """By kind, the most frequent first.

    Args:
        simulations: warnings of each, by number.
    """
    return gathered(
        Finding(w.kind, w.message, w.value, w.step, 1, number)
        for number, warned in sorted(simulations.items())
        for w in warned
    )


def gathered(several: Iterable[Finding]) -> list[Finding]:
    """Findings of parts of one whole as those of the whole."""
    by_kind: dict[str, Finding] = {}
    for one in several:
        before = by_kind.get(one.kind)
        if before is None:
            by_kind[one.kind] = one
            continue
        larger = one.value is not None and (before.value is None or one.value > before.value)
        count = before.simulations + one.simulations
        by_kind[one.kind] = replace(one if larger else before, simulations=count)
    return sorted(by_kind.values(), key=lambda f: -f.simulations)


def parsed(entries: Any) -> list[Warned]:
    """Entries as they come from outside.

    Raises:
        ValueError: what no :meth:`Warned.to_json` gave.
    """
    if not isinstance(entries, list) or len(entries) > KINDS + 1:
        raise ValueError(f"warnings {entries!r:.60}; expected a list of at most {KINDS + 1}")
    warned = []
    for entry in entries:
        if not isinstance(entry, dict):
            raise ValueError(f"warning {entry!r:.60}; expected a map")
        kind, text, count = entry.get("kind"), entry.get("message"), entry.get("count", 1)
        value, step = entry.get("value"), entry.get("step")
        fits = (
            isinstance(kind, str)
            and isinstance(text, str)
            and len(kind) <= KIND_LIMIT
            and len(text) <= TEXT_LIMIT
            and (value is None or type(value) in (int, float))
            and (step is None or (type(step) is int and 0 <= step < 1 << 53))
            and type(count) is int
            and 0 < count < 1 << 53
        )
        if not fits:
            raise ValueError(f"warning {entry!r:.60}; expected kind, message, value, step, count")
        warned.append(replace(Warned.made(text, value, step, kind), count=count))
    return warned


def to_attribute(warned: Sequence[Warned | Finding]) -> str:
    """What the attribute of a dataset holds."""
    return json.dumps([w.to_json() for w in warned], ensure_ascii=False)


def of_attribute(text: Any) -> list[Warned]:
    """Warnings of one simulation from the attribute of its file; a text of anyone's is one warning."""
    try:
        return parsed(json.loads(text))
    except (ValueError, TypeError):
        return [Warned.made(text, kind="warning")] if str(text).strip() else []


def carried(ds: xr.Dataset, held: Sequence[int] | None = None) -> list[Finding]:
    """The warnings that a dataset carries.

    Args:
        ds: of many simulations, it names those that warned in its coordinate ``warned``.
        held: places of the samples that are used; all by default.
    """
    text = ds.attrs.get(ATTRIBUTE)
    if text is None:
        return []
    try:
        entries = json.loads(text)
        known = {"kind", "message", "value", "step", "simulations", "simulation"}
        found = [Finding(**{k: v for k, v in entry.items() if k in known}) for entry in entries]
    except (ValueError, TypeError, AttributeError):
        found = [Finding("warning", _plain(text, TEXT_LIMIT))] if str(text).strip() else []
    if COORDINATE not in ds.variables:
        return found
    marks = ds[COORDINATE]
    kinds = [str(value).split(", ") for value in marks.values.ravel()]
    labels = range(len(kinds))
    if marks.ndim and marks.dims[0] in ds.coords:
        labels = ds[marks.dims[0]].values.tolist()
    places = range(len(kinds)) if held is None or not marks.ndim else held
    counted = []
    for f in found:
        said = [labels[place] for place in places if f.kind in kinds[place]]
        # The largest of all may be none of these; then its number says nothing here.
        there = f if f.simulation in said else replace(f, simulation=-1, step=None)
        counted.append(replace(there, simulations=len(said)))
    return [f for f in counted if f.simulations]


def log_findings(
    findings: Sequence[Finding], log: logging.Logger, total: int | None = None
) -> None:
    """Say once what data carry that are to be used."""
    for one in findings:
        log.warning("the solver of these data: %s", one.line(total))


def _plain(text: Any, limit: int) -> str:
    """One line of what can be printed."""
    words = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return words if len(words) <= limit else words[: limit - 1] + "…"
