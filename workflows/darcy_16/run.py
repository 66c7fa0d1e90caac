"""Darcy flow at 16², 1000 samples: ``python workflows/darcy_16/run.py [--size full] [--curve]``.

Relative L2 errors on the 50 test samples at 16² and at 32², mean ± std over three seeds, of each model
and of the same model averaged over the eight symmetries of the square. ``small`` trains the Fourier
neural operator alone, ``full`` all of them; ``--curve`` the best of them on fewer samples.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

import sciml
from sciml.report.rows import append

BATCH, TRAIN = 16, 1000
FNO = {"name": "fno", "modes": 8, "hidden_channels": 32, "positions": True}
MGNO = {"name": "mgno", "width": 24, "levels": 4, "n_layers": 4, "boundary": ["zeros", "zeros"]}
CYCLE = {"schedule": "onecycle", "lr": 2e-3, "weight_decay": 1e-4, "rise": 0.2}
#: Batches under random symmetries of the square, and weights averaged over about two passes.
BETTER = {"augment": "square", "ema": 0.99}

#: Model, options of the training, passes over the data.
CASES = {
    "fno": (FNO, {}, 100),
    "fno, symmetries": (FNO, BETTER, 100),
    "mgno": (MGNO, {}, 100),
    "mgno, symmetries": (MGNO, BETTER, 100),
    "mgno, symmetries, 40 passes": (MGNO, BETTER, 40),
}
SIZES = {"small": list(CASES)[:1], "full": list(CASES)}
BEST = list(CASES)[-1]
#: Of the training samples, for the learning curve, and the batch for each. Equal passes over less
#: data are fewer steps, unless batches are smaller.
PARTS = {125: 4, 250: 4, 500: 8}


def load(resolution):
    """The data with x and y taken for periodic: points lie at i/n, the first one on the wall, so that a
    reflection takes i to n − i, as it does on a torus."""
    ds = sciml.load_dataset("neuraloperator_darcy", resolution=resolution).load()
    for axis in ("x", "y"):
        ds[axis].attrs |= {"boundary": "periodic", "extent": [0.0, 1.0]}
    return ds


def of_split(ds, split):
    return ds.isel(sample=np.flatnonzero(ds["split"].values == split))


def relative(surrogate, ds):
    truth, found = ds["u"].values, surrogate.predict(ds)["u"].transpose(*ds["u"].dims).values
    norms = [np.linalg.norm(v.reshape(len(v), -1), axis=1) for v in (found - truth, truth)]
    return float(np.mean(norms[0] / norms[1]))


def measure(name, data, tests, seed, batch=BATCH):
    """One training in a case of the table, and its errors."""
    model, options, passes = CASES[name]
    steps = passes * -(-data.sizes["sample"] // batch)
    began = time.perf_counter(), time.process_time()
    surrogate = sciml.fit(
        model, data, inputs=["a"], targets=["u"], loss="h1", batch_size=batch,
        phases={**CYCLE, "steps": steps}, validation=0, seed=seed, device="cpu", **options,
    )  # fmt: skip
    row = {
        "case": name, "seed": seed, "samples": data.sizes["sample"], "batch": batch, "passes": passes,
        "parameters": sum(p.numel() for p in surrogate.parameters()),
        "seconds": time.perf_counter() - began[0], "cpu_seconds": time.process_time() - began[1],
        "train_16": relative(surrogate, data),
    }  # fmt: skip
    averaged = surrogate.symmetrized("square")
    for resolution, test in tests.items():
        if surrogate.model.traits.any_resolution or resolution == 16:
            row[f"test_{resolution}"] = relative(surrogate, test)
            row[f"averaged_{resolution}"] = relative(averaged, test)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument(
        "--cases", nargs="*", type=int, help="numbers of rows, for several processes"
    )
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--curve", nargs="*", type=int, metavar="SAMPLES", help="train the best on fewer samples"
    )
    parser.add_argument("--out", type=Path, default=Path("results.jsonl"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    whole = load(16)
    data = of_split(whole, "train")
    tests = {16: of_split(whole, "test"), 32: of_split(load(32), "test")}
    names = [list(CASES)[i] for i in given.cases] if given.cases else SIZES[given.size]
    jobs = [(name, TRAIN, BATCH) for name in names]
    if given.curve is not None:
        jobs = [(BEST, count, PARTS[count]) for count in given.curve or PARTS]
    for name, count, batch in jobs:
        for seed in given.seeds:
            row = measure(name, data.isel(sample=slice(0, count)), tests, seed, batch)
            print(json.dumps(row), flush=True)
            append(given.out, row)


if __name__ == "__main__":
    main()
