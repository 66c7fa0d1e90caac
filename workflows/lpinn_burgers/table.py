"""The results as Markdown: python workflows/lpinn_burgers/table.py results.jsonl"""

import sys
from pathlib import Path

import numpy as np
from cases import METHODS, VISCOSITIES, floor

from sciml.report.rows import chosen, mean_and_std, rows_of


def table(rows: list[dict]) -> str:
    """A row a viscosity and method; then the rest."""
    lines = [
        "| ν | method | weights | error | error at the last time | least J | s |",
        "|---|---|---|---|---|---|---|",
    ]
    for nu in VISCOSITIES:
        for method in METHODS:
            if mine := chosen(rows, nu=nu, method=method, data="exact"):
                lines.append(f"| {nu:g} | {method} | {figures(mine)} |")
        lines.append(f"| {nu:g} | uncorrected, solved exactly | | {floor(nu):.1e} | | | |")
    lines += [
        "",
        "| | until | method | weights | error | error at the last time | least J | s | shock at |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    rest = {(r["data"], r["last"], r["method"]) for r in rows if r["data"] != "exact"}
    for data, last, method in sorted(rest):
        mine = chosen(rows, data=data, last=last, method=method)
        shock = mean_and_std(mine, "shock_time", ".3f")
        lines.append(f"| {data} | {last:g} | {method} | {figures(mine)} | {shock} |")
    return "\n".join(lines) + "\n"


def figures(rows: list[dict]) -> str:
    """Cells of rows that differ in their seeds."""
    least = mean_and_std(rows, "least_jacobian", ".3f")
    spent = np.mean([row["cpu_seconds"] for row in rows])
    errors = f"{mean_and_std(rows)} | {mean_and_std(rows, 'error_last')}"
    return f"{rows[0]['weights']:,} | {errors} | {least} | {spent:.0f}"


if __name__ == "__main__":
    print(table(rows_of(Path(sys.argv[1]))))
