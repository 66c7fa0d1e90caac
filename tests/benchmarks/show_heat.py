"""What the heat program is measured to do. Run by hand:

    python tests/benchmarks/show_heat.py [--json heat.json]

Its order in space and time against exact Fourier solutions; the same fields on 1, 2, 3, 4 and 7
ranks; what our part of a rank costs beyond numpy and mpi4py; how long MPI takes to import; and that
two jobs at once use two cores. Times are wall-clock: on a machine that others use, look at the CPU
seconds beside them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import xarray as xr

from sciml.equations import heat
from sciml.share import find
from sciml.solver import mpirun
from sciml.solver.flags import parse
from sciml.solver.mpirun import command, environment

# The program, and what its tests run under mpirun.
TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(find("solvers")), str(TESTS / "solver"), str(TESTS / "solvers")]
from heat import Heat  # noqa: E402
from test_footprint import HEAVY  # noqa: E402
from test_ranks_of_programs import DRIVER  # noqa: E402

SCHEMES, BOUNDARIES = ("explicit", "crank-nicolson"), ("periodic", "dirichlet")
RANKS = (1, 2, 3, 4, 7)
ALONE = SimpleNamespace(rank=0, size=1)
MODE, KAPPA, END = (2, 1), 0.05, 0.2
REPEATS, ROUNDS = 5, 6

Rows = list[dict[str, Any]]


def error_at_end(n: int, steps: int, scheme: str, boundary: str, exact_of_grid: bool) -> float:
    """Root mean square error of one Fourier mode at END, relative to its exact amplitude then.

    ``exact_of_grid``: against the mode that decays as centered differences make it, at the rate
    κ Σ (2 − 2 cos k_i h_i)/h_i², so that the error of the time stepping is left alone.
    """
    points = n + (boundary == "dirichlet")  # so that h = 1/n either way
    words = (
        f"--shape {points} {points} --steps {steps} --dt {END / steps!r} --scheme {scheme} "
        f"--boundary {boundary} --initial mode --mode {MODE[0]} {MODE[1]} --kappa {KAPPA}"
    )
    program = Heat(parse(Heat, words.split()))
    program.start(ALONE)
    for step in range(steps):
        program.step(step)
    periodic = boundary == "periodic"
    wave = heat.periodic_mode if periodic else heat.dirichlet_mode
    k = (heat.periodic_wavenumbers if periodic else heat.dirichlet_wavenumbers)(MODE, (1.0, 1.0))
    initial = wave(np.ix_(*map(program.grid.coordinates, (0, 1))), 0.0, MODE, (1.0, 1.0), KAPPA)
    if exact_of_grid:
        rate = KAPPA * sum((2 - 2 * math.cos(ki / n)) * n**2 for ki in k)
    else:
        rate = heat.decay_rate(KAPPA, k)
    exact = initial * math.exp(-rate * END)
    got = program.state()["u"] - 1.0
    return float(np.sqrt(((got - exact) ** 2).mean() / (exact**2).mean()))


def rates(errors: list[float]) -> list[float]:
    return [math.log2(a / b) for a, b in itertools.pairwise(errors)]


def order_in_space() -> Rows:
    """Against the solution of the equation. Explicit: dt ∝ h², as stability asks for."""
    resolutions = (8, 16, 32, 64)
    rows = []
    for scheme in SCHEMES:
        for boundary in BOUNDARIES:
            steps = [80 * (n // 8) ** 2 if scheme == "explicit" else 80 for n in resolutions]
            errors = [
                error_at_end(n, s, scheme, boundary, exact_of_grid=False)
                for n, s in zip(resolutions, steps, strict=True)
            ]
            rows.append(_order_row(scheme, boundary, resolutions, errors, Heat.order_space))
    return rows


def order_in_time() -> Rows:
    """Against the Fourier solution of the grid's own equation, on 16 × 16 cells."""
    rows = []
    for scheme in SCHEMES:
        numbers = (20, 40, 80, 160) if scheme == "explicit" else (4, 8, 16, 32)
        for boundary in BOUNDARIES:
            errors = [error_at_end(16, s, scheme, boundary, exact_of_grid=True) for s in numbers]
            rows.append(_order_row(scheme, boundary, numbers, errors, Heat.order_time[scheme]))
    return rows


def _order_row(scheme, boundary, numbers, errors, stated) -> dict[str, Any]:
    figures = {"numbers": numbers, "errors": errors, "rates": rates(errors), "stated": stated}
    return {"scheme": scheme, "boundary": boundary, **figures}


def equality_on_ranks(folder: Path) -> Rows:
    """Largest ‖u_K − u_1‖ / ‖u_1‖ over the fields written, K ranks against one."""
    cases = {f"{s}-{b}": (s, b) for s in SCHEMES for b in BOUNDARIES}
    driver = folder / "driver.py"
    driver.write_text(DRIVER)
    fields: dict[tuple[str, int], np.ndarray] = {}
    for ranks in RANKS:
        lines = folder / f"cases{ranks}"
        lines.write_text(
            "".join(
                f"{find('solvers/heat.py')} --shape 24 21 --steps 20 --every 5 "
                f"--scheme {scheme} --boundary {boundary} "
                f"--dt 0.01 --kappa 0.03 --seed 5 --out {folder}/{name}-{ranks}.nc\n"
                for name, (scheme, boundary) in cases.items()
            )
        )
        _run(command(driver, ranks, [str(lines)]), environment())
        for name in cases:
            with xr.open_dataset(folder / f"{name}-{ranks}.nc") as ds:
                fields[name, ranks] = ds.u.values
    rows = []
    for name, (scheme, boundary) in cases.items():
        one = fields[name, 1].reshape(len(fields[name, 1]), -1)
        row: dict[str, Any] = {"scheme": scheme, "boundary": boundary}
        for ranks in RANKS[1:]:
            off = fields[name, ranks].reshape(one.shape) - one
            ratios = np.linalg.norm(off, axis=1) / np.linalg.norm(one, axis=1)
            row[str(ranks)] = float(ratios.max())
        rows.append(row)
    return rows


COST = """
import json, sys, time
import numpy
from mpi4py import MPI

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20

before, wall, cpu = resident(), time.perf_counter(), time.process_time()
import runpy
runpy.run_path(sys.argv[1], run_name="rank")
for name in sys.argv[2:]:
    __import__(name)
print(json.dumps({
    "seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu,
    "megabytes": resident() - before, "modules": list(sys.modules),
}))
"""


def import_cost() -> Rows:
    """Of our part of a rank, after numpy and mpi4py; heavy packages that came along."""
    rows = []
    for extra in ([], ["sciml.stream.connection"]):
        words = [sys.executable, "-c", COST, str(find("solvers/heat.py")), *extra]
        runs = [json.loads(_run(words, environment())) for _ in range(REPEATS)]
        loaded = set(runs[0]["modules"])
        row: dict[str, Any] = {"imported": " + ".join(["solvers/heat.py", *extra])}
        for name in ("seconds", "cpu_seconds", "megabytes"):
            row[name] = statistics.median(run[name] for run in runs)
        row |= {"present": sorted(loaded & set(HEAVY)), "absent": sorted(set(HEAVY) - loaded)}
        rows.append(row)
    return rows


IMPORT_MPI = """
import time
began = time.perf_counter()
from mpi4py import MPI
print(time.perf_counter() - began)
"""


def mpi_import(folder: Path) -> Rows:
    """Seconds of ``from mpi4py import MPI`` on one rank of a local mpirun."""
    program = folder / "import_mpi.py"
    program.write_text(IMPORT_MPI)
    rows = []
    for name, env in (("ours", environment()), ("default", default_environment())):
        took = [float(_run(command(program, 1), env)) for _ in range(REPEATS)]
        rows.append(
            {"environment": name, "median": statistics.median(took), "runs": sorted(took)}
        )  # fmt: skip
    return rows


def default_environment() -> dict[str, str]:
    """The caller's, without settings of Open MPI but the leave to run as root."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("OMPI_MCA_")}
    allowed = ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")
    return {**env, **dict.fromkeys(allowed, "1"), "OMP_NUM_THREADS": "1"}


JOB = """
import json, os, sys, time
sys.path.insert(0, sys.argv[1])
from heat import Heat
from mpi4py import MPI
from sciml.solver.flags import parse

words = "--shape 128 128 --scheme crank-nicolson --dt 1e-3 --kappa 0.1 --seed 1"
program = Heat(parse(Heat, words.split()))
program.start(MPI.COMM_WORLD)
print("ready", flush=True)
while not os.path.exists(sys.argv[2]):
    time.sleep(0.001)
wall, cpu, steps, cores = time.perf_counter(), time.process_time(), 0, set()
while time.perf_counter() - wall < float(sys.argv[3]):
    program.step(steps)
    steps += 1
    with open("/proc/self/stat") as stat:
        cores.add(int(stat.read().rpartition(")")[2].split()[36]))
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(json.dumps({"affinity": sorted(os.sched_getaffinity(0)), "cores": sorted(cores),
                  "cpu_per_wall": cpu / wall, "steps_per_second": steps / wall}))
"""


def concurrent_jobs(folder: Path, seconds: float = 1.5) -> Rows:
    """The heat program marching in one or two ``mpirun -n 1`` for the same seconds.

    Others take cores from the jobs, too: of some rounds, the one that got most of the machine; the
    first one that got nine tenths of what there is for it ends them.
    """
    program = folder / "job.py"
    program.write_text(JOB)
    ours = command(program, 1)
    bare = [mpirun.find(), "-n", "1", *mpirun.executable(program)]
    rows = []
    for name, words, jobs in (
        ("one job", ours, 1),
        ("two jobs", ours, 2),
        ("two jobs, mpirun's own binding", bare, 2),
    ):
        best: dict[str, Any] = {"cpu_per_wall": 0.0}
        for number in range(ROUNDS):
            go = folder / f"go{len(rows)}-{number}"
            found = _at_once([*words, str(find("solvers")), str(go), str(seconds)], go, jobs)
            used, steps = (
                sum(job[key] for job in found) for key in ("cpu_per_wall", "steps_per_second")
            )
            if used > best["cpu_per_wall"]:
                best = {"cpu_per_wall": used, "steps_per_second": steps, "jobs": found}
            if used > 0.9 * (1 if words is bare else jobs):
                break
        rows.append({"what": name, **best, "rounds": number + 1})
    return rows


def _at_once(words: list[str], go: Path, jobs: int) -> Rows:
    running = [
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment())
        for _ in range(jobs)
    ]
    ready = [job.stdout.readline() == "ready\n" for job in running]
    go.touch()
    said = [job.communicate(timeout=60)[0] for job in running]
    if not all(ready):
        sys.exit(f"{' '.join(words)} did not start")
    return [json.loads(text) for text in said]


def _run(words: list[str], env: dict[str, str]) -> str:
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=100)
    if done.returncode:
        sys.exit(f"{' '.join(words)} ended with code {done.returncode}:\n{done.stderr}")
    return done.stdout


def table(title: str, head: list[str], rows: list[list[str]]) -> None:
    """Columns as wide as their widest word, the first one to the left."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    print(f"\n{title}")
    for row in (head, *rows):
        first, *rest = (f"{word:>{n}}" for word, n in zip(row, widths, strict=True))
        print("  ".join(["", f"{first.strip():<{widths[0]}}", *rest]).rstrip())
    sys.stdout.flush()


def show_order(title: str, rows: Rows) -> None:
    for scheme in SCHEMES:
        own = [row for row in rows if row["scheme"] == scheme]
        lines = []
        for row in own:
            errors = [f"{error:.2e}" for error in row["errors"]]
            measured = " ".join(f"{rate:.3f}" for rate in row["rates"])
            lines.append([row["boundary"], *errors, measured, str(row["stated"])])
        head = ["boundary", *map(str, own[0]["numbers"]), "rates", "stated"]
        table(title.format(scheme), head, lines)


def show_ranks(rows: Rows) -> None:
    counts = [str(ranks) for ranks in RANKS[1:]]
    table(
        "Largest relative L2 difference of K ranks from one rank (24 × 21 points, 20 steps)",
        ["scheme, boundary", *(f"K={k}" for k in counts)],
        [
            [f"{row['scheme']}, {row['boundary']}", *(f"{row[k]:.1e}" for k in counts)]
            for row in rows
        ],
    )


def show_cost(rows: Rows) -> None:
    lines = []
    for row in rows:
        seconds = [f"{row[key]:.3f}" for key in ("seconds", "cpu_seconds")]
        lines.append([row["imported"], *seconds, f"{row['megabytes']:.1f}"])
    title = f"Import cost of our part of a rank beyond numpy + mpi4py (median of {REPEATS})"
    table(title, ["imported", "seconds", "CPU s", "MB"], lines)
    for row in rows:
        absent, present = (", ".join(row[key]) or "–" for key in ("absent", "present"))
        print(f"  absent: {absent}; present: {present}")


def show_mpi_import(rows: Rows) -> None:
    lines = []
    for row in rows:
        seconds = (row["median"], row["runs"][0], row["runs"][-1])
        lines.append([row["environment"], *(f"{s:.3f}" for s in seconds)])
    title = f"Seconds of `from mpi4py import MPI` under a local mpirun ({REPEATS} runs)"
    table(title, ["environment", "median", "shortest", "longest"], lines)


def show_jobs(rows: Rows) -> None:
    lines = []
    for row in rows:
        jobs = row["jobs"]
        places = [" | ".join(_list(job[key]) for job in jobs) for key in ("affinity", "cores")]
        used = " + ".join(f"{job['cpu_per_wall']:.2f}" for job in jobs)
        if len(jobs) > 1:
            used += f" = {row['cpu_per_wall']:.2f}"
        lines.append([row["what"], *places, used, f"{row['steps_per_second']:.0f}"])
    table(
        "Concurrent `mpirun -n 1` of the heat program, 128 × 128, Crank–Nicolson; the best round",
        ["", "affinity", "ran on cores", "CPU s per wall s", "steps/s"],
        lines,
    )


def _list(numbers: list[int]) -> str:
    return ",".join(map(str, numbers)) if len(numbers) < 9 else f"{len(numbers)} cores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    began = time.monotonic()
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load average {load:.1f} from others at the start")
    figures: dict[str, Any] = {"cores": os.cpu_count(), "load": load}
    figures["space"] = order_in_space()
    show_order("Order in space, {}: relative L2 error by cells along a side", figures["space"])
    figures["time"] = order_in_time()
    show_order("Order in time, {}: relative L2 error by steps", figures["time"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures["ranks"] = equality_on_ranks(folder)
        show_ranks(figures["ranks"])
        figures["import"] = import_cost()
        show_cost(figures["import"])
        figures["mpi_import"] = mpi_import(folder)
        show_mpi_import(figures["mpi_import"])
        figures["jobs"] = concurrent_jobs(folder)
        show_jobs(figures["jobs"])
    figures["seconds"] = time.monotonic() - began
    print(f"\n{figures['seconds']:.0f} s in all")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
