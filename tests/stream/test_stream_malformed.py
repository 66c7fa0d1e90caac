"""Whatever comes in, the server stands, memory stays, and true clients go on."""

import os
import random
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgpack
import numpy as np
import pytest
import zmq
from hellos import hello
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import wait_until

from sciml.domain import Field, Grid
from sciml.errors import InputError
from sciml.samples import Simulation
from sciml.stream import Arrived, Closed, connect
from sciml.stream import message as m
from sciml.stream.description import simulation_from_wire, simulation_to_wire
from sciml.stream.endpoint import Endpoint
from sciml.stream.events import EventQueue
from sciml.stream.journal import Journal
from sciml.stream.ledger import Ledger
from sciml.stream.registry import Registry
from sciml.stream.spool import Spool

SIMULATION = Simulation(0, Grid((4, 3), ((0, 1), (0, 1)), ("open", "open")), (Field("u"),))
PAYLOAD = np.arange(12, dtype="<f4").tobytes()
HELLO = hello(SIMULATION)
BLOCKS = {"v": m.VERSION, "kind": "blocks", "epoch": 1, "hello": 1, "sequence": 1}


def header(**changes):
    return {
        "simulation": 0,
        "attempt": 1,
        "step": 0,
        "time": 0.0,
        "field": "u",
        "dtype": "<f4",
        "global_shape": [4, 3],
        "offset": [0, 0],
        "shape": [4, 3],
        "sequence": 1,
        **changes,
    }


@contextmanager
def fresh_registry(directory):
    spool = Spool(directory, 1 << 16)
    spool.scan()
    events = EventQueue(1 << 20, lambda: None, lambda e: None)
    yield Registry(1, Journal(spool), Ledger(), events, 1 << 20, lambda: events.full)
    spool.close()


@pytest.fixture
def registry(tmp_path):
    with fresh_registry(tmp_path / "spool") as registry:
        yield registry


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=24)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=8,
)


def mutated(base):
    """A true message of which some entries are anything, or are missing."""
    keys = sorted(base)
    changes = st.dictionaries(st.sampled_from(keys), VALUES, max_size=3)
    gone = st.sets(st.sampled_from(keys), max_size=1)
    return st.builds(
        lambda c, g: {k: v for k, v in {**base, **c}.items() if k not in g}, changes, gone
    )


PARTS = (
    st.lists(st.binary(max_size=80), max_size=4)
    | st.builds(lambda e: [msgpack.packb(e)], mutated(HELLO))
    | st.builds(
        lambda e, h, p: [msgpack.packb(e), msgpack.packb(h), p],
        mutated(BLOCKS),
        mutated(header()),
        st.just(PAYLOAD) | st.binary(max_size=64),
    )
    | st.builds(
        lambda d: [msgpack.packb({**HELLO, "description": d})], mutated(HELLO["description"])
    )
    | st.builds(lambda e: [msgpack.packb(e)], mutated({**BLOCKS, "kind": "bye", "steps": [[0, 1]]}))
    | st.builds(
        lambda kind, e: [msgpack.packb({"v": m.VERSION, "kind": kind, **e})],
        st.sampled_from(["ping", "control", "bye", "hello", "?"]),
        st.dictionaries(st.text(max_size=6), VALUES, max_size=4),
    )
)


@settings(max_examples=100)
@given(st.booleans(), st.lists(PARTS, min_size=1, max_size=4))
def test_no_message_stops_the_server(known, messages):
    with tempfile.TemporaryDirectory() as directory, fresh_registry(Path(directory)) as registry:
        if known:
            registry.handle(b"peer", [msgpack.packb(HELLO)])
        for parts in messages:
            registry.handle(b"peer", parts)
        registry.flush()
        assert registry.failures == 0, "an error that nobody foresaw"
        # Another peer's simulation goes on as if nothing had been.
        simulation = Simulation(100, SIMULATION.domain, SIMULATION.fields)
        registry.handle(b"true", [msgpack.packb(hello(simulation))])
        block = [msgpack.packb(BLOCKS), msgpack.packb(header(simulation=100)), PAYLOAD]
        registry.handle(b"true", block)
        while (event := registry.events.get(timeout=0.0)) is not None:
            if isinstance(event, Arrived) and event.frame.simulation == 100:
                break
        assert event is not None, [m.decode(a) for p, a in registry.outbox if p == b"true"]


LIES = {
    "shape larger than the payload": header(
        shape=[1 << 40, 1 << 40], global_shape=[1 << 40, 1 << 40]
    ),
    "negative step": header(step=-1),
    "fractional step": header(step=0.5),
    "boolean step": header(step=True),
    "another simulation": header(simulation=1),
    "another attempt": header(attempt=2),
    "unknown field": header(field="w"),
    "python objects": header(dtype="|O"),
    "text": header(dtype="<U4"),
    "time that is no number": header(time="now"),
    "time that is infinite": header(time=float("inf")),
    "block elsewhere": header(offset=[1, 0], shape=[3, 3]),
    "many axes": header(shape=[1] * 9),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_is_refused_with_a_reason(registry, lie):
    registry.handle(b"peer", [msgpack.packb(HELLO)])
    registry.outbox.clear()
    registry.handle(b"peer", [msgpack.packb(BLOCKS), msgpack.packb(LIES[lie]), PAYLOAD])
    answers = [m.decode(a) for _, a in registry.outbox]
    assert answers and answers[-1]["kind"] == "refused" and len(answers[-1]["reason"]) > 10
    assert not any(isinstance(e, Arrived) for e, _ in registry.events._items)


def test_messages_of_an_old_epoch_are_unknown(registry):
    registry.handle(b"peer", [msgpack.packb(HELLO)])
    for change in ({"epoch": 7}, {"hello": 2}):
        registry.outbox.clear()
        parts = [msgpack.packb({**BLOCKS, **change}), msgpack.packb(header()), PAYLOAD]
        registry.handle(b"peer", parts)
        (answer,) = [m.decode(a) for _, a in registry.outbox]
        assert answer["kind"] == "unknown" and answer["epoch"] == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x80",
        b"[1,2]",
        msgpack.packb([1]),
        msgpack.packb({1: 2}),
        b"\xdf\xff\xff\xff\xff",
    ],
)
def test_what_is_no_envelope_is_malformed(data):
    with pytest.raises(m.Malformed):
        m.decode_envelope(data)


def test_extension_types_and_deep_nests_are_malformed():
    with pytest.raises(m.Malformed):
        m.decode(msgpack.packb({"a": msgpack.ExtType(5, b"x")}))
    with pytest.raises(m.Malformed):
        m.decode(b"\x81\xa1a" + b"\x91" * 100_000 + b"\x00")


def test_header_and_description_cross_unchanged():
    head = m.Header(3, 1, 7, 0.5, "u", "<f8", (4, 3), (0, 0), (4, 3), 9)
    assert m.Header.decode(head.encode()) == head
    wire = m.decode(m.encode(simulation_to_wire(SIMULATION)))
    again = simulation_from_wire(wire)
    assert again.domain == SIMULATION.domain and again.fields == SIMULATION.fields


def test_random_frames_over_the_socket(serve, solve, grid_simulation, tools):
    server = serve(encryption=False)
    seed = random.randrange(1 << 30)
    print("seed", seed)
    draw = random.Random(seed)
    threads = solve(grid_simulation(), range(50), pause=0.002)
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.linger = 0
    socket.connect(Endpoint.read(server.run_dir).address)
    for _ in range(2000):
        parts = [draw.randbytes(draw.randrange(200)) for _ in range(draw.randrange(1, 6))]
        if draw.random() < 0.3:
            parts[0] = m.envelope(draw.choice(["hello", "blocks", "bye", "ping"]), epoch=1, hello=1)
        socket.send_multipart(parts)
    events = tools.drain(server, lambda e: isinstance(e, Closed))
    tools.finish(threads)
    assert tools.steps_of(events) == list(range(50))
    wait_until(lambda: server.status()["garbage"] >= 1000)
    socket.close()


def test_oversized_blocks_are_refused_by_the_client(serve, grid_simulation):
    server = serve()
    entry = Endpoint.read(server.run_dir)
    replace(entry, message_limit=100_000).write(server.run_dir)
    client = connect(grid_simulation(shape=(512, 512)), endpoint=server.run_dir)
    with pytest.raises(InputError, match="use more ranks"):
        client.send(0, 0.0, u=np.zeros((512, 512)))
    client.abort()


def test_a_client_that_ignores_its_credit_is_refused(registry):
    registry.handle(b"peer", [msgpack.packb(HELLO)])
    registry.peers[b"peer"].received = 1 << 40
    registry.outbox.clear()
    registry.handle(b"peer", [msgpack.packb(BLOCKS), msgpack.packb(header()), PAYLOAD])
    (answer,) = [m.decode(a) for _, a in registry.outbox]
    assert "more than it has credit for" in answer["reason"]


def test_a_full_disk_holds_the_sender_back(registry, monkeypatch):
    registry.handle(b"peer", [msgpack.packb(HELLO)])

    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwritev", no_room)
    block = [msgpack.packb(BLOCKS), msgpack.packb(header()), PAYLOAD]
    registry.handle(b"peer", block)
    assert "No space left" in registry.problem
    monkeypatch.undo()
    registry.outbox.clear()
    registry.handle(b"peer", block)
    assert [m.decode(a)["kind"] for _, a in registry.outbox] == ["unknown"]
    registry.handle(b"peer", [msgpack.packb({**HELLO, "hello": 2})])
    registry.handle(b"peer", [msgpack.packb({**BLOCKS, "hello": 2}), *block[1:]])
    assert registry.problem == "" and registry.ledger.frames()["received"] == 1
