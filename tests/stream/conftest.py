"""Servers and solver ranks for the tests of the stream."""

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from patience import PATIENCE, wait_until

from sciml.domain import Field, Grid
from sciml.domain.block import Block
from sciml.samples import Simulation
from sciml.stream import Arrived, Server, connect
from sciml.stream.slots import NAME

#: By the solvers of the present test: who waits for events of theirs in vain says so.
RAISED = []


class Solver(threading.Thread):
    """One rank in a thread; what it raises is in ``error``."""

    def __init__(self, run_dir, simulation, steps, *, rank=0, ranks=1, pause=0.0, **options):
        super().__init__(daemon=True)
        self.run_dir, self.simulation, self.steps = run_dir, simulation, steps
        self.rank, self.ranks, self.pause, self.options = rank, ranks, pause, options
        self.values = options.pop("values", value)
        self.sent = 0
        self.error = None

    def run(self):
        try:
            shape = self.simulation.domain.point_shape
            block = None
            if self.ranks > 1:
                edges = np.linspace(0, shape[0], self.ranks + 1).astype(int)
                low, high = edges[self.rank], edges[self.rank + 1]
                block = Block((low, *[0] * (len(shape) - 1)), (high - low, *shape[1:]))
            where = block.slices if block else ...
            options = {"timeout": PATIENCE, "patience": PATIENCE, **self.options}
            with connect(
                self.simulation, block, self.rank, self.ranks, endpoint=self.run_dir, **options
            ) as client:
                for step in self.steps:
                    arrays = {
                        f.name: self.values(self.simulation, step, f)[where]
                        if f.on == "point"
                        else self.values(self.simulation, step, f)
                        for f in self.simulation.fields
                    }
                    client.send(step, 0.1 * step, **arrays)
                    self.sent += 1
                    time.sleep(self.pause)
        except Exception as error:
            self.error = error
            RAISED.append(error)


def value(simulation, step, field):
    """What the field of a simulation is at a step: known to sender and receiver."""
    shape = field.shape(simulation.domain)
    size = int(np.prod(shape))
    start = 1000.0 * simulation.id + step + len(field.name)
    return (start + np.arange(size) / max(size, 1)).reshape(shape).astype(np.float32)


def check(simulation, frame):
    assert frame.time == pytest.approx(0.1 * frame.step)
    assert list(frame.fields) == [f.name for f in simulation.fields]
    for field in simulation.fields:
        array = frame.fields[field.name]
        assert not array.flags.writeable
        np.testing.assert_array_equal(array, value(simulation, frame.step, field))


def drain(server, until, timeout=PATIENCE):
    """Events up to the one for which ``until`` holds."""
    events = []
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        event = server.events.get(timeout=0.1)
        if event is not None:
            events.append(event)
            if until(event):
                server.events.get(timeout=0.0)  # says that the last one is dealt with
                return events
    kinds = [type(event).__name__ for event in events]
    raise AssertionError(f"waited in vain; got {kinds}; solvers raised {RAISED}")


def steps_of(events, simulation=None):
    frames = [e.frame for e in events if isinstance(e, Arrived)]
    return [f.step for f in frames if simulation in (None, f.simulation)]


@pytest.fixture
def grid_simulation():
    def make(number=0, shape=(16, 12), fields=("u",), **options):
        n = len(shape)
        domain = Grid(shape, ((0.0, 1.0),) * n, ("periodic",) * n)
        return Simulation(
            number, domain, tuple(Field(f) for f in fields), {"kappa": 1.0}, **options
        )

    return make


@pytest.fixture
def serve(tmp_path):
    """Makes started servers on one run directory; the last one is stopped at the end."""
    servers = []

    def start(recover=None, run_dir=None, **options):
        server = Server(run_dir or tmp_path / "run", **options)
        if recover is not None:
            server.recover(recover)
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def solve(tmp_path):
    """Starts ranks in threads; gives the list of them."""
    RAISED.clear()

    def start(simulation, steps, ranks=1, run_dir=None, **options):
        run_dir = run_dir or tmp_path / "run"
        threads = [
            Solver(run_dir, simulation, steps, rank=r, ranks=ranks, **options) for r in range(ranks)
        ]
        for thread in threads:
            thread.start()
        return threads

    return start


def finish(threads, timeout=PATIENCE):
    """Join ranks and pass on what they raised."""
    for thread in threads:
        thread.join(timeout)
        assert not thread.is_alive(), "a rank hangs"
        if thread.error is not None:
            raise thread.error


def further(run_dir, trainer):
    """Asked whether a `lineage_trainer.py` that was just started has got further than the one before, or
    ended: a kill by the clock may come before it is even there."""

    def entered():
        path = run_dir / "checkpoint.json"
        return len(json.loads(path.read_text())["model"]) if path.exists() else 0

    before = entered()
    return lambda: entered() > before or trainer.poll() is not None


@pytest.fixture
def tools():
    """The plain functions above, since test files cannot import a conftest."""

    class Tools:
        pass

    for function in (check, drain, steps_of, finish, further, value):
        setattr(Tools, function.__name__, staticmethod(function))
    return Tools


def slot_files():
    """Open files of this process that are slots, and names that anybody could find."""
    mine = []
    for fd in Path("/proc/self/fd").iterdir():
        try:
            mine.append(os.readlink(fd))
        except OSError:
            continue
    named = [p for d in ("/dev/shm", "/tmp") for p in Path(d).glob("*sciml-slots*")]
    return [link for link in mine if NAME in link] + named


def mapped_slots():
    return [
        line for line in Path("/proc/self/maps").read_text().splitlines() if "sciml-slo" in line
    ]


@pytest.fixture
def no_slots_stay():
    before, shm = len(slot_files()), set(os.listdir("/dev/shm"))
    yield
    wait_until(lambda: len(slot_files()) <= before and not mapped_slots())
    assert not [name for name in set(os.listdir("/dev/shm")) - shm if "sciml-slots" in name]
