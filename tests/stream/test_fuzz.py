"""Each kind of message that a holder of the key can send, bent in every way: one answer, in one line."""

import random
import shutil
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from hellos import hello
from resident import resident
from test_stream_malformed import BLOCKS, HELLO, PAYLOAD, SIMULATION, fresh_registry, header

from sciml.domain import Field, Mesh, Particles
from sciml.samples.program_warnings import Warned
from sciml.stream import message as m
from sciml.stream.description import simulation_to_wire
from sciml.stream.slots import Slots, node

#: Bytes by which a process may grow over all that comes: nothing of it may stay.
GROWTH = 64 << 20
#: Messages after which the registry is a new one, if none before ended the simulation that it is of.
FRESH = 100
WARNED = Warned.made("cells too coarse: 4 %", 0.04, 3).to_json()
KINDS = ("hello", "mesh", "particles", "blocks", "slots", "offer", "ping", "bye", "warn", "control")
ODD = (
    None, True, -1, 0, 1, 255, 1 << 31, (1 << 53) - 1, (1 << 64) - 1, -(1 << 63), 1e308,
    float("nan"), float("inf"), "", "u", "one\nline\x00", "\N{SNOWMAN}" * 300, "<f8", ">f4", b"",
    b"\xff" * 40, [], {}, [[]], [0, 1], [[0, 1]], [1 << 40] * 3, [True], ["a"], {"a": 1},
    [[3, 1]], [[0, (1 << 53) - 1]], {"dtype": "<f4", "shape": [1 << 40], "data": b""},
)  # fmt: skip


def hello_of(domain):
    simulation = replace(SIMULATION, domain=domain, static={"a": np.zeros(domain.point_shape)})
    return hello(simulation)


def true_messages(slots):
    """One of each kind, as a list of maps and bytes, and those that must come before it."""
    here = {"v": m.VERSION, "epoch": 1, "hello": 1}
    said_hello = [HELLO]
    mesh = hello_of(Mesh([[0.0, 0], [1, 0], [0, 1], [1, 1], [2, 0]], [[0, 1, 2], [1, 2, 3]]))
    atoms = hello_of(Particles(np.array([1, 8, 1]), np.eye(3), (True, True, False)))
    reference = slots.fill([np.ones((4, 3), np.float32)]).references[0].encode() if slots else b""
    offer = here | {"kind": "offer", **(slots.offer() if slots else {})}
    by_slots = here | {"kind": "slots", "sequence": 1, "blocks": [header(), reference]}
    said = {"total": 3, "finished": [0, 1], "given_up": [[2, "why"]], "done": False}
    return {
        "hello": ([], said_hello),
        "mesh": ([], [mesh]),
        "particles": ([], [atoms]),
        "blocks": ([said_hello], [BLOCKS, header(), PAYLOAD]),
        "slots": ([said_hello, [offer]], [by_slots]),
        "offer": ([said_hello], [offer]),
        "ping": ([said_hello], [here | {"kind": "ping"}]),
        "bye": (
            [said_hello, [BLOCKS, header(), PAYLOAD]],
            [here | {"kind": "bye", "steps": [[0, 1]], "warnings": [WARNED]}],
        ),
        "warn": ([said_hello], [here | {"kind": "warn", "warnings": [WARNED]}]),
        "control": ([], [here | {"kind": "control", "run": "", "number": 1, "message": said}]),
    }


def packed(parts):
    """Headers within the envelope of slots are bytes."""
    first, *rest = parts
    if isinstance(first, dict) and isinstance(first.get("blocks"), list):
        blocks = [msgpack.packb(b) if isinstance(b, dict) else b for b in first["blocks"]]
        first = {**first, "blocks": blocks}
    return [p if isinstance(p, bytes) else msgpack.packb(p) for p in (first, *rest)]


class Bend:
    """Seeded changes of true messages."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def __call__(self, parts):
        if self.random.random() < 0.3:
            return self.bytes(packed(parts))
        parts = list(parts)
        for _ in range(self.random.choice((1, 1, 2, 3))):
            at = self.random.randrange(len(parts))
            parts[at] = self.value(parts[at])
        if self.random.random() < 0.1:
            parts.insert(self.random.randrange(len(parts) + 1), self.random.choice(parts))
        return packed(parts)

    def value(self, value):
        """With one place in it changed, the deeper the likelier."""
        draw = self.random
        if isinstance(value, dict) and value and draw.random() < 0.95:
            key, kind = draw.choice(list(value)), draw.random()
            if kind < 0.1:
                return {k: v for k, v in value.items() if k != key}
            if kind < 0.15:
                return value | {draw.choice(("", "x", key * 2)): value[key]}
            return value | {key: self.value(value[key])}
        if isinstance(value, list) and value and draw.random() < 0.8:
            at = draw.randrange(len(value))
            if draw.random() < 0.2:
                return value[:at] + value[at + 1 :]
            return [*value[:at], self.value(value[at]), *value[at + 1 :]]
        if type(value) is int and draw.random() < 0.4:
            return min(max(value + draw.choice((-1, 1, 2, 1 << 20)), -(1 << 63)), (1 << 64) - 1)
        if isinstance(value, bytes) and value and draw.random() < 0.7:
            return self.bytes([value])[0]
        return draw.choice(ODD)

    def bytes(self, parts):
        draw, at = self.random, self.random.randrange(len(parts))
        data = bytearray(parts[at])
        for _ in range(draw.choice((1, 1, 2, 8))):
            if not data:
                break
            where = draw.randrange(len(data))
            match draw.randrange(4):
                case 0:
                    data[where] = draw.randrange(256)
                case 1:
                    del data[where : where + draw.choice((1, 4, len(data)))]
                case 2:
                    data[where:where] = draw.randbytes(draw.choice((1, 5)))
                case _:
                    data[where:where] = data[: draw.randrange(len(data))]
        return [*parts[:at], bytes(data), *parts[at + 1 :]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [250, pytest.param(10_000, marks=pytest.mark.slow)])
def test_each_gets_its_answer_or_is_taken(tmp_path, kind, count):
    if kind in ("slots", "offer") and not node():
        pytest.skip("no shared memory of this kind here")
    slots = Slots(1 << 16)
    before, message = true_messages(slots)[kind]
    before = [packed(parts) for parts in before]
    bend, answers, start, number = Bend(count), {}, None, 0
    while number < count:
        if start is None and number >= count // 5:
            start = resident()
        spool = tmp_path / f"spool-{number}"
        with fresh_registry(spool) as registry:
            for _ in range(FRESH):
                for parts in before:
                    registry.handle(b"peer", parts)
                registry.outbox.clear()
                bent = bend(message)
                registry.handle(b"peer", bent)
                registry.flush()
                assert registry.failures == 0, [part[:300] for part in bent]
                for _, answer in registry.outbox:
                    said = m.decode(answer)
                    answers[said["kind"]] = answers.get(said["kind"], 0) + 1
                    line = said.get("reason", "")
                    assert len(line) <= 2000 and line.isprintable(), line
                while registry.events.get(timeout=0.0) is not None:
                    pass
                number += 1
                if number == count or registry.ledger.quarantined() or registry.closed:
                    break
        shutil.rmtree(spool)
    grown = resident() - start
    slots.close()
    print(f"\n{kind}: {count} messages, answers {answers}, grown by {grown / 2**20:.1f} MB")
    assert answers.get("refused", 0) > count // 20
    assert grown < GROWTH


HOSTILE = {
    "empty maps": b"\xdd" + (32 << 20).to_bytes(4, "big") + bytes([0x80]) * (32 << 20),
    "a list of 2³² − 1": b"\xdd\xff\xff\xff\xff" + b"\x80" * 10_000,
    "lists that state more and more": b"\xdd\x00\x03\xff\xf0" * 10_000,
    "short texts": b"\xdd\x00\x50\x00\x00" + b"\xa2ab" * (0x500000),
    "a map of 2³¹": b"\xdf\x80\x00\x00\x00" + b"\x80" * 10_000,
}  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
def test_small_bytes_do_not_become_large_objects(hostile):
    data = b"\x81\xa1a" + HOSTILE[hostile]
    before = resident()
    with pytest.raises(m.Malformed, match=r"objects|exceeds max_|StackError"):
        m.decode(data)
    assert resident() - before < 8 << 20


def test_objects_are_counted_over_all_lists_and_maps():
    inner = [{}] * 1000
    fits = {"a": [inner] * (m.OBJECTS_LIMIT // 2002)}
    assert m.decode(msgpack.packb(fits)) == fits
    with pytest.raises(m.Malformed, match=f"more than {m.OBJECTS_LIMIT} objects"):
        m.decode(msgpack.packb({"a": [inner] * (m.OBJECTS_LIMIT // 1001)}))


def test_extension_types_are_refused():
    for length in (20, m.SHORT + 20):
        with pytest.raises(m.Malformed, match="extension"):
            m.decode(msgpack.packb({"a": msgpack.ExtType(5, bytes(length))}))


def test_a_field_of_any_size_is_one_object():
    simulation = replace(SIMULATION, fields=(Field("u"),), static={"a": np.zeros((4, 3))})
    wire = simulation_to_wire(simulation)
    wire["static"]["a"]["data"] = bytes(64 << 20)
    assert m.decode(m.encode({"description": wire}))["description"] == wire
