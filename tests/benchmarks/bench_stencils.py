"""A step of the heat equation, ours against py-pde. Run by hand, where both are installed:

    pip install py-pde
    python tests/benchmarks/bench_stencils.py [--points 256 512 1024] [--rounds 9] [--json heat.json]

Both march the same field by forward Euler with centered differences on a periodic square, in float64,
on one core; py-pde with its numba backend, ours as ``solvers/heat.py`` runs on one rank, in numpy and
compiled. Compilation is not timed, and the fields are compared at the end. They take turns, since only
the ratio means something on a machine that others use; given are medians, and the range of the ratios
of neighboring rounds.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from sciml.parallel import laplacian
from sciml.share import find
from sciml.solver.flags import parse

KAPPA = 0.01
POINT_STEPS = 20_000_000  # a measurement


class Ours:
    """``solvers/heat.py`` on one rank."""

    def __init__(self, n: int, dt: float, u: np.ndarray, compiled: bool) -> None:
        spec = importlib.util.spec_from_file_location("heat", find("solvers/heat.py"))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        words = f"--shape {n} {n} --dt {dt} --kappa {KAPPA} --steps 1000000"
        laplacian.WORTH_COMPILING = 0.0 if compiled else float("inf")
        self.program = module.Heat(parse(module.Heat, words.split()))
        self.program.start(SimpleNamespace(rank=0, size=1))
        assert self.program.laplacian.compiled == compiled
        self.state()[:] = u

    def state(self) -> np.ndarray:
        return self.program.state()["u"]

    def march(self, steps: int) -> None:
        for n in range(steps):
            self.program.step(n)


class PyPde:
    """py-pde's explicit solver, compiled."""

    def __init__(self, n: int, dt: float, u: np.ndarray) -> None:
        import pde

        grid = pde.CartesianGrid([[0.0, 1.0]] * 2, [n, n], periodic=True)
        self.field = pde.ScalarField(grid, u.copy())
        equation = pde.DiffusionPDE(diffusivity=KAPPA)
        solver = pde.EulerSolver(equation, backend="numba")
        self.step, self.dt = solver.make_stepper(self.field, dt=dt), dt

    def state(self) -> np.ndarray:
        return self.field.data

    def march(self, steps: int) -> None:
        self.step(self.field, 0.0, steps * self.dt)


def seconds(way: Ours | PyPde, steps: int) -> float:
    began = time.perf_counter()
    way.march(steps)
    return (time.perf_counter() - began) / steps


def compare(n: int, rounds: int) -> dict[str, object]:
    u = np.random.default_rng(0).standard_normal((n, n))
    dt = 0.2 / (KAPPA * n * n)
    ways = {
        "py-pde": PyPde(n, dt, u),
        "numpy": Ours(n, dt, u, False),
        "compiled": Ours(n, dt, u, True),
    }
    steps = max(1, POINT_STEPS // n**2)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(rounds + 1):
        for name, way in ways.items():
            took = seconds(way, steps)
            if round_:  # the first one warms up
                times[name].append(took)
    for name in ("numpy", "compiled"):
        apart = np.abs(ways[name].state() - ways["py-pde"].state()).max()
        assert apart < 1e-12, f"{name} and py-pde differ by {apart}"
    return {"points": n, "seconds": times}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    if importlib.util.find_spec("pde") is None:
        sys.exit("bench_stencils: py-pde is not installed; get it with: pip install py-pde")
    # One thread each, on a core of its own.
    os.environ["NUMBA_NUM_THREADS"] = "1"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    figures = []
    print(f"{'points':>10} {'way':>9} {'ms/step':>8}  times as fast as py-pde (range)")
    for n in arguments.points:
        figures.append(compare(n, arguments.rounds))
        times = figures[-1]["seconds"]
        for name, mine in times.items():
            ratios = [theirs / ours for theirs, ours in zip(times["py-pde"], mine, strict=True)]
            print(
                f"{n:>5}²{'':4} {name:>9} {statistics.median(mine) * 1e3:8.4f}  "
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})",
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
