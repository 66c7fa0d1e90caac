"""Samples from a stream against samples from files. Run by hand:

    python tests/benchmarks/bench_offline_reading.py [--megabytes 400] [--seconds 3] [--rounds 3]
        [--json offline.json]

*online*: batches drawn from a reservoir while a solver, in a process of its own, streams into it as fast
as it can; the way is that of a run (server, spool, intake, reservoir, collate). *offline*: single random
samples of the same fields from one HDF5 file through torch's DataLoader, without and with one worker
process. The file has the layout that suits this best: float32, two contiguous datasets (input field and
target field) of shape (samples, y, x), no compression, so that a sample is two reads. Each worker opens
the file for itself at its first sample. *warm*: the file is in the page cache; *cold*: its pages were
dropped before (fsync, then posix_fadvise), once, so that later draws of a sample find it warm again.

Nothing is trained: batches are made and thrown away, as fast as they come. An online sample may have
been drawn before, as in training; how often on average is in the column *repeats*, and what came anew in
*fresh*. Given are the medians and the range of the ratio online / offline of neighboring measurements.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, RandomSampler

from sciml.buffer import Reservoir
from sciml.domain import Field, Grid
from sciml.run.held_out import HeldOut
from sciml.run.online.intake import Intake
from sciml.samples import Simulation, Task, Windower
from sciml.stream import Server, connect
from sciml.training.stream_source import StreamSource

SIDES = (64, 256, 1000)
TASK = Task(inputs=("u",), targets=("v",), lead=0)
BATCH = 16


@dataclass(frozen=True)
class Rate:
    """Of one measurement: samples and 10⁶ bytes a second, fresh samples a second, mean draws."""

    samples: float
    megabytes: float
    fresh: float
    repeats: float


def timed(batches: Iterator[torch.Tensor], seconds: float, nbytes: int) -> float:
    """Samples a second."""
    next(batches)
    begin, drawn = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        drawn += len(next(batches))
    return drawn / (time.perf_counter() - begin)


# -- online ---------------------------------------------------------------------------------------


def solve(jobs) -> None:
    """Stream simulation after simulation until told to end; the fields cost nothing to make."""
    for run_dir, side, first, going in iter(jobs.get, None):
        shape = (side, side)
        domain = Grid(shape, ((0.0, 1.0),) * 2, ("periodic",) * 2)
        u, v = np.random.default_rng(0).standard_normal((2, *shape), dtype=np.float32)
        number = first
        while going.is_set():
            simulation = Simulation(number, domain, (Field("u"), Field("v")))
            with connect(simulation, endpoint=run_dir) as client:
                for step in range(100):
                    if not going.is_set():
                        break
                    client.send(step, 0.0, u=u, v=v)
            number += 1


class Online:
    """A server and its reservoir, filled by ``solve``; the spool is emptied as checkpoints would."""

    def __init__(self, side: int, held: int, jobs, going) -> None:
        self.side, self.nbytes = side, 8 * side**2
        self.directory = tempfile.TemporaryDirectory()
        self.server = Server(self.directory.name)
        self.buffer = Reservoir(max(2 * BATCH, held // self.nbytes), watermark=BATCH)
        heldout = HeldOut(Path(self.directory.name) / "validation")
        self.intake = Intake(self.server, Windower(TASK), self.buffer, heldout, {})
        # Its statistics are fixed before the first batch of a training; none are needed here.
        self.intake.screen.attach(_Fixed())
        self.server.start()
        self.intake.start()
        going.set()
        jobs.put((self.directory.name, side, 0, going))
        self.going = going

    def measure(self, seconds: float) -> Rate:
        source = StreamSource(self.buffer, TASK, BATCH)
        before = self.buffer.stats()
        begin = time.perf_counter()
        rate = timed(self._batches(source), seconds, self.nbytes)
        lasted, after = time.perf_counter() - begin, self.buffer.stats()
        drawn = after["drawn"] - before["drawn"]
        fresh = (after["put"] - before["put"]) / lasted
        return Rate(rate, rate * self.nbytes / 1e6, fresh, drawn / lasted / fresh)

    def _batches(self, source: StreamSource) -> Iterator[torch.Tensor]:
        while True:
            yield source.next_batch().targets["v"]
            if self.server.wants_commit:
                self.server.commit({f.key for s in self.buffer.samples() for f in s.frames})

    def stop(self) -> None:
        self.going.clear()
        self.intake.discard_training()
        deadline = time.monotonic() + 30.0
        while self.server.status()["ranks"] and time.monotonic() < deadline:
            time.sleep(0.05)
        self.intake.halt()
        self.server.stop()
        self.directory.cleanup()


class _Fixed:
    def update(self, samples) -> None:
        pass

    def close(self, simulation) -> None:
        pass

    def scale(self, name) -> tuple[float, float]:
        return 0.0, float("inf")


# -- offline --------------------------------------------------------------------------------------


class Pairs(Dataset):
    """Input and target of one sample, read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: h5py.File | None = None
        with h5py.File(path) as file:
            self.samples = len(file["u"])

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        if self.file is None:
            self.file = h5py.File(self.path)
        return tuple(torch.from_numpy(self.file[name][index]) for name in ("u", "v"))


class Offline:
    """One file, drawn from at random with replacement."""

    def __init__(self, side: int, nbytes: int, directory: Path) -> None:
        self.nbytes = 8 * side**2
        self.path = directory / f"{side}.h5"
        samples = max(2 * BATCH, nbytes // self.nbytes)
        random = np.random.default_rng(0)
        with h5py.File(self.path, "w") as file:
            for name in ("u", "v"):
                data = file.create_dataset(name, (samples, side, side), np.float32)
                for i in range(samples):
                    data[i] = random.standard_normal((side, side), dtype=np.float32)
        fd = os.open(self.path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)

    def measure(self, seconds: float, workers: int, cold: bool) -> Rate:
        pairs = Pairs(self.path)
        if cold:
            self.drop()
        else:
            self.path.read_bytes()
        loader = DataLoader(
            pairs,
            BATCH,
            sampler=RandomSampler(pairs, replacement=True, num_samples=1 << 30),
            num_workers=workers,
        )
        batches = iter(loader)
        rate = timed((v for _, v in batches), seconds, self.nbytes)
        del batches
        return Rate(rate, rate * self.nbytes / 1e6, rate, 1.0)

    def drop(self) -> None:
        fd = os.open(self.path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=400, help="of the file, and held online")
    parser.add_argument("--seconds", type=float, default=3.0, help="a measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    context = multiprocessing.get_context("spawn")
    manager = context.Manager()
    jobs, going = context.Queue(), manager.Event()
    solver = context.Process(target=solve, args=(jobs,))
    solver.start()
    figures = []
    print(
        f"{'field':>6} {'way':>22} {'samples/s':>10} {'MB/s':>8} {'fresh/s':>8} {'repeats':>8}"
        "  online / it (range)"
    )
    with tempfile.TemporaryDirectory() as directory:
        for side in SIDES:
            offline = Offline(side, arguments.megabytes * 1_000_000, Path(directory))
            online = Online(side, arguments.megabytes * 1_000_000, jobs, going)
            ways: dict[str, Callable[[], Rate]] = {
                "online": lambda o=online: o.measure(arguments.seconds)
            }
            for cold in (False, True):
                for workers in (0, 1):
                    name = f"file, {'cold' if cold else 'warm'}, workers {workers}"
                    ways[name] = lambda o=offline, w=workers, c=cold: o.measure(
                        arguments.seconds, w, c
                    )
            found: dict[str, list[Rate]] = {name: [] for name in ways}
            for _ in range(arguments.rounds):
                for name, measure in ways.items():
                    found[name].append(measure())
            online.stop()
            offline.path.unlink()
            for name, rates in found.items():
                pairs = zip(found["online"], rates, strict=True)
                ratios = [ours.samples / theirs.samples for ours, theirs in pairs]
                middle = {
                    key: statistics.median(asdict(rate)[key] for rate in rates)
                    for key in asdict(rates[0])
                }
                figures.append(
                    {
                        "side": side,
                        "way": name,
                        "ratios": ratios,
                        "runs": [asdict(r) for r in rates],
                    }
                )
                print(
                    f"{side:>5}² {name:>22} {middle['samples']:10.0f} {middle['megabytes']:8.0f} "
                    f"{middle['fresh']:8.0f} {middle['repeats']:8.1f}  "
                    f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})",
                    flush=True,
                )
    jobs.put(None)
    solver.join()
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
