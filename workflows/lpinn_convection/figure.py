"""Draws error against speed: python workflows/lpinn_convection/figure.py results.jsonl OUT.png"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from cases import METHODS, OPTIMIZERS

from sciml.report.rows import chosen, rows_of

#: What is exact, as nothing is that moves, is drawn here.
LEAST = 1e-7
COLORS = dict(zip(METHODS, ("C3", "C1", "C0", "C2"), strict=True))


def main(source: str, out: str) -> None:
    rows = rows_of(Path(source))
    figure, panels = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharey=True)
    for panel, optimizer in zip(panels, OPTIMIZERS, strict=True):
        for method, color in COLORS.items():
            mine = chosen(rows, nu=0.0, method=method, optimizer=optimizer)
            if not mine:
                continue
            speeds = sorted({row["speed"] for row in mine})
            means = [np.mean([r["error"] for r in chosen(mine, speed=c)]) for c in speeds]
            means = np.maximum(means, LEAST)
            panel.semilogy(speeds, means, color=color, label=method)
            for row in mine:
                panel.semilogy(row["speed"], row["error"], "o", color=color, ms=3)
        panel.axhline(1e-3, color="0.6", lw=0.8, ls=":")
        panel.set(title=optimizer, xlabel="speed c")
    panels[0].set_ylabel("relative $L^2$ error, seeds and their mean")
    panels[0].legend(frameon=False)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(*sys.argv[1:])
