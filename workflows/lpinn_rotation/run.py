"""A cone that turns once with its plane, by an LPINN, beside a solver on its own grid.

    python workflows/lpinn_rotation/run.py

u_t + v·∇u = 0 on the unit square, v a rotation about its middle. Every training is a line of
``results.jsonl``; what is there is not computed again.
"""

from __future__ import annotations

import sys
import time
from math import pi
from pathlib import Path
from typing import Any

import xarray as xr

import sciml
from sciml.report.rows import append, chosen, mean_and_std, rows_of

sys.path.append(str(Path(__file__).parents[1] / "lpinn_convection"))
from trainings import RESULTS, Case, parser_of, relative, run

EQUATION, TURN = "solid-body-rotation", {"rotation": 2 * pi, "center_x": 0.5, "center_y": 0.5}
CONE = {"name": "cone", "at_x": 0.75, "at_y": 0.5, "radius": 0.15}
#: Points along an axis, on which errors are measured and which the solver has, and times.
GRIDS, TIMES = (64, 128), 11
#: Steps of the solver in one turn, by its points: just stable for the speed at the edge.
STEPS = {64: 400, 128: 800}
#: Labels beyond the square, from where its corners come: √2/2 − 1/2 of the side.
MARGIN = 0.21
INSIDE = 1024
PHASES: list[dict[str, Any]] = [
    {"optimizer": "soap", "lr": 4e-3, "schedule": "cosine", "warmup": 0, "steps": 3000},
]


def case(points: int = GRIDS[-1]) -> Case:
    """The training; errors on so many points along an axis."""
    start = {"equation": EQUATION, "solution": CONE["name"], **TURN, **CONE}
    start.pop("name")
    side = {"low": 0.0, "high": 1.0, "points": points}
    model = {"name": "lpinn", "initial": start, "margin": MARGIN, "characteristics": [50, 50, 50]}
    return Case(
        {"what": "LPINN hard", "points": points}, EQUATION, TURN, CONE, model, PHASES,
        {"batch_size": INSIDE}, {"y": side, "x": side}, times=TIMES,
    )  # fmt: skip


def solved(points: int) -> dict[str, Any]:
    """The line of the solver: the same cone on a periodic grid, centered differences in space."""
    side = {"low": 0.0, "high": 1.0, "points": points, "periodic": True}
    truth = Case({}, EQUATION, TURN, CONE, {}, (), {}, {"y": side, "x": side}, times=TIMES).truth()
    began, steps = time.perf_counter(), STEPS[points]
    start = xr.Dataset({"u": truth[0].drop_vars("time")})
    found = sciml.simulate(
        "solvers/advection_diffusion.py", initial=start, flow="rotation", rotation=TURN["rotation"],
        kappa=0.0, shape=(points, points), dt=1.0 / steps, steps=steps,
    )["u"]  # fmt: skip
    found = (
        found.isel(time=slice(None, None, steps // (TIMES - 1))).transpose("time", "y", "x").values
    )
    return {
        "what": "solver", "points": points, "seed": 0, "weights": None,
        "cpu_seconds": round(time.perf_counter() - began, 1),
        "error": relative(found, truth.values), "error_last": relative(found[-1], truth.values[-1]),
        "lowest": float(found[-1].min()), "highest": float(found[-1].max()),
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """A row for the LPINN, and one a grid of the solver."""
    lines = [
        "| | points | weights | error, all times | error after the turn | s |",
        "|---|---|---|---|---|---|",
    ]
    for what, points in dict.fromkeys((row["what"], row["points"]) for row in rows):
        mine = chosen(rows, what=what, points=points)
        weights = f"{mine[0]['weights']:,}" if mine[0]["weights"] else ""
        spent = sum(row["cpu_seconds"] for row in mine) / len(mine)
        many = f"{mean_and_std(mine)} | {mean_and_std(mine, 'error_last')}"
        if what == "solver":
            many = f"{mine[0]['error']:.1e} | {mine[0]['error_last']:.1e}"
        lines.append(f"| {what} | {points}² | {weights} | {many} | {spent:.0f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    given = parser_of(__doc__, Path("runs/lpinn_rotation")).parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    results = given.out / RESULTS
    for points in GRIDS:
        if not chosen(rows_of(results), what="solver", points=points):
            append(results, solved(points))
    run([case()], given, table)
