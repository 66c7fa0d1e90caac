"""Draws what a quickstart run reached: python workflows/quickstart/figure.py RUN OUT.png"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import sciml


def main(run_dir: str, out: str) -> None:
    run = sciml.open_run(run_dir)
    one = run.predictions.isel(sample=0).load()
    every = run.predictions.load()
    steps = [1, 10, one.sizes["time"] - 1]
    figure = plt.figure(figsize=(11, 5.6), layout="constrained")
    panels = figure.add_gridspec(3, 5, width_ratios=[1, 1, 1, 0.15, 2.2])
    for column, step in enumerate(steps):
        truth, guess = one["u_true"].isel(time=step), one["u"].isel(time=step)
        low, high = float(truth.min()), float(truth.max())
        rows = [
            (truth, "viridis", (low, high), "solver"),
            (guess, "viridis", (low, high), "surrogate"),
            (guess - truth, "RdBu_r", (-0.1 * (high - low), 0.1 * (high - low)), "difference × 5"),
        ]
        for row, (values, colors, limits, name) in enumerate(rows):
            axes = figure.add_subplot(panels[row, column])
            axes.imshow(values, cmap=colors, vmin=limits[0], vmax=limits[1], origin="lower")
            axes.set(xticks=[], yticks=[])
            if column == 0:
                axes.set_ylabel(name)
            if row == 0:
                axes.set_title(f"step {step}")
    axes = figure.add_subplot(panels[:2, 4])
    error = relative(every["u"] - every["u_true"], every["u_true"])
    stay = relative(every["u_true"].isel(time=0) - every["u_true"], every["u_true"])
    lead = np.arange(1, every.sizes["time"])
    for values, name, color in ((stay, "initial field kept", "0.6"), (error, "surrogate", "C0")):
        axes.plot(lead, values.mean("sample")[1:], color=color, label=name)
        axes.fill_between(
            lead, values.min("sample")[1:], values.max("sample")[1:], color=color, alpha=0.25
        )
    axes.set(yscale="log", xlabel="rollout step", ylabel=r"$\|e\| / \|u\|$")
    axes.set_title(f"{every.sizes['sample']} unseen simulations (mean, range)")
    axes.legend(frameon=False)
    axes = figure.add_subplot(panels[2, 4])
    errors = {m["step"]: m["one_step"] for m in run.metrics}
    axes.plot(list(errors), list(errors.values()), "o-", label="surrogate")
    axes.axhline(run.summary["persistence"], color="0.6", label="persistence")
    axes.set(yscale="log", xlabel="gradient step", ylabel="one-step error")
    axes.legend(frameon=False)
    figure.savefig(out, dpi=130)


def relative(error, truth):
    """‖e‖ / ‖u‖ over space."""
    return np.sqrt((error**2).sum(("y", "x")) / (truth**2).sum(("y", "x")))


if __name__ == "__main__":
    main(*sys.argv[1:])
