"""The results as Markdown: python workflows/lpinn_convection/table.py results.jsonl"""

import sys
from pathlib import Path

import numpy as np
from cases import DIFFUSED, DIFFUSION, METHODS, MORE, OPTIMIZERS, PUBLISHED, SPEEDS

from sciml.report.rows import chosen, mean_and_std, rows_of


def table(rows: list[dict]) -> str:
    """A row a method and optimizer, a column a speed; without diffusion, and with it."""
    parts = [block(rows, 0.0, SPEEDS), block(rows, DIFFUSION, DIFFUSED)]
    return "\n\n".join(parts) + "\n"


def block(rows: list[dict], nu: float, speeds: tuple[float, ...]) -> str:
    """Relative L2 errors, weights, and seconds of processor time of a training."""
    columns = [f"c = {speed:g}" for speed in speeds]
    lines = [
        f"| ν = {nu:g} | optimizer | weights | {' | '.join(columns)} | s |",
        "|---|---|---|" + "---|" * (len(speeds) + 1),
    ]
    for method in METHODS:
        for optimizer in (*OPTIMIZERS, *MORE):
            mine = chosen(rows, nu=nu, method=method, optimizer=optimizer)
            if mine:
                cells = [mean_and_std(chosen(mine, speed=speed)) for speed in speeds]
                spent = np.mean([row["cpu_seconds"] for row in mine])
                lines.append(
                    f"| {method} | {optimizer} | {mine[0]['weights']:,} | {' | '.join(cells)} "
                    f"| {spent:.0f} |"
                )
    for words, errors in PUBLISHED.items() if not nu else ():
        lines.append(f"| {words} | | | {' | '.join(errors.get(c, '') for c in speeds)} | |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(rows_of(Path(sys.argv[1]))))
