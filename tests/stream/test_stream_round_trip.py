import gc
import threading
import time

import numpy as np
import pytest
from patience import PATIENCE

from sciml.domain import Field, Mesh, Particles
from sciml.domain.block import Block
from sciml.errors import InputError, StreamError
from sciml.samples import Simulation
from sciml.stream import Arrived, Closed, Opened, connect


def closed_all(numbers):
    left = set(numbers)

    def until(event):
        if isinstance(event, Closed):
            left.discard(event.simulation_id)
        return not left

    return until


@pytest.mark.parametrize("encryption", [True, False])
def test_every_frame_arrives_once(serve, solve, grid_simulation, tools, encryption):
    server = serve(encryption=encryption)
    simulations = [grid_simulation(i, fields=("u", "v")) for i in range(4)]
    threads = [t for i, s in enumerate(simulations) for t in solve(s, range(30), ranks=1 + i)]
    events = tools.drain(server, closed_all(range(4)))
    tools.finish(threads)
    for simulation in simulations:
        mine = [
            e
            for e in events
            if simulation.id
            in (
                getattr(e, "simulation_id", None),
                e.frame.simulation if isinstance(e, Arrived) else None,
                e.simulation.id if isinstance(e, Opened) else None,
            )
        ]
        assert isinstance(mine[0], Opened) and isinstance(mine[-1], Closed)
        assert mine[0].attempt == 1 and not mine[0].continues
        assert tools.steps_of(mine) == list(range(30))
        for event in mine[1:-1]:
            tools.check(simulation, event.frame)
    counts = server.ledger.frames()
    assert counts["produced"] == counts["received"] == counts["entered"] == 120
    assert counts["lost"] == counts["doubled"] == counts["resent"] == 0


def test_description_crosses_whole(serve, tools):
    server = serve()
    points = np.random.default_rng(0).random((7, 2))
    mesh = Mesh(points, np.array([[0, 1, 2], [2, 3, 4], [4, 5, 6]]), "m")
    fields = (Field("T", "K", "temperature"), Field("E", "J", on="global"))
    sent = Simulation(5, mesh, fields, {"a": 0.5}, {"mask": np.arange(7.0)}, False, "hours")
    with connect(sent, endpoint=server.run_dir) as client:
        client.send(0, 0.0, T=np.arange(7.0), E=np.float64(3.0))
    events = tools.drain(server, closed_all([5]))
    got = events[0].simulation
    assert got.domain == mesh and got.fields == fields and got.parameters == {"a": 0.5}
    assert not got.deterministic and got.time_units == "h"
    np.testing.assert_array_equal(got.static["mask"], np.arange(7.0))
    assert events[1].frame.fields["E"].shape == () and events[1].frame.fields["E"] == 3.0


def test_two_shapes_and_vectors_in_one_stream(serve, tools):
    server = serve()
    fields = (Field("position", components=3), Field("energy", on="global"))
    sizes = {0: 5, 1: 9}
    clients = {
        i: connect(Simulation(i, Particles(np.ones(n)), fields), endpoint=server.run_dir)
        for i, n in sizes.items()
    }
    for step in range(4):
        for i, n in sizes.items():
            position = np.full((n, 3), step, np.float64)
            clients[i].send(step, 0.0, position=position, energy=np.float64(i))
    closers = [threading.Thread(target=c.close) for c in clients.values()]
    for thread in closers:
        thread.start()
    events = tools.drain(server, closed_all(sizes))
    frames = [e.frame for e in events if isinstance(e, Arrived)]
    assert {(f.simulation, f.fields["position"].shape) for f in frames} == {
        (0, (5, 3)),
        (1, (9, 3)),
    }
    assert len(frames) == 8


def test_blocks_of_uneven_ranks_tile_the_field(serve, solve, grid_simulation, tools):
    server = serve()
    simulation = grid_simulation(0, shape=(7, 5))
    threads = solve(simulation, range(5), ranks=3)
    events = tools.drain(server, closed_all([0]))
    tools.finish(threads)
    for event in events[1:-1]:
        tools.check(simulation, event.frame)


def test_blocks_that_do_not_tile_are_quarantined(serve, grid_simulation, tools):
    server = serve()
    simulation = grid_simulation(0, shape=(8, 8))
    blocks = [Block((0, 0), (4, 8)), Block((3, 0), (4, 8))]
    first = connect(simulation, blocks[0], 0, 2, endpoint=server.run_dir)
    with pytest.raises(StreamError, match="do not tile"):
        connect(simulation, blocks[1], 1, 2, endpoint=server.run_dir)
    first.abort()
    assert "do not tile" in tools.drain(server, lambda e: True)[0].reason


def test_sent_arrays_may_change_at_once(serve, grid_simulation, tools):
    server = serve()
    simulation = grid_simulation(0, shape=(256, 256))
    array = np.zeros((256, 256), np.float32)

    def work():
        with connect(simulation, endpoint=server.run_dir) as client:
            for step in range(50):
                array[:] = step
                client.send(step, 0.0, u=array)

    thread = threading.Thread(target=work)
    thread.start()
    events = tools.drain(server, closed_all([0]))
    thread.join()
    for event in events[1:-1]:
        assert (event.frame.fields["u"] == event.frame.step).all()


def test_fortran_order_arrives_as_it_looks(serve, grid_simulation, tools):
    server = serve()
    array = np.asfortranarray(np.arange(192.0).reshape(16, 12))
    with connect(grid_simulation(), endpoint=server.run_dir) as client:
        client.send(0, 0.0, u=array)
    np.testing.assert_array_equal(tools.drain(server, closed_all([0]))[1].frame.fields["u"], array)


def test_misuse_is_told_at_once(serve, grid_simulation):
    server = serve()
    client = connect(grid_simulation(fields=("u", "v")), endpoint=server.run_dir)
    u = np.zeros((16, 12))
    with pytest.raises(InputError, match="field 'v' is missing"):
        client.send(0, 0.0, u=u)
    with pytest.raises(InputError, match="unknown field 'w'"):
        client.send(0, 0.0, u=u, v=u, w=u)
    client.send(0, 0.0, u=u, v=u)
    with pytest.raises(InputError, match="step 0 was sent before"):
        client.send(0, 0.0, u=u, v=u)
    client.abort()
    with pytest.raises(StreamError, match="closed"):
        client.send(1, 0.0, u=u, v=u)


def test_second_process_of_one_rank_is_refused(serve, grid_simulation):
    server = serve()
    client = connect(grid_simulation(), endpoint=server.run_dir)
    with pytest.raises(StreamError, match="another process already"):
        connect(grid_simulation(), endpoint=server.run_dir)
    client.abort()


def test_finished_simulation_that_runs_again_enters_nothing(serve, solve, grid_simulation, tools):
    server = serve()
    for attempt in (1, 2):
        threads = solve(grid_simulation(), range(5), attempt=attempt)
        if attempt == 1:
            tools.drain(server, closed_all([0]))
        tools.finish(threads)
    assert server.events.get(timeout=0.2) is None
    assert server.ledger.frames()["received"] == 5


@pytest.mark.timeout(PATIENCE)
def test_a_client_that_is_forgotten_holds_nothing_up(serve, grid_simulation):
    server = serve()
    client = connect(grid_simulation(), endpoint=server.run_dir)
    cycle = [client]
    cycle.append(cycle)
    began = time.monotonic()
    del client, cycle
    assert gc.collect() > 0
    # The timeout of the test does not fail within a collection.
    assert time.monotonic() - began < 0.9 * PATIENCE


def test_steps_and_ranks_may_be_numbers_of_numpy(serve, grid_simulation, tools):
    server, one = serve(), np.int64(1)
    simulation = grid_simulation()
    with connect(simulation, None, one - 1, one, endpoint=server.run_dir, attempt=one) as client:
        for step in np.arange(3):
            client.send(step, np.float32(step), u=np.zeros((16, 12), np.float32))
    events = tools.drain(server, lambda e: isinstance(e, Closed))
    assert tools.steps_of(events) == [0, 1, 2]
