"""Tables of ``results.jsonl``, in Markdown: ``python workflows/graph_diffusion_physics/table.py``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parent))
from cases import PHYSICS

from sciml.report.rows import chosen, mean_and_std, rows_of

#: Columns by the key of a line; those that no line of a table has are left out.
COLUMNS = {
    "error": "rollout",
    "last": "its end",
    "error_finer": "finer mesh",
    "error_0.05": "5 % of the nodes",
    "error_0.1": "10 %",
    "error_0.2": "20 %",
    "beyond": "beyond bounds",
    "drift": "drift of mass",
    "correlation": "correlation",
    "slope": "slope",
    "diffusivity": "D",
    "rate": "rate",
    "turns": "turns off by",
}
UNTRAINED = ("persistence", "Laplacian, one coefficient")


def table(rows: Sequence[Mapping[str, Any]], physics: str) -> str:
    """Of one physics: a row a model."""
    mine = chosen(rows, physics=physics)
    keys = [key for key in COLUMNS if any(key in row for row in mine)]
    # Of smooth fields many weights are alike: what they make of slopes is D.
    without = {"diffusivity": ("correlation", "slope"), "error_0.05": ("error",)}
    keys = [k for k in keys if not any(k in without[w] for w in without if w in keys)]
    lines = [
        "| model | weights | " + " | ".join(COLUMNS[k] for k in keys) + " | CPU s |",
        "|---|---|" + "---|" * len(keys) + "---|",
    ]
    for name in (*UNTRAINED, *PHYSICS[physics].models):
        there = chosen(mine, model=name)
        if not there:
            continue
        if lost := [row["seed"] for row in there if "diverged" in row]:
            cells = [name, "", f"diverged in training (seeds {lost})"]
            there = [row for row in there if "diverged" not in row]
            if not there:
                lines.append("| " + " | ".join(cells + [""] * len(keys)) + " |")
                continue
            name += f" (seeds {lost} diverged)"
        weights = there[0].get("weights")
        cells = [name, "–" if weights is None else f"{weights:,}"]
        cells += [_cell(there, key, there[0]["model"] in UNTRAINED) for key in keys]
        seconds = [row["cpu_seconds"] for row in there if not row.get("live", True)]
        cells.append(f"{np.mean(seconds):.0f}" if seconds else "–")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(rows: Sequence[Mapping[str, Any]], key: str, once: bool) -> str:
    if key not in rows[0]:
        return "–"
    if once:
        return f"{rows[0][key]:.2g}"
    form = ".3f" if key in ("correlation", "slope", "rate") else ".1e"
    return mean_and_std(rows, key, form)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results.jsonl")
    given = parser.parse_args()
    lines = rows_of(given.results)
    for name in PHYSICS:
        if chosen(lines, physics=name):
            print(f"### {name}\n\n{table(lines, name)}")
