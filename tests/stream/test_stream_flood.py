"""Ten thousand bad frames while true solvers stream: the server stands, memory stays, none is lost."""

import random
import socket
import threading
import time

import msgpack
import numpy as np
import zmq
from patience import PATIENCE, wait_until
from resident import resident

from sciml.stream import Closed, Control, connect
from sciml.stream import message as m
from sciml.stream.description import digest, simulation_to_wire
from sciml.stream.endpoint import Endpoint

FLOOD = 10_000
STEPS = 400
#: Bytes by which the process, server and true solvers in it, may grow from a tenth of the flood on.
#: What comes meanwhile is 34 MB.
GROWTH = 16 << 20


def heard(line):
    """Answers that have come, each a refusal."""
    count = 0
    while line.poll(0):
        count += m.decode(line.recv())["kind"] in ("refused", "unknown")
    return count


def settled(lines):
    """Wait until all that was sent has been dealt with; answers that were refusals.

    What is asked last is answered last.
    """
    count = 0
    for line in lines:
        line.send(m.envelope("control", run="here", number=1, message={}))
        while (kind := m.decode(line.recv())["kind"]) != "control":
            count += kind in ("refused", "unknown")
    return count


class Garbage:
    """Messages that no true client would send, of every kind that we can think of."""

    def __init__(self, draw, simulation):
        self.draw, self.number = draw, simulation.id
        self.hello = {
            "run": "here",
            "simulation": simulation.id,
            "attempt": 1,
            "rank": 0,
            "ranks": 1,
            "hello": 1,
            "token": draw.randbytes(16),
            "digest": digest(simulation),
            "offset": None,
            "shape": None,
            "description": simulation_to_wire(simulation),
        }
        self.kinds = {
            name.removeprefix("say_"): getattr(self, name)
            for name in dir(self)
            if name.startswith("say_")
        }

    def header(self, **changes):
        shape = [16, 12]
        entries = {
            "simulation": self.number,
            "attempt": 1,
            "step": self.draw.randrange(STEPS),
            "time": 0.0,
            "field": "u",
            "dtype": "<f4",
            "global_shape": shape,
            "offset": [0, 0],
            "shape": shape,
            "sequence": 1,
        }
        return msgpack.packb({**entries, **changes})

    def blocks(self, *parts, epoch=1, hello=1):
        return [m.envelope("blocks", epoch=epoch, hello=hello, sequence=1), *parts]

    def say_random_bytes(self):
        size, draw = self.draw.randrange, self.draw.randbytes
        return [draw(size(300)) for _ in range(size(1, 6))]

    def say_truncated(self):
        whole = m.envelope("hello", epoch=1, **self.hello)
        return [whole[: self.draw.randrange(len(whole))]]

    def say_truncated_payload(self):
        return self.blocks(self.header(), bytes(self.draw.randrange(16 * 12 * 4)))

    def say_oversized(self):
        return self.blocks(self.header(), bytes(self.draw.randrange(1 << 12, 1 << 15)))

    def say_oversized_header(self):
        return self.blocks(self.header(field="u" * (20 << 10)), b"")

    def say_old_epoch(self):
        payload = np.zeros((16, 12), np.float32).tobytes()
        return self.blocks(self.header(), payload, epoch=self.draw.choice([0, 2, 99]))

    def say_lying_shape(self):
        large = self.draw.choice([[1 << 40, 1 << 12], [1 << 62], [0, 12], [17, 12], [16] * 8])
        return self.blocks(self.header(shape=large, global_shape=large), bytes(768))

    def say_second_client_with_one_identity(self):
        return [m.envelope("hello", epoch=1, **{**self.hello, "token": self.draw.randbytes(16)})]

    def say_odd_parts(self):
        return self.blocks(*[b""] * self.draw.choice([1, 3, 9]))

    def say_unknown_kind(self):
        return [m.envelope(self.draw.choice(["", "wellcome", "\x00"]), epoch=1)]

    def say_slots_of_nobody(self):
        blocks = [self.header(), bytes(40)]
        return [m.envelope("slots", epoch=1, hello=1, sequence=1, blocks=blocks)]

    def any(self):
        return self.kinds[self.draw.choice(list(self.kinds))]()


def raw_connections(address, draw, count):
    """Strangers who do not even speak ZeroMQ, or who announce more than anybody may send."""
    host, port = address.removeprefix("tcp://").split(":")
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31)
    ready = b"\x04\x26\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
    for number in range(count):
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as line:
            try:
                if number % 2:
                    line.sendall(draw.randbytes(draw.randrange(1, 500)))
                else:  # a frame of 2⁶² bytes, of which the first few come
                    line.sendall(greeting + ready + b"\x02" + (1 << 62).to_bytes(8, "big") + b"abc")
            except OSError:
                continue  # the server hung up, as it may


def test_a_flood_of_bad_frames_changes_nothing(serve, solve, grid_simulation, tools):
    server = serve(encryption=False, run="here")
    address = Endpoint.read(server.run_dir).address
    seed = random.randrange(1 << 30)
    print("seed", seed)
    draw = random.Random(seed)
    simulations = [grid_simulation(n) for n in range(2)]
    over = threading.Event()

    def values(simulation, step, field):
        """The last step comes after the flood: a hello to what has ended is no garbage any more."""
        if step == STEPS - 1:
            over.wait(5 * PATIENCE)
        return tools.value(simulation, step, field)

    options = {"pause": 0.004, "shared_memory": False, "values": values}
    threads = [t for s in simulations for t in solve(s, range(STEPS), **options)]
    events, taken = [], threading.Event()

    def take():
        """The trainer: takes what comes, all the time."""
        while sum(isinstance(e, Closed) for e in events) < 2 and not taken.is_set():
            event = server.events.get(timeout=0.1)
            events.extend([] if event is None else [event])

    taker = threading.Thread(target=take)
    taker.start()
    wait_until(lambda: server.ledger.frames()["received"] >= 20)

    garbage = Garbage(draw, simulations[0])
    context = zmq.Context.instance()
    sockets = []
    for _ in range(8):
        line = context.socket(zmq.DEALER)
        line.linger, line.sndhwm, line.rcvtimeo = 0, 200, int(1000 * PATIENCE)
        line.connect(address)
        sockets.append(line)
    before, answered, received = None, 0, server.ledger.frames()["received"]
    for sent in range(FLOOD):
        if sent == FLOOD // 10:
            answered += settled(sockets)
            before = resident()
        line = draw.choice(sockets)
        line.send_multipart(garbage.any())
        answered += heard(line)
    raw_connections(address, draw, 40)
    assert server.ledger.frames()["received"] > received, "nobody else was served meanwhile"
    answered += settled(sockets)
    status, grown = server.status(), resident() - before
    over.set()
    print(f"answered {answered}, garbage {status['garbage']}, grown by {grown / 2**20:.1f} MB")
    for line in sockets:
        line.close()
    tools.finish(threads)
    taker.join(PATIENCE)
    taken.set()
    assert answered == FLOOD and status["garbage"] > FLOOD // 10 and status["failures"] == 0
    assert grown < GROWTH, f"memory grew by {grown} bytes"
    for simulation in simulations:
        assert tools.steps_of(events, simulation.id) == list(range(STEPS))
    for event in events:
        if hasattr(event, "frame"):
            tools.check(simulations[event.frame.simulation], event.frame)
    counts = server.ledger.frames()
    assert counts["produced"] == counts["received"] == 2 * STEPS
    assert counts["lost"] == counts["doubled"] == 0 and not server.ledger.quarantined()


def test_keys_that_are_not_let_in_keep_nobody_waiting(serve, solve, grid_simulation, tools):
    """A hundred strangers with keys of their own knock while a solver streams."""
    server = serve()
    entry = Endpoint.read(server.run_dir)
    threads = solve(grid_simulation(), range(100), pause=0.01)
    context = zmq.Context()
    strangers = []
    for _ in range(100):
        line = context.socket(zmq.DEALER)
        line.linger = 0
        line.curve_publickey, line.curve_secretkey = zmq.curve_keypair()
        line.curve_serverkey = entry.server_key.encode()
        line.connect(entry.address)
        line.send(b"let me in", zmq.NOBLOCK)
        strangers.append(line)
    events = tools.drain(server, lambda e: isinstance(e, Closed))
    tools.finish(threads)
    assert tools.steps_of(events) == list(range(100))
    wait_until(lambda: server.status()["refused_keys"] >= 100)
    assert server.status()["garbage"] == 0
    for line in strangers:
        line.close()
    context.term()


def test_what_is_replayed_from_an_older_life_is_not_taken(serve, grid_simulation, tools):
    """True messages of the first life, byte for byte, to the second one."""
    server = serve(encryption=False, run="here")
    client = connect(grid_simulation(), endpoint=server.run_dir, shared_memory=False)
    said, send = [], client._transport.send
    client._transport.send = lambda parts: (said.append([bytes(p) for p in parts]), send(parts))
    for step in range(5):
        client.send(
            step, 0.1 * step, u=tools.value(grid_simulation(), step, client.simulation.fields[0])
        )
        time.sleep(0.01)
    client.close()
    tools.drain(server, lambda e: isinstance(e, Closed))
    state = server.ledger.state_dict()
    server.stop()
    server = serve(recover=state, encryption=False, run="here")
    assert server.epoch == 2 and said
    line = zmq.Context.instance().socket(zmq.DEALER)
    line.linger = 0
    line.connect(Endpoint.read(server.run_dir).address)
    for parts in said:
        line.send_multipart(parts)
    # What is asked last is answered last.
    line.send(m.envelope("control", run="here", number=1, message={}))
    answers, line.rcvtimeo = [], int(1000 * PATIENCE)
    while (kind := m.decode(line.recv())["kind"]) != "control":
        answers.append(kind)
    line.close()
    assert len(answers) >= len(said) and set(answers) <= {"unknown", "welcome"}, answers
    assert server.ledger.frames()["received"] == 5 and server.ledger.frames()["doubled"] == 0
    assert isinstance(server.events.get(timeout=0.0), Control)
    assert server.events.get(timeout=0.0) is None
