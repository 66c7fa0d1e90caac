"""What does streaming cost the training? Run by hand:

    python tests/benchmarks/bench_streaming.py [--points 256] [--batch 32] [--seconds 4] [--rounds 3]
        [--rates 10,25,50,100,200,400] [--socket] [--figure curve.png] [--json streaming.json]

One loop trains an MLP (parameters and time → field, the surrogate of the paper that began online
training; Adam, one thread) by turns on batches that it draws while a solver streams, and on the samples
that are held in memory, with the stream at rest. The way is that of a run: client, server and spool,
intake, windower, normalizer, reservoir, collate, the loop, and a checkpoint whenever the spool asks for
one, in the time that is measured. The trainer with all its threads is bound to processor 0, the solver
to processor 1: what the stream takes, training loses. Given are the median and the range of the ratios
of each streaming stretch to the mean of its two neighbors, and the rate at which frames really came.

A reservoir takes a sample only where another one was drawn, so a model that draws less than comes holds
the solver back; this one draws 8 MB a step.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sciml.buffer import Reservoir
from sciml.domain import Field, Grid
from sciml.run.held_out import HeldOut
from sciml.run.online.intake import Intake
from sciml.run.online.restart import kept
from sciml.samples import Simulation, Task, Windower
from sciml.stream import Server, connect
from sciml.surrogates import Statistics, Surrogate
from sciml.surrogates.batch import Batch
from sciml.surrogates.shares import Shares
from sciml.training.checkpoint import Checkpoints
from sciml.training.dataset_source import DatasetSource
from sciml.training.loop import Hooks, train
from sciml.training.objective import Supervised
from sciml.training.phase import Phase
from sciml.training.stream_source import StreamSource

TRAINER_CORE, SOLVER_CORE = 0, 1
PARAMETERS = {"a": 0.5, "b": 2.0}
TASK = Task(inputs=(), targets=("u",), history=0, parameters=tuple(PARAMETERS), time=True)
#: Frames a simulation.
FRAMES = 400
#: Seconds until a change of rate is no longer felt.
SETTLE = 1.0


def pin(core: int) -> None:
    """Bind this process, with the threads it has and those it will start."""
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), {core})


def solve(run_dir: str, rate, points: int, slots: bool) -> None:
    """Stream at ``rate`` bytes a second, which others change meanwhile; negative: end."""
    pin(SOLVER_CORE)
    shape = (points, points)
    domain = Grid(shape, ((0.0, 1.0),) * 2, ("periodic",) * 2)
    random = np.random.default_rng(0)
    fields = [random.standard_normal(shape, dtype=np.float32) for _ in range(16)]
    due, number = 0.0, 0
    while rate.value >= 0:
        simulation = Simulation(number, domain, (Field("u"),), PARAMETERS)
        with connect(simulation, endpoint=run_dir, shared_memory=slots) as client:
            for step in range(FRAMES):
                while (wanted := rate.value) == 0:
                    time.sleep(0.002)
                if wanted < 0:
                    break
                client.send(step, 0.1 * step, u=fields[step % len(fields)])
                now = time.monotonic()
                due += fields[0].nbytes / wanted
                if due > now:
                    time.sleep(due - now)
                elif now - due > 0.1:
                    due = now  # held back, or at rest: what was missed is not made up for
        number += 1


class Turns:
    """A source that is by turns the stream and the memory, and takes the time of both.

    Args:
        server, intake, buffer: of the stream, running.
        batch: samples a batch.
        rate: shared with the solver, bytes a second.
        rates, rounds, seconds: the stretches to measure.
    """

    def __init__(
        self, server: Server, intake: Intake, buffer: Reservoir, batch: int, rate: Any
    ) -> None:
        self.server, self.intake, self.buffer, self.rate = server, intake, buffer, rate
        self.stream = StreamSource(buffer, TASK, batch)
        self.memory: DatasetSource | None = None
        self.batch = batch
        self.wants_checkpoint = False
        self.checkpoints = 0
        self.found: dict[float, list[dict[str, float]]] = {}
        self.beside: dict[str, Any] = {}
        self.plan: Iterator[None] = iter(())

    def measure(self, rates: list[float], rounds: int, seconds: float) -> None:
        self.plan = self._turns(rates, rounds, seconds)

    def next_batch(self) -> Batch | None:
        if next(self.plan, self) is self:
            return None
        return (self.memory or self.stream).next_batch()

    def _turns(self, rates: list[float], rounds: int, seconds: float) -> Iterator[None]:
        """Yields before every batch."""
        for rate in rates:
            self.wants_checkpoint = (
                True  # the spool that others filled is not on this one's account
            )
            before = yield from self._still(seconds)
            for _ in range(rounds):
                self.memory, self.rate.value = None, rate
                yield from self._stretch(SETTLE)
                streaming = yield from self._stretch(seconds)
                after = yield from self._still(seconds)
                memory = (before["steps"] + after["steps"]) / 2
                self.found.setdefault(rate, []).append(
                    {
                        "memory": memory,
                        "streaming": streaming["steps"],
                        "ratio": streaming["steps"] / memory,
                        "received": streaming["received"],
                        "checkpoints": streaming["checkpoints"],
                    }
                )
                before = after

    def _still(self, seconds: float) -> Iterator[None]:
        """From memory; the stream is at rest."""
        self.rate.value = 0.0
        self.memory = DatasetSource(self.buffer.samples(), TASK, self.batch)
        yield from self._stretch(SETTLE)
        return (yield from self._stretch(seconds))

    def _stretch(self, seconds: float) -> Iterator[None]:
        begin, steps = time.perf_counter(), 0
        bytes_, checkpoints = self.server.status()["bytes"], self.checkpoints
        while time.perf_counter() - begin < seconds:
            yield
            steps += 1
        lasted = time.perf_counter() - begin
        return {
            "steps": steps / lasted,
            "received": (self.server.status()["bytes"] - bytes_) / lasted,
            "checkpoints": self.checkpoints - checkpoints,
        }

    # -- checkpoints, as the trainer of a run takes them ------------------------------------------

    def due(self) -> bool:
        due, self.wants_checkpoint = self.wants_checkpoint or self.server.wants_commit, False
        return due

    def state_dict(self) -> dict[str, Any]:
        with self.intake.lock:
            self.beside = self.intake.state_dict()
            return self.stream.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        raise NotImplementedError("a benchmark is not resumed")

    def commit(self, path: Path, state: dict[str, Any]) -> None:
        self.checkpoints += 1
        self.server.commit(kept(TASK, state), state["extra"]["ledger"])


def run(arguments: argparse.Namespace, directory: Path) -> tuple[dict[float, list[dict]], dict]:
    pin(TRAINER_CORE)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    server = Server(directory)
    frame = 4 * arguments.points**2
    capacity = max(4 * arguments.batch, arguments.held * 1_000_000 // frame)
    buffer = Reservoir(capacity, watermark=2 * arguments.batch)
    heldout = HeldOut(directory / "validation")
    intake = Intake(server, Windower(TASK), buffer, heldout, {})
    server.start()
    intake.start()
    context = multiprocessing.get_context("spawn")
    rate = context.Value("d", 200e6, lock=False)
    solver = context.Process(
        target=solve, args=(str(directory), rate, arguments.points, not arguments.socket)
    )
    solver.start()
    intake.first.wait(60.0)
    surrogate = Surrogate.build(
        {"name": "mlp", "hidden": [64, arguments.hidden]},
        TASK,
        intake.simulation.domain,
        fields=intake.simulation.fields,
    )
    intake.screen.attach(Shares(Statistics(surrogate)))
    while len(buffer) < capacity:
        time.sleep(0.05)
    with intake.lock:
        intake.screen.fix()
    turns = Turns(server, intake, buffer, arguments.batch, rate)
    turns.measure([1e6 * r for r in arguments.rates], arguments.rounds, arguments.seconds)
    hooks = Hooks(
        checkpoints=Checkpoints(directory / "checkpoints", keep=2),
        checkpoint_wanted=turns.due,
        extra_state=lambda: turns.beside,
        on_checkpoint=turns.commit,
    )
    history = train(surrogate, turns, Supervised("mse"), Phase(lr=1e-4), hooks=hooks)
    rate.value = -1.0
    intake.discard_training()  # else the solver would wait for room
    solver.join()
    intake.halt()
    server.stop()
    about = {
        "points": arguments.points,
        "batch": arguments.batch,
        "weights": sum(p.numel() for p in surrogate.parameters()),
        "step": 1.0 / statistics.median(r["memory"] for rs in turns.found.values() for r in rs),
        "transport": "socket, CURVE" if arguments.socket else "shared memory",
        "steps": len(history.steps),
    }
    return turns.found, about


def draw(path: Path, rows: list[dict], about: dict) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    offered = [row["offered"] for row in rows]
    middle = [row["ratio"] for row in rows]
    low = [m - min(row["ratios"]) for m, row in zip(middle, rows, strict=True)]
    high = [max(row["ratios"]) - m for m, row in zip(middle, rows, strict=True)]
    left.errorbar(offered, middle, (low, high), marker="o", capsize=3)
    left.plot(50, 0.9, "k_", ms=16, label="aim: 0.9 at 50 MB/s")
    left.set(xscale="log", xlabel="offered, MB/s", ylim=(0, 1.25))
    left.set_ylabel("steps a second, streaming / from memory")
    left.legend(loc="lower left")
    right.plot(offered, [row["received"] for row in rows], marker="o")
    right.plot(offered, offered, "k:", lw=1, label="all that is offered")
    right.set(xscale="log", yscale="log", xlabel="offered, MB/s", ylabel="received, MB/s")
    right.legend()
    left.axhline(1.0, color="k", lw=0.5)
    for axes in (left, right):
        axes.set_xticks(offered, [f"{r:g}" for r in offered], minor=False)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.suptitle(
        f"{about['points']}² float32, {about['transport']}; a step from memory: "
        f"{1e3 * about['step']:.0f} ms; trainer on one processor, solver on the other",
        fontsize=10,
    )
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=256, help="a side of the square grid")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=32, help="width of the last hidden layer")
    parser.add_argument("--held", type=int, default=256, help="MB of frames in the reservoir")
    parser.add_argument("--seconds", type=float, default=4.0, help="a stretch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rates", default="10,25,50,100,200,400", help="MB/s that are offered")
    parser.add_argument("--socket", action="store_true", help="no shared memory: CURVE")
    parser.add_argument("--figure", type=Path, help="draw the curve here")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    arguments.rates = [float(rate) for rate in arguments.rates.split(",")]
    with tempfile.TemporaryDirectory() as directory:
        found, about = run(arguments, Path(directory))
    print(
        f"{about['points']}² float32, batch {about['batch']}, MLP of {about['weights']} weights, "
        f"{1e3 * about['step']:.1f} ms a step from memory; {about['transport']}; "
        f"trainer on processor {TRAINER_CORE}, solver on {SOLVER_CORE}"
    )
    print(f"{'offered':>8} {'received':>9}  {'steps/s':>8} {'of memory':>10}  ratio (range)")
    rows = []
    for rate, stretches in found.items():
        ratios = [s["ratio"] for s in stretches]
        row = {
            "offered": rate / 1e6,
            "received": statistics.median(s["received"] for s in stretches) / 1e6,
            "ratio": statistics.median(ratios),
            "ratios": ratios,
            "stretches": stretches,
        }
        rows.append(row)
        print(
            f"{row['offered']:8.0f} {row['received']:9.1f}  "
            f"{statistics.median(s['streaming'] for s in stretches):8.2f} "
            f"{statistics.median(s['memory'] for s in stretches):10.2f}  "
            f"{row['ratio']:.3f} ({min(ratios):.3f}–{max(ratios):.3f}), "
            f"checkpoints {sum(s['checkpoints'] for s in stretches)}"
        )
    if arguments.figure:
        draw(arguments.figure, rows, about)
    if arguments.json:
        arguments.json.write_text(json.dumps({"about": about, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
