"""How fast does the trainer take fields in, against bare ZeroMQ? Run by hand:

    python tests/benchmarks/bench_ingest.py [--megabytes 200] [--rounds 5] [--json ingest.json]

Two producer processes send blocks of 64 kB, 1 MB and 8 MB; one process takes them. *slots*, *plain*
and *CURVE* are the whole way, by shared memory or by the socket: validation, journal, assembly, queue,
acknowledgement. *bare* is PUSH/PULL that leaves the payload untouched. All are measured in turn in one
run, since only the ratio means something on a machine that others use; given are medians and the range
of the ratios of neighboring rounds. Rows without the spool show what the journal costs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import zmq

from sciml.domain import Field, Grid
from sciml.samples import Simulation
from sciml.stream import Arrived, Closed, Server, connect
from sciml.stream.authentication import Gate, guard
from sciml.stream.endpoint import Keys

SIZES = {"64 kB": 1 << 16, "1 MB": 1 << 20, "8 MB": 8 << 20}
PRODUCERS = 2


def produce_stream(jobs) -> None:
    for run_dir, slots, number, nbytes, count in iter(jobs.get, None):
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

    def measure(self, jobs, nbytes: int, count: int) -> float:
        for _ in range(PRODUCERS):
            jobs.put((self.directory.name, self.slots, self.next, nbytes, count))
            self.next += 1
        start, closed = None, 0
        while closed < PRODUCERS:
            event = self.server.events.get(timeout=60.0)
            if isinstance(event, Arrived):
                end = time.perf_counter()
                start = start or end
            closed += isinstance(event, Closed)
        self.server.events.get(timeout=0.0)
        self.server.commit(keep=set())
        by_slots = self.server.status()["slot_blocks"] > 0
        assert by_slots == self.slots, "the transport that was asked for was not used"
        return (PRODUCERS * count - 1) * nbytes / (end - start) / 1e9

    def stop(self) -> None:
        self.server.stop()
        self.directory.cleanup()


def produce_bare(jobs) -> None:
    for address, keys, nbytes, count in iter(jobs.get, None):
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

    def measure(self, jobs, nbytes: int, count: int) -> float:
        pull = self.context.socket(zmq.PULL)
        pull.rcvhwm = max(4, (16 << 20) // nbytes)
        if self.keys:
            guard(pull, self.keys)
        port = pull.bind_to_random_port("tcp://127.0.0.1", 20_000, 32_768)
        for _ in range(PRODUCERS):
            jobs.put((f"tcp://127.0.0.1:{port}", self.keys, nbytes, count))
        start = None
        for _ in range(PRODUCERS * count):
            pull.recv(copy=False)
            start = start or time.perf_counter()
        seconds = time.perf_counter() - start
        pull.close()
        return (PRODUCERS * count - 1) * nbytes / seconds / 1e9

    def stop(self) -> None:
        if self.gate is not None:
            self.done.set()
            self.admits.join()
            self.gate.close()
        self.context.term()


def admit(gate: Gate, done: threading.Event) -> None:
    while not done.is_set():
        gate.socket.poll(50)
        gate.answer()


def ways(spool: Path | None) -> dict[str, Stream | Bare]:
    return {
        "slots": Stream(True, True, True, spool),
        "plain": Stream(False, False, True, spool),
        "CURVE": Stream(True, False, True, spool),
        "slots, no spool": Stream(True, True, False, spool),
        "plain, no spool": Stream(False, False, False, spool),
        "CURVE, no spool": Stream(True, False, False, spool),
        "bare plain": Bare(False),
        "bare CURVE": Bare(True),
    }


def peer(way: str) -> str:
    """What a way is held against."""
    return "bare CURVE" if way.startswith("CURVE") else "bare plain"


def start_producers(produce):
    context = multiprocessing.get_context("spawn")
    jobs = context.Queue()
    workers = [context.Process(target=produce, args=(jobs,)) for _ in range(PRODUCERS)]
    for worker in workers:
        worker.start()
    return jobs, workers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=200, help="a producer and measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--spool", type=Path, help="directory on the disk to test")
    arguments = parser.parse_args()
    pools = {kind: start_producers(kind.produce) for kind in (Stream, Bare)}
    all_ways = ways(arguments.spool)
    figures = []
    print(f"{'way':>16} {'block':>6} {'GB/s':>7}  ratio to bare (range)")
    for label, nbytes in SIZES.items():
        count = max(2, arguments.megabytes * 1_000_000 // nbytes)
        rates: dict[str, list[float]] = {name: [] for name in all_ways}
        for round_ in range(arguments.rounds + 1):
            for name, way in all_ways.items():
                rate = way.measure(pools[type(way)][0], nbytes, count)
                if round_:  # the first one warms up
                    rates[name].append(rate)
        for name, mine in rates.items():
            pairs = zip(mine, rates[peer(name)], strict=True)
            ratios = [ours / theirs for ours, theirs in pairs]
            figures.append({"way": name, "block": nbytes, "rates": mine, "ratios": ratios})
            print(
                f"{name:>16} {label:>6} {statistics.median(mine):7.3f}  "
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})",
                flush=True,
            )
    for way in all_ways.values():
        way.stop()
    for jobs, workers in pools.values():
        for _ in workers:
            jobs.put(None)
        for worker in workers:
            worker.join()
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
