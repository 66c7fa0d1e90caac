"""What a person sees while a dataset is made: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

PLAIN_EVERY = 5.0


class Progress:
    """Shows how far the runs are.

    Args:
        title: dataset and file.
        plain: lines in place of the bar; default where the output is no terminal.
        stream: where to write, default stderr.
    """

    def __init__(self, title: str, *, plain: bool | None = None, stream: Any = None) -> None:
        self._console = Console(file=stream or sys.stderr, highlight=False)
        self._plain = not self._console.is_terminal if plain is None else plain
        self._title, self._found = title, 0
        self._live = None if self._plain else Live(console=self._console, refresh_per_second=4)
        self._began, self._last_line = time.monotonic(), 0.0

    def __enter__(self) -> Progress:
        if self._live is None:
            self.say(self._title)
        else:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        """A line that stays."""
        self._console.print(line, markup=False, soft_wrap=True)

    def begin(self, done: int = 0) -> None:
        """A new count begins, with so many done that say nothing of the time that is left."""
        self._found, self._began = done, time.monotonic()

    def update(
        self, what: str, done: int, total: int, notes: str = "", *, force: bool = False
    ) -> None:
        """How far it is: ``what 3/10 done, notes, about 20 s left``."""
        elapsed = time.monotonic() - self._began
        text = f"{what} {done}/{total} done{f', {notes}' if notes else ''}"
        if done > self._found and done < total:
            left = elapsed / (done - self._found) * (total - done)
            text += f", about {duration(left)} left"
        if self._live is not None:
            grid = Table.grid(padding=(0, 2))
            grid.add_row(ProgressBar(total=max(total, 1), completed=done, width=26), text)
            self._live.update(grid)
        elif force or time.monotonic() - self._last_line >= PLAIN_EVERY:
            self._last_line = time.monotonic()
            self.say(f"[{elapsed:6.1f} s] {text}")


def duration(seconds: float) -> str:
    """``45 s``, ``12 min`` or ``3.4 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
