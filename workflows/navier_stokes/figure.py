"""Truth, predictions and errors: python workflows/navier_stokes/figure.py RUN OUT.png"""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from run import AHEAD, GIVEN, states

TITLES = {"fno": "FNO", "mgno": "MgNO", "unet": "U-Net", "fno, online": "FNO, online"}
STEPS = (1, 5, 10)
SAMPLE, SEED = 0, 0


def main(folder: str, out: str) -> None:
    results = json.loads((Path(folder) / "results.json").read_text())
    with xr.open_dataset(Path(folder) / "data.nc") as ds:
        truth = states(ds, "test")["w"].isel(sample=SAMPLE).transpose("time", "y", "x").values
    names = [name for name in TITLES if any(r["model"] == name for r in results)]
    shown = [name for name in names if "online" not in name]
    figure = plt.figure(figsize=(12.5, 5.4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[2.4, 1])
    columns = 1 + 2 * len(shown)
    panels = left.subplots(len(STEPS), columns)
    high = np.abs(truth).max()
    for row, step in zip(panels, STEPS, strict=True):
        true = truth[GIVEN + step - 1]
        image = row[0].imshow(true, cmap="RdBu_r", vmin=-high, vmax=high, origin="lower")
        row[0].set_ylabel(f"step {step}")
        for k, name in enumerate(shown):
            found = xr.open_dataarray(Path(folder) / f"{name}-{SEED}.nc")
            found = found.isel(sample=SAMPLE, time=step - 1).values
            for column, values in ((1 + k, found), (1 + len(shown) + k, found - true)):
                row[column].imshow(values, cmap="RdBu_r", vmin=-high, vmax=high, origin="lower")
    heads = ["truth", *(TITLES[n] for n in shown), *(f"{TITLES[n]}, error" for n in shown)]
    for panel, head in zip(panels[0], heads, strict=True):
        panel.set_title(head, fontsize=9)
    for panel in panels.flat:
        panel.set(xticks=[], yticks=[])
    left.colorbar(
        image, ax=panels, shrink=0.6, location="bottom", label="vorticity, 1/s", aspect=40
    )
    curves(right.subplots(), results, names)
    figure.savefig(out, dpi=110)


def curves(axes, results, names) -> None:
    """Error against step, mean and spread over seeds."""
    steps = np.arange(1, AHEAD + 1)
    for k, name in enumerate(names):
        each = np.array([r["steps"] for r in results if r["model"] == name])
        axes.plot(steps, each.mean(0), "o-", color=f"C{k}", ms=4, label=TITLES[name])
        axes.fill_between(steps, each.min(0), each.max(0), color=f"C{k}", alpha=0.25, lw=0)
    axes.plot(steps, results[0]["persistence"]["steps"], "k--", label="persistence")
    axes.set(xlabel="step (1 s)", ylabel="$\\|e\\| / \\|w\\|$", ylim=(0, None), xticks=steps)
    axes.legend(frameon=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
