"""The state of a run at one moment, as `sciml status` prints it and the display shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: States of a run that nobody leads any more: after the second and third it can be resumed, and after
#: the fourth, where its processes were killed before they could say so.
ENDED = ("finished", "stopped", "failed", "killed")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Counts from both sides of a run.

    Args:
        simulations: of the launcher: ``total, done, running, restarted, given_up, quarantined,
            skipped`` (not needed any more when training was over).
        trainer: of the trainer: ``state``, one of :data:`ENDED` once the run has ended, ``reason`` of a
            failure, ``step, steps, loss, error, persistence, waiting, frames,
            samples, buffer, stream, warned, warnings, quarantined, memory``; empty until it answers.
    """

    simulations: Mapping[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("total", "done", "running", "restarted", "given_up", "quarantined", "skipped"), 0
        )
    )
    trainer: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The stable form: ``frames``, ``samples``, ``simulations`` and the training's figures."""
        t = self.trainer
        return {
            "state": t.get("state", "starting"),
            "frames": _counts(t.get("frames"), ("produced", "received", "lost", "doubled")),
            "samples": _counts(t.get("samples"), ("entered", "drawn", "evicted", "rolled_back")),
            "simulations": dict(self.simulations),
            "buffer": t.get("buffer") or {},
            "training": {
                key: t.get(key)
                for key in ("step", "steps", "loss", "error", "persistence", "waiting")
            },
            "warned": t.get("warned") or 0,
            "warnings": t.get("warnings") or [],
            "memory": t.get("memory"),
            **({"reason": t["reason"]} if t.get("reason") else {}),
        }


def _counts(section: Mapping[str, int] | None, names: tuple[str, ...]) -> dict[str, int]:
    return {name: int((section or {}).get(name, 0)) for name in names}
