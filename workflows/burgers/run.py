"""Burgers' equation, u(0, ·) ↦ u(1, ·), by FNO, DeepONet and POD-DeepONet.

python workflows/burgers/run.py --size small

The Fourier neural operator is trained at one resolution and evaluated at all of them. The DeepONets
have 128 sensors; they are evaluated there and, asked at other points, at all that the data has.
Every result is appended to ``results.jsonl``; what is there is not computed again.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

import sciml
from sciml.report.rows import append, chosen, rows_of
from sciml.surrogates import Surrogate
from sciml.surrogates.grid.spectral import SpectralConv

#: A fifth of the recipe's time steps: u(1, ·) differs by 7e-7, relative L2.
DATA = ("solver.options.dt=5.0e-3", "solver.options.steps=200")
RESOLUTIONS = (256, 512, 1024, 2048, 4096, 8192)
SENSORS = 128

#: As published, but for the coordinate as an input: nothing here depends on it.
FNO = {
    "name": "fno",
    "modes": 30,  # waves 0 to 15: 16 of them, as the paper counts
    "n_layers": 4,
    "lifting_channel_ratio": 0,  # one linear layer
    "use_channel_mlp": False,
}
#: Sines and cosines of two waves in the trunk; the output is scaled to unit variance by the library.
DEEPONET = {
    "name": "deeponet",
    "branch": [128] * 3,
    "trunk": [128] * 3,
    "basis": 128,
    "harmonics": 2,
}
POD = {"name": "pod_deeponet", "branch": [128] * 3, "basis": 16}


@dataclass(frozen=True)
class Case:
    """A model and how it is trained: Adam at 1e-3, one cycle or a cosine, relative L2 loss.

    Args:
        points: of the training data along the line.
    """

    model: dict[str, Any]
    points: int
    batch: int
    epochs: int
    phase: dict[str, Any] = field(default_factory=dict)

    def phases(self) -> dict[str, Any]:
        return {"optimizer": "adam", "lr": 1e-3, "epochs": self.epochs, **self.phase}


CYCLE, COSINE = {"schedule": "onecycle"}, {"schedule": "cosine"}
CASES = {
    "small": {
        "fno": Case({**FNO, "hidden_channels": 32}, 256, 20, 60, CYCLE),
        "deeponet": Case(DEEPONET, SENSORS, 64, 500, COSINE),
        "pod_deeponet": Case(POD, SENSORS, 64, 500, COSINE),
    },
    "full": {
        "fno": Case({**FNO, "hidden_channels": 64}, 256, 20, 50, CYCLE),
        "deeponet": Case(DEEPONET, SENSORS, 100, 500, COSINE),
        "pod_deeponet": Case(POD, SENSORS, 100, 500, COSINE),
    },
}


def pairs(ds: xr.Dataset) -> xr.Dataset:
    """u(0, ·) and u(1, ·) as fields of their own, since they are scaled by their own variances: by
    time 1 a fiftieth of the wave is left."""
    ends = {name: ds["u"].isel(time=i, drop=True) for name, i in (("u0", 0), ("u1", -1))}
    return xr.Dataset(ends).load()


def at(ds: xr.Dataset, points: int) -> xr.Dataset:
    """Every so many points along the line."""
    return ds.isel(x=slice(None, None, ds.sizes["x"] // points))


def measure(
    case: Case, train: xr.Dataset, test: xr.Dataset, seed: int, device: str
) -> dict[str, Any]:
    """Train one model; relative L2 errors on the test samples by number of points."""
    began, spent = time.perf_counter(), time.process_time()
    surrogate = sciml.fit(
        case.model, at(train, case.points), inputs=["u0"], targets=["u1"],
        batch_size=case.batch, phases=case.phases(), validation=0, seed=seed, device=device,
    )  # fmt: skip
    seconds, spent = time.perf_counter() - began, time.process_time() - spent
    if surrogate.model.traits.any_resolution:
        errors = {n: relative(surrogate, at(test, n)) for n in RESOLUTIONS if n <= test.sizes["x"]}
    else:
        whole = at(test, case.points)
        errors = {
            case.points: relative(surrogate, whole),
            test.sizes["x"]: relative(surrogate, whole, test),
        }
    weights = sum(p.numel() for p in surrogate.parameters())
    return {
        "weights": weights,
        "weights_complex_once": weights - complex_weights(surrogate),
        "seconds": round(seconds, 1),
        "processor_seconds": round(spent, 1),
        "train": relative(surrogate, at(train, case.points)),
        "test": {str(n): e for n, e in errors.items()},
    }


def relative(surrogate: Surrogate, ds: xr.Dataset, finer: xr.Dataset | None = None) -> float:
    """Mean of ‖e‖/‖u‖ over the samples; of inputs on ``ds`` at the points of ``finer``."""
    where = None if finer is None else {"x": finer["x"].values}
    found = surrogate.predict(ds, at=where, batch_size=32)["u1"].values
    truth = (ds if finer is None else finer)["u1"].values
    return float(np.mean(np.linalg.norm(found - truth, axis=1) / np.linalg.norm(truth, axis=1)))


def complex_weights(surrogate: Surrogate) -> int:
    """Complex numbers among the weights, each of which is two real ones."""
    layers = [m for m in surrogate.modules() if isinstance(m, SpectralConv)]
    return sum(p.numel() for layer in layers for p in layer.kernel.parameters()) // 2


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: a row a model, mean ± std over seeds."""
    columns = sorted({int(n) for r in results for n in r["test"]})
    lines = [
        f"| model | weights (complex once) | seeds | train | {' | '.join(map(str, columns))} |",
        "|---" * (4 + len(columns)) + "|",
    ]
    for name in dict.fromkeys(r["model"] for r in results):
        mine = [r for r in results if r["model"] == name]
        cells = [spread([r["train"] for r in mine])]
        for n in columns:
            cells.append(spread([r["test"][str(n)] for r in mine if str(n) in r["test"]]))
        weights = f"{mine[0]['weights']:,} ({mine[0]['weights_complex_once']:,})"
        lines.append(f"| {name} | {weights} | {len(mine)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def spread(values: list[float]) -> str:
    return f"{np.mean(values):.2e} ± {np.std(values):.0e}" if values else "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=CASES, default="small")
    parser.add_argument("--models", nargs="*", default=list(CASES["small"]), choices=CASES["small"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--points", type=int, help="at which the FNO is trained")
    parser.add_argument("--epochs", type=int, help="other than the size has")
    parser.add_argument("--data", type=Path, help="default: generated in OUT")
    parser.add_argument("--device", help="default: a GPU if there is one")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="default: runs/burgers-SIZE")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    out = given.out or Path("runs") / f"burgers-{given.size}"
    out.mkdir(parents=True, exist_ok=True)
    data = given.data or out / "data.nc"
    if not data.exists():
        sciml.generate("burgers_fno", data, size=given.size, overrides=DATA)
    with xr.open_dataset(data) as ds:
        splits = {name: pairs(ds.isel(sample=ds["split"] == name)) for name in ("train", "test")}
    file = out / "results.jsonl"
    for seed in range(given.seeds):
        for name in given.models:
            case = CASES[given.size][name]
            if given.points is not None and name == "fno":
                case = replace(case, points=given.points)
            if given.epochs is not None:
                case = replace(case, epochs=given.epochs)
            key = {
                "model": name, "seed": seed, "size": given.size,
                "points": case.points, "epochs": case.epochs,
            }  # fmt: skip
            if chosen(rows_of(file), **key):
                continue
            found = key | measure(case, splits["train"], splits["test"], seed, given.device)
            append(file, found)
            print(json.dumps(found), flush=True)
    done = rows_of(file)
    (out / "results.json").write_text(json.dumps(done, indent=1) + "\n")
    print(table(done))


if __name__ == "__main__":
    main()
