"""A client streams by any transport that keeps its promises; sockets are one."""

import subprocess
import sys
import time
from collections import deque

import numpy as np
import pytest

from sciml.domain import Field, Grid
from sciml.errors import InputError
from sciml.samples import Simulation
from sciml.stream import Arrived, Client, Closed, Server, client, connect, connection
from sciml.stream.dealer import Dealer
from sciml.stream.endpoint import Endpoint
from sciml.stream.policy import SendPolicy


class Hand:
    """Hands each message to the registry of a server in this thread, and loses some on the way."""

    def __init__(self, server, lost=()):
        self.endpoint = Endpoint("by hand", server.epoch, run=server._keys.run)
        self._registry, self._lost, self._count = server._registry, lost, 0
        self._answers = deque()
        self.broken = self.closed = False

    def send(self, parts):
        self._count += 1
        self.broken |= self._count in self._lost
        if not self.broken:
            registry = self._registry
            registry.handle(b"rank", [memoryview(bytes(part)) for part in parts])
            registry.credit.release()
            registry.flush()
            self._answers += [[answer] for _, answer in registry.outbox]
            registry.outbox = []

    def receive(self, timeout):
        if not self._answers:
            time.sleep(timeout)  # nothing comes by itself
            return None
        return self._answers.popleft()

    def reconnect(self):
        moved, self.broken = self.broken, False
        return moved

    def trouble(self):
        return ""

    def close(self):
        self.closed = True


@pytest.mark.parametrize("lost", [(), (2,), (3, 5)], ids=["whole", "second lost", "two lost"])
def test_a_client_streams_by_a_transport_without_sockets(tmp_path, lost):
    server = Server(tmp_path, encryption=False)
    server.recover()
    grid = Grid((8,), ((0.0, 1.0),), ("open",))
    hand = Hand(server, lost)
    ways = (hand, 30.0, 30.0, False, None, SendPolicy())
    with Client(Simulation(4, grid, (Field("u"),)), None, 0, 1, 1, *ways) as stream:
        for step in range(6):
            stream.send(step, 0.1 * step, u=np.full(8, float(step)))
    assert hand.closed and not hand.broken
    frames, event = [], None
    while not isinstance(event, Closed):
        event = server.events.get(timeout=1.0)
        if isinstance(event, Arrived):
            frames.append((event.frame.step, event.frame.fields["u"][0]))
    assert frames == [(step, float(step)) for step in range(6)]
    server.stop()


def test_a_client_knows_no_sockets_and_no_environment():
    program = "import sys, sciml.stream.client; assert 'zmq' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert client.connect is connect is connection.connect
    assert not hasattr(client, "nothing")


def test_a_client_that_cannot_be_made_leaves_no_connection(serve, grid_simulation, monkeypatch):
    closed, close = [], Dealer.close
    monkeypatch.setattr(Dealer, "close", lambda self: (closed.append(self), close(self)))
    monkeypatch.setenv("SCIML_SEND", '{"fields": ["nothing"]}')
    with pytest.raises(InputError, match="nothing"):
        connect(grid_simulation(), endpoint=serve().run_dir)
    assert closed and closed[0]._socket.closed
