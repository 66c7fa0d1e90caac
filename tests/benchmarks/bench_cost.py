"""What a training step, a prediction and their memory cost, against resolution and against width:

    python tests/benchmarks/bench_cost.py [--points 32 64 128] [--widths 16 32 64] [--rounds 5]
        [--json cost.json] [--figure cost.png]

FNO, MgNO, U-Net and DeepONet on batches of 8 periodic fields in float32, on one thread: what
``sciml.fit`` does in a step, as in ``bench_fno.py``. Width is that of the hidden channels; a DeepONet,
which has none, takes layers and a basis of four times as many. Resolution varies at width 32, width at
64² points. The families take turns in each round; given are medians, and how many times as much the
others cost as FNO, the median of the rounds. Memory is what training steps add to the process at its
peak, each measured in a child of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
from functools import partial
from pathlib import Path

import torch
from alternating import alternate, peak
from training_step import BATCH, Ours

from sciml.heap import keep_heap

POINTS, WIDTH = 64, 32
TITLES = {"fno": "FNO", "mgno": "MgNO", "unet": "U-Net", "deeponet": "DeepONet"}


def config(family: str, width: int) -> dict[str, object]:
    wide = [4 * width] * 2
    return {
        "fno": {"name": "fno", "modes": 16, "hidden_channels": width, "n_layers": 4},
        "mgno": {"name": "mgno", "width": width, "n_layers": 4, "levels": 5},
        "unet": {"name": "unet", "width": width},
        "deeponet": {"name": "deeponet", "branch": wide, "trunk": wide, "basis": 4 * width},
    }[family]


def cost(points: int, width: int, rounds: int) -> dict[str, dict[str, object]]:
    """Of each family: weights, seconds of a step and of a prediction."""
    ways = {family: Ours(config(family, width), points) for family in TITLES}
    steps = alternate({family: way.step for family, way in ways.items()}, rounds)
    predictions = alternate({family: way.predict for family, way in ways.items()}, rounds)
    return {
        family: {
            "parameters": sum(p.numel() for p in way.surrogate.parameters()),
            "step_s": steps[family],
            "predict_s": predictions[family],
        }
        for family, way in ways.items()
    }


def rows(found: dict[str, object]) -> str:
    lines = []
    base = found["families"]["fno"]
    for family, own in found["families"].items():
        line = f"{found['points']:>5}² {found['width']:>5} {TITLES[family]:>9} {own['parameters']:>10,}"
        for key in ("step_s", "predict_s"):
            times = [b / a for a, b in zip(base[key], own[key], strict=True)]
            line += (
                f" {statistics.median(own[key]) * 1e3:9.1f} {statistics.median(times):5.2f} "
                f"({min(times):.2f}–{max(times):.2f})"
            )
        lines.append(f"{line} {own['memory_MB']:7.0f}")
    return "\n".join(lines)


def draw(found: list[dict[str, object]], out: Path) -> None:
    """Time and memory of a training step, against resolution and against width."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, 2, figsize=(8, 6.4), sharey="row", layout="constrained")
    axes = (
        ("points", "width", WIDTH, f"points along an axis, at width {WIDTH}"),
        ("width", "points", POINTS, f"width, at {POINTS}² points"),
    )
    for column, (along, held, value, label) in enumerate(axes):
        cases = sorted((c for c in found if c[held] == value), key=lambda c: c[along])
        x = [case[along] for case in cases]
        for family, title in TITLES.items():
            own = [case["families"][family] for case in cases]
            times = [statistics.median(f["step_s"]) * 1e3 for f in own]
            panels[0, column].plot(x, times, "o-", label=title)
            panels[1, column].plot(x, [f["memory_MB"] for f in own], "o-", label=title)
        for panel in panels[:, column]:
            panel.set(xscale="log", yscale="log")
            panel.set_xticks(x, [str(n) for n in x])
            panel.minorticks_off()
            panel.grid(color="0.9")
        panels[1, column].set_xlabel(label)
    panels[0, 0].set_ylabel(f"training step of {BATCH} fields, ms")
    panels[1, 0].set_ylabel("memory that it adds, MB")
    panels[0, 0].legend(frameon=False)
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--figure", type=Path, help="draw them here")
    arguments = parser.parse_args()
    from sciml.surrogates.grid.neuraloperator import neuraloperator

    neuraloperator("FNO")
    torch.set_num_threads(1)
    keep_heap()
    cases = [(n, WIDTH) for n in arguments.points]
    cases += [(POINTS, width) for width in arguments.widths if (POINTS, width) not in cases]
    memory = [
        {family: peak(partial(Ours, config(family, width), n)) for family in TITLES}
        for n, width in cases
    ]
    print(f"batch {BATCH}, 1 thread; times that of FNO behind each")
    print(
        f"{'points':>6} {'width':>5} {'family':>9} {'parameters':>10} {'training step, ms':^27} "
        f"{'prediction, ms':^27} {'MB':>7}"
    )
    found = []
    for (n, width), held in zip(cases, memory, strict=True):
        families = cost(n, width, arguments.rounds)
        for family, megabytes in held.items():
            families[family]["memory_MB"] = megabytes
        found.append({"points": n, "width": width, "families": families})
        print(rows(found[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"threads": 1, "cases": found}, indent=1))
    if arguments.figure:
        draw(found, arguments.figure)


if __name__ == "__main__":
    main()
