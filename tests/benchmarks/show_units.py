"""What a field learns beside others of other units, and beside samples in which nothing happens.

    python tests/benchmarks/show_units.py [fields] [faint] [--steps 900] [--json units.json]

``fields``: travelling waves as pressure around 101 325 Pa, geopotential and humidity of 1e-5, learned
together; errors of one step in the units of each, beside persistence. ``faint``: targets that are zero,
or nearly, in 1 or 8 of 40 samples; errors on the others, beside those without such samples, for several
floors of the relative losses (:data:`sciml.training.losses.FAINT`).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

import sciml
from sciml.training import losses

#: Error of persistence, and mean of the field.
FIELDS = {
    "pressure": (103.0, 101_325.0),
    "geopotential": (13.3, 0.0),
    "humidity": (4.06e-5, 1e-5),
}
SMALL = {"name": "fno", "modes": 8, "hidden_channels": 16, "n_layers": 2}
Rows = list[dict[str, Any]]


def waves(seed: int, samples: int = 32, times: int = 8, points: int = 16) -> np.ndarray:
    """a sin 2π(x − t + p) on the unit interval, ``(sample, time, x)``."""
    rng = np.random.default_rng(seed)
    x, t = np.arange(points) / points, 0.1 * np.arange(times)
    a, p = rng.uniform(0.5, 2, samples), rng.uniform(0, 6.28, samples)
    return a[:, None, None] * np.sin(2 * np.pi * (x - t[:, None]) + p[:, None, None])


def together() -> xr.Dataset:
    """All fields, scaled so that persistence has the errors of :data:`FIELDS`."""
    fields = {}
    for seed, (name, (persistence, mean)) in enumerate(FIELDS.items(), start=1):
        u = waves(seed)
        fields[name] = mean + u * persistence / root(u[:, 1:] - u[:, :-1])
    coords = {"time": 0.1 * np.arange(8), "x": np.arange(16) / 16}
    return xr.Dataset({n: (("sample", "time", "x"), u) for n, u in fields.items()}, coords)


def root(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(values, np.float64)))))


def fields(steps: int) -> Rows:
    rows = []
    ds = together()
    before, after = ds.isel(time=slice(0, -1)), ds.isel(time=slice(1, None))
    still = {n: root(after[n].values - before[n].values) for n in FIELDS}
    for loss in ("relative_l2", "mse", "h1"):
        phase = {
            "lr": 2e-3,
            "schedule": "cosine",
            "steps": steps,
            "weight_decay": 1e-5,
            "clip": 1.0,
        }
        surrogate = sciml.fit("fno", ds, targets=list(FIELDS), loss=loss, phases=phase)
        ahead = surrogate.predict(ds).isel(time=slice(0, -1))
        errors = {n: root(ahead[n].values - after[n].values) for n in FIELDS}
        found = surrogate.history.validations[-1]["fields"]
        rows.append(
            {"loss": loss, "steps": steps, "error": errors, "persistence": still, "held out": found}
        )
        for n in FIELDS:
            print(
                f"{loss:>12}  {n:>13}  error {errors[n]:.2e}  persistence {still[n]:.2e}  ratio "
                f"{errors[n] / still[n]:.3f}  held out: VRMSE {found[n]['vrmse']:.3f} (persistence "
                f"{found[n]['vrmse_persistence']:.2f})",
                flush=True,
            )
    return rows


def faint(steps: int) -> Rows:
    rng = np.random.default_rng(0)
    x, k = np.arange(32) / 32, np.arange(1, 4)[:, None]
    f = (rng.normal(size=(40, 3, 1)) * np.sin(2 * np.pi * k * x)).sum(1)
    y, noise = 0.5 * f * np.abs(f), rng.normal(size=(40, 32))
    rows, own = [], losses.FAINT
    for floor in (0.05, 0.2, 0.5):
        losses.FAINT = floor
        usual = _on_the_others(f, y, steps)
        for count in (1, 8):
            for part in (0.0, 0.01, 0.05):
                target = y.copy()
                target[:count] = part * y.std() * noise[:count]
                error = _on_the_others(f, target, steps)
                rows.append({"floor": floor, "faint": count, "part": part, "ratio": error / usual})
                print(
                    f"floor {floor}: {count} of 40 samples with {part:.0%} of the deviation: error on "
                    f"the others {error:.4f}, without such samples {usual:.4f}",
                    flush=True,
                )
    losses.FAINT = own
    return rows


def _on_the_others(f: np.ndarray, y: np.ndarray, steps: int) -> float:
    dims = ("sample", "x")
    ds = xr.Dataset({"f": (dims, f), "y": (dims, y)}, {"x": np.arange(32) / 32})
    phase = {"lr": 2e-3, "schedule": "cosine", "steps": steps, "clip": 1.0}
    surrogate = sciml.fit(SMALL, ds, inputs=["f"], targets=["y"], phases=phase, validation=0)
    found = surrogate.predict(ds)["y"].values
    return root(found[8:] - y[8:]) / root(y[8:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=["fields"], choices=["fields", "faint"])
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    made = {"fields": fields, "faint": faint}
    found = {part: made[part](given.steps) for part in given.parts}
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
