"""What differs between two studies, and what of it a run can take on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sciml.study.schema import Study

#: Keys that stay as a run began, each with everything below it, and why.
FIXED: dict[str, str] = {
    "seed": "the design, the first weights and the order of draws follow from it",
    "solver.program": "it made the frames that were trained on",
    "solver.options": "they made the frames that were trained on",
    "solver.send": "it made the frames that were trained on",
    "parameters": "numbers, parameters and roles of all simulations follow from it",
    "task": "model and samples have its shape",
    "model": "the weights are those of that model",
    "buffer.kind": "the samples of the checkpoint lie in a buffer of that kind",
    "validation.simulations": "which simulations are held out follows from it",
}


class _Absent:
    def __repr__(self) -> str:
        return "unset"


ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class Change:
    """One key that differs.

    Args:
        key: dotted, ``training.phases.0.lr``.
        old, new: values; :data:`ABSENT` where the key is not there.
    """

    key: str
    old: Any
    new: Any

    @property
    def fixed(self) -> str | None:
        """Why a run cannot go on with it; ``None`` if it can."""
        return next(
            (why for key, why in FIXED.items() if f"{self.key}.".startswith(f"{key}.")), None
        )

    def __str__(self) -> str:
        return f"{self.key}: {_shown(self.old)} → {_shown(self.new)}"


def changes(old: Study, new: Study) -> list[Change]:
    """Every key in which ``new`` differs, in order of the file, what is gone last.

    Defaults are compared as if they were written out: a key left away and its default are equal.
    """
    return differences(old.model_dump(), new.model_dump())


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """The same of two trees of plain values."""
    before, after = _flat(old), _flat(new)
    pairs = {
        key: (before.get(key, ABSENT), after.get(key, ABSENT))
        for key in dict.fromkeys([*after, *before])
    }
    # A value and the empty section that it came into are told by the value alone.
    return [
        Change(key, one, other)
        for key, (one, other) in pairs.items()
        if one != other and not ({} in (one, other) and ABSENT in (one, other))
    ]


def _flat(tree: Mapping[str, Any], head: str = "") -> dict[str, Any]:
    """Values by dotted key; lists of sections are numbered, as in ``--set``."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        key = f"{head}{name}"
        if isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
            value = {str(number): entry for number, entry in enumerate(value)}
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{key}.")
        else:
            flat[key] = value
    return flat


def _shown(value: Any) -> str:
    """As it would be written in a study file."""
    if value is ABSENT or isinstance(value, str):
        return repr(value) if value in (ABSENT, "") else value
    return json.dumps(value, ensure_ascii=False)
