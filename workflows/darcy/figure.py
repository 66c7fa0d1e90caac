"""Draws a test sample and the errors: python workflows/darcy/figure.py runs/darcy-small OUT.png"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from cases import MODELS, MODES, Case
from run import RESULTS, split
from table import NAMES, mean_and_std

import sciml
from sciml.report.rows import chosen, rows_of

SHOWN = ("fno", "mgno")
COLORS = {"offline": "0.6", "online": "C0"}


def main(folder: str, out: str, data: str = "darcy_rough", seed: int = 0) -> None:
    rows = rows_of(Path(folder) / RESULTS)
    figure = plt.figure(figsize=(12, 7.2), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[2.1, 1.3])
    sample(above, Path(folder), rows, data, seed)
    bars(below, rows)
    figure.savefig(out, dpi=100)


def sample(figure, folder: Path, rows: list[dict], data: str, seed: int) -> None:
    """The coefficient, the solver's u, and what two surrogates make of it, with their errors."""
    one = split(folder / f"{data}.nc", "test").isel(sample=[0])
    truth = one["u"].values[0]
    panels = figure.subplots(2, 2 + len(SHOWN) * len(MODES))
    panels[1, 0].axis("off"), panels[1, 1].axis("off")
    image(panels[0, 0], np.log(one["a"].values[0]), "log of the coefficient", "cividis")
    shown = image(panels[0, 1], truth, "u, solver", "viridis")
    limits = shown.get_clim()
    errors = {}
    for column, (model, mode) in enumerate(((m, o) for m in SHOWN for o in MODES), start=2):
        [row] = [r for r in chosen(rows, data=data, model=model, mode=mode) if r["seed"] == seed]
        surrogate = sciml.load(folder / Case.of(row).name)
        guess = surrogate.predict(one[["a"]])["u"].transpose(*one["u"].dims).values[0]
        image(panels[0, column], guess, f"{NAMES[model]}, {mode}", "viridis", limits)
        errors[column] = guess - truth
    most = max(abs(error).max() for error in errors.values())
    for column, error in errors.items():
        last = image(panels[1, column], error, "", "RdBu_r", (-most, most))
    panels[1, 2].set_ylabel("error")
    figure.colorbar(shown, ax=panels[0], shrink=0.8)
    figure.colorbar(last, ax=panels[1], shrink=0.8)
    figure.suptitle(f"{data}: a sample of the test split")


def image(panel, values, title, colors, limits=(None, None)):
    panel.set(xticks=[], yticks=[], title=title)
    return panel.imshow(values, cmap=colors, origin="lower", vmin=limits[0], vmax=limits[1])


def bars(figure, rows: list[dict]) -> None:
    """Relative L2 error of each model, offline and online, mean and standard deviation over seeds."""
    datasets = list(dict.fromkeys(row["data"] for row in rows))
    panels = figure.subplots(1, len(datasets), sharey=True, squeeze=False)[0]
    for panel, data in zip(panels, datasets, strict=True):
        for offset, mode in zip((-0.2, 0.2), MODES, strict=True):
            for place, model in enumerate(MODELS["small"]):
                mine = chosen(rows, data=data, model=model, mode=mode)
                if not mine:
                    continue
                mean, std = mean_and_std(mine, "l2")
                label = mode if place == 0 else None
                panel.bar(place + offset, mean, 0.4, yerr=std, color=COLORS[mode], label=label)
        panel.set(title=data)
        panel.set_xticks(range(len(MODELS["small"])), [NAMES[m] for m in MODELS["small"]])
    panels[0].set_ylabel(r"$\|e\| / \|u\|$, test split")
    panels[0].legend(frameon=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
