"""How far something is: rows that are written over in place, lines in logs, or nothing."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

#: Seconds between two looks, in place and as lines.
IN_PLACE, AS_LINES = 0.5, 5.0
#: Lines that a notebook keeps above the rows.
KEPT = 50


@dataclass(frozen=True, slots=True)
class ProgressRow:
    """One thing that goes on.

    Args:
        name: what it is.
        text: how far.
        done, total: for a bar; ``None``: none.
    """

    name: str
    text: str
    done: float | None = None
    total: float | None = None


@final
class Progress:
    """The one display: of a run, of a training, of a dataset that is made.

    In a terminal and in a notebook rows stand in one place; elsewhere (a batch job's log) a line comes
    every :data:`AS_LINES` seconds, or nothing does.

    Args:
        title: above the rows.
        plain: lines, also in a terminal; ``None``: where there is neither terminal nor notebook.
        quiet: nothing at all where there is neither.
        stream: where to write, default stderr, so that stdout stays free for results.
    """

    def __init__(
        self, title: str, *, plain: bool | None = None, quiet: bool = False, stream: Any = None
    ) -> None:
        self.title = title
        self._console = Console(file=stream or sys.stderr, highlight=False, force_jupyter=False)
        self._how = _how(self._console, plain, quiet)
        self._live: Live | None = None
        self._handle: Any = None
        self._rows: Sequence[ProgressRow] = ()
        self._said: list[str] = []
        self._began, self._last = time.monotonic(), 0.0

    @property
    def quiet(self) -> bool:
        """Whether nobody sees it."""
        return self._how == "quiet"

    def __enter__(self) -> Progress:
        if self._how == "terminal":
            # Drawn when there is something new: a thread of its own would compete with the training.
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        elif self._how == "notebook":
            from IPython.display import HTML, display

            self._handle = display(HTML(self._html()), display_id=True)
        elif self._how == "lines":
            self._print(self.title)
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        """A line that stays: an event, a warning, a result."""
        if self._handle is not None:
            self._said = [*self._said, line][-KEPT:]
            self._show()
        elif not self.quiet:
            self._print(line)

    def begin(self) -> None:
        """Count the seconds from now on."""
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    @property
    def due(self) -> bool:
        """Whether it is time for another look; ask before rows are made, where steps are many."""
        if self.quiet:
            return False
        return time.monotonic() - self._last >= (AS_LINES if self._how == "lines" else IN_PLACE)

    def update(self, rows: Sequence[ProgressRow], *, force: bool = False) -> None:
        """Show the rows, where it is time for that, or by force."""
        if self.quiet or not (force or self.due):
            return
        self._last, self._rows = time.monotonic(), rows
        if self._how == "lines":
            self._print(line_of(rows, self.elapsed))
        else:
            self._show()

    def _show(self) -> None:
        if self._live is not None:
            self._live.update(table_of(self.title, self._rows, self.elapsed), refresh=True)
        elif self._handle is not None:
            from IPython.display import HTML

            self._handle.update(HTML(self._html()))

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)

    def _html(self) -> str:
        said = "".join(f"<div>{html.escape(line)}</div>" for line in self._said)
        cells = "".join(
            f"<tr><th style='text-align:right'>{html.escape(row.name)}</th><td>{_bar_html(row)}</td>"
            f"<td style='text-align:left'>{html.escape(row.text)}</td></tr>"
            for row in self._rows
        )
        head = f"<b>{html.escape(self.title)}</b> {self.elapsed:.0f} s"
        return f"{said}<div>{head}</div><table>{cells}</table>"


def line_of(rows: Sequence[ProgressRow], elapsed: float) -> str:
    """One line that stands for the whole table; meant for log files of batch jobs."""
    words = (f"{row.name} {row.text}".strip() for row in rows if row.text)
    return " | ".join([f"[{elapsed:6.1f} s]", *words])


def table_of(title: str, rows: Sequence[ProgressRow], elapsed: float) -> Table:
    table = Table.grid(padding=(0, 2))
    table.title, table.title_justify = Text(f"{title}  {elapsed:.0f} s"), "left"
    table.title_style = "bold"
    table.add_column(style="bold", justify="right", min_width=12)
    table.add_column(min_width=26)
    table.add_column(overflow="fold")
    for row in rows:
        bar: Any = ""
        if row.total is not None:
            bar = ProgressBar(total=max(row.total, 1), completed=row.done or 0, width=26)
        table.add_row(row.name, bar, Text(row.text))
    return table


def duration(seconds: float) -> str:
    """``45 s``, ``12 min`` or ``3.4 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def left(done: float, total: float, elapsed: float) -> str:
    """``about 20 s left``, where that can be told."""
    if not 0 < done < total:
        return ""
    return f"about {duration(elapsed / done * (total - done))} left"


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook, which can overwrite what it displays."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


def _how(console: Console, plain: bool | None, quiet: bool) -> str:
    if plain:
        return "lines"
    if console.is_terminal and not console.is_dumb_terminal:
        return "terminal"
    if in_notebook():
        return "notebook"
    return "quiet" if quiet else "lines"


def _bar_html(row: ProgressRow) -> str:
    if row.total is None:
        return ""
    return f"<progress value='{row.done or 0:g}' max='{max(row.total, 1):g}'></progress>"
