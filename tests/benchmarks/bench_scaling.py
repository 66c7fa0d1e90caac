"""How do the solver programs scale? Run by hand:

    python tests/benchmarks/bench_scaling.py [--rounds 5] [--json scaling.json]

*Ranks*: whole runs at 512² on 1 and 2 ranks, in turn, on two cores; efficiency is t₁ / 2 t₂ of the
time of a step as rank 0 logs it. *Points*: time of a step per point on one rank from 64² to 1024², for
transforms divided by log₂ N; runs are as long as it takes to have loops compiled. *Memory*: what a
rank holds at most beyond what it holds after its imports. The output file is not counted: one state at
the end.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from sciml.parallel.laplacian import WORTH_COMPILING
from sciml.share import find
from sciml.solver.integrators.engine import WORTH_COMPILING as WORTH_TRANSFORMING
from sciml.solver.mpirun import command, environment

#: By name: program, flags, steps at 512², and whether it transforms.
CASES: dict[str, tuple[str, str, int, bool]] = {
    "heat, explicit": ("heat", "--kappa 1e-3 --dt 1e-5", 300, False),
    "navier-stokes": ("navier_stokes", "--nu 1e-4 --dt 1e-4 --modes 16", 20, True),
    "gray-scott": ("gray_scott", "", 15, True),
    "navier-stokes, fftw": ("navier_stokes", "--nu 1e-4 --dt 1e-4 --modes 16 --fft fftw", 20, True),
    "gray-scott, fftw": ("gray_scott", "--fft fftw", 15, True),
}

# Prints what a rank holds after its imports, and at most, in MB.
DRIVER = """
import importlib, resource, sys
sys.path.insert(0, sys.argv[1])
from sciml.solver import Program, main
import numpy.fft
from mpi4py import MPI
module = importlib.import_module(sys.argv[2])
(cls,) = (v for v in vars(module).values()
          if isinstance(v, type) and issubclass(v, Program) and v.__module__ == module.__name__)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
main(cls, sys.argv[3:])
print(f"memory {peak() - before:.1f}", flush=True)
"""


def run(program: str, flags: str, n: int, steps: int, ranks: int) -> tuple[float, list[float]]:
    """Seconds a step, and the memory of each rank."""
    with tempfile.TemporaryDirectory() as folder:
        driver = Path(folder) / "driver.py"
        driver.write_text(DRIVER)
        out = Path(folder) / "out.nc"
        words = [
            str(find("solvers")), program, *flags.split(), "--shape", str(n), str(n),
            "--steps", str(steps), "--every", str(steps), "--log", "info", "--out", str(out),
        ]  # fmt: skip
        done = subprocess.run(
            command(driver, ranks, words), env=environment(), capture_output=True, text=True,
            check=True,
        )  # fmt: skip
    seconds = float(re.search(r"done: (\S+) s a step", done.stderr)[1])
    return seconds, [float(m) for m in re.findall(r"memory (\S+)", done.stdout)]


def show_ranks(rounds: int) -> list[dict[str, Any]]:
    figures = []
    print(f"{'512², ranks':>25} {'1: ms a step':>12} {'2: ms':>8}  efficiency (range)")
    for name, (program, flags, steps, _) in CASES.items():
        one, two = [], []
        for _ in range(rounds):
            one.append(run(program, flags, 512, steps, 1)[0])
            two.append(run(program, flags, 512, steps, 2)[0])
        found = [a / (2.0 * b) for a, b in zip(one, two, strict=True)]
        figures.append({"case": name, "one": one, "two": two, "efficiency": found})
        print(
            f"{name:>25} {1e3 * statistics.median(one):12.2f} {1e3 * statistics.median(two):8.2f}  "
            f"{statistics.median(found):.2f} ({min(found):.2f}–{max(found):.2f})",
            flush=True,
        )
    return figures


def show_points() -> list[dict[str, Any]]:
    figures = []
    sizes = (64, 128, 256, 512, 1024)
    print(f"\n{'ns a point':>25} " + " ".join(f"{f'{n}²':>8}" for n in sizes))
    for name, (program, flags, _, transforms) in CASES.items():
        costs = []
        for n in sizes:
            count = -(-(WORTH_TRANSFORMING if transforms else WORTH_COMPILING) // n**2)
            seconds = min(run(program, flags, n, count, 1)[0] for _ in range(2))
            costs.append(1e9 * seconds / n**2 / (math.log2(n * n) if transforms else 1.0))
        figures.append({"case": name, "sizes": sizes, "nanoseconds": costs})
        label = f"{name}/log₂N" if transforms else name
        print(f"{label:>25} " + " ".join(f"{c:8.2f}" for c in costs), flush=True)
    return figures


def show_memory() -> list[dict[str, Any]]:
    figures = []
    print(f"\n{'1024², MB a rank':>25} " + " ".join(f"{r:>8}" for r in (1, 2, 4)))
    for name, (program, flags, _, _) in CASES.items():
        held = [max(run(program, flags, 1024, 2, ranks)[1]) for ranks in (1, 2, 4)]
        figures.append({"case": name, "megabytes": held})
        print(f"{name:>25} " + " ".join(f"{m:8.1f}" for m in held), flush=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    figures = {
        "ranks": show_ranks(arguments.rounds),
        "points": show_points(),
        "memory": show_memory(),
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
