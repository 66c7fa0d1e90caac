"""How fast is a step of a PINN, against deepxde's? Run by hand:

    pip install -c constraints.txt -e ".[pinn]"
    python tests/benchmarks/bench_pinn.py [--rounds 7] [--points 5000] [--keep-heap] [--json pinn.json]

Viscous Burgers on [−1, 1] for t ≤ 1, so many points inside, 200 at the start and 200 on the sides, five
layers of 50 with tanh, Adam at 1e-3, float32, one thread: forward, residual with second derivatives,
backward, update. Theirs is a compiled ``Model`` (PyTorch) of ``TimePDE`` and ``FNN`` with jacobian and
hessian, a step of its loop, on points that stay. Ours is a step of ``sciml.training.train`` with the
objective ``residual`` of a surrogate, which scales besides; *fresh* draws its points anew in each step,
*nested* goes through nested reverse mode instead of Taylor mode, *compiled* is ``compile: true``. Each
is in a process of its own, as its users have it, and they take turns; given are medians of CPU time,
which others on the machine disturb less, the ratio of neighboring rounds (above 1: we are faster) and
its range. ``--keep-heap`` gives theirs the setting of the C library's heap that ``train`` makes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import torch

NU, LAYERS, WIDTH, SIDE = 0.01, 5, 50, 200
#: Milliseconds a step, of so many steps.
Run = Callable[[int], float]


def ours(
    points: int, keep_heap: bool, every: int = 0, taylor: bool = True, compile: bool = False
) -> Run:
    from sciml.domain import Grid
    from sciml.samples import Task
    from sciml.surrogates import Surrogate
    from sciml.training import CollocationSource, Hooks, Phase, train
    from sciml.training.collocation import BoxPoints
    from sciml.training.equation_residual import EquationResidual, measure

    torch.manual_seed(0)
    task = Task((), ("u",), history=0, time=True)
    grid = Grid((65,), ((-1.0, 1.0),), ("dirichlet",))
    surrogate = Surrogate.build({"name": "pinn", "hidden": [WIDTH] * LAYERS}, task, grid)
    if not taylor:
        surrogate.model.traits = replace(surrogate.model.traits, jets=False)
    where = BoxPoints({"x": (-1.0, 1.0)}, (0.0, 1.0), initial=SIDE, boundary=SIDE)
    source = CollocationSource(where, points, every=every)
    objective = EquationResidual("burgers", {"nu": NU}, "sine")
    measure(surrogate, objective, source.peek())
    surrogate.normalizer.fix()

    def training(steps: int) -> float:
        phase, options = Phase("adam", lr=1e-3, steps=steps + 2), {"compile": compile}
        ends = []
        hooks = Hooks(on_step=lambda step, history: ends.append(time.process_time()))
        train(surrogate, source, objective, phase, options=options, hooks=hooks)
        return (ends[-1] - ends[1]) / steps * 1e3  # without what comes before the first step

    return training


def deepxde(points: int, keep_heap: bool) -> Run:
    from sciml.training.deepxde_data import dde

    if keep_heap:
        from sciml.heap import keep_heap as keep

        keep()
    dde.config.set_random_seed(0)

    def residual(x, u):
        u_x, u_t = dde.grad.jacobian(u, x, i=0, j=0), dde.grad.jacobian(u, x, i=0, j=1)
        return u_t + u * u_x - NU * dde.grad.hessian(u, x, i=0, j=0)

    where = dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1))
    walls = dde.icbc.DirichletBC(where, lambda x: 0, lambda _, on: on)
    start = dde.icbc.IC(
        where, lambda x: -torch.sin(torch.pi * torch.as_tensor(x[:, 0:1])).numpy(), lambda _, on: on
    )
    known = dde.data.TimePDE(
        where, residual, [walls, start], num_domain=points, num_boundary=SIDE, num_initial=SIDE
    )
    model = dde.Model(known, dde.nn.FNN([2] + [WIDTH] * LAYERS + [1], "tanh", "Glorot normal"))
    model.compile("adam", lr=1e-3, verbose=0)

    def training(steps: int) -> float:
        began = time.process_time()
        for _ in range(steps):
            state = model.train_state
            state.set_data_train(*known.train_next_batch())
            model._train_step(state.X_train, state.y_train, state.train_aux_vars)
        return (time.process_time() - began) / steps * 1e3

    return training


KINDS = {
    "deepxde": deepxde,
    "taylor": ours,
    "fresh": lambda *given: ours(*given, every=1),
    "nested": lambda *given: ours(*given, taylor=False),
    "compiled": lambda *given: ours(*given, compile=True),
}


def work(kind: str, points: int, keep_heap: bool, pipe: Connection) -> None:
    """In a process of its own: times of so many steps, as they are asked for."""
    torch.set_num_threads(1)
    run = KINDS[kind](points, keep_heap)
    while (steps := pipe.recv()) is not None:
        pipe.send(run(steps))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--points", type=int, default=5000)
    parser.add_argument("--steps", type=int, default=20, help="of each round")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--keep-heap", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    kinds = dict.fromkeys(["deepxde", *given.kinds])
    pipes, processes = {}, []
    for kind in kinds:
        pipes[kind], other = context.Pipe()
        told = (kind, given.points, given.keep_heap, other)
        processes.append(context.Process(target=work, args=told, daemon=True))
        processes[-1].start()

    def timed(kind: str, steps: int) -> float:
        pipes[kind].send(steps)
        return pipes[kind].recv()

    for kind in kinds:
        timed(kind, 3)  # the first ones warm up, and compile
    times = [{kind: timed(kind, given.steps) for kind in kinds} for _ in range(given.rounds)]
    for pipe, process in zip(pipes.values(), processes, strict=True):
        pipe.send(None)
        process.join()
    found = []
    print(
        f"{given.points} points, {LAYERS} layers of {WIDTH}: ms a step, deepxde's by ours (range)"
    )
    for kind in kinds:
        ratios = sorted(t["deepxde"] / t[kind] for t in times)
        row = {"kind": kind, "ms": statistics.median(t[kind] for t in times)}
        row |= {"ratio": statistics.median(ratios), "low": ratios[0], "high": ratios[-1]}
        found.append(row)
        print(
            f"{kind:9s} {row['ms']:8.1f}  {row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
        )
    if given.json:
        given.json.write_text(json.dumps({"points": given.points, "kinds": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
