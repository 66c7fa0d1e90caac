"""What the Darcy and Helmholtz programs are measured to do. Run by hand:

    python tests/benchmarks/show_darcy.py [--json darcy.json]

Iterations of multigrid-preconditioned conjugate gradients by grid and contrast; order in space;
seconds a sample by size; one and two ranks, alternating. Times are wall-clock, the least of several.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import truths

from sciml.share import find
from sciml.solver.flags import parse
from sciml.solver.mpirun import command, environment

# The programs, and what the tests of multigrid measure.
sys.path[:0] = [str(find("solvers")), str(Path(__file__).parents[1] / "parallel")]
from darcy import Darcy  # noqa: E402
from helmholtz import Helmholtz  # noqa: E402
from test_multigrid import COEFFICIENTS, CONTRASTS, build, iterations  # noqa: E402

ALONE = SimpleNamespace(rank=0, size=1)
SIZES = (64, 85, 128, 141, 211, 256, 421, 512)
Rows = list[dict[str, Any]]


def iteration_table() -> Rows:
    """Conjugate gradients to a residual of 1e-10, for two coefficients."""
    rows = []
    for n in SIZES:
        system = build((n, n))
        for name, contrast in itertools.product(COEFFICIENTS, CONTRASTS):
            a = np.where(COEFFICIENTS[name](system[0]), contrast, 1.0)
            count = iterations(system, a)
            rows.append({"n": n, "coefficient": name, "contrast": contrast, "iterations": count})
    return rows


def started(program: type, words: str, **methods: Any) -> Any:
    """A program on one rank, with some methods replaced."""
    run = program(parse(program, words.split()))
    for name, method in methods.items():
        setattr(run, name, method(run))
    run.start(ALONE)
    return run


def orders() -> Rows:
    """Largest errors against manufactured solutions, and rates between grids."""
    rows = []
    for case in ("darcy", "helmholtz, even medium", "helmholtz, medium that varies"):
        errors = [_error(case, n) for n in (33, 65, 129, 257)]
        rates = [float(np.log2(a / b)) for a, b in itertools.pairwise(errors)]
        rows.append({"case": case, "errors": errors, "rates": rates})
    return rows


def _error(case: str, n: int) -> float:
    points, mode = np.ix_(*[np.linspace(0.0, 1.0, n)] * 2), (3, 2)
    if case == "darcy":
        run = started(
            Darcy,
            f"--shape {n} {n} --tolerance 1e-12",
            coefficient=lambda run: lambda number: truths.darcy_manufactured_coefficient(points),
            source=lambda run: lambda: truths.darcy_manufactured_source(points)[1:-1, 1:-1],
        )
        exact = truths.darcy_manufactured_solution(points)
    else:
        vary = 0.3 if "varies" in case else 0.0
        c = 1.0 + vary * np.cos(np.pi * points[0]) * np.cos(2.0 * np.pi * points[1])
        source = truths.helmholtz_manufactured_source(points, mode, 9.0 / c)
        run = started(
            Helmholtz,
            f"--shape {n} {n} --omega 9 --speed 2 --variation 0",
            wave_speed=lambda run: lambda number: c,
            load=lambda run: lambda q: run.points.weighted(source),
        )
        exact = truths.helmholtz_manufactured_solution(points, mode)
    return float(np.abs(run.state()["u"] - exact).max())


def seconds_by_size() -> Rows:
    """A sample with its coefficient drawn, operators set up and solved for; one rank."""
    rows = []
    for n in SIZES:
        run = started(Darcy, f"--shape {n} {n}")
        taken = []
        for k in range(5):
            began = time.perf_counter()
            run.step(k)
            taken.append(time.perf_counter() - began)
        rows.append({"n": n, "seconds": min(taken), "iterations": run.iterations})
    return rows


def seconds_by_ranks(folder: Path, rounds: int = 3) -> Rows:
    """Seconds a sample on 1 and 2 ranks in turn, as the programs report them."""
    cases = {
        "darcy 141": ("darcy", "--shape 141 141 --steps 20"),
        "darcy 256": ("darcy", "--shape 256 256 --steps 10"),
        "darcy 512": ("darcy", "--shape 512 512 --steps 5"),
        "helmholtz 101": ("helmholtz", "--shape 101 101 --steps 20"),
        "helmholtz 201": ("helmholtz", "--shape 201 201 --steps 4"),
    }
    rows = []
    for name, (program, words) in cases.items():
        taken: dict[int, list[float]] = {1: [], 2: []}
        for k, ranks in itertools.product(range(rounds), taken):
            out = folder / f"{name}-{ranks}-{k}.nc"
            line = [*words.split(), "--log", "info", "--out", str(out)]
            done = subprocess.run(
                command(find(f"solvers/{program}.py"), ranks, line),
                env={**environment(), "OMP_NUM_THREADS": "1"},
                capture_output=True,
                text=True,
                check=True,
            )
            taken[ranks].append(float(re.search(r"done: (\S+) s a step", done.stderr)[1]))
            out.unlink()
        ratios = [a / b for a, b in zip(*taken.values(), strict=True)]
        rows.append({"case": name, "one": min(taken[1]), "two": min(taken[2]), "ratios": ratios})
    return rows


def show(found: dict[str, Rows]) -> None:
    print("iterations to 1e-10")
    print("coefficient  contrast" + "".join(f"{n:>6}" for n in SIZES))
    for name, contrast in itertools.product(COEFFICIENTS, CONTRASTS):
        line = [
            row["iterations"]
            for row in found["iterations"]
            if (row["coefficient"], row["contrast"]) == (name, contrast)
        ]
        print(f"{name:<12} {contrast:>8g}" + "".join(f"{count:>6}" for count in line))
    print("\nlargest error on 33, 65, 129, 257 points a side, and rates")
    for row in found["orders"]:
        errors = " ".join(f"{e:.2e}" for e in row["errors"])
        print(f"{row['case']:<30} {errors}   {' '.join(f'{r:.2f}' for r in row['rates'])}")
    print("\nDarcy, thresholded, one rank: a sample with its coefficient")
    for row in found["sizes"]:
        ms, per_point = 1e3 * row["seconds"], 1e9 * row["seconds"] / row["n"] ** 2
        print(
            f"{row['n']:>4}²  {ms:7.1f} ms  {per_point:6.0f} ns a point  {row['iterations']} iterations"
        )
    print("\nseconds a sample on 1 and 2 ranks, and ratios round by round")
    for row in found["ranks"]:
        ratios = " ".join(f"{r:.2f}" for r in row["ratios"])
        print(f"{row['case']:<14} {row['one']:.4f} {row['two']:.4f}   {ratios}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="file to write")
    given = parser.parse_args()
    found = {"iterations": iteration_table(), "orders": orders(), "sizes": seconds_by_size()}
    with tempfile.TemporaryDirectory() as folder:
        found["ranks"] = seconds_by_ranks(Path(folder))
    show(found)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
