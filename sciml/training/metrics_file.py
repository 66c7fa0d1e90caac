"""``metrics.jsonl``: the loss every few steps and every validation, a line of JSON each."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from sciml.errors import ScimlError, no_room
from sciml.report.rows import append
from sciml.training.history import StepRecord

#: Steps that a line stands for. Fewer make a finer curve and a longer file: 80 bytes a line.
EVERY = 10


@final
class MetricsFile:
    """Appends to a file as a training goes; its lines are read by :mod:`sciml.report.history`.

    Of :data:`EVERY` steps at once: ``step`` (the last of them), ``loss`` (their mean), ``lr`` (of the
    last), and in ``losses`` each by name where there are several. Of a validation: ``step``, ``loss`` of
    that step, and what it found, with ``fields`` among it.

    Nothing in it depends on how fast it went, so that a resumed training leaves the file of one piece.
    A line that the disk has no room for is left out, with a warning.

    Args:
        path: of the file.
        log: warned.
    """

    def __init__(self, path: Path, log: logging.Logger) -> None:
        self.path = path
        self._log = log
        self._last: float | None = None
        self._steps = 0
        self._at = (0, 0.0)
        self._losses: dict[str, float] = {}
        self._total = 0.0

    def begin(self) -> None:
        """Nothing has been trained yet: what a life without a checkpoint left goes."""
        self.path.unlink(missing_ok=True)

    def on_step(self, step: StepRecord) -> None:
        for name, value in step.losses.items():
            self._losses[name] = self._losses.get(name, 0.0) + value
        self._total += step.loss
        self._steps += 1
        self._last, self._at = step.loss, (step.step, step.lr)
        if step.step % EVERY == 0:
            self.flush()

    def on_validation(self, found: Mapping[str, Any]) -> None:
        self._append({"loss": self._last, **found})

    def state_dict(self) -> dict[str, Any]:
        """What has no line yet."""
        losses = dict(self._losses)
        return {"steps": self._steps, "total": self._total, "losses": losses, "at": list(self._at)}

    def load_state_dict(self, state: Mapping[str, Any], step: int, loss: float | None) -> None:
        """Go on behind a checkpoint of that step: what was measured after it leaves the file."""
        self._last, self._steps = loss, state["steps"]
        self._total, self._losses = state["total"], dict(state["losses"])
        self._at = tuple(state["at"])
        if self.path.exists():
            lines = self.path.read_text().splitlines(keepends=True)
            self.path.write_text("".join(line for line in lines if _step_of(line) <= step))

    def flush(self) -> None:
        """A line of the steps that have none yet; at the end, of fewer than usual."""
        count, (step, rate) = self._steps, self._at
        if not count:
            return
        line: dict[str, Any] = {"step": step, "loss": self._total / count, "lr": rate}
        if len(self._losses) > 1:
            line["losses"] = {name: value / count for name, value in self._losses.items()}
        self._steps, self._total, self._losses = 0, 0.0, {}
        self._append(line)

    def _append(self, entry: Mapping[str, Any]) -> None:
        try:
            append(self.path, entry)
        except (OSError, ScimlError) as error:
            if not no_room(error):
                raise
            self._log.warning("not written: %s", error)


def _step_of(line: str) -> float:
    """Step of a line; one that a kill tore counts as too late."""
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError):
        return float("inf")
