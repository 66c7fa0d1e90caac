"""Draws error against viscosity: python workflows/lpinn_burgers/figure.py results.jsonl OUT.png"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from cases import METHODS, VISCOSITIES, floor

from sciml.report.rows import chosen, rows_of

COLORS = dict(zip(METHODS, ("C2", "C0", "C1", "C3"), strict=True))


def main(source: str, out: str) -> None:
    rows = chosen(rows_of(Path(source)), data="exact")
    figure, panel = plt.subplots(figsize=(6, 4.2), layout="constrained")
    for method, color in COLORS.items():
        mine = chosen(rows, method=method)
        if not mine:
            continue
        there = [nu for nu in VISCOSITIES if chosen(mine, nu=nu)]
        means = [np.mean([r["error"] for r in chosen(mine, nu=nu)]) for nu in there]
        panel.loglog(there, means, color=color, label=method)
        for row in mine:
            panel.loglog(row["nu"], row["error"], "o", color=color, ms=3)
    panel.loglog(VISCOSITIES, [floor(nu) for nu in VISCOSITIES], "k+", ms=9,
                 label="uncorrected form, solved exactly")  # fmt: skip
    panel.set_xticks(VISCOSITIES, [f"{nu:g}" for nu in VISCOSITIES])
    panel.minorticks_off()
    panel.set(xlabel="viscosity ν", ylabel="relative $L^2$ error, seeds and their mean")
    panel.legend(frameon=False, fontsize=8)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(*sys.argv[1:])
