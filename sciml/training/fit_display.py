"""What is seen of a ``fit`` while it trains: the display, or lines of log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from sciml.report.progress import Progress, ProgressRow, left
from sciml.training.figures import lines, short
from sciml.training.history import History, StepRecord
from sciml.training.phase import Phase

log = logging.getLogger("sciml.fit")

#: Seconds between two lines of log, at least: fewer would fill the logs of long trainings.
LOGGED = 10.0


class FitDisplay:
    """Rows in a terminal or notebook; elsewhere, and where somebody reads the log, lines of that.

    Args:
        title: of the display.
        phases: of the training, for what is left of it.
        epoch_steps: steps of an epoch; ``None`` where there are none, as of points of a box.
        show: the display; ``None``: where there is a terminal or a notebook, and no log is read.
    """

    def __init__(
        self,
        title: str,
        phases: Sequence[Phase],
        epoch_steps: int | None,
        show: bool | None = None,
    ) -> None:
        # One display a terminal, and it belongs to the main thread.
        main = threading.current_thread() is threading.main_thread()
        shown = show or (show is None and main and not log.isEnabledFor(logging.INFO))
        self.progress = Progress(title, quiet=True) if shown else None
        lengths = [phase.length(epoch_steps) for phase in phases]
        self._steps = None if None in lengths else sum(lengths)
        self._epoch_steps = epoch_steps
        self._seconds, self._first = 0.0, 0
        self._checked, self._seen = "", []

    def __enter__(self) -> FitDisplay:
        if self.progress is not None:
            self.progress.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self.progress is not None:
            self.progress.__exit__(*error)

    def on_step(self, step: StepRecord, history: History) -> None:
        self._first = self._first or step.step
        if self.progress is not None and (self.progress.due or step.step == self._steps):
            self.progress.update(self._rows(step, history), force=step.step == self._steps)
        spent = history.wait + history.compute
        if step.step % (self._epoch_steps or 1) == 0 and spent - self._seconds >= LOGGED:
            self._seconds = spent
            log.info("step %d, loss %.3e, lr %.1e, %.0f s", step.step, step.loss, step.lr, spent)

    def on_validation(self, found: Mapping[str, Any]) -> None:
        self._checked = f"{short(found)} (step {found['step']})"
        if self.progress is not None:
            rows = [row for row in self._seen if row.name != "validation"]
            self.progress.update([*rows, ProgressRow("validation", self._checked)], force=True)
        told = map(str.strip, lines(found))
        log.info("step %d, validation: %s", found["step"], "; ".join(told))

    def _rows(self, step: StepRecord, history: History) -> list[ProgressRow]:
        done, steps = step.step, self._steps
        of = self._epoch_steps
        epoch = f", epoch {(done - 1) // of + 1}" if of else ""
        if steps:
            epoch += f"/{-(-steps // of)}" if of else ""
            trained = done - self._first + 1  # of this life
            ahead = left(trained, trained + steps - done, history.wait + history.compute)
            epoch += f", {ahead}" if ahead else ""
        self._seen = [
            ProgressRow("step", f"{done}{f'/{steps}' if steps else ''}{epoch}", done, steps),
            ProgressRow("loss", f"{step.loss:.3e}, lr {step.lr:.1e}"),
            ProgressRow("validation", self._checked or "none yet"),
        ]
        return self._seen
