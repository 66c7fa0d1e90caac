"""How fast does the trainer take fields in, against bare ZeroMQ? Run by hand:

    python tests/benchmarks/bench_ingest.py [--megabytes 200] [--rounds 5] [--json ingest.json]
        [--ways CURVE,"bare CURVE"] [--sizes 64kB,1MB]

Two producer processes send blocks of 64 kB, 1 MB and 8 MB; one process takes them. *slots*, *plain*
and *CURVE* are the whole way, by shared memory or by the socket: validation, journal, assembly, queue,
acknowledgement. *bare* is PUSH/PULL that leaves the payload untouched. All are measured in turn in one
run, since only the ratio means something on a machine that others use; given are medians and the range
of the ratios of neighboring rounds. Rows without the spool show what the journal costs. Beside the
rates stand the processor seconds a gigabyte of the trainer's process and of one producer's, all their
threads together: they do not depend on who else wants the processors.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import zmq

from sciml.domain import Field, Grid
from sciml.samples import Simulation
from sciml.stream import Arrived, Closed, Server, connect
from sciml.stream.authentication import Gate, guard
from sciml.stream.endpoint import Keys

SIZES = {"64kB": 1 << 16, "1MB": 1 << 20, "8MB": 8 << 20}
PRODUCERS = 2


@dataclass(frozen=True)
class Measured:
    """Bytes a second, in 10⁹; processor seconds for 10⁹ bytes."""

    rate: float
    trainer: float
    producer: float


class Producers:
    """Processes that do the same job at the same time, and say what processor time it took."""

    def __init__(self, produce: Callable) -> None:
        context = multiprocessing.get_context("spawn")
        self.jobs, self.spent = context.Queue(), context.Queue()
        self.workers = [
            context.Process(target=work, args=(produce, self.jobs, self.spent))
            for _ in range(PRODUCERS)
        ]
        for worker in self.workers:
            worker.start()

    def give(self, jobs: list[tuple]) -> None:
        for job in jobs:
            self.jobs.put(job)

    def seconds(self) -> float:
        """Processor time of the jobs that were given last, all together; waits for them."""
        return sum(self.spent.get(timeout=60.0) for _ in self.workers)

    def stop(self) -> None:
        self.give([None] * PRODUCERS)
        for worker in self.workers:
            worker.join()


def work(produce: Callable, jobs, spent) -> None:
    for job in iter(jobs.get, None):
        before = time.process_time()
        produce(*job)
        spent.put(time.process_time() - before)


def produce_stream(run_dir: str, slots: bool, number: int, nbytes: int, count: int) -> None:
    array = np.random.default_rng(number).random(nbytes // 8)
    domain = Grid(array.shape, ((0.0, 1.0),), ("open",))
    simulation = Simulation(number, domain, (Field("u"),))
    with connect(simulation, endpoint=run_dir, shared_memory=slots) as client:
        for step in range(count):
            client.send(step, 0.0, u=array)


class Stream:
    """One trainer for all measurements; it commits after each, as after a checkpoint."""

    produce = staticmethod(produce_stream)

    def __init__(self, encryption: bool, slots: bool, journal: bool, spool: Path | None) -> None:
        self.directory = tempfile.TemporaryDirectory(dir=spool)
        self.server = Server(self.directory.name, encryption=encryption)
        self.slots = slots
        if not journal:
            # What comes is said to be durable and is not: for the sake of comparison only.
            self.server._journal.add_blocks = lambda blocks: []
        self.server.start()
        self.next = 0

    def measure(self, producers: Producers, nbytes: int, count: int) -> Measured:
        numbers = range(self.next, self.next + PRODUCERS)
        self.next += PRODUCERS
        spent = time.process_time()
        producers.give([(self.directory.name, self.slots, n, nbytes, count) for n in numbers])
        start, closed = None, 0
        while closed < PRODUCERS:
            event = self.server.events.get(timeout=60.0)
            if isinstance(event, Arrived):
                end = time.perf_counter()
                start = start or end
            closed += isinstance(event, Closed)
        self.server.events.get(timeout=0.0)
        spent = time.process_time() - spent
        self.server.commit(keep=set())
        by_slots = self.server.status()["slot_blocks"] > 0
        assert by_slots == self.slots, "the transport that was asked for was not used"
        return measured(nbytes, count, end - start, spent, producers.seconds())

    def stop(self) -> None:
        self.server.stop()
        self.directory.cleanup()


def produce_bare(address: str, keys: Keys | None, nbytes: int, count: int) -> None:
    context = zmq.Context()
    push = context.socket(zmq.PUSH)
    push.sndhwm = max(4, (16 << 20) // nbytes)
    if keys:
        push.curve_serverkey = keys.server_public.encode()
        push.curve_publickey = keys.client_public.encode()
        push.curve_secretkey = keys.client_secret.encode()
    push.connect(address)
    array = np.random.default_rng(0).random(nbytes // 8)
    for _ in range(count):
        push.send(array.tobytes(), copy=False)
    push.close()
    context.term()


class Bare:
    """PUSH/PULL; nothing is looked at, answered or kept."""

    produce = staticmethod(produce_bare)

    def __init__(self, encryption: bool) -> None:
        self.context = zmq.Context()
        self.keys = self.gate = None
        if encryption:
            with tempfile.TemporaryDirectory() as directory:
                self.keys = Keys.next_life(Path(directory), encryption=True)
            self.gate = Gate(self.context, self.keys)
            self.done = threading.Event()
            self.admits = threading.Thread(target=admit, args=(self.gate, self.done))
            self.admits.start()

    def measure(self, producers: Producers, nbytes: int, count: int) -> Measured:
        pull = self.context.socket(zmq.PULL)
        pull.rcvhwm = max(4, (16 << 20) // nbytes)
        if self.keys:
            guard(pull, self.keys)
        port = pull.bind_to_random_port("tcp://127.0.0.1", 20_000, 32_768)
        spent = time.process_time()
        producers.give([(f"tcp://127.0.0.1:{port}", self.keys, nbytes, count)] * PRODUCERS)
        start = None
        for _ in range(PRODUCERS * count):
            pull.recv(copy=False)
            start = start or time.perf_counter()
        seconds = time.perf_counter() - start
        spent = time.process_time() - spent
        pull.close()
        return measured(nbytes, count, seconds, spent, producers.seconds())

    def stop(self) -> None:
        if self.gate is not None:
            self.done.set()
            self.admits.join()
            self.gate.close()
        self.context.term()


def measured(nbytes: int, count: int, seconds: float, trainer: float, producers: float) -> Measured:
    gigabytes = PRODUCERS * count * nbytes / 1e9
    # The clock begins when the first block is there.
    rate = (gigabytes - nbytes / 1e9) / seconds
    return Measured(rate, trainer / gigabytes, producers / gigabytes)


def admit(gate: Gate, done: threading.Event) -> None:
    while not done.is_set():
        gate.socket.poll(50)
        gate.answer()


#: Made when it is asked for; what each is held against.
WAYS: dict[str, tuple[Callable[[Path | None], Stream | Bare], str]] = {
    "slots": (lambda spool: Stream(True, True, True, spool), "bare plain"),
    "plain": (lambda spool: Stream(False, False, True, spool), "bare plain"),
    "CURVE": (lambda spool: Stream(True, False, True, spool), "bare CURVE"),
    "slots, no spool": (lambda spool: Stream(True, True, False, spool), "bare plain"),
    "plain, no spool": (lambda spool: Stream(False, False, False, spool), "bare plain"),
    "CURVE, no spool": (lambda spool: Stream(True, False, False, spool), "bare CURVE"),
    "bare plain": (lambda spool: Bare(False), "bare plain"),
    "bare CURVE": (lambda spool: Bare(True), "bare CURVE"),
}


def names(known: Iterable[str]) -> Callable[[str], list[str]]:
    def chosen(text: str) -> list[str]:
        for name in text.split(","):
            if name not in known:
                raise argparse.ArgumentTypeError(f"'{name}'; expected {', '.join(known)}")
        return text.split(",")

    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=200, help="a producer and measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--spool", type=Path, help="directory on the disk to test")
    parser.add_argument("--ways", type=names(WAYS), default=list(WAYS), help="some of them")
    parser.add_argument("--sizes", type=names(SIZES), default=list(SIZES), help="some of them")
    arguments = parser.parse_args()
    chosen = dict.fromkeys([*arguments.ways, *(WAYS[name][1] for name in arguments.ways)])
    ways = {name: WAYS[name][0](arguments.spool) for name in chosen}
    pools = {kind: Producers(kind.produce) for kind in {type(way) for way in ways.values()}}
    figures = []
    print(
        f"{'way':>16} {'block':>6} {'GB/s':>7}  {'ratio to bare (range)':21}  trainer, producers s/GB"
    )
    for label in arguments.sizes:
        nbytes = SIZES[label]
        count = max(2, arguments.megabytes * 1_000_000 // nbytes)
        found: dict[str, list[Measured]] = {name: [] for name in ways}
        for round_ in range(arguments.rounds + 1):
            for name, way in ways.items():
                measurement = way.measure(pools[type(way)], nbytes, count)
                if round_:  # the first one warms up
                    found[name].append(measurement)
        for name, mine in found.items():
            pairs = zip(mine, found[WAYS[name][1]], strict=True)
            ratios = [ours.rate / theirs.rate for ours, theirs in pairs]
            figures.append(
                {"way": name, "block": nbytes, "ratios": ratios, "runs": [asdict(m) for m in mine]}
            )
            print(
                f"{name:>16} {label:>6} {statistics.median(m.rate for m in mine):7.3f}  "
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})       "
                f"{statistics.median(m.trainer for m in mine):6.2f} "
                f"{statistics.median(m.producer for m in mine):6.2f}",
                flush=True,
            )
    for stopped in (*ways.values(), *pools.values()):
        stopped.stop()
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
