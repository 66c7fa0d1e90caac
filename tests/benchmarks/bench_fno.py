"""A training step and a prediction of an FNO, ours against neuraloperator's used by hand:

    python tests/benchmarks/bench_fno.py [--points 32 64 128] [--widths 16 32 64] [--modes 16]
        [--threads 1] [--rounds 7] [--json fno.json]

Both train an FNO of 4 layers with AdamW and a relative H1 loss on batches of 8 periodic fields in
float32. Ours is what ``sciml.fit`` does in a step: a ``Surrogate``, which scales what goes in and comes
out, and ``Supervised``. Theirs is ``neuralop.models.FNO`` and ``H1Loss`` in a loop of four lines,
without scaling. They take turns, since only the ratio means something on a machine that others use;
given are medians, and the range of the ratios of neighboring rounds. Memory is what a training step
adds to the process at its peak, each measured in a child of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from sciml.domain import Field, Grid
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import Surrogate, collate
from sciml.training.objective import Supervised, weighted

BATCH = 8
LAYERS = 4
SECONDS = 0.4  # a measurement lasts so long at least


class Ours:
    """A surrogate around the registered model, and its objective."""

    name = "sciml"

    def __init__(self, n: int, modes: int, width: int) -> None:
        task = Task(("u",), ("u",))
        samples = fields(n)
        config = {"name": "fno", "modes": modes, "hidden_channels": width, "n_layers": LAYERS}
        self.surrogate = Surrogate.build(config, task, samples[0].simulation.domain)
        self.surrogate.normalizer.update(samples)
        self.surrogate.normalizer.fix()
        self.batch = collate(samples, task)
        self.objective = Supervised("h1")
        self.optimizer = torch.optim.AdamW(self.surrogate.parameters(), lr=1e-3)

    def step(self) -> float:
        self.optimizer.zero_grad()
        loss = weighted(self.objective(self.surrogate, self.batch), {})
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def predict(self) -> None:
        with torch.no_grad():
            self.surrogate(self.batch)


class Theirs:
    """neuraloperator's model and loss."""

    name = "neuraloperator"

    def __init__(self, n: int, modes: int, width: int) -> None:
        from neuralop import H1Loss
        from neuralop.models import FNO

        samples = fields(n)
        frames = [[s.inputs[0].fields["u"], s.targets[0].fields["u"]] for s in samples]
        self.x, self.y = torch.from_numpy(np.array(frames)).unbind(1)
        self.x, self.y = self.x[:, None], self.y[:, None]
        self.model = FNO(
            n_modes=(modes, modes),
            in_channels=1,
            out_channels=1,
            hidden_channels=width,
            n_layers=LAYERS,
            positional_embedding=None,
        )
        self.loss = H1Loss(d=2)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)

    def step(self) -> float:
        self.optimizer.zero_grad()
        loss = self.loss(self.model(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def predict(self) -> None:
        with torch.no_grad():
            self.model(self.x)


KINDS = (Ours, Theirs)


def fields(n: int) -> list[Sample]:
    """Pairs of random periodic fields with waves up to 5."""
    rng = np.random.default_rng(0)
    grid = Grid((n, n), ((0.0, 1.0),) * 2, ("periodic",) * 2)
    samples = []
    for i in range(BATCH):
        spectrum = np.zeros((2, n, n // 2 + 1), complex)
        spectrum[:, :6, :6] = rng.standard_normal((2, 6, 6)) + 1j * rng.standard_normal((2, 6, 6))
        u = np.fft.irfft2(spectrum, (n, n), norm="forward").astype(np.float32)
        simulation = Simulation(i, grid, (Field("u"),))
        frames = [Frame(i, s, float(s), {"u": u[s]}) for s in (0, 1)]
        samples.append(Sample(simulation, 0, (frames[0],), (frames[1],)))
    return samples


def seconds(call: Callable[[], object], repeats: int) -> float:
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - began) / repeats


def alternate(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds a call, in each round."""
    for call in calls.values():
        call()  # the first one warms up
    repeats = {name: max(1, round(SECONDS / seconds(c, 1))) for name, c in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(seconds(call, repeats[name]))
    return times


def peak(make: Callable[[], Ours | Theirs]) -> float:
    """MB that three training steps add to a process at its peak."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        way = make()
        before = _status("VmRSS")
        for _ in range(3):
            way.step()
        os.write(write, str(_status("VmHWM") - before).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return float(said) / 1e3


def _status(key: str) -> int:
    """A figure of this process in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


def compare(n: int, modes: int, width: int, rounds: int) -> dict[str, object]:
    ways = {kind.name: kind(n, modes, width) for kind in KINDS}
    return {
        "points": n,
        "modes": modes,
        "width": width,
        "step_s": alternate({name: way.step for name, way in ways.items()}, rounds),
        "predict_s": alternate({name: way.predict for name, way in ways.items()}, rounds),
    }


def row(found: dict[str, object]) -> str:
    words = [f"{found['points']:>5}² {found['modes']:>5} {found['width']:>5}"]
    for key in ("step_s", "predict_s"):
        ours, theirs = (found[key][kind.name] for kind in KINDS)
        ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
        words.append(
            f"{statistics.median(ours) * 1e3:8.1f} {statistics.median(theirs) * 1e3:8.1f} "
            f"{statistics.median(ratios):5.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        )
    memory = found["memory_MB"]
    words.append(f"{memory[Ours.name]:6.0f} {memory[Theirs.name]:6.0f}")
    return "  ".join(words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--modes", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    from sciml.surrogates.grid.neuraloperator import neuraloperator

    neuraloperator("FNO")
    cases = [(n, 32) for n in arguments.points]
    cases += [(64, width) for width in arguments.widths if (64, width) not in cases]
    # Children are forked, so no thread may have been started before the last of them has ended.
    torch.set_num_threads(1)
    memory = [
        {kind.name: peak(lambda k=kind, c=case: k(c[0], arguments.modes, c[1])) for kind in KINDS}
        for case in cases
    ]
    torch.set_num_threads(arguments.threads)
    print(
        f"batch {BATCH}, {LAYERS} layers, {arguments.threads} threads; ours, neuraloperator's, "
        "neuraloperator's by ours (range)"
    )
    print(
        f"{'points':>6} {'modes':>5} {'width':>5}  {'training step, ms':^34}  {'prediction, ms':^34}  MB"
    )
    found = []
    for (n, width), held in zip(cases, memory, strict=True):
        found.append(compare(n, arguments.modes, width, arguments.rounds) | {"memory_MB": held})
        print(row(found[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"threads": arguments.threads, "cases": found}, indent=1)
        )


if __name__ == "__main__":
    main()
