"""Does a long run stay within its disk and its memory? Run by hand:

    python tests/benchmarks/bench_spool.py [--gigabytes 20] [--limit 512] [--held 128] [--side 512]
        [--every 200] [--figure spool.png] [--json spool.json]

One solver streams as fast as it can; the trainer draws batches from a reservoir and lets go of the spool
as a run does: what a checkpoint would hold is taken under the lock of the intake, every so many batches
and whenever the spool asks for it. Only the weights are missing. Ten times a second are noted: bytes of
records in the spool, blocks that its folder takes on disk (files that wait to be used again included),
resident memory of the trainer. The slopes are those of straight lines through the second half, in MB a
GB that came: near zero where nothing grows.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sciml.buffer import Reservoir
from sciml.domain import Field, Grid
from sciml.run.held_out import HeldOut
from sciml.run.online.intake import Intake
from sciml.run.online.restart import kept
from sciml.run.online.trainer import resident_bytes
from sciml.samples import Simulation, Task, Windower
from sciml.stream import Server, connect
from sciml.surrogates import Statistics, Surrogate
from sciml.surrogates.shares import Shares
from sciml.training.stream_source import StreamSource

TASK = Task(inputs=("u",), targets=("u",))
BATCH = 16
#: Frames a simulation.
FRAMES = 100


def solve(run_dir: str, side: int, frames: int) -> None:
    shape = (side, side)
    domain = Grid(shape, ((0.0, 1.0),) * 2, ("periodic",) * 2)
    field = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    for number in range(-(-frames // FRAMES)):
        simulation = Simulation(number, domain, (Field("u"),))
        with connect(simulation, endpoint=run_dir) as client:
            for step in range(FRAMES):
                client.send(step, 0.1 * step, u=field)


class Notes(threading.Thread):
    """Looks at the run ten times a second."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.done = threading.Event()
        self.rows: list[dict[str, float]] = []

    def run(self) -> None:
        begin = time.monotonic()
        while not self.done.wait(0.1):
            status = self.server.status()
            self.rows.append(
                {
                    "seconds": time.monotonic() - begin,
                    "came": status["bytes"] / 1e9,
                    "records": status["spool_bytes"] / 1e6,
                    "disk": blocks(self.server.run_dir / "spool") / 1e6,
                    "resident": resident_bytes() / 1e6,
                }
            )

    def column(self, name: str) -> np.ndarray:
        return np.array([row[name] for row in self.rows])

    def slope(self, name: str) -> float:
        """MB a GB over the second half."""
        came = self.column("came")
        late = came > came[-1] / 2
        return float(np.polyfit(came[late], self.column(name)[late], 1)[0])


def blocks(folder: Path) -> int:
    total = 0
    for path in folder.iterdir():
        try:
            total += 512 * path.stat().st_blocks
        except FileNotFoundError:
            continue  # renamed or removed meanwhile
    return total


def run(arguments: argparse.Namespace, directory: Path) -> tuple[Notes, dict[str, Any]]:
    torch.set_num_threads(1)
    nbytes = 4 * arguments.side**2
    server = Server(directory, spool_limit=arguments.limit * 1_000_000)
    buffer = Reservoir(max(2 * BATCH, arguments.held * 1_000_000 // nbytes), watermark=BATCH)
    heldout = HeldOut(directory / "validation")
    intake = Intake(server, Windower(TASK), buffer, heldout, {})
    domain = Grid((4, 4), ((0.0, 1.0),) * 2, ("periodic",) * 2)
    surrogate = Surrogate.build("mlp", TASK, domain, fields=(Field("u"),))
    surrogate.normalizer.fix()
    intake.screen.attach(Shares(Statistics(surrogate)))
    server.start()
    intake.start()
    source = StreamSource(buffer, TASK, BATCH)
    notes = Notes(server)
    frames = -(-arguments.gigabytes * 10**9 // (nbytes * FRAMES)) * FRAMES
    context = multiprocessing.get_context("spawn")
    solver = context.Process(target=solve, args=(str(directory), arguments.side, frames))
    solver.start()
    notes.start()
    batches = checkpoints = 0
    while server.ledger.frames()["entered"] < frames:
        if not solver.is_alive() and solver.exitcode:
            raise SystemExit("the solver failed")
        source.next_batch()
        batches += 1
        if batches % arguments.every == 0 or server.wants_commit:
            with intake.lock:
                state = {"source": source.state_dict(), "extra": intake.state_dict()}
            server.commit(kept(TASK, state), state["extra"]["ledger"])
            checkpoints += 1
    notes.done.set()
    notes.join()
    intake.discard_training()
    solver.join()
    found = {
        "frames": server.ledger.frames(),
        "samples": server.ledger.samples(),
        "batches": batches,
        "checkpoints": checkpoints,
        "limit": arguments.limit,
        "held": arguments.held,
    }
    intake.halt()
    server.stop()
    for name in ("records", "disk", "resident"):
        found[f"{name}_max"] = float(notes.column(name).max())
        found[f"{name}_slope"] = notes.slope(name)
    found["came"], found["seconds"] = notes.rows[-1]["came"], notes.rows[-1]["seconds"]
    return notes, found


def draw(path: Path, notes: Notes, found: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (disk, memory) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    came = notes.column("came")
    disk.plot(came, notes.column("disk"), lw=1, label="on disk, with files to be used again")
    disk.plot(came, notes.column("records"), lw=1, label="records")
    disk.axhline(found["limit"], color="k", ls=":", label=f"limit, {found['limit']} MB")
    disk.set(xlabel="streamed, GB", ylabel="spool, MB")
    disk.set_ylim(0, 1.4 * max(found["disk_max"], found["limit"]))
    disk.legend(loc="upper right")
    memory.plot(came, notes.column("resident"), lw=1)
    memory.set(xlabel="streamed, GB", ylabel="resident memory of the trainer, MB")
    memory.set_ylim(0, 1.2 * found["resident_max"])
    for axes in (disk, memory):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=int, default=20, help="to stream")
    parser.add_argument("--limit", type=int, default=512, help="spool_limit, MB")
    parser.add_argument("--held", type=int, default=128, help="MB of frames in the reservoir")
    parser.add_argument("--side", type=int, default=512, help="of the square grid, float32")
    parser.add_argument("--every", type=int, default=200, help="batches between checkpoints")
    parser.add_argument("--figure", type=Path, help="draw spool and memory here")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--spool", type=Path, help="directory on the disk to test")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.spool) as directory:
        notes, found = run(arguments, Path(directory))
    frames = found["frames"]
    print(
        f"{found['came']:.1f} GB in {found['seconds']:.0f} s, {frames['entered']} frames, "
        f"{frames['lost']} lost, {frames['doubled']} doubled; {found['batches']} batches, "
        f"{found['checkpoints']} checkpoints; {found['held']} MB in the reservoir"
    )
    print(f"{'':>20} {'largest, MB':>12} {'limit, MB':>10} {'slope, MB/GB':>13}")
    for name, label in (
        ("records", "records in the spool"),
        ("disk", "spool on disk"),
        ("resident", "resident memory"),
    ):
        limit = f"{found['limit']}" if name == "records" else ""
        print(
            f"{label:>20} {found[name + '_max']:12.0f} {limit:>10} {found[name + '_slope']:13.2f}"
        )
    if arguments.figure:
        draw(arguments.figure, notes, found)
    if arguments.json:
        arguments.json.write_text(json.dumps({**found, "notes": notes.rows}, indent=1))


if __name__ == "__main__":
    main()
