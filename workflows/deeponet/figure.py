"""Draws error against the number of functions: python workflows/deeponet/figure.py results.jsonl OUT.png

Prints the fitted orders, too: least squares of log error against log functions, over all sizes and
over those from 1000 functions on.
"""

import sys
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from sciml.report.rows import rows_of


def main(source: str, out: str) -> None:
    errors = by_functions(rows_of(Path(source)))
    functions = np.array(sorted(errors["test_mse"]))
    figure, panel = plt.subplots(figsize=(6, 4.4), layout="constrained")
    for kind, color in (("test_mse", "C0"), ("train_mse", "0.6")):
        found = errors[kind]
        for n in functions:
            panel.plot([n] * len(found[n]), found[n], "o", color=color, ms=4)
        means = [np.mean(found[n]) for n in functions]
        panel.plot(functions, means, color=color, label=kind.removesuffix("_mse"))
    for least, style in ((functions[0], "k:"), (1000, "k--")):
        used = functions[functions >= least]
        means = [np.mean(errors["test_mse"][n]) for n in used]
        order, level = fitted(used, means)
        print(f"{used[0]} to {used[-1]} functions: order {order:.2f}")
        label = f"order {order:.2f}, from {used[0]} on"
        panel.plot(used, level * used**-order, style, lw=1, label=label)
    panel.set(
        xscale="log", yscale="log", xlabel="functions N", ylabel="mean squared error",
        title="antiderivative, 50 000 iterations, three seeds and their mean",
    )  # fmt: skip
    panel.legend(frameon=False)
    figure.savefig(out, dpi=100)


def by_functions(rows: list[dict]) -> dict[str, dict[int, list[float]]]:
    """Errors of the antiderivative at 50 000 iterations, one a seed, by number of functions."""
    found = {kind: defaultdict(list) for kind in ("test_mse", "train_mse")}
    for row in rows:
        if row["problem"] == "antiderivative" and row["schedule"] == "decayed":
            for kind, errors in found.items():
                errors[row["functions"]].append(row[kind]["s"])
    return found


def fitted(functions, errors) -> tuple[float, float]:
    """(p, c) of c N^(−p)."""
    slope, level = np.polyfit(np.log(functions), np.log(errors), 1)
    return -slope, np.exp(level)


if __name__ == "__main__":
    main(*sys.argv[1:])
