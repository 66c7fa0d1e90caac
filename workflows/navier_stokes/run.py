"""Forced flow in two dimensions, ν = 1e-5: ten states given, the next ten by feeding outputs back.

python workflows/navier_stokes/run.py --size small

``small`` has data of its own (``recipe.yaml``), ``full`` is the published setting, for a GPU. Every
result is appended to ``results.jsonl``; what is there is not computed again.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

import sciml
from sciml.report.rows import append, chosen, rows_of
from sciml.samples import Task
from sciml.surrogates import Surrogate
from sciml.surrogates.grid.spectral import SpectralConv

HERE = Path(__file__).parent
#: States that are given, and states that are predicted; the initial one is not among them.
GIVEN, AHEAD = 10, 10
DATA = {"small": HERE, "full": "navier_stokes"}


@dataclass(frozen=True)
class Case:
    """A model and how it is trained, with a relative L2 loss of the vorticity.

    Args:
        unroll: states that the loss compares, each from the outputs before it.
        increment: whether the network gives the change.
        epochs: passes over all windows.
    """

    model: dict[str, Any]
    batch: int
    epochs: int
    phase: dict[str, Any] = field(default_factory=dict)
    unroll: int = 1
    increment: bool = True

    def task(self) -> Task:
        return Task(("w",), ("w",), history=GIVEN, unroll=self.unroll)

    def phases(self) -> dict[str, Any]:
        return {"optimizer": "adam", "epochs": self.epochs, **self.phase}


#: Twelve waves along each axis, lifted by one linear layer, without the later code's channel MLP.
FNO = {
    "name": "fno", "modes": 24, "n_layers": 4, "lifting_channel_ratio": 0, "use_channel_mlp": False
}  # fmt: skip
MGNO = {"name": "mgno", "bias": True, "norm": True}
CYCLE = {"schedule": "onecycle", "lr": 2e-3, "clip": 1.0}
CASES = {
    "small": {
        "fno": Case({**FNO, "hidden_channels": 24}, 16, 12, CYCLE),
        "mgno": Case({**MGNO, "width": 16, "levels": 4, "n_layers": 4}, 16, 12, CYCLE),
        "unet": Case({"name": "unet", "width": 16, "levels": 3}, 16, 12, CYCLE),
    },
    "full": {
        # As published; 50 batches an epoch, so the rate is halved every 100 epochs.
        "fno": Case(
            {**FNO, "hidden_channels": 20, "projection_channel_ratio": 6.4, "positions": True},
            20, 500,
            {"schedule": "step", "lr": 1e-3, "every": 5000, "gamma": 0.5, "weight_decay": 1e-4},
            unroll=AHEAD, increment=False,
        ),
        "mgno": Case(
            {**MGNO, "width": 32, "levels": 5, "n_layers": 5}, 20, 500,
            {"schedule": "onecycle", "lr": 5e-4}, unroll=AHEAD,
        ),
        "unet": Case(
            {"name": "unet", "width": 32, "levels": 4}, 20, 500,
            {"schedule": "onecycle", "lr": 5e-4}, unroll=AHEAD,
        ),
    },
}  # fmt: skip


def states(ds: xr.Dataset, split: str) -> xr.Dataset:
    """Vorticity of one split, from 1 s on."""
    return ds[["w"]].isel(sample=ds["split"] == split, time=slice(1, None)).load()


def learn(case: Case, train: xr.Dataset, seed: int, device: str | None) -> Surrogate:
    return sciml.fit(
        case.model, train, case.task(), batch_size=case.batch, phases=case.phases(),
        increment=case.increment, validation=0, seed=seed, device=device,
    )  # fmt: skip


def roll(surrogate: Surrogate, test: xr.Dataset) -> xr.DataArray:
    """``(sample, time, y, x)``: the states from the eleventh on."""
    given = test.isel(time=slice(0, GIVEN))
    ahead = min(AHEAD, test.sizes["time"] - GIVEN)
    found = surrogate.rollout(given, ahead, batch_size=16)["w"]
    return found.transpose("sample", "time", "y", "x").isel(time=slice(-ahead, None))


def errors(found: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Mean over simulations of ‖e‖/‖w‖: over all states together, which is the published measure,
    and state by state."""
    whole, each = (
        np.sqrt(np.square(found - truth).sum(axis) / np.square(truth).sum(axis))
        for axis in ((1, 2, 3), (2, 3))
    )
    return {"rollout": float(whole.mean()), "steps": [float(e) for e in each.mean(0)]}


def truth_of(test: xr.Dataset) -> np.ndarray:
    return test["w"].transpose("sample", "time", "y", "x").values[:, GIVEN : GIVEN + AHEAD]


def persistence(test: xr.Dataset) -> dict[str, Any]:
    """The errors of the tenth state, taken for all that follow."""
    last = test["w"].transpose("sample", "time", "y", "x").values[:, [GIVEN - 1]]
    return errors(last, truth_of(test))


def weights(surrogate: Surrogate) -> dict[str, int]:
    """Real numbers, and numbers where a complex one counts once."""
    count = sum(p.numel() for p in surrogate.parameters())
    layers = [m for m in surrogate.modules() if isinstance(m, SpectralConv)]
    pairs = sum(p.numel() for layer in layers for p in layer.kernel.parameters()) // 2
    return {"weights": count, "weights_complex_once": count - pairs}


def online(case: Case, seed: int, out: Path, steps: int, device: str | None) -> Surrogate:
    """The same model and number of steps, from the stream of the solver: ``study.yaml``.

    Seeds from 1 on: with the recipe's, the study would draw some of its simulations.
    """
    options = [f"model.{key}={json.dumps(value)}" for key, value in case.model.items()]
    run = sciml.run(
        HERE / "study.yaml", out,
        overrides=[
            *options, f"seed={seed + 1}", f"training.phases.0.steps={steps}",
            f"training.batch_size={case.batch}", f"training.device={device or 'auto'}",
        ],
        plain=True,
    )  # fmt: skip
    return run.surrogate()


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: a row a model, mean ± std over seeds."""
    shown = (1, 2, 5, AHEAD)
    lines = [
        "| model | weights (complex once) | seeds | ten steps | "
        + " | ".join(f"step {n}" for n in shown)
        + " | processor |",
        "|---" * (5 + len(shown)) + "|",
    ]
    for name in dict.fromkeys(r["model"] for r in results):
        mine = [r for r in results if r["model"] == name]
        cells = [spread([r["rollout"] for r in mine])]
        cells += [spread([r["steps"][n - 1] for r in mine if len(r["steps"]) >= n]) for n in shown]
        count = f"{mine[0]['weights']:,} ({mine[0]['weights_complex_once']:,})"
        seconds = f"{np.mean([r['processor_seconds'] for r in mine]):.0f} s"
        lines.append(f"| {name} | {count} | {len(mine)} | {' | '.join(cells)} | {seconds} |")
    held = results[0]["persistence"]
    cells = [f"{held['rollout']:.4f}"]
    cells += [f"{held['steps'][n - 1]:.4f}" for n in shown if len(held["steps"]) >= n]
    lines.append(f"| persistence | | | {' | '.join(cells)} | |")
    return "\n".join(lines) + "\n"


def spread(values: list[float]) -> str:
    return f"{np.mean(values):.4f} ± {np.std(values):.4f}" if values else "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=CASES, default="small")
    parser.add_argument("--models", nargs="*", default=list(CASES["small"]), choices=CASES["small"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--online", action="store_true", help="the FNO from the stream as well")
    parser.add_argument("--data", type=Path, help="default: generated in OUT")
    parser.add_argument("--device", help="default: a GPU if there is one")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="default: runs/navier_stokes-SIZE")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    out = given.out or Path("runs") / f"navier_stokes-{given.size}"
    out.mkdir(parents=True, exist_ok=True)
    data = given.data or out / "data.nc"
    if not data.exists():
        sciml.generate(DATA[given.size], data, size=given.size)
    with xr.open_dataset(data) as ds:
        train, test = states(ds, "train"), states(ds, "test")
    file = out / "results.jsonl"
    names = [*given.models, "fno, online"] if given.online else given.models
    for seed in range(given.seeds):
        for name in names:
            key = {"model": name, "seed": seed, "size": given.size}
            if chosen(rows_of(file), **key):
                continue
            case = CASES[given.size][name.removesuffix(", online")]
            began, spent = time.perf_counter(), time.process_time()
            if name.endswith("online"):
                windows = train.sizes["sample"] * (train.sizes["time"] - GIVEN - case.unroll + 1)
                steps = case.epochs * -(-windows // case.batch)
                surrogate = online(case, seed, out / f"online-{seed}", steps, given.device)
            else:
                surrogate = learn(case, train, seed, given.device)
            seconds, spent = time.perf_counter() - began, time.process_time() - spent
            found = roll(surrogate, test)
            found.to_netcdf(out / f"{name.replace(', ', '-')}-{seed}.nc", engine="h5netcdf")
            result = {
                **key, **weights(surrogate), "seconds": round(seconds, 1),
                "processor_seconds": round(spent, 1),
                **errors(found.values, truth_of(test)), "persistence": persistence(test),
            }  # fmt: skip
            append(file, result)
            print(f"{name} seed {seed}: {result['rollout']:.4f} in {seconds:.0f} s", flush=True)
    done = rows_of(file)
    (out / "results.json").write_text(json.dumps(done, indent=1) + "\n")
    print(table(done))


if __name__ == "__main__":
    main()
