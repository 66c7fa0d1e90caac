"""How fast is DeepONet, against deepxde's? Run by hand:

    pip install -c constraints.txt -e ".[pinn]"
    python tests/benchmarks/bench_deeponet.py [--rounds 7] [--keep-heap] [--json deeponet.json]

Branch [100, 40, 40] and trunk [d, 40, 40], ReLU, Adam at 1e-3, mean squares, float32, the same data
in memory, all functions in one batch, one thread. Theirs is a compiled ``Model`` (PyTorch) around
``DeepONetCartesianProd``, or ``DeepONet`` where each function has points of its own: the step of its
loop, and ``predict``. Ours is a step of ``sciml.training.train`` on a surrogate, which scales inputs
and outputs on top, and a call of the surrogate on a batch. Each is in a process of its own, as its
users have it, and they take turns; given are medians, the ratio of neighboring rounds (above 1: we
are faster) and its range. ``--keep-heap`` gives theirs the setting of the C library's heap that
``train`` makes.

*Products* are the products of matrices that our step needs, by themselves, their factors coming from
memory: how much of our time is left to save without faster products.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch

SENSORS, WIDTH = 100, 40
#: Functions, points, and whether these are the same for all functions.
CASES = (
    (32, 100, True),
    (1000, 100, True),
    (10000, 100, True),
    (50, 10000, True),
    (10000, 1, False),
)
WHAT = ("training", "inference")
Run = Callable[[int], None]


def data(functions: int, points: int, aligned: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values at the sensors (B, 100), points (P, d) or (B, P, d), and targets (B, P)."""
    rng = np.random.default_rng(0)
    u = rng.standard_normal((functions, SENSORS), dtype=np.float32)
    if not aligned:
        y = rng.random((functions, points, 1), dtype=np.float32)
    elif points == SENSORS:
        y = np.linspace(0, 1, points, dtype=np.float32)[:, None]
    else:
        side = np.linspace(0, 1, round(points**0.5), dtype=np.float32)
        y = np.stack(np.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 2)
    return u, y, rng.standard_normal((functions, points), dtype=np.float32)


def ours(functions: int, points: int, aligned: bool, keep_heap: bool) -> dict[str, Run]:
    from sciml.domain import Grid
    from sciml.samples import Task
    from sciml.surrogates import Surrogate
    from sciml.surrogates.batch import Batch
    from sciml.training import Phase, Supervised, TensorSource, train

    u, y, s = (torch.from_numpy(a) for a in data(functions, points, aligned))
    axes = y.shape[-1]
    n = SENSORS if axes == 1 else round(points**0.5)
    grid = Grid((n,) * axes, ((0.0, 1.0),) * axes, ("open",) * axes)
    # On the plane u is the same along the first axis: sensors along the other alone.
    fields = u[:, None] if axes == 1 else u[:, None, None].expand(-1, 1, n, n).contiguous()
    batch = Batch(
        inputs={"u": fields},
        targets={"s": s.view(functions, 1, *grid.shape) if aligned else s[:, None]},
        parameters=torch.zeros(functions, 0),
        time=torch.zeros(functions, 1),
        geometry={"periodic": torch.zeros(axes, dtype=torch.bool)} | ({} if aligned else {"at": y}),
        size=functions,
    )
    options = {"branch": [WIDTH], "trunk": [WIDTH], "basis": WIDTH, "activation": "relu"}
    options["sensors"] = SENSORS if axes == 1 else [1, SENSORS]
    surrogate = Surrogate.build({"name": "deeponet", **options}, Task(("u",), ("s",), lead=0), grid)
    scaling = surrogate.normalizer
    for buffer, value in ((scaling.count, 1.0), (scaling.mean, 0.1), (scaling.squares, 1.3)):
        buffer.fill_(value)
    scaling.fix()
    phase = {"optimizer": "adam", "lr": 1e-3}

    def training(steps: int) -> None:
        train(surrogate, TensorSource(batch), Supervised("mse"), Phase(**phase, steps=steps))

    @torch.no_grad()
    def inference(steps: int) -> None:
        surrogate.eval()
        for _ in range(steps):
            surrogate(batch)

    return {"training": training, "inference": inference}


def deepxde(functions: int, points: int, aligned: bool, keep_heap: bool) -> dict[str, Run]:
    from sciml.training.deepxde_data import dde

    if keep_heap:
        from sciml.heap import keep_heap as keep

        keep()
    u, y, s = data(functions, points, aligned)
    if not aligned:
        u, y, s = u.repeat(points, 0), y.reshape(-1, y.shape[-1]), s.reshape(-1, 1)
    kind = dde.data.TripleCartesianProd if aligned else dde.data.Triple
    network = dde.nn.DeepONetCartesianProd if aligned else dde.nn.DeepONet
    known = kind((u, y), s, (u, y), s)
    sizes = [SENSORS, WIDTH, WIDTH], [y.shape[-1], WIDTH, WIDTH]
    model = dde.Model(known, network(*sizes, "relu", "Glorot normal"))
    model.compile("adam", lr=1e-3, verbose=0)

    def training(steps: int) -> None:
        for _ in range(steps):
            model.train_state.set_data_train(*known.train_next_batch())
            model._train_step(model.train_state.X_train, model.train_state.y_train, None)

    def inference(steps: int) -> None:
        for _ in range(steps):
            model.predict((u, y))

    return {"training": training, "inference": inference}


def products(functions: int, points: int, aligned: bool, keep_heap: bool) -> dict[str, Run]:
    """Each product that the layers and the sum over the basis need, folded where that is less."""
    rows = points if aligned else functions * points
    axes = 2 if points > SENSORS else 1
    inner = [(functions, SENSORS, WIDTH), (rows, axes, WIDTH), (rows, WIDTH, WIDTH)]
    if not aligned or points > functions:
        inner.append((functions, WIDTH, WIDTH))
    else:
        inner.append((points, WIDTH, WIDTH))
    outer = [(functions, WIDTH, points)] if aligned else []
    forward = inner + outer
    backward = [(k, m, n) for m, k, n in forward]  # of the weights
    backward += [(m, n, k) for m, k, n in inner[2:] + outer]  # of what goes in, but for the data
    known = {"training": [_product(*shape) for shape in forward + backward]}
    remembered = [shape for shape in forward if not aligned or shape[0] == functions]
    known["inference"] = [_product(*shape) for shape in remembered]

    def run(what: str) -> Run:
        def repeat(steps: int) -> None:
            for _ in range(steps):
                for a, b, out in known[what]:
                    torch.mm(a, b, out=out)

        return repeat

    return {what: run(what) for what in WHAT}


def _product(m: int, k: int, n: int) -> tuple[torch.Tensor, ...]:
    # As they lie in memory: a gradient of weights reads both of its factors by columns.
    first = torch.randn(k, m).T if k > m else torch.randn(m, k)
    return first, torch.randn(k, n), torch.empty(m, n)


KINDS = {"sciml": ours, "deepxde": deepxde, "products": products}


def work(kind: str, case: tuple[int, int, bool], keep_heap: bool, pipe: Connection) -> None:
    """In a process of its own: times of so many steps, as they are asked for."""
    torch.set_num_threads(1)
    runs = KINDS[kind](*case, keep_heap)
    while (asked := pipe.recv()) is not None:
        what, steps = asked
        began = time.perf_counter()
        runs[what](steps)
        pipe.send((time.perf_counter() - began) / steps * 1e3)


def compare(
    case: tuple[int, int, bool], rounds: int, seconds: float, keep_heap: bool
) -> list[dict]:
    context = multiprocessing.get_context("spawn")
    pipes, processes = {}, []
    for kind in KINDS:
        pipes[kind], other = context.Pipe()
        processes.append(context.Process(target=work, args=(kind, case, keep_heap, other)))
        processes[-1].start()

    def timed(kind: str, what: str, steps: int) -> float:
        pipes[kind].send((what, steps))
        return pipes[kind].recv()

    found = []
    for what in WHAT:
        first = {kind: (timed(kind, what, 3), timed(kind, what, 5))[1] for kind in KINDS}  # warm
        steps = {kind: max(3, int(seconds / (t / 1e3))) for kind, t in first.items()}
        times = [{kind: timed(kind, what, steps[kind]) for kind in KINDS} for _ in range(rounds)]
        ratios = sorted(t["deepxde"] / t["sciml"] for t in times)
        found.append(
            {"functions": case[0], "points": case[1], "aligned": case[2], "what": what}
            | {f"{kind}_ms": statistics.median(t[kind] for t in times) for kind in KINDS}
            | {"ratio": statistics.median(ratios), "low": ratios[0], "high": ratios[-1]}
        )
    for pipe, process in zip(pipes.values(), processes, strict=True):
        pipe.send(None)
        process.join()
    return found


def peak() -> float:
    """GFLOP/s of a large product of matrices."""
    a, b, best = torch.randn(1024, 1024), torch.randn(1024, 1024), float("inf")
    for _ in range(10):
        began = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - began)
    return 2 * 1024**3 / best / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.25, help="of each round, about")
    parser.add_argument("--keep-heap", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found, fastest = [], peak()
    print(f"1024³ product of matrices: {fastest:.0f} GFLOP/s")
    print("functions × points        ours/ms  deepxde/ms  products/ms  ratio (range)")
    for case in CASES:
        for row in compare(case, given.rounds, given.seconds, given.keep_heap):
            found.append(row)
            size = f"{row['functions']:6d} × {row['points']}{'' if row['aligned'] else ' each'}"
            print(
                f"{size:17s}{row['what']:9s}  {row['sciml_ms']:7.3f}  {row['deepxde_ms']:10.3f}"
                f"  {row['products_ms']:11.3f}  "
                f"{row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f})",
                flush=True,
            )
    if given.json:
        given.json.write_text(json.dumps({"gflops": fastest, "cases": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
