"""How fast is DeepONet, against deepxde's? Run by hand:

    pip install -c constraints.txt -e ".[deepxde]"
    python tests/benchmarks/bench_deeponet.py [--rounds 7] [--json deeponet.json]

Branch [100, 40, 40] and trunk [d, 40, 40], ReLU, Adam at 1e-3, mean squares, float32, the same
batch, one thread. Theirs is ``DeepONetCartesianProd`` in a compiled ``Model`` (PyTorch): the step of
its loop, and ``predict``. Ours is a step of ``sciml.training.train`` on a surrogate with its scaling,
and a call of the surrogate on a batch. Rounds in turn in one process; medians, the ratio of
neighboring rounds (above 1: we are faster) and its range.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from sciml.domain import Grid
from sciml.samples import Task
from sciml.surrogates import Surrogate
from sciml.surrogates.batch import Batch
from sciml.training import Phase, Supervised, TensorSource, train
from sciml.training.deepxde_data import StreamData, dde

TASK = Task(("u",), ("s",), lead=0)
CASES = ((32, 100), (1000, 100), (10000, 100), (50, 10000))


def case(
    functions: int, points: int
) -> dict[str, tuple[Callable[[int], None], Callable[[int], None]]]:
    """Training and inference of both, as functions of the number of steps."""
    rng = np.random.default_rng(0)
    line = Grid((100,), ((0.0, 1.0),), ("open",))
    plane = Grid((100, 100), ((0.0, 1.0),) * 2, ("open",) * 2)
    grid = line if points == 100 else plane
    u = rng.standard_normal((functions, 1, *grid.shape))
    if grid is plane:
        u[:] = u[:, :, :1]
    batch = Batch(
        inputs={"u": torch.tensor(u, dtype=torch.float32)},
        targets={"s": torch.tensor(u, dtype=torch.float32)},
        parameters=torch.zeros(functions, 0),
        time=torch.zeros(functions, 1),
        geometry={"periodic": torch.zeros(grid.ndim, dtype=torch.bool)},
        size=functions,
    )
    options = {"branch": [40], "trunk": [40], "basis": 40, "activation": "relu"}
    options["sensors"] = 100 if grid is line else [1, 100]
    surrogate = Surrogate.build({"name": "deeponet", **options}, TASK, grid)
    surrogate.normalizer.fix()
    data = StreamData(TensorSource(batch), batch)
    ((_, y), s) = data.test()
    # Sensors along x alone, for them as for us.
    values = np.ascontiguousarray(u[:, 0].reshape(functions, -1)[:, :100], dtype=np.float32)
    theirs = dde.data.TripleCartesianProd((values, y), s, (values, y), s)
    net = dde.nn.DeepONetCartesianProd([100, 40, 40], [grid.ndim, 40, 40], "relu", "Glorot normal")
    model = dde.Model(theirs, net)
    model.compile("adam", lr=1e-3, verbose=0)

    def train_ours(steps: int) -> None:
        train(
            surrogate, TensorSource(batch), Supervised("mse"), Phase("adam", lr=1e-3, steps=steps)
        )

    def train_theirs(steps: int) -> None:
        for _ in range(steps):
            model.train_state.set_data_train(*theirs.train_next_batch())
            model._train_step(model.train_state.X_train, model.train_state.y_train, None)

    @torch.no_grad()
    def infer_ours(steps: int) -> None:
        surrogate.eval()
        for _ in range(steps):
            surrogate(batch)

    def infer_theirs(steps: int) -> None:
        for _ in range(steps):
            model.predict((values, y))

    return {"training": (train_ours, train_theirs), "inference": (infer_ours, infer_theirs)}


def timed(run: Callable[[int], None], steps: int) -> float:
    began = time.perf_counter()
    run(steps)
    return (time.perf_counter() - began) / steps * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.25, help="of each round, about")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    print("functions × points        ours/ms  deepxde/ms  ratio (range)")
    for functions, points in CASES:
        for what, pair in case(functions, points).items():
            first = [timed(run, 3) for run in pair]  # warm
            steps = [max(2, int(given.seconds / (t / 1e3))) for t in first]
            rounds = [
                tuple(timed(run, n) for run, n in zip(pair, steps, strict=True))
                for _ in range(given.rounds)
            ]
            ours, theirs = (statistics.median(r[i] for r in rounds) for i in (0, 1))
            ratios = sorted(b / a for a, b in rounds)
            middle = statistics.median(ratios)
            found.append(
                {
                    "functions": functions, "points": points, "what": what, "ours_ms": ours,
                    "deepxde_ms": theirs, "ratio": middle, "low": ratios[0], "high": ratios[-1],
                }
            )  # fmt: skip
            print(
                f"{functions:6d} × {points:5d} {what:10s} {ours:8.3f} {theirs:10.3f}   "
                f"{middle:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
                flush=True,
            )
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
