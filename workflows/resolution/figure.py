"""Draws error against resolution: python workflows/resolution/figure.py results.json OUT.png"""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
from run import BASE, RESOLUTIONS, summary

TITLES = {"unet": "U-Net", "cnn": "CNN", "vit": "ViT"}
WHOLE = {"fno": "FNO", "mgno": "MgNO"}
#: Color and marker of each way of use.
LOOKS = {
    "plain": ("C3", "o-"),
    "operator": ("C0", "s-"),
    "operator, cubic kernel functions": ("C2", "^--"),
    "operator, linear kernel functions": ("C1", "v--"),
    "plain, on the training grid": ("0.6", "d:"),
}


def main(source: str, out: str) -> None:
    results = json.loads(Path(source).read_text())
    found = summary(results)
    names = [n for n in TITLES if any(name == n for name, _ in found)]
    figure, panels = plt.subplots(
        1, len(names), figsize=(4 * len(names), 4.6), sharey=True, layout="constrained"
    )
    for panel, name in zip(panels, names, strict=True):
        for use, (color, marks) in LOOKS.items():
            draw(panel, found[name, use], color, marks, use)
        for (other, _), errors in found.items():
            if other in WHOLE:
                style = "-" if other == "fno" else "--"
                draw(panel, errors, "k", f"x{style}", WHOLE[other])
        panel.axhline(results[0]["persistence"], color="0.8", lw=1, label="persistence")
        panel.axvline(BASE, color="0.8", lw=1)
        panel.set(xscale="log", yscale="log", title=TITLES[name], xlabel="points along the line")
        panel.set_xticks(RESOLUTIONS, [f"{n}\n{n / BASE:g}×" for n in RESOLUTIONS])
        panel.minorticks_off()
    panels[0].set_ylabel("one step ahead, $\\|e\\| / \\|u\\|$")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(out, dpi=110)


def draw(panel, errors, color, marks, label) -> None:
    means = [m for m, _ in errors.values()]
    spread = [s for _, s in errors.values()]
    panel.errorbar(list(errors), means, yerr=spread, fmt=marks, color=color, label=label, ms=5)


if __name__ == "__main__":
    main(*sys.argv[1:])
