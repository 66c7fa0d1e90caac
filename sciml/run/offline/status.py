"""How far a run without solvers is, for its folder and its display."""

from __future__ import annotations

import time
from typing import Any

from sciml.ensemble.folders import without_room, write_json
from sciml.report.progress import Progress
from sciml.run.directory import RunDirectory
from sciml.run.display import rows
from sciml.run.snapshot import Snapshot
from sciml.study.schema import Study


class Teller:
    """Keeps ``status.json`` and the display up to date, a few times a second."""

    EVERY = 0.25

    def __init__(self, run: RunDirectory, display: Progress, total: int, study: Study) -> None:
        self._run, self._display, self._total = run, display, total
        self.progress: dict[str, Any] = {"step": 0, "steps": study.training.steps, "loss": None}
        self.state: dict[str, Any] = {"offline": True}
        self._last = 0.0

    def say(self, line: str) -> None:
        self._display.say(line)

    def tell(self, state: str, *, force: bool = False) -> None:
        if not force and time.monotonic() - self._last < self.EVERY:
            return
        self._last = time.monotonic()
        counts = dict.fromkeys(Snapshot().simulations, 0)
        counts |= {"total": self._total, "done": self._total}
        snapshot = Snapshot(counts, {"state": state, **self.progress, **self.state})
        with without_room():  # the next one, a moment later, may find some
            write_json(self._run.status, snapshot.to_json())
        self._display.update(rows(snapshot), force=force)
