"""Draws error against samples: python workflows/darcy_16/figure.py results.jsonl OUT.png"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from run import BEST, PARTS, TRAIN

from sciml.report.rows import chosen, rows_of

AIM = 0.08
#: As floor.py prints them: what the best predictor of all errs by, and a solver with fitted contrast.
FLOOR, SPREAD, SOLVER = 0.0661, 0.0026, 0.0681
LINES = {
    "train_16": ("C2", "^:", "training samples, one pass"),
    "test_16": ("C1", "s--", "test samples, one pass"),
    "averaged_16": ("C0", "o-", "test samples, averaged over the square"),
}


def main(source: str, out: str) -> None:
    rows = chosen(rows_of(Path(source)), case=BEST)
    counts = sorted({*PARTS, TRAIN} & {row["samples"] for row in rows})
    figure, axes = plt.subplots(figsize=(6, 4.4), layout="constrained")
    axes.axhspan(
        FLOOR - SPREAD, FLOOR + SPREAD, color="0.85", label="floor, by a model of the data"
    )
    axes.axhline(
        SOLVER, color="0.5", lw=1, ls="-.", label="solver with fitted contrast, test samples"
    )
    axes.axhline(AIM, color="k", lw=1, label="aim")
    for key, (color, marks, label) in LINES.items():
        errors = [np.array([r[key] for r in rows if r["samples"] == n]) for n in counts]
        spread = [e.std(ddof=1) if len(e) > 1 else 0.0 for e in errors]
        means = [e.mean() for e in errors]
        axes.errorbar(
            counts, means, yerr=spread, fmt=marks, color=color, label=label, ms=5, capsize=3
        )
    axes.set(
        xscale="log", yscale="log", xlabel="training samples", ylabel="relative $L^2$ error at 16²"
    )
    axes.set_xticks(counts, [str(n) for n in counts])
    ticks = [0.06, 0.065, 0.07, 0.075, 0.08, 0.09, 0.1, 0.12, 0.15]
    low, high = axes.get_ylim()
    ticks = [t for t in ticks if low <= t <= high]
    axes.set_yticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set_title(f"MgNO, {rows[0]['parameters']:,} weights, {rows[0]['passes']} passes")
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:])
