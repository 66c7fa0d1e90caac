"""Train at one resolution, evaluate at half, twice and four times it, without training again.

python workflows/resolution/run.py --size small
"""

import argparse
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

HERE = Path(__file__).parent
BASE, FINEST = 64, 256
RESOLUTIONS = (32, 64, 128, 256)
#: Frames before the flow has forgotten how it began.
BURN_IN = 50

#: Options of each model that is trained, by size.
MODELS = {
    "fno": {
        "small": {"modes": 32, "hidden_channels": 32},
        "full": {"modes": 32, "hidden_channels": 64},
    },
    "mgno": {"small": {}, "full": {}},
    "unet": {"small": {"width": 16}, "full": {"width": 48}},
    "cnn": {"small": {"width": 24, "blocks": 2}, "full": {"width": 64, "blocks": 4}},
    "vit": {
        "small": {"patch": 4, "width": 64, "layers": 4},
        "full": {"patch": 4, "width": 192, "layers": 6},
    },
}
#: Epochs and largest learning rate.
TRAINING = {"small": (30, 2e-3), "full": (100, 1e-3)}

#: How a trained network is used elsewhere, as arguments of ``to_operator``; None: as it is.
USES = {
    "plain": None,
    "operator": {},
    "operator, cubic kernel functions": {"kernel": "cubic"},
    "operator, linear kernel functions": {"kernel": "linear"},
    "plain, on the training grid": {"finest": 1},
}
#: Operators already.
AS_THEY_ARE = ("fno", "mgno")


def main() -> None:
    import sciml.surrogates.registry as registry
    from sciml.datasets import generate

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("small", "full"), default="small")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--out", type=Path, help="default: runs/resolution-SIZE")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="trainings at once")
    given = parser.parse_args()
    out = given.out or Path("runs") / f"resolution-{given.size}"
    out.mkdir(parents=True, exist_ok=True)
    data = out / "data.nc"
    if not data.exists():
        generate(HERE, data, size=given.size)
    absent = [name for name in given.models if name not in registry.MODELS]
    for name in absent:
        print(f"{name}: no such model here; left out")
    todo = [
        (name, seed)
        for seed in range(given.seeds)
        for name in given.models
        if name not in absent and not (out / f"{name}-{seed}.json").exists()
    ]
    start = time.perf_counter()
    with ProcessPoolExecutor(given.workers, get_context("spawn")) as pool:
        jobs = [pool.submit(one, str(data), str(out), *job, given.size) for job in todo]
        for job in as_completed(jobs):
            print(f"{time.perf_counter() - start:5.0f} s  {job.result()}", flush=True)
    results = [json.loads(path.read_text()) for path in sorted(out.glob("*-*.json"))]
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    text = table(results)
    (out / "table.md").write_text(text)
    print(text)


def one(data: str, out: str, name: str, seed: int, size: str) -> str:
    """Train one model, use it in every way at every resolution, and write what was measured."""
    import torch
    import xarray as xr

    import sciml
    from sciml.surrogates import Surrogate, to_operator
    from sciml.training.phase import Phase

    torch.set_num_threads(1)
    ds = xr.open_dataset(data).isel(time=slice(BURN_IN, None)).load()
    every = ds.sizes["x"] // BASE
    train = ds.isel(sample=ds.split == "train", x=slice(None, None, every))
    test = ds.isel(sample=ds.split == "test")
    epochs, lr = TRAINING[size]
    start = time.perf_counter()
    surrogate = sciml.fit(
        {"name": name, **MODELS[name][size]},
        train[["u"]],
        batch_size=32,
        phases=Phase(lr=lr, schedule="onecycle", epochs=epochs, weight_decay=1e-5, clip=1.0),
        validation=0.0,
        seed=seed,
        device="cpu",
    )
    seconds = time.perf_counter() - start
    uses = {"as it is": None} if name in AS_THEY_ARE else USES
    errors: dict[str, dict[str, float]] = {}
    for use, how in uses.items():
        model = surrogate.model
        if how is not None:
            model = to_operator(model, BASE, True, **how)
        used = Surrogate(
            model,
            surrogate.task,
            surrogate.normalizer,
            increment=surrogate.increment,
            dt=surrogate.dt,
        )
        errors[use] = {
            str(n): one_step(used, test[["u"]].isel(x=slice(None, None, FINEST // n)))
            for n in RESOLUTIONS
        }
    result = {
        "model": name,
        "seed": seed,
        "size": size,
        "options": MODELS[name][size],
        "weights": sum(p.numel() for p in surrogate.model.parameters()),
        "training_seconds": round(seconds, 1),
        "persistence": persistence(test["u"]),
        "errors": errors,
    }
    (Path(out) / f"{name}-{seed}.json").write_text(json.dumps(result, indent=1) + "\n")
    shown = {use: " ".join(f"{e:.2e}" for e in found.values()) for use, found in errors.items()}
    return f"{name} seed {seed}, trained in {seconds:.0f} s: {shown}"


def one_step(surrogate, ds) -> float:
    """Mean over windows of ‖e‖/‖u‖, one step ahead."""
    surrogate.domain = None  # else plain ones refuse the grids that they are shown to fail on
    guess = surrogate.predict(ds, batch_size=64)["u"].isel(time=slice(None, -1))
    truth = ds["u"].isel(time=slice(1, None))
    return relative(guess.values, truth.values)


def persistence(u) -> float:
    """The same of u(t + Δ) ≈ u(t)."""
    return relative(u.isel(time=slice(None, -1)).values, u.isel(time=slice(1, None)).values)


def relative(guess, truth) -> float:
    import numpy as np

    error = np.linalg.norm(guess - truth, axis=-1) / np.linalg.norm(truth, axis=-1)
    return float(error.mean())


def summary(results: list[dict]) -> dict[tuple[str, str], dict[int, tuple[float, float]]]:
    """Mean and standard deviation over seeds by model and use, then by resolution."""
    import numpy as np

    found: dict[tuple[str, str], dict[int, tuple[float, float]]] = {}
    for name in MODELS:
        mine = [r for r in results if r["model"] == name]
        for use in mine[0]["errors"] if mine else ():
            at = {n: [r["errors"][use][str(n)] for r in mine] for n in RESOLUTIONS}
            found[name, use] = {n: (float(np.mean(e)), float(np.std(e))) for n, e in at.items()}
    return found


def table(results: list[dict]) -> str:
    """Markdown: a row a way of use, a column a resolution."""
    heads = [f"{n} ({n / BASE:g}×)" for n in RESOLUTIONS]
    lines = [
        "| model | used | weights | " + " | ".join(heads) + " |",
        "|---|---|---|" + "---|" * len(heads),
    ]
    weights = {r["model"]: r["weights"] for r in results}
    for (name, use), errors in summary(results).items():
        cells = " | ".join(f"{m:.2e} ± {s:.0e}" for m, s in errors.values())
        lines.append(f"| {name} | {use} | {weights[name]:,} | {cells} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
