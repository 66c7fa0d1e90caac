"""What each option of the training is worth: Kuramoto–Sivashinsky on a line, three seeds.

``python workflows/ablation/run.py --size small --out ablation.json``
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import xarray as xr

import sciml

SIZES = {
    "small": {"simulations": 12, "steps": 240, "width": 16, "rollout": 20},
    "full": {"simulations": 64, "steps": 5000, "width": 48, "rollout": 40},
}
LINE = {"shape": [64], "length": 32.0, "dt": 0.1, "scheme": "etdrk4"}
#: The field changes its sign with x.
SIGNED = {"symmetries": ["flips", "translations"], "vectors": [{"x": "u"}]}


def lines(size):
    """Options of each line of the table, and the loss where it is another."""
    found = {
        "nothing": {},
        "ema 0.98": {"ema": 0.98},
        "augment": {"augment": SIGNED},
        "noise 0.003": {"noise": 0.003},
        "unroll 3": {"unroll": 3},
        "pushforward 2": {"pushforward": {"steps": 2, "grow": SIZES[size]["steps"] // 10}},
        "accumulate 2 of 8": {"accumulate": 2, "batch_size": 8},
        "autocast": {"autocast": "bfloat16"},
        "h1_spectral": {"loss": "h1_spectral"},
    }
    if size == "full":  # compiling takes longer than the small training
        found["compile"] = {"compile": True}
    return found


def simulations(count, first):
    """States one unit of time apart, after the transient."""
    found = []
    for seed in range(first, first + count):
        ds = sciml.simulate("solvers/kuramoto_sivashinsky.py", seed=seed, steps=800, **LINE)
        found.append(ds[["u"]].isel(time=slice(400, None, 10)).load())
    return xr.concat(found, "sample", coords="minimal", compat="override", join="override")


def measure(data, held, size, seed, options):
    given = SIZES[size]
    phase = {"lr": 5e-3, "schedule": "cosine", "steps": given["steps"], "clip": 1.0}
    model = {"name": "fno", "modes": 24, "hidden_channels": given["width"], "n_layers": 4}
    surrogate = sciml.fit(
        model, data, phases=phase, validation=0, seed=seed, **{"batch_size": 16, **options}
    )
    truth = held["u"].transpose("sample", "time", "x").values
    ahead = surrogate.predict(held)["u"].transpose("sample", "time", "x").values
    leads = given["rollout"]
    rolled = surrogate.rollout(held.isel(time=slice(0, 1)), leads)["u"]
    rolled = rolled.transpose("sample", "time", "x").values[:, -leads:]
    seconds = sorted(s.compute for s in surrogate.history.steps)
    return {
        "one_step": relative(ahead[:, : truth.shape[1] - 1], truth[:, 1:]),
        "rollout": relative(rolled, truth[:, 1 : leads + 1]),
        "milliseconds": 1e3 * seconds[len(seconds) // 2],
    }


def relative(found, truth):
    return float(np.mean(np.linalg.norm(found - truth, axis=2) / np.linalg.norm(truth, axis=2)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    began = time.perf_counter()
    data, held = simulations(SIZES[given.size]["simulations"], 0), simulations(4, 1000)
    table = {}
    print("| | one step | rollout | ms a step |\n|---|---|---|---|")
    for name, options in lines(given.size).items():
        runs = [measure(data, held, given.size, seed, options) for seed in range(given.seeds)]
        table[name] = runs
        columns = []
        for key, form in (("one_step", ".2e"), ("rollout", ".3f"), ("milliseconds", ".1f")):
            values = [r[key] for r in runs]
            columns.append(f"{np.mean(values):{form}} ± {np.std(values):{form}}")
        print(f"| {name} | {' | '.join(columns)} |", flush=True)
        if given.out is not None:
            given.out.write_text(json.dumps(table, indent=2) + "\n")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
