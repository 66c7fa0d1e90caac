"""References and offers that lie: refused before anything is read."""

import os
import struct
import tempfile
from pathlib import Path

import msgpack
import numpy as np
import pytest
from hellos import hello
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.domain import Field, Grid
from sciml.errors import StreamError
from sciml.samples import Simulation
from sciml.stream import Arrived, connect
from sciml.stream import message as m
from sciml.stream import slots as slots_module
from sciml.stream.events import EventQueue
from sciml.stream.journal import Journal
from sciml.stream.ledger import Ledger
from sciml.stream.registry import Registry
from sciml.stream.slots import ALIGNMENT, SLOT_HEAD, Reference, Slots
from sciml.stream.spool import Spool

pytestmark = [
    pytest.mark.usefixtures("no_slots_stay"),
    pytest.mark.skipif(not slots_module.node(), reason="no shared memory of this kind here"),
]


SIMULATION = Simulation(0, Grid((32, 64), ((0, 1), (0, 1)), ("open", "open")), (Field("u"),))
NBYTES = 32 * 64 * 4
HELLO = hello(SIMULATION)


def message(kind, **entries):
    return msgpack.packb({"v": m.VERSION, "kind": kind, "epoch": 1, "hello": 1, **entries})


def header(step=0):
    return m.Header(0, 1, step, 0.0, "u", "<f4", (32, 64), (0, 0), (32, 64), step + 1).encode()


class Peer:
    """A rank with slots at a registry without a socket."""

    def __init__(self, directory, offer=True):
        self.spool = Spool(Path(directory) / "spool", 1 << 20)
        self.spool.scan()
        events = EventQueue(1 << 26, lambda: None, lambda e: None)
        self.registry = Registry(
            1, Journal(self.spool), Ledger(), events, 1 << 26, lambda: events.full
        )
        self.slots = Slots(1 << 16)
        self.registry.handle(b"peer", [msgpack.packb(HELLO)])
        if offer:
            assert self.say(message("offer", **self.slots.offer()))["accepted"] is True

    def say(self, *parts):
        """The last answer to a message."""
        self.registry.outbox.clear()
        self.registry.handle(b"peer", list(parts))
        self.registry.flush()
        return m.decode(self.registry.outbox[-1][1])

    def frames(self):
        return [e.frame for e, _ in self.registry.events._items if isinstance(e, Arrived)]

    def close(self):
        self.registry.readers.close()
        self.slots.close()
        self.spool.close()


@pytest.fixture
def peer(tmp_path):
    peer = Peer(tmp_path)
    yield peer
    peer.close()


def fill(peer, value=1.0):
    return peer.slots.fill([np.full((32, 64), value, np.float32)]).references[0]


def test_a_true_reference_is_read(peer):
    answer = peer.say(message("slots", sequence=1, blocks=[header(), fill(peer).encode()]))
    assert answer["kind"] == "ack" and answer["durable"] == 1
    assert (peer.frames()[0].fields["u"] == 1.0).all()


LIES = {
    "beyond the end": lambda r: Reference(1 << 16, r.nbytes, r.generation),
    "far beyond the end": lambda r: Reference(1 << 62, r.nbytes, r.generation),
    "overflow": lambda r: Reference((1 << 64) - ALIGNMENT, r.nbytes, r.generation),
    "into the head": lambda r: Reference(0, r.nbytes, r.generation),
    "not aligned": lambda r: Reference(r.offset + 4, r.nbytes, r.generation),
    "another slot": lambda r: Reference(r.offset + ALIGNMENT, r.nbytes, r.generation),
    "too long": lambda r: Reference(r.offset, 1 << 16, r.generation),
    "absurdly long": lambda r: Reference(r.offset, (1 << 64) - 1, r.generation),
    "shorter": lambda r: Reference(r.offset, r.nbytes - 4, r.generation),
    "old generation": lambda r: Reference(r.offset, r.nbytes, r.generation - 1),
    "generation to come": lambda r: Reference(r.offset, r.nbytes, r.generation + 1),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_reference_that_lies_is_refused(peer, lie):
    reference = LIES[lie](fill(peer))
    answer = peer.say(message("slots", sequence=1, blocks=[header(), reference.encode()]))
    assert answer["kind"] == "refused" and len(answer["reason"]) > 10
    assert peer.registry.garbage == 1 and peer.registry.failures == 0 and not peer.frames()
    assert not peer.registry.readers.blocks  # nothing was read


@pytest.mark.parametrize("blocks", [None, {}, "text", [], [b""], [header(), 7], [[], {}]])
def test_slots_without_pairs_of_bytes_are_refused(peer, blocks):
    answer = peer.say(message("slots", sequence=1, blocks=blocks))
    assert answer["kind"] == "refused" and "expected" in answer["reason"]
    assert peer.registry.garbage == 1 and peer.registry.failures == 0


def test_a_length_that_does_not_fit_the_shape_is_refused(peer):
    span = peer.slots.fill([np.ones(100, np.float32)])
    answer = peer.say(message("slots", sequence=1, blocks=[header(), span.references[0].encode()]))
    assert answer["kind"] == "refused" and "expected 8192 bytes" in answer["reason"]


def test_a_slot_refilled_too_early_is_refused(peer):
    reference = fill(peer)
    SLOT_HEAD.pack_into(peer.slots._map, reference.offset, 7, NBYTES)
    answer = peer.say(message("slots", sequence=1, blocks=[header(), reference.encode()]))
    assert answer["kind"] == "refused" and "generation 7" in answer["reason"]


def test_bad_values_in_a_slot_quarantine(peer):
    answer = peer.say(message("slots", sequence=1, blocks=[header(), fill(peer, np.nan).encode()]))
    assert answer["kind"] == "refused" and "nan at index (0, 0)" in answer["reason"]
    assert not len(peer.registry.readers)


def test_more_than_credit_is_not_read(peer):
    peer.registry.peers[b"peer"].received = 1 << 40
    answer = peer.say(message("slots", sequence=1, blocks=[header(), fill(peer).encode()]))
    assert "more than it has credit for" in answer["reason"]
    assert not peer.registry.readers.blocks


def test_slots_that_were_not_offered_ask_for_a_hello(tmp_path):
    peer = Peer(tmp_path, offer=False)
    answer = peer.say(message("slots", sequence=1, blocks=[header(), fill(peer).encode()]))
    assert answer["kind"] == "unknown"
    peer.close()


def test_offers_that_lie_are_declined(peer, tmp_path):
    true = peer.slots.offer()
    file = (tmp_path / "file").open("w+b")
    file.write(b"x" * true["nbytes"])
    file.flush()
    loose = os.memfd_create("sciml-slots", os.MFD_ALLOW_SEALING)
    os.pwrite(loose, peer.slots._map[: true["nbytes"]], 0)
    read, write = os.pipe()
    lies = (
        {"pid": 1 << 30},
        {"fd": 1 << 20},
        {"fd": file.fileno()},  # a file of the user
        {"fd": read},  # opening a pipe could wait
        {"fd": loose},  # may shrink under the reader's feet
        {"nbytes": true["nbytes"] + 4096},
        {"token": bytes(32)},
    )
    for lie in lies:
        answer = peer.say(message("offer", **{**true, **lie}))
        assert answer["kind"] == "offer" and answer["accepted"] is False, lie
    for lie in ({"pid": -1}, {"fd": "0"}, {"token": b""}, {"nbytes": 1 << 60}, {"nbytes": 0}):
        assert peer.say(message("offer", **{**true, **lie}))["kind"] == "refused", lie
    assert peer.registry.failures == 0
    file.close()
    for fd in (loose, read, write):
        os.close(fd)


@settings(max_examples=150)
@given(
    st.lists(
        st.binary(max_size=40)
        | st.builds(
            lambda o, n, g: struct.pack("<QQQ", o, n, g),
            st.integers(0, 2**64 - 1) | st.sampled_from([0, 64, 128, 8320, 1 << 16]),
            st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, NBYTES, NBYTES + 1]),
            st.integers(0, 3) | st.integers(0, 2**64 - 1),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_no_reference_stops_the_server(references):
    with tempfile.TemporaryDirectory() as directory:
        peer = Peer(directory)
        true = fill(peer)
        for data in references:
            peer.say(message("slots", sequence=1, blocks=[header(5), data]))
        assert peer.registry.failures == 0
        if not peer.frames():
            answer = peer.say(message("slots", sequence=1, blocks=[header(), true.encode()]))
            assert answer["kind"] == "ack"
        assert peer.frames()
        peer.close()


def test_refusal_reaches_a_client_that_lies(serve, grid_simulation):
    server = serve()
    client = connect(grid_simulation(0, (32, 64)), endpoint=server.run_dir, patience=5.0)
    client._slots._generation += 1
    original = client._slots.fill

    def lie(*given):
        span = original(*given)
        r = span.references[0]
        span.references[0] = Reference(r.offset, r.nbytes, r.generation + 1)
        return span

    client._slots.fill = lie
    with pytest.raises(StreamError, match="holds generation"):
        client.send(0, 0.0, u=np.zeros((32, 64), np.float32))
        client.close()
    client.abort()
