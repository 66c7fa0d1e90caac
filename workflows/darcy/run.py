"""Four surrogates of Darcy flow, each trained offline, and online from the solver, side by side.

    python workflows/darcy/run.py --size small
    python workflows/darcy/run.py --size full --device cuda --data darcy_rough --models mgno fno

One study a training; its source is a generated dataset (offline) or the stream of the solver that
made the dataset (online). What is in ``results.jsonl`` already is not computed again.
"""

import argparse
import contextlib
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from cases import DATASETS, GRIDS, MODELS, MODES, RECIPES, SIZES, SPLITS, Case
from table import table

from sciml.report.rows import append, rows_of

RESULTS = "results.jsonl"


def main() -> None:
    given = arguments()
    out = given.out or Path("runs") / f"darcy-{given.size}"
    out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    for data in given.data:
        dataset(out, data, given.size, given.set)
    there = {Case.of(row) for row in rows_of(out / RESULTS)}
    cases = [
        Case(data, model, mode, seed, given.size, given.epochs)
        for data in given.data
        for seed in given.seeds
        for mode in given.mode
        for model in given.models
    ]
    todo = [case for case in cases if case not in there]
    options = {
        "device": given.device,
        "autocast": "bfloat16" if given.bf16 else None,
        "compile": given.compile,
        "set": given.set,
        "solvers": given.solvers or max(1, os.cpu_count() // given.workers - 1),
    }
    print(f"{len(todo)} of {len(cases)} trainings to do, {given.workers} at once", flush=True)
    with ProcessPoolExecutor(given.workers, get_context("spawn")) as pool:
        jobs = [pool.submit(measure, out, case, options) for case in todo]
        try:
            for job in as_completed(jobs):
                row = job.result()
                append(out / RESULTS, row)
                print(f"{time.perf_counter() - began:6.0f} s  {told(row)}", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # else all the others would still run
            raise
    text = table([row for row in rows_of(out / RESULTS) if row["epochs"] == given.epochs])
    (out / "table.md").write_text(text)
    print(text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = list(MODELS["small"])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--data", nargs="+", choices=DATASETS, default=DATASETS)
    parser.add_argument("--models", nargs="+", choices=names, default=names)
    parser.add_argument("--mode", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="passes over the data; default: of the size")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1")
    parser.add_argument("--bf16", action="store_true", help="products of matrices in bfloat16")
    parser.add_argument("--compile", action="store_true", help="the model by torch.compile")
    parser.add_argument("--workers", type=int, help="trainings at once; default: a core each, or 1")
    parser.add_argument("--solvers", type=int, help="runs of the solver at once, for each training")
    parser.add_argument(
        "--set", nargs="+", default=[], help="other recipes: splits.train=64; take another --out"
    )
    parser.add_argument("--out", type=Path, help="default: runs/darcy-SIZE")
    given = parser.parse_args()
    if given.workers is None:
        given.workers = os.cpu_count() if given.device == "cpu" else 1
    return given


def changes(data: str, size: str, given: list[str]) -> list[str]:
    """What differs from the dataset's own recipe: all but *full* are on coarser grids."""
    return [*GRIDS.get(size, {}).get(data, []), *SPLITS.get(size, []), *given]


def dataset(out: Path, data: str, size: str, given: list[str]) -> Path:
    """The file of a dataset, generated if it is not there."""
    import sciml

    file = out / f"{data}.nc"
    if not file.exists():
        sciml.generate(
            data, file, size=RECIPES[size], overrides=changes(data, size, given), plain=True
        )
    return file


def study_of(case: Case, options: dict):
    """The study of a case: the solver's part is the recipe's, so that what it streams is what the
    dataset holds. Enough simulations are planned that the stream outlasts the training."""
    from sciml.datasets import load_recipe
    from sciml.study.schema import Study

    size = SIZES[case.size]
    made = load_recipe(case.data, RECIPES[case.size], changes(case.data, case.size, options["set"]))
    model, lr = MODELS[case.size][case.model]
    steps = case.steps(made.splits.train)
    return Study.model_validate(
        {
            "name": case.name,
            "seed": case.seed,
            "solver": {
                **made.solver.model_dump(),
                "options": {**made.solver.options, "steps": size.per_run - 1},
            },
            "parameters": {"simulations": -(-steps * size.batch // size.per_run)},
            "task": {"inputs": ["a"], "targets": ["u"], "lead": 0},
            "model": {"name": case.model, **model},
            "buffer": {"capacity": size.capacity, "watermark": size.watermark},
            "training": {
                "batch_size": size.batch,
                "loss": "h1_spectral",
                # torch's OneCycleLR with pct_start 0.2, div_factor 2, final_div_factor 100.
                "phases": [
                    {
                        "optimizer": "adam",
                        "lr": lr,
                        "schedule": "onecycle",
                        "rise": 0.2,
                        "start": 0.5,
                        "final": 0.005,
                        "steps": steps,
                        "clip": size.clip,
                    }
                ],
                "device": options["device"],
                "autocast": options["autocast"],
                "compile": options["compile"],
                "checkpoint_every": 2000,
            },
            "validation": {"simulations": 0, "every": 10**6},
            # The checkpoint keeps what the reservoir holds.
            "stream": {"spool_limit": size.spool},
            "cluster": {"simulations_at_once": options["solvers"]},
        }
    )


def measure(out: Path, case: Case, options: dict) -> dict:
    """Train one case, or go on with it, and measure it on the test split."""
    import sciml

    path, data = out / case.name, out / f"{case.data}.nc"
    with (
        (out / f"{case.name}.log").open("a") as log,
        contextlib.redirect_stderr(log),
        contextlib.redirect_stdout(log),
    ):
        trained(path, study_of(case, options), case, data)
    run = sciml.open_run(path)
    surrogate = run.surrogate().to(options["device"])
    test = split(data, "test")
    if case.mode == "online":
        distinct = run.status["buffer"]["distinct"]
    else:
        distinct = split(data, "train").sizes["sample"]
    return {
        **case.row(),
        **errors(surrogate.predict(test[["a"]]), test),
        "weights": run.summary["parameters"],
        "steps": run.summary["steps"],
        "draws": run.summary["steps"] * run.study.training.batch_size,
        "distinct": distinct,
        "training_seconds": round(run.summary["compute_seconds"], 1),
        "waiting_seconds": round(run.summary["wait_seconds"], 1),
        "device": options["device"],
    }


def trained(path: Path, study, case: Case, data: Path) -> None:
    """Leave a finished run at ``path``; one that was interrupted goes on.

    Raises:
        KeyboardInterrupt: stopped, with a checkpoint.
    """
    import sciml
    from sciml.run.offline.training import resume_offline
    from sciml.run.online.study_run import resume

    online = case.mode == "online"
    if not (path / "study.yaml").exists():
        if online:
            sciml.run(study, path, plain=True)
        else:
            sciml.train(study, data, path, plain=True)
    elif not (path / "summary.json").exists():
        _, code = (resume if online else resume_offline)(path, plain=True)
        if code:
            raise KeyboardInterrupt


def split(file: Path, name: str):
    """The samples of one split."""
    import xarray as xr

    with xr.open_dataset(file) as ds:
        return ds.isel(sample=(ds["split"] == name).values).load()


def errors(guess, truth) -> dict[str, float]:
    """Means over samples of ‖e‖/‖u‖ in L2, and in H1 with weights √(1 + |k|²) on Fourier
    coefficients, k in waves along a side, as published."""
    import numpy as np

    u = truth["u"].values.astype(np.float64)
    e = guess["u"].transpose(*truth["u"].dims).values - u
    waves = [np.fft.fftfreq(n, 1 / n) for n in u.shape[1:]]
    weight = np.sqrt(1 + waves[0][:, None] ** 2 + waves[1] ** 2)

    def relative(e, u):
        e, u = (np.linalg.norm(v.reshape(len(v), -1), axis=1) for v in (e, u))
        return float(np.mean(e / u))

    return {"l2": relative(e, u), "h1": relative(*(weight * np.fft.fft2(v) for v in (e, u)))}


def told(row: dict) -> str:
    return (
        f"{row['data']} {row['model']} {row['mode']} seed {row['seed']}: L2 {row['l2']:.4f}, "
        f"H1 {row['h1']:.4f}, {row['distinct']} samples in {row['draws']} draws, "
        f"{row['training_seconds']:.0f} s training"
    )


if __name__ == "__main__":
    main()
