"""What does streaming cost a solver? Run by hand:

    python tests/benchmarks/bench_sink.py [--rounds 5] [--json sink.json]

Gray–Scott at 256² on one rank, whose step takes some 5 ms, sends both fields (1 MB) at every step to a
server in this process, which journals, acknowledges and forgets them, as a trainer does; the solver has
a core of its own. Against it the same run that sends its first state only. Both stream, so that
what is measured is the sending and not the start: seconds of a long run less those of a short one, over
the steps between. The state is brought to points for each send; *states* shows what that costs alone,
by writing nothing and asking for every state.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from sciml.share import find
from sciml.solver.mpirun import environment
from sciml.stream import Server

SHORT, LONG = 40, 340
FLAGS = ["--shape", "256", "256", "--width", "0.1"]
CORES = sorted(os.sched_getaffinity(0))

# Asks for every state, as a sink does, and does nothing with it.
STATES = """
import sys
sys.path.insert(0, sys.argv[1])
from gray_scott import GrayScott
from sciml.solver import main
step = GrayScott.step
def stepped(self, n):
    time = step(self, n)
    self.state()
    return time
GrayScott.step = stepped
main(GrayScott, sys.argv[2:])
"""


class Drain:
    """A server whose frames nobody keeps."""

    def __init__(self, directory: str) -> None:
        self.server = Server(directory)
        self.server.start()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        taken = 0
        while not self._done.is_set():
            if self.server.events.get(timeout=0.1) is not None:
                taken += 1
                if taken % 50 == 0:
                    self.server.commit(keep=set())

    def stop(self) -> None:
        self._done.set()
        self._thread.join()
        self.server.stop()


def seconds(directory: str, number: int, steps: int, every: int, states: bool = False) -> float:
    """Wall time of one run that sends every so many steps."""
    program = find("solvers/gray_scott.py")
    words = [sys.executable, str(program)]
    if states:
        words = [sys.executable, "-c", STATES, str(program.parent)]
    began = time.perf_counter()
    subprocess.run(
        [*words, *FLAGS, "--steps", str(steps)],
        env=environment()
        | {
            "SCIML_ENDPOINT": directory,
            "SCIML_SIMULATION": str(number),
            "SCIML_SEND": json.dumps({"every": every}),
        },
        check=True,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {CORES[-1]}),
    )
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {CORES[0]})
    found: dict[str, list[float]] = {"alone": [], "states": [], "streaming": []}
    number = 0
    with tempfile.TemporaryDirectory() as directory:
        drain = Drain(directory)
        for _ in range(arguments.rounds):
            for way, took in found.items():
                every = 1 if way == "streaming" else LONG * SHORT
                ends = []
                for steps in (SHORT, LONG):
                    ends.append(seconds(directory, number, steps, every, way == "states"))
                    number += 1
                took.append((ends[1] - ends[0]) / (LONG - SHORT))
        drain.stop()
    print(f"{'way':>10} {'ms a step':>9}  cost over a run alone (range)")
    for way, took in found.items():
        costs = [a / b - 1.0 for a, b in zip(took, found["alone"], strict=True)]
        print(
            f"{way:>10} {1e3 * statistics.median(took):9.2f}  {statistics.median(costs):.1%} "
            f"({min(costs):.1%}–{max(costs):.1%})"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
