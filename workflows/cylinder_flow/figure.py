"""Rollouts beside the solver's flow: python workflows/cylinder_flow/figure.py runs OUT.png

Trainings are those that ``run.py --data runs`` left, of a length and a seed.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from forces import forces
from run import test_flows

import sciml
from sciml.domain.inference import domain_of

TITLES = {
    "meshgraphnet": "MeshGraphNet",
    "s": "MeshTransformer S",
    "transolver": "Transolver",
    "bsms": "BSMS",
}
#: Steps that are shown, and the last.
STEPS = (10, 50)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", nargs="+", default=["s", "meshgraphnet"])
    parser.add_argument("--feed", default="fixed")
    parser.add_argument("--length", default="short")
    parser.add_argument("--flow", type=int, default=0, help="which of the test flows")
    given = parser.parse_args()
    flow = test_flows(given.data, given.length)[given.flow]
    start = flow.drop_vars("pressure").isel(time=[0])
    last = flow.sizes["time"] - 1
    steps = [n for n in STEPS if n < last] + [last]
    rolled = {"solver": flow.isel(time=slice(1, None))}
    for model in given.model:
        name = f"{model.replace(' ', '_')}-{given.feed}-{given.length}-0"
        rolled[TITLES.get(model, model)] = sciml.load(given.data / name).rollout(start, steps[-1])
    figure = plt.figure(figsize=(11, 1.35 * len(rolled) + 2), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[1.35 * len(rolled), 2])
    speeds(above, rolled, steps)
    lifts(below.subplots(), rolled, flow.attrs)
    figure.savefig(given.out, dpi=80)


def speeds(figure, rolled, steps):
    """A row of each: the speed after some steps."""
    panels = figure.subplots(len(rolled), len(steps), squeeze=False)
    high = np.linalg.norm(rolled["solver"].velocity.values, axis=-1).max()
    for row, (name, flow) in zip(panels, rolled.items(), strict=True):
        mesh = domain_of(flow)
        row[0].set_ylabel(name, fontsize=8)
        for panel, step in zip(row, steps, strict=True):
            speed = np.linalg.norm(flow.velocity.values[step - 1], axis=-1)
            image = panel.tripcolor(
                *mesh.points.T, mesh.cells, speed, shading="gouraud", vmin=0, vmax=high
            )
            panel.set(xticks=[], yticks=[], aspect="equal")
            panel.autoscale(tight=True)
    for panel, step in zip(panels[0], steps, strict=True):
        panel.set_title(f"step {step}", fontsize=9)
    figure.colorbar(image, ax=panels, label="speed, m/s", shrink=0.8)


def lifts(axes, rolled, about):
    """Lift over time, of fields at the nodes."""
    for name, flow in rolled.items():
        given = about["nu"], 2.0 / 3.0 * about["speed"], 2.0 * about["radius"]
        style = {"color": "k", "lw": 2.5} if name == "solver" else {"lw": 1.2}
        axes.plot(flow.time, forces(flow, *given)[1], label=name, **style)
    axes.set(xlabel="time, s", ylabel="lift coefficient")
    axes.legend(frameon=False, ncols=len(rolled), fontsize=8)


if __name__ == "__main__":
    main()
