"""The state of a run at one moment, for `sciml status` and the display."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sciml.ensemble.folders import read_json, write_json
from sciml.ensemble.leader import read_lease
from sciml.errors import InputError
from sciml.run.directory import RunDirectory
from sciml.stream.ledger import SAMPLES

#: States of a run that nobody leads any more: after the second and third it can be resumed, and after
#: the fourth, where its processes were killed before they could say so.
ENDED = ("finished", "stopped", "failed", "killed")
#: What is counted: see :class:`sciml.stream.ledger.Ledger`, and :class:`sciml.run.account.Account` for
#: what is ``expected`` by the plan (None where that is not known) and ``missing``.
FRAMES = ("expected", "produced", "received", "held", "dropped", "lost", "missing", "doubled")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Counts from both sides of a run.

    Args:
        simulations: of the launcher: ``total, done, running, restarted, given_up, quarantined,
            skipped`` (not needed any more when training was over).
        trainer: of the trainer: ``state``, one of :data:`ENDED` once the run has ended, ``reason`` of a
            failure, ``step, steps, loss``, of the last validation ``error, persistence`` (relative L2),
            ``vrmse, vrmse_persistence, vrmse_fields, same_frame, mae_per_particle, mae, accuracy,
            units``, and ``waiting, frames, samples, buffer, stream, warned, warnings, quarantined,
            memory``; empty until it answers.
        queue: of worker jobs of Slurm's: ``wanted, running, pending`` (why); empty elsewhere.
    """

    simulations: Mapping[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("total", "done", "running", "restarted", "given_up", "quarantined", "skipped"), 0
        )
    )
    trainer: Mapping[str, Any] = field(default_factory=dict)
    queue: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The stable form: ``frames``, ``samples``, ``simulations`` and the training's figures."""
        t = self.trainer
        return {
            "state": t.get("state", "starting"),
            "frames": _counts({"expected": None, **(t.get("frames") or {})}, FRAMES),
            "samples": _counts(t.get("samples"), SAMPLES),
            "simulations": dict(self.simulations),
            "buffer": t.get("buffer") or {},
            "training": {
                key: t.get(key)
                for key in (
                    "step",
                    "steps",
                    "loss",
                    "error",
                    "persistence",
                    "vrmse",
                    "vrmse_persistence",
                    "vrmse_fields",
                    "same_frame",
                    "mae_per_particle",
                    "mae",
                    "accuracy",
                    "units",
                    "waiting",
                )
            },
            "warned": t.get("warned") or 0,
            "warnings": t.get("warnings") or [],
            "memory": t.get("memory"),
            **({"queue": dict(self.queue)} if self.queue else {}),
            **({"reason": t["reason"]} if t.get("reason") else {}),
        }


def refuse_finished(run: RunDirectory) -> None:
    """Refuse to go on with a run that has its summary, and says that it has finished."""
    if read_status(run).get("state") == "finished":
        raise InputError(
            f"{run.path} has finished; nothing to resume (see sciml evaluate {run.path})"
        )


def is_left(run: RunDirectory) -> bool:
    """Whether who led a run has left it in order, so that none of its processes are there."""
    return bool(read_lease(run).get("released"))


def complete(run: RunDirectory) -> None:
    """Say of a run that has its summary that it has finished.

    The summary is what the trainer writes last; a supervisor may be killed before it has said it.

    Raises:
        InputError: it says so.
    """
    refuse_finished(run)
    state = read_status(run)
    last = read_json(run.last_words) if run.last_words.exists() else {}
    counts = {**(state.get("simulations") or {}), **outcomes(run)}
    snapshot = Snapshot(counts, {**last, "state": "finished"})
    write_json(run.status, {**state, **snapshot.to_json()})


def read_status(run: RunDirectory) -> dict[str, Any]:
    """The last status of a run; empty before there is one."""
    return read_json(run.status) if run.status.exists() else {}


def outcomes(run: RunDirectory) -> dict[str, int]:
    """Simulations by outcome, from the summary of a run, in the words of a status: the trainer knows
    what came of those whose jobs nobody saw end. Empty of a run without solvers."""
    counted = read_json(run.summary).get("simulations")
    if not counted:
        return {}
    names = ("given_up", "quarantined", "skipped")
    counts = {"total": counted["planned"], "done": counted["finished"], "running": 0}
    return counts | {name: counted[name] for name in names}


def _counts(section: Mapping[str, Any] | None, names: tuple[str, ...]) -> dict[str, int | None]:
    counts = {name: (section or {}).get(name, 0) for name in names}
    return {name: None if count is None else int(count) for name, count in counts.items()}
