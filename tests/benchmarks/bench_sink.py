"""What does streaming cost a solver? Run by hand:

    python tests/benchmarks/bench_sink.py [--rounds 9] [--only navier_stokes] [--json sink.json]

One rank of each program, on a core of its own, marches in stretches of some 0.2 s, with and without
sending in turn, within one run; a pause between them lets what is under way arrive. What a stretch
costs is compared with the one alone in the same round. Each way to send has a run of its own: slots
that it does not use would push those that it does out of the caches.

The other core holds two servers: *spool* journals, acknowledges and forgets as a trainer does, *bare*
takes, checks and forgets without a journal. Columns: the cost of a step, median and range; of that
what is spent in ``send``; and how much of the time the other core was busy. The rest is spent in
``state`` and in steps that are slower: where two cores are one (two threads of a core, a small virtual
machine), whatever runs on the other slows this one down, and *busy neighbor* says by how much.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sciml.share import find
from sciml.solver.mpirun import environment
from sciml.stream import Server

CORES = sorted(os.sched_getaffinity(0))
#: Seconds of a stretch, and between two of them.
STRETCH, PAUSE = 0.2, 0.08

#: Steps of 5 ms and more, and the one that was measured first, of a little less.
CASES = {
    "gray_scott 256²": "gray_scott --shape 256 256 --width 0.1",
    "gray_scott 320²": "gray_scott --shape 320 320 --width 0.1",
    "navier_stokes 256²": "navier_stokes --shape 256 256 --dt 1e-3",
    "shallow_water 192²": "shallow_water --shape 192 192 --dt 1e-4",
    "advection_diffusion 512²": "advection_diffusion --shape 512 512 --dt 1e-5",
    "heat 512² implicit": "heat --shape 512 512 --scheme crank-nicolson --dt 1e-5",
}

ALONE, NEIGHBOR = "alone", "busy neighbor"
#: Ways to run: server, steps from one sent state to the next, dtype.
WAYS = {
    NEIGHBOR: None,
    "each step": ("spool", 1, None),
    "each step, bare server": ("bare", 1, None),
    "each step, float32": ("spool", 1, "float32"),
    "each 10th step": ("spool", 10, None),
}


class Drain:
    """A server whose frames nobody keeps.

    Args:
        directory: of its run.
        bare: keep no journal either.
    """

    def __init__(self, directory: Path, bare: bool) -> None:
        self.server = Server(directory)
        if bare:
            self.server._journal.add_blocks = lambda blocks: []
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


# -- the rank --------------------------------------------------------------------------------------


def march(words: list[str], way: str, directory: Path, rounds: int) -> None:
    """One rank, alone and the other ``way``; prints what it measured as JSON."""
    os.sched_setaffinity(0, {CORES[-1]})
    from mpi4py import MPI

    from sciml.heap import keep_heap
    from sciml.solver.flags import parse
    from sciml.solver.stream import StreamSink

    keep_heap()
    program = _program(words[0])
    given = parse(program, [*words[1:], "--steps", "10000", "--log", "error"])
    run = program(given)
    domain, comm = run.domain(), MPI.COMM_WORLD
    block = run.start(comm)
    sink = None
    if WAYS[way] is not None:
        server, every, dtype = WAYS[way]
        os.environ |= {
            "SCIML_ENDPOINT": str(directory / server),
            "SCIML_SIMULATION": str(os.getpid()),
            "SCIML_SEND": json.dumps({"every": every, "dtype": dtype}),
        }
        sink = StreamSink(program, given, domain, block, comm, run.state(), run.warnings)

    at = iter(range(1 << 60))
    began = time.perf_counter()
    for _ in range(10):
        run.step(next(at))
    pace = (time.perf_counter() - began) / 10
    steps = max(10, 10 * round(STRETCH / pace / 10))
    count = iter(range(1 << 60))

    def stretch(sink: StreamSink | None) -> dict[str, float]:
        """Of one step: seconds, those in ``send``, and those in which the servers were busy."""
        sending = 0.0
        time.sleep(PAUSE)
        run.step(next(at))
        busy, began = _busy(os.getppid()), time.perf_counter()
        for i in range(steps):
            t = run.step(next(at))
            if sink is not None and i % sink.every == 0:
                state = run.state()
                before = time.perf_counter()
                sink.take(next(count), t, state)
                sending += time.perf_counter() - before
                del state  # not held over the next step, as in a run: its memory is used again
        took = time.perf_counter() - began
        found = {"took": took, "send": sending, "busy": _busy(os.getppid()) - busy}
        return {name: seconds / steps for name, seconds in found.items()}

    found: dict[str, list[dict[str, float]]] = {ALONE: [], way: []}
    with _neighbor() as neighbor:
        stretch(sink)
        for i in range(rounds):
            for name in (ALONE, way) if i % 2 else (way, ALONE):
                neighbor(name == NEIGHBOR)
                found[name].append(stretch(None if name == ALONE else sink))
                neighbor(False)
    if sink is not None:
        sink.close()
    nbytes = sum(run.state()[field.name].nbytes for field in program.fields)
    print(json.dumps({"bytes": nbytes, "alone": found[ALONE], "with": found[way]}))


def _program(name: str) -> type:
    from sciml.solver import Program

    spec = importlib.util.spec_from_file_location(name, find(f"solvers/{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return next(
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Program) and value.__module__ == name
    )


def _busy(process: int) -> float:
    """Seconds of processor time that the threads of a process have taken."""
    nanoseconds = 0
    for task in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(OSError):
            nanoseconds += int((task / "schedstat").read_text().split()[0])
    return 1e-9 * nanoseconds


@contextlib.contextmanager
def _neighbor() -> Iterator[Callable[[bool], None]]:
    """A process that keeps the servers' core busy whenever it is told to."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        os.sched_setaffinity(process.pid, {CORES[0]})
        process.send_signal(signal.SIGSTOP)
        try:
            yield lambda on: process.send_signal(signal.SIGCONT if on else signal.SIGSTOP)
        finally:
            process.kill()


# -- the table -------------------------------------------------------------------------------------


def show(case: str, ways: dict[str, dict]) -> None:
    step = statistics.median(s["took"] for figures in ways.values() for s in figures["alone"])
    nbytes = next(iter(ways.values()))["bytes"]
    print(f"{case}: a step of {1e3 * step:.2f} ms, {nbytes / 1e6:.2f} MB a state")
    for way, figures in ways.items():
        pairs = list(zip(figures["with"], figures["alone"], strict=True))
        costs = [s["took"] / a["took"] - 1.0 for s, a in pairs]
        send, busy = (
            statistics.median(s[name] / a["took"] for s, a in pairs) for name in ("send", "busy")
        )
        print(
            f"  {way:24} {statistics.median(costs):6.1%} ({min(costs):6.1%} to {max(costs):6.1%})"
            f"   send {send:5.1%}   servers busy {busy:5.1%}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--rank", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rank:
        case, way, directory = arguments.rank
        march(CASES[case].split(), way, Path(directory), arguments.rounds)
        return
    os.sched_setaffinity(0, {CORES[0]})
    every: dict[str, dict[str, dict]] = {}
    with tempfile.TemporaryDirectory() as directory:
        drains = [Drain(Path(directory) / name, name == "bare") for name in ("spool", "bare")]
        for case in CASES:
            if arguments.only not in case:
                continue
            every[case] = {}
            for way in WAYS:
                words = [sys.executable, __file__, "--rounds", str(arguments.rounds)]
                done = subprocess.run(
                    [*words, "--rank", case, way, directory],
                    env=environment() | {"OMPI_MCA_btl": "self"},
                    check=True,
                    stdout=subprocess.PIPE,
                    preexec_fn=lambda: os.sched_setaffinity(0, CORES),
                )
                every[case][way] = json.loads(done.stdout)
            show(case, every[case])
        for drain in drains:
            drain.stop()
    if arguments.json:
        arguments.json.write_text(json.dumps(every, indent=1))


if __name__ == "__main__":
    main()
