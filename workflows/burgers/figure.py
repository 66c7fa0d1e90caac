"""Error against resolution: python workflows/burgers/figure.py RESULTS.json OUT.png"""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

TITLES = {"fno": "FNO", "deeponet": "DeepONet", "pod_deeponet": "POD-DeepONet"}
#: Relative L2 by number of points, Li et al. 2021, on their data.
PUBLISHED = {256: 0.0149, 512: 0.0158, 1024: 0.0160, 2048: 0.0146, 4096: 0.0142, 8192: 0.0139}
#: Lu et al. 2022, on data of their own.
ELSEWHERE = {"deeponet": 0.0215, "pod_deeponet": 0.0194, "fno": 0.0193}


def main(source: str, out: str) -> None:
    results = json.loads(Path(source).read_text())
    figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    for k, (name, title) in enumerate(TITLES.items()):
        mine = [r for r in results if r["model"] == name]
        if not mine:
            continue
        points = [int(n) for n in mine[0]["test"]]
        each = np.array([list(r["test"].values()) for r in mine])
        label = f"{title}, trained at {mine[0]['points']}"
        axes.errorbar(
            points, each.mean(0), each.std(0), fmt="o-", color=f"C{k}", ms=5, capsize=3, label=label
        )
        axes.axhline(ELSEWHERE[name], color=f"C{k}", ls=":", lw=1)
    axes.plot(list(PUBLISHED), list(PUBLISHED.values()), "kx--", label="FNO, Li et al. 2021")
    axes.plot([], [], ":", color="0.5", label="each, Lu et al. 2022")
    axes.set(
        xscale="log", yscale="log", xlabel="points along the line", ylabel="relative $L^2$ error"
    )
    ticks = sorted({*PUBLISHED, *(int(n) for r in results for n in r["test"])})
    axes.set_xticks(ticks, [str(n) for n in ticks])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8, loc="center right")
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:])
