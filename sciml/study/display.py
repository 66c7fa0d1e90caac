"""What a person sees of a running study: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from sciml.study.snapshot import Snapshot

PLAIN_EVERY = 5.0


class Display:
    """Shows snapshots as they come.

    Args:
        title: name of the study and its run directory.
        plain: lines in place of the live table; default where the output is no terminal.
        stream: where to write, default stderr, so that stdout stays free for results.
    """

    def __init__(self, title: str, *, plain: bool | None = None, stream: Any = None) -> None:
        self._console = Console(file=stream or sys.stderr, highlight=False)
        self._plain = not self._console.is_terminal if plain is None else plain
        self._title = title
        self._live = None if self._plain else Live(console=self._console, refresh_per_second=4)
        self._last_line = 0.0
        self._began = time.monotonic()

    def __enter__(self) -> Display:
        if self._live is not None:
            self._live.start()
        else:
            self.say(self._title)
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        """A line that stays: an event, a warning, a result."""
        self._console.print(line, markup=False, soft_wrap=True)

    def update(self, snapshot: Snapshot, *, force: bool = False) -> None:
        elapsed = time.monotonic() - self._began
        if self._live is not None:
            self._live.update(table(self._title, snapshot, elapsed))
        elif force or time.monotonic() - self._last_line >= PLAIN_EVERY:
            self._last_line = time.monotonic()
            self.say(plain_line(snapshot, elapsed))


def plain_line(snapshot: Snapshot, elapsed: float) -> str:
    """One line that stands for the whole table; meant for log files of batch jobs."""
    s, t = snapshot.simulations, snapshot.trainer
    parts = [
        f"[{elapsed:6.1f} s]",
        f"simulations {s['done']}/{s['total']} done, {s['running']} running, "
        f"{s['restarted']} restarted"
        + (f", {s['given_up']} given up" if s["given_up"] else "")
        + (f", {t['warned']} warned" if t.get("warned") else ""),
        f"frames {_frames(t)}",
        f"buffer {_get(t, 'buffer', 'size'):d}/{_get(t, 'buffer', 'capacity'):d} "
        f"({_get(t, 'buffer', 'repeats'):.1f} repeats)",
        f"step {t.get('step', 0)}" + (f"/{t['steps']}" if t.get("steps") else ""),
    ]
    if t.get("loss") is not None:
        parts.append(f"loss {t['loss']:.3e}")
    if error := validation(t):
        parts.append(f"validation {error}")
    parts.append(limit(snapshot))
    return " | ".join(parts)


def table(title: str, snapshot: Snapshot, elapsed: float) -> Group:
    """The live view."""
    s, t = snapshot.simulations, snapshot.trainer
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", justify="right", min_width=12)
    grid.add_column(min_width=26)
    grid.add_column()
    warned = f", [red]{t['warned']} warned[/red]" if t.get("warned") else ""
    given_up = f", [red]{s['given_up']} given up[/red]" if s["given_up"] else ""
    grid.add_row(
        "simulations",
        _bar(s["done"], s["total"]),
        f"{s['done']} of {s['total']} done, {s['running']} running, "
        f"{s['restarted']} restarted{given_up}{warned}",
    )
    grid.add_row(
        "frames",
        "",
        f"{_frames(t)} received, {_get(t, 'frames', 'lost')} lost, "
        f"{_get(t, 'frames', 'doubled')} doubled; {_get(t, 'stream', 'bytes') / 1e6:.1f} MB",
    )
    grid.add_row(
        "buffer",
        _bar(_get(t, "buffer", "size"), _get(t, "buffer", "capacity")),
        f"{_get(t, 'buffer', 'size')} of {_get(t, 'buffer', 'capacity')} samples, "
        f"{_get(t, 'buffer', 'unseen')} unseen; {_get(t, 'buffer', 'repeats'):.1f} repeats",
    )
    loss = "" if t.get("loss") is None else f"loss {t['loss']:.3e}"
    grid.add_row(
        "training",
        _bar(t.get("step", 0), t.get("steps") or 0),
        f"step {t.get('step', 0)}" + (f" of {t['steps']}" if t.get("steps") else "") + f"  {loss}",
    )
    grid.add_row("validation", "", validation(t) or "none yet")
    grid.add_row("speed", "", limit(snapshot))
    return Group(f"[bold]{title}[/bold]  {elapsed:.0f} s", grid)


def validation(trainer: Mapping[str, Any]) -> str:
    """The error one step ahead: VRMSE, of which no offset of a field makes something small; with
    several fields the worst besides. Relative L2 where snapshots have no variance."""
    keys = ("vrmse", "vrmse_persistence")
    if trainer.get("vrmse") is None:
        keys = ("error", "persistence")
    value, persistence = (trainer.get(key) for key in keys)
    if value is None:
        return ""
    told = f"{'VRMSE' if keys[0] == 'vrmse' else 'relative L2'} {value:.3e}"
    if persistence:
        told += f" (persistence {persistence:.3e})"
    fields = {n: v for n, v in (trainer.get("vrmse_fields") or {}).items() if v is not None}
    if len(fields) > 1:
        worst = max(fields, key=fields.__getitem__)
        told += f", worst {worst} {fields[worst]:.3e}"
    return told


def limit(snapshot: Snapshot) -> str:
    """What keeps the run from going faster, in words."""
    q = snapshot.queue
    if q and q["wanted"] and not q["running"]:
        return f"waiting for Slurm: 0 of {q['wanted']} worker jobs run" + (
            f" (pending: {q['pending']})" if q["pending"] else ""
        )
    waiting = snapshot.trainer.get("waiting")
    state = snapshot.trainer.get("state", "starting")
    if waiting is None or state != "training":
        return state
    if waiting > 0.5:
        return f"waiting for data ({waiting:.0%} of the time): more simulations at once would help"
    return f"limited by training ({1 - waiting:.0%} of the time): more solvers would not help"


def _bar(done: float, total: float) -> ProgressBar:
    return ProgressBar(total=max(total, 1), completed=done, width=26)


def _frames(trainer: Mapping[str, Any]) -> str:
    """Those that came, of those that the plan has where that is known."""
    received, expected = (_get(trainer, "frames", key) for key in ("received", "expected"))
    return f"{received}/{expected}" if expected else str(received)


def _get(trainer: Mapping[str, Any], section: str, key: str) -> Any:
    return (trainer.get(section) or {}).get(key) or 0
