import json
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from patience import PATIENCE, wait_until

from sciml.errors import StreamError
from sciml.stream import Arrived, Closed, Opened, connect
from sciml.stream.endpoint import Endpoint
from sciml.stream.in_flight import BATCH_PACE
from sciml.stream.message import BLOCKS_LIMIT

TRAINER = Path(__file__).with_name("lineage_trainer.py")


def take(server, n, timeout=PATIENCE):
    """The next n frames; events before them are checked for order by the caller."""
    events = []
    deadline = time.monotonic() + timeout
    while sum(isinstance(e, Arrived) for e in events) < n:
        event = server.events.get(timeout=0.1)
        events += [] if event is None else [event]
        assert time.monotonic() < deadline, f"{len(events)} events"
    return events


@pytest.mark.parametrize("encryption", [True, False])
def test_solvers_outlive_the_trainer_and_nothing_is_lost(
    serve, solve, grid_simulation, tools, encryption
):
    simulation = grid_simulation(shape=(64, 64))
    server = serve(encryption=encryption, queue_limit=1 << 20)
    threads = solve(simulation, range(400), ranks=2, pause=0.002)
    model, state = [], None
    for life in range(3):
        events = take(server, 60)
        if life:
            assert isinstance(events[0], Opened) and events[0].continues
        model += tools.steps_of(events)
        server.events.get(timeout=0.0)  # the last one is dealt with, and maybe one more is given
        state = server.ledger.state_dict()
        entered = state["open"]["0"]["entered"]
        model = [step for low, high in entered for step in range(low, high)]
        server.commit(keep=set(), ledger=state)
        take(server, 10)  # enter after the checkpoint: rolled back
        server.stop()  # no goodbye
        time.sleep(0.2)
        server = serve(recover=state, encryption=encryption, queue_limit=1 << 20)
        assert server.epoch == life + 2
    events = tools.drain(server, lambda e: isinstance(e, Closed))
    tools.finish(threads)
    model += tools.steps_of(events)
    assert sorted(model) == list(range(400)) and len(set(model)) == 400
    for event in events:
        if isinstance(event, Arrived):
            tools.check(simulation, event.frame)
    counts = server.ledger.frames()
    assert counts["produced"] == counts["received"] == counts["entered"] == 400
    assert counts["lost"] == counts["doubled"] == 0


@pytest.mark.parametrize("seed", [20, pytest.param(None, marks=pytest.mark.slow)])
def test_trainer_killed_at_any_moment(solve, grid_simulation, tools, tmp_path, seed):
    """None: of any seed."""
    seed = random.randrange(1 << 30) if seed is None else seed
    print("seed", seed)
    draw = random.Random(seed)
    run_dir = tmp_path / "run"
    run_dir.mkdir()

    def start():
        return subprocess.Popen([sys.executable, str(TRAINER), str(run_dir), "2"])

    trainer = start()
    wait_until((run_dir / "endpoint.json").exists)
    simulations = [grid_simulation(i, shape=(48, 32)) for i in range(2)]
    threads = [t for s in simulations for t in solve(s, range(300), ranks=2, pause=0.003)]
    for _ in range(3):
        wait_until(tools.further(run_dir, trainer))
        time.sleep(0.3 * draw.random())
        trainer.kill()
        trainer.wait()
        trainer = start()
    assert trainer.wait(PATIENCE) == 0
    tools.finish(threads)
    model = json.loads((run_dir / "checkpoint.json").read_text())["model"]
    keys = sorted((simulation, step) for simulation, step, _ in model)
    assert keys == [(i, step) for i in range(2) for step in range(300)]
    for i, step, total in model:
        field = simulations[i].fields[0]
        expected = float(sum(tools.value(simulations[i], step, field).ravel()))
        assert total == expected
    counts = json.loads((run_dir / "frames.json").read_text())
    assert (counts["lost"], counts["doubled"], counts["received"]) == (0, 0, 600)


def test_thousands_of_tiny_steps_wait_for_the_trainer_and_come(serve, grid_simulation, tools):
    """More blocks than a message may hold, in fewer bytes than fill one."""
    simulation = grid_simulation(shape=(2, 2))
    server, steps = serve(), range(BLOCKS_LIMIT + 1000)
    client = connect(simulation, endpoint=server.run_dir, patience=PATIENCE)
    server.stop()
    for step in steps:
        client.send(step, 0.1 * step, u=tools.value(simulation, step, simulation.fields[0]))
    server = serve()
    client.close()
    events = tools.drain(server, lambda e: isinstance(e, Closed))
    assert sorted(tools.steps_of(events)) == list(steps)


def test_what_was_queued_and_not_taken_comes_again(serve, solve, grid_simulation, tools):
    server = serve()
    tools.finish(solve(grid_simulation(), range(20)))  # closed, durable; nobody took an event
    server.stop()
    server = serve()
    events = tools.drain(server, lambda e: isinstance(e, Closed))
    assert isinstance(events[0], Opened) and not events[0].continues
    assert tools.steps_of(events) == list(range(20))
    for event in events[1:-1]:
        tools.check(grid_simulation(), event.frame)


def test_frames_behind_a_checkpoint_are_replayed(serve, solve, grid_simulation, tools):
    server = serve(spool_limit=1 << 23)
    tools.finish(solve(grid_simulation(3), range(20), ranks=2))
    tools.drain(server, lambda e: isinstance(e, Closed))
    state = server.ledger.state_dict()
    keep = {(3, step) for step in (4, 17)}
    server.commit(keep, state)
    server.stop()
    server = serve(recover=state)
    assert server.events.get(timeout=0.1) is None
    frames = list(server.replay([(3, 17), (3, 5), (3, 4)]))
    assert [f.step for f in frames] == [17, 4]
    for frame in frames:
        tools.check(grid_simulation(3), frame)
    assert server.simulation(3).parameters == {"kappa": 1.0}
    server.commit(keep=set(), ledger=state)
    assert server.simulation(3) is None and list(server.replay(keep)) == []


def test_checkpoint_does_not_free_what_came_after_it(serve, grid_simulation, tools):
    server = serve()
    client = connect(grid_simulation(), endpoint=server.run_dir)
    array = np.zeros((16, 12), np.float32)
    client.send(0, 0.0, u=array)
    take(server, 1)
    server.events.get(timeout=0.0)
    state = server.ledger.state_dict()
    time.sleep(1.2 * BATCH_PACE)
    client.send(1, 0.0, u=array + 1)
    take(server, 1)
    server.events.get(timeout=0.0)
    server.commit(keep=set(), ledger=state)
    server.stop()
    client.abort()
    server = serve(recover=state)
    assert tools.steps_of(take(server, 1)) == [1]


def test_corrupted_record_is_asked_for_again(serve, grid_simulation, tools):
    """By the next attempt: the rank that sent it may have forgotten it, since it was durable."""
    server = serve(spool_limit=1 << 23)
    array = np.zeros((16, 12), np.float32)
    client = connect(grid_simulation(), endpoint=server.run_dir, patience=PATIENCE)
    for step in range(10):
        client.send(step, 0.0, u=array + step)
        time.sleep(1.2 * BATCH_PACE)
    wait_until(lambda: server.ledger.frames()["received"] >= 10)
    server.stop()
    (path,) = (server.run_dir / "spool").glob("*.segment")
    data = bytearray(path.read_bytes())
    at = data.find((array + 4).tobytes())
    data[at + 100] ^= 1
    path.write_bytes(data)
    server = serve()
    assert server.status()["spool_damaged"] == 1
    with pytest.raises(StreamError, match=r"1 frames of simulation 0 are incomplete.*attempt 2"):
        client.close()
    with connect(grid_simulation(), endpoint=server.run_dir, attempt=2, patience=PATIENCE) as again:
        for step in range(10):
            again.send(step, 0.0, u=array + step)
    events = tools.drain(server, lambda e: isinstance(e, Closed))
    assert sorted(tools.steps_of(events)) == list(range(10))
    assert server.ledger.frames()["lost"] == 0


def test_a_client_follows_a_trainer_that_moves(serve, solve, grid_simulation, tools):
    server = serve()
    before = Endpoint.read(server.run_dir).address
    threads = solve(grid_simulation(), range(100), pause=0.005)
    take(server, 10)
    server.stop()
    port = int(before.rpartition(":")[2])
    server = serve(port=port + 1 if port + 1 < 32_768 else port - 1)
    assert Endpoint.read(server.run_dir).address != before
    events = tools.drain(server, lambda e: isinstance(e, Closed))
    tools.finish(threads)
    assert tools.steps_of(events) == list(range(100))


def test_a_trainer_that_never_returns_is_given_up(serve, solve, grid_simulation):
    server = serve()
    threads = solve(grid_simulation(shape=(512, 512)), range(500), patience=3.0)
    take(server, 2)
    server.stop()
    threads[0].join(PATIENCE)
    assert isinstance(threads[0].error, StreamError)
    assert "no sign of the trainer" in str(threads[0].error)
