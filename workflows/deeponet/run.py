"""DeepONet's experiments: python workflows/deeponet/run.py --size small [--out DIR].

    antiderivative      ds/dt = u
    pendulum            ds1/dt = s2, ds2/dt = −sin s1 + u
    diffusion_reaction  ∂s/∂t = D ∂²s/∂x² + k s² + u

Solutions are computed by the programs in ``solvers/``, the network is trained by
``sciml.training.train``, and errors are mean squares over test functions at all points. Every
result is appended to ``results.jsonl``; what is there is not computed again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import torch

import sciml
from sciml.report.rows import append, chosen, rows_of
from sciml.samples import Sample, Task
from sciml.samples.dataset import samples_of
from sciml.surrogates import Surrogate, collate
from sciml.surrogates.batch import Batch
from sciml.training import Hooks, Phase, Supervised, TensorSource, train
from sciml.training.points import at_random_points

CHECK_EVERY = 1000


@dataclass(frozen=True)
class Problem:
    """One operator at the published setting."""

    program: str
    targets: tuple[str, ...]
    points: int  # at which a solution is known in training
    sensors: int | tuple[int, ...]
    options: dict[str, object]
    basis: int = 40


PROBLEMS = {
    "antiderivative": Problem("solvers/antiderivative.py", ("s",), 1, 100, {"shape": (100,)}),
    "pendulum": Problem("solvers/pendulum.py", ("s1", "s2"), 1, 100, {"shape": (100,)}),
    # u is the same at all times: sensors along x alone.
    "diffusion_reaction": Problem(
        "solvers/diffusion_reaction.py", ("s",), 100, (1, 100), {"shape": (100, 100)}, basis=100
    ),
}


@dataclass(frozen=True)
class Run:
    """One training.

    ``points``: ``fixed`` is the published way, each solution known at points drawn once; ``redrawn``
    draws them anew in every iteration. ``schedule``: a constant rate is the published one; ``decayed``
    is the same for four fifths of the iterations, then a cosine down to 0.
    """

    problem: str
    functions: int
    iterations: int
    seed: int
    batch: int | None = None
    points: str = "fixed"
    schedule: str = "constant"


def small() -> Iterator[Run]:
    """Minutes on two cores."""
    for functions in (100, 200, 400, 800, 1600):
        yield Run("antiderivative", functions, 4000, 0)
    yield Run("pendulum", 1000, 5000, 0)
    yield Run("diffusion_reaction", 500, 2000, 0, batch=50)


def full() -> Iterator[Run]:
    """The published sizes, three seeds."""
    for seed in range(3):
        yield Run("antiderivative", 10000, 50000, seed)
    for seed in range(3):
        yield Run("antiderivative", 10000, 50000, seed, schedule="decayed")
        yield Run("antiderivative", 10000, 50000, seed, points="redrawn", schedule="cosine")
        yield Run("pendulum", 10000, 50000, seed)
        yield Run("diffusion_reaction", 500, 50000, seed)
    for functions in (100, 200, 500, 1000, 2000, 5000):
        for seed in range(3):
            yield Run("antiderivative", functions, 50000, seed, schedule="decayed")


SIZES = {"small": small, "full": full}


def solutions(name: str, count: int, test: int, folder: Path) -> tuple[list[Sample], list[Sample]]:
    """Samples for training and testing; generated once, a simulation each."""
    problem = PROBLEMS[name]
    task = Task(("u",), problem.targets, lead=0)
    found = []
    for role, number, seed in (("train", count, 1), ("test", test, 2)):
        path = folder / f"{name}-{role}-{number}.nc"
        if not path.exists():
            ds = sciml.simulate(
                problem.program, steps=number - 1, seed=seed, length=0.2, **problem.options
            )
            ds.to_netcdf(path, engine="h5netcdf")
        import xarray as xr

        with xr.open_dataset(path) as ds:
            found.append(samples_of(ds.load(), task))
    return found[0], found[1]


def learn(run: Run, training: list[Sample], test: list[Sample]) -> dict[str, object]:
    """Train, keep the weights of the lowest training loss out of every 1000th iteration, and test."""
    problem = PROBLEMS[run.problem]
    task = Task(("u",), problem.targets, lead=0)
    training = training[: run.functions]
    torch.manual_seed(run.seed)
    surrogate = Surrogate.build(
        {
            "name": "deeponet", "branch": [40], "trunk": [40], "basis": problem.basis,
            "activation": "relu", "sensors": problem.sensors, "strategy": "split_both",
        },
        task,
        training[0].simulation.domain,
    )  # fmt: skip
    surrogate.normalizer.update(training)
    surrogate.normalizer.fix()
    known = collate(training, task)
    generator = torch.Generator().manual_seed(run.seed)
    at_points = at_random_points(known, problem.points, generator)
    fixed = run.points == "fixed"
    source = TensorSource(at_points if fixed else known, run.batch, seed=run.seed)
    objective = Supervised("mse", points=None if fixed else problem.points)
    kept = Kept(surrogate, at_points)
    began = time.perf_counter()
    train(surrogate, source, objective, phases(run), hooks=Hooks(on_step=kept))
    seconds = time.perf_counter() - began
    surrogate.load_state_dict(kept.weights)
    whole = collate(test, task)
    return {
        "train_mse": mean_squares(surrogate, at_points),
        "test_mse": mean_squares(surrogate, whole),
        "test_mse_last": kept.last(whole),
        "weights": sum(p.numel() for p in surrogate.parameters()),
        "seconds": seconds,
        "test_functions": len(test),
    }


def phases(run: Run) -> list[Phase]:
    """Of one training."""
    if run.schedule != "decayed":
        return [Phase("adam", lr=1e-3, schedule=run.schedule, steps=run.iterations)]
    last = run.iterations // 5
    return [
        Phase("adam", lr=1e-3, steps=run.iterations - last),
        Phase("adam", lr=1e-3, schedule="cosine", steps=last),
    ]


class Kept:
    """The weights of the lowest training loss so far."""

    def __init__(self, surrogate: Surrogate, batch: Batch) -> None:
        self.surrogate, self.batch = surrogate, batch
        self.lowest, self.weights = float("inf"), deepcopy(surrogate.state_dict())
        self.newest = self.weights

    def __call__(self, step, history) -> None:
        if step.step % CHECK_EVERY:
            return
        loss = sum(mean_squares(self.surrogate, self.batch).values())
        self.newest = deepcopy(self.surrogate.state_dict())
        if loss < self.lowest:
            self.lowest, self.weights = loss, self.newest

    def last(self, batch: Batch) -> dict[str, float]:
        self.surrogate.load_state_dict(self.newest)
        return mean_squares(self.surrogate, batch)


@torch.no_grad()
def mean_squares(surrogate: Surrogate, batch: Batch) -> dict[str, float]:
    """Mean squared error of each target, in its units squared."""
    outputs = surrogate(batch)
    return {n: float((outputs[n] - t).double().square().mean()) for n, t in batch.targets.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--problem", choices=PROBLEMS)
    parser.add_argument(
        "--seed", type=int, action="append", help="of the full size; again for more"
    )
    parser.add_argument("--points", choices=("fixed", "redrawn"))
    parser.add_argument("--schedule", choices=("constant", "cosine", "decayed"))
    parser.add_argument("--functions", type=int)
    parser.add_argument("--iterations", type=int, help="fewer than the size has")
    parser.add_argument("--out", type=Path, default=Path("runs/deeponet"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    results = given.out / "results.jsonl"
    runs = [
        run
        for run in SIZES[given.size]()
        if given.problem in (None, run.problem)
        and (given.seed is None or run.seed in given.seed)
        and given.points in (None, run.points)
        and given.schedule in (None, run.schedule)
        and given.functions in (None, run.functions)
    ]
    if given.iterations:
        runs = [replace(run, iterations=given.iterations) for run in runs]
    most = {
        name: max(r.functions for r in SIZES[given.size]() if r.problem == name)
        for name in PROBLEMS
    }
    for run in runs:
        if chosen(rows_of(results), **vars(run)):
            continue
        test = 2000 if run.problem != "diffusion_reaction" else 200
        found = vars(run) | learn(run, *solutions(run.problem, most[run.problem], test, given.out))
        append(results, found)
        errors = ", ".join(f"{n} {v:.2e}" for n, v in found["test_mse"].items())
        print(
            f"{run.problem}, {run.functions} functions, {run.iterations} iterations, {run.points} "
            f"points, {run.schedule} rate, seed {run.seed}: test MSE {errors} "
            f"in {found['seconds']:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
