"""Fields of ranks on the trainer's node go through shared memory; elsewhere by the socket."""

import errno
import os
import random
import threading
from itertools import pairwise

import numpy as np
import pytest
from hellos import until_closed
from patience import standing, wait_until

from sciml.domain import Field, Grid
from sciml.errors import InputError
from sciml.samples import Simulation
from sciml.stream import Arrived, connect
from sciml.stream import slots as slots_module
from sciml.stream.slots import ALIGNMENT, Slots

SHAPE = (64, 32)  # 8 kB in float32: large enough for a slot

pytestmark = [
    pytest.mark.usefixtures("no_slots_stay"),
    pytest.mark.skipif(not slots_module.node(), reason="no shared memory of this kind here"),
]


@pytest.mark.parametrize("encryption", [True, False])
def test_fields_go_through_slots(serve, solve, grid_simulation, tools, encryption):
    server = serve(encryption=encryption)
    simulations = [grid_simulation(i, SHAPE, ("u", "v")) for i in range(2)]
    threads = [t for i, s in enumerate(simulations) for t in solve(s, range(40), ranks=1 + i)]
    events = tools.drain(server, until_closed(2))
    tools.finish(threads)
    for simulation in simulations:
        mine = [
            e.frame
            for e in events
            if isinstance(e, Arrived) and e.frame.simulation == simulation.id
        ]
        assert [f.step for f in mine] == list(range(40))
        for frame in mine:
            tools.check(simulation, frame)
    status = server.status()
    assert status["slot_blocks"] == 2 * 40 + 4 * 40
    assert status["slot_bytes"] == status["bytes"] == 2 * 2 * 40 * 64 * 32 * 4
    assert status["slot_ranks"] == status["slots_declined"] == 0
    counts = server.ledger.frames()
    assert counts["received"] == 80 and counts["lost"] == counts["doubled"] == 0


def test_one_rank_by_slots_and_one_by_the_socket(serve, grid_simulation, tools):
    server = serve()
    simulations = [grid_simulation(i, SHAPE) for i in range(2)]

    def work(simulation):
        with connect(
            simulation, endpoint=server.run_dir, shared_memory=simulation.id == 0
        ) as client:
            for step in range(30):
                client.send(step, 0.1 * step, u=tools.value(simulation, step, Field("u")))

    threads = [threading.Thread(target=work, args=(s,)) for s in simulations]
    for thread in threads:
        thread.start()
    events = tools.drain(server, until_closed(2))
    for thread in threads:
        thread.join()
    for event in events:
        if isinstance(event, Arrived):
            tools.check(simulations[event.frame.simulation], event.frame)
    assert sorted(tools.steps_of(events)) == sorted(2 * list(range(30)))
    assert server.status()["slot_blocks"] == 30


@pytest.mark.parametrize("shared_memory", [True, False])
def test_fields_are_cast_while_they_are_copied(serve, tools, shared_memory):
    server = serve()
    domain = Grid((60, 40), ((0.0, 1.0),) * 2, ("open", "open"))
    u = np.random.default_rng(0).random((40, 60)).T
    with connect(
        Simulation(0, domain, (Field("u"),)),
        endpoint=server.run_dir,
        shared_memory=shared_memory,
        dtype="float32",
    ) as client:
        client.send(0, 0.0, u=u)
    [frame] = [e.frame for e in tools.drain(server, until_closed(1)) if isinstance(e, Arrived)]
    assert frame.fields["u"].dtype == np.float32
    np.testing.assert_array_equal(frame.fields["u"], u.astype(np.float32))
    status = server.status()
    assert status["slot_blocks"] == int(shared_memory) and status["bytes"] == 60 * 40 * 4


@pytest.mark.parametrize("dtype", ["float33", "int32", object])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(InputError, match="expected float32 or float64"):
        connect(domain=Grid((4,), ((0.0, 1.0),), ("open",)), fields=["u"], dtype=dtype)


def test_big_and_small_fields_two_shapes_and_odd_layouts(serve, tools):
    server = serve()
    fields = (Field("big"), Field("vector", components=3), Field("energy", on="global"))
    shapes = {0: (200, 300), 1: (37, 41)}
    clients = {}
    for number, shape in shapes.items():
        domain = Grid(shape, ((0.0, 1.0),) * 2, ("open", "open"))
        clients[number] = connect(Simulation(number, domain, fields), endpoint=server.run_dir)
    rng = np.random.default_rng(0)
    sent = {}
    for step in range(12):
        for number, client in clients.items():
            a, b = shapes[number]
            arrays = {
                "big": np.asfortranarray(rng.random((a, b))),
                "vector": rng.random((a, 2 * b, 3)).astype(np.float32)[:, ::2],
                "energy": np.float64(step),
            }
            sent[number, step] = {name: np.array(array) for name, array in arrays.items()}
            client.send(step, 0.0, **arrays)
            arrays["big"][:] = np.nan  # it was copied
    closers = [threading.Thread(target=client.close) for client in clients.values()]
    for thread in closers:
        thread.start()
    events = tools.drain(server, until_closed(2))
    frames = [e.frame for e in events if isinstance(e, Arrived)]
    assert len(frames) == 24 and server.status()["slot_blocks"] == 24 * 3
    for frame in frames:
        for name, array in sent[frame.simulation, frame.step].items():
            np.testing.assert_array_equal(frame.fields[name], array)
            assert frame.fields[name].dtype == array.dtype


def test_small_steps_and_steps_beyond_all_slots_use_the_socket(
    serve, grid_simulation, tools, monkeypatch
):
    monkeypatch.setattr("sciml.stream.client.ROOM", 64 << 10)
    monkeypatch.setattr("sciml.stream.client.ROOM_LIMIT", 64 << 10)
    server = serve()
    small, large = grid_simulation(0, (4, 4)), grid_simulation(1, (256, 128))
    with connect(small, endpoint=server.run_dir) as client:
        client.send(0, 0.0, u=tools.value(small, 0, Field("u")))
    with connect(large, endpoint=server.run_dir) as client:
        client.send(0, 0.0, u=tools.value(large, 0, Field("u")))
    events = tools.drain(server, until_closed(2))
    for event in events:
        if isinstance(event, Arrived):
            tools.check(large if event.frame.simulation else small, event.frame)
    assert server.status()["slot_blocks"] == 0 and server.ledger.frames()["received"] == 2


def test_a_slow_trainer_slows_a_rank_with_slots(serve, solve, grid_simulation, tools):
    limit = 1 << 20
    server = serve(queue_limit=limit)
    simulation = grid_simulation(shape=(128, 128))
    threads = solve(simulation, range(200))
    wait_until(lambda: server.status()["ranks_waiting"] == 1)
    assert standing(lambda: threads[0].sent) * (64 << 10) <= 3 * limit + 2 * (512 << 10)
    assert server.status()["ranks_waiting"] == 1
    events = tools.drain(server, until_closed(1))
    tools.finish(threads)
    assert tools.steps_of(events) == list(range(200)) and server.status()["slot_blocks"] == 200


# -- where there is none ------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["memfd_create", "posix_fallocate"])
def test_no_shared_memory_to_be_had(serve, solve, grid_simulation, tools, monkeypatch, broken):
    simulation = grid_simulation(0, SHAPE)
    server = serve()
    real = getattr(os, broken)

    def fail(fd, *arguments):
        # The spool allocates too, and keeps its room.
        if broken == "posix_fallocate" and "sciml-slots" not in os.readlink(f"/proc/self/fd/{fd}"):
            return real(fd, *arguments)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, broken, fail)
    threads = solve(simulation, range(20))
    events = tools.drain(server, until_closed(1))
    tools.finish(threads)
    assert tools.steps_of(events) == list(range(20)) and server.status()["slot_blocks"] == 0


def test_another_node_uses_the_socket(serve, grid_simulation, tools, monkeypatch):
    server = serve()
    monkeypatch.setattr("sciml.stream.client.node", lambda: "another boot")
    with connect(grid_simulation(0, SHAPE), endpoint=server.run_dir) as client:
        assert client._slots is None
        client.send(0, 0.0, u=np.zeros(SHAPE, np.float32))
    assert server.status()["slot_blocks"] == server.status()["slots_declined"] == 0


def test_an_offer_that_cannot_be_opened_is_declined(
    serve, solve, grid_simulation, tools, monkeypatch
):
    """As in a container with process numbers of its own."""
    monkeypatch.setattr(Slots, "offer", lambda self: {**ORIGINAL(self), "pid": 1 << 30})
    server = serve()
    threads = solve(grid_simulation(0, SHAPE), range(10))
    events = tools.drain(server, until_closed(1))
    tools.finish(threads)
    assert tools.steps_of(events) == list(range(10))
    assert server.status()["slots_declined"] == 1 and server.status()["slot_blocks"] == 0


ORIGINAL = Slots.offer


# -- the ring -----------------------------------------------------------------------------------


def test_ring_never_gives_living_room_away():
    draw = random.Random(3)
    slots = Slots(1 << 14)
    living = []
    filled = 0
    for count in range(3000):
        if living and draw.random() < 0.45:
            at = 0 if draw.random() < 0.8 else draw.randrange(len(living))
            span, value, size = living.pop(at)
            for reference in span.references:
                assert slots.payload(reference) == bytes([value]) * size
            slots.release(span)
        size, value = draw.randrange(1, 3000), count % 256
        arrays = [np.full(size, value, np.uint8)] * draw.randrange(1, 3)
        span = slots.fill(arrays)
        if span is not None:
            filled += 1
            assert span.start >= ALIGNMENT and span.stop <= slots.nbytes
            living.append((span, value, size))
            ranges = sorted((s.start, s.stop) for s, _, _ in living)
            assert all(a[1] <= b[0] for a, b in pairwise(ranges))
    assert filled > 500
    for span, _, _ in living:
        slots.release(span)
    assert slots.place(1 << 14) == ALIGNMENT
    slots.close()


def test_slots_are_for_the_owner_only_and_cannot_shrink():
    slots = Slots(1 << 12)
    assert os.fstat(slots.fd).st_mode & 0o777 == 0o600
    with pytest.raises(OSError):
        os.ftruncate(slots.fd, 0)
    slots.close()
    slots.close()
