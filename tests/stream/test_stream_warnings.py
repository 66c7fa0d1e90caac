"""What ranks warn of reaches the account of the run, once, whatever dies or is said again."""

import time

import msgpack
import numpy as np
import pytest
from patience import PATIENCE

from sciml.domain.block import Block
from sciml.errors import InputError, StreamError
from sciml.samples.program_warnings import KINDS, Warned
from sciml.stream import Closed, connect
from sciml.stream import message as m
from sciml.stream.ledger import TEXTS, Ledger

U = np.zeros((16, 12), np.float32)


def closed(event):
    return isinstance(event, Closed)


def test_the_largest_of_each_kind_arrives_with_the_count(serve, grid_simulation, tools):
    server = serve()
    with connect(grid_simulation(3), endpoint=server.run_dir) as client:
        for step, lost in enumerate((0.1, 0.4, 0.2)):
            client.send(step, 0.1 * step, u=U)
            client.warn(f"{lost:.0%} of the mass is lost", lost)
        client.warn("the pump is off", kind="pump", step=7)
        with pytest.raises(InputError, match="value='much'"):
            client.warn("much", "much")
    tools.drain(server, closed)
    lost, pump = server.ledger.warned(3)
    assert (lost.message, lost.value, lost.step, lost.count) == (
        "40% of the mass is lost",
        0.4,
        1,
        3,
    )
    assert (pump.kind, pump.step) == ("pump", 7)
    with pytest.raises(StreamError, match="closed"):
        client.warn("too late")


def test_it_is_known_while_the_simulation_runs(serve, grid_simulation):
    server = serve()
    with connect(grid_simulation(), endpoint=server.run_dir) as client:
        client.warn("early")
        deadline = time.monotonic() + PATIENCE
        step = 0
        while not server.ledger.warned(0) and time.monotonic() < deadline:
            client.send(step, 0.1 * step, u=U)
            time.sleep(0.05)
            step += 1
        assert server.ledger.warned(0)[0].message == "early"


def test_ranks_that_say_the_same_are_one_and_each_is_heard(serve, grid_simulation, tools):
    server, simulation = serve(), grid_simulation()
    clients = []
    for rank in range(2):
        block = Block((8 * rank, 0), (8, 12))
        clients.append(None)
        import threading

        def run(rank=rank, block=block):
            with connect(simulation, block, rank, 2, endpoint=server.run_dir) as client:
                client.send(0, 0.0, u=U[:8])
                client.warn("all know it", 1.0, kind="common")
                client.warn("alone", float(rank), kind=f"of rank {rank}")

        clients[-1] = threading.Thread(target=run)
        clients[-1].start()
    for thread in clients:
        thread.join()
    tools.drain(server, closed)
    found = {w.kind: w for w in server.ledger.warned(0)}
    assert set(found) == {"common", "of rank 0", "of rank 1"} and found["common"].count == 1


def test_a_trainer_that_dies_is_told_again(serve, grid_simulation, tools):
    """Of an open simulation by its ranks; of one that has ended by the spool; of one before the
    checkpoint by the checkpoint."""
    server = serve()
    with connect(grid_simulation(0), endpoint=server.run_dir) as client:
        client.send(0, 0.0, u=U)
        client.warn("of the checkpoint", 1.0)
    tools.drain(server, closed)
    state = msgpack.unpackb(msgpack.packb(server.ledger.state_dict()))
    server.commit(keep=set(), ledger=state)
    with connect(grid_simulation(1), endpoint=server.run_dir) as client:
        client.send(0, 0.0, u=U)
        client.warn("of the spool", 2.0)
    with connect(grid_simulation(2), endpoint=server.run_dir) as client:
        client.send(0, 0.0, u=U)
        client.warn("of the rank", 3.0)
        server.stop()
        server = serve(recover=state)
        assert set(server.ledger.warnings()) == {0, 1}
        client.send(1, 0.1, u=U)
    tools.drain(server, lambda e: closed(e) and e.simulation_id == 2)
    said = {n: w.message for n, [w] in server.ledger.warnings().items()}
    assert said == {0: "of the checkpoint", 1: "of the spool", 2: "of the rank"}
    assert all(w.count == 1 for [w] in server.ledger.warnings().values())


def test_a_rerun_replaces_what_the_attempt_before_it_said(serve, grid_simulation, tools):
    server, simulation = serve(), grid_simulation()
    client = connect(simulation, endpoint=server.run_dir)
    client.send(0, 0.0, u=U)
    client.warn("of the first attempt", 9.0, kind="k")
    client.send(1, 0.1, u=U)
    client.abort()
    with connect(simulation, endpoint=server.run_dir, attempt=2) as client:
        client.send(0, 0.0, u=U)
        client.send(1, 0.1, u=U)
        client.warn("of the second", 1.0, kind="k")
    tools.drain(server, closed)
    assert [w.message for w in server.ledger.warned(0)] == ["of the second"]


def test_a_flood_stays_bounded(serve, grid_simulation, tools):
    server = serve()
    with connect(grid_simulation(), endpoint=server.run_dir) as client:
        client.send(0, 0.0, u=U)
        for n in range(5_000):
            client.warn("x" * 5000, n, kind=f"kind {n}")
    tools.drain(server, closed)
    found = server.ledger.warned(0)
    assert len(found) == KINDS + 1 and sum(w.count for w in found) == 5_000
    assert len(msgpack.packb(server.ledger.state_dict())) < 10_000


@pytest.mark.parametrize(
    "entries",
    [
        None,
        "text",
        [{}] * (KINDS + 2),
        [{"kind": "k"}],
        [{"kind": "k" * 999, "message": "m"}],
        [{"kind": "k", "message": "m" * 9999}],
        [{"kind": "k", "message": "m", "count": -1}],
        [{"kind": "k", "message": "m", "value": "9"}],
        [{"kind": "k", "message": "m", "step": 1.5}],
    ],
)
def test_lies_are_refused(entries):
    with pytest.raises(m.Malformed):
        m.warnings({"warnings": entries}, "warnings")


def test_many_simulations_keep_short_entries():
    ledger = Ledger()
    for n in range(TEXTS + 10):
        ledger.warn(n, 1, [Warned("k", "a long text", float(n))])
    assert ledger.warned(TEXTS - 1)[0].message == "a long text"
    assert ledger.warned(TEXTS + 5) == [Warned("k", "k", TEXTS + 5.0)]
    again = Ledger()
    again.load_state_dict(ledger.state_dict())
    assert again.warnings() == ledger.warnings()
