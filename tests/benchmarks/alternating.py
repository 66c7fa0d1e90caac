"""Several ways to do one thing, timed in turn, and what each adds to a process.

On a machine that others use only the ratio of neighboring rounds means something.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

SECONDS = 0.4  # a measurement lasts so long at least


class Trained(Protocol):
    """Something that takes training steps."""

    def step(self) -> float: ...


Clock = Callable[[], float]


def seconds(call: Callable[[], object], repeats: int, clock: Clock = time.perf_counter) -> float:
    began = clock()
    for _ in range(repeats):
        call()
    return (clock() - began) / repeats


def alternate(
    calls: Mapping[str, Callable[[], object]], rounds: int, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds a call, in each round; where others compute, those of ``time.process_time`` say more."""
    for call in calls.values():
        call()  # the first one warms up
    repeats = {name: max(1, round(SECONDS / seconds(c, 1, clock))) for name, c in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(seconds(call, repeats[name], clock))
    return times


def against(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Medians in ms; the median of theirs by ours in neighboring rounds, and its range."""
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    return (
        f"{statistics.median(ours) * 1e3:8.1f} {statistics.median(theirs) * 1e3:8.1f} "
        f"{statistics.median(ratios):5.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
    )


def peak(make: Callable[[], Trained]) -> float:
    """MB that three training steps add to a process at its peak.

    It is a fork of this one, in which no thread may have been started before.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        way = make()
        before = _status("VmRSS")
        for _ in range(3):
            way.step()
        os.write(write, str(_status("VmHWM") - before).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return float(said) / 1e3


def _status(key: str) -> int:
    """A figure of this process in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])
