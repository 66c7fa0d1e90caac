"""Ranks and trainers of different installations refuse each other, in one line, and lose nothing."""

import os
import subprocess
import sys

import msgpack
import numpy as np
import pytest

from sciml.stream import Closed, connect
from sciml.stream import message as m
from sciml.stream.dealer import Dealer
from sciml.stream.slots import MAGIC, Reference

#: What a rank says, by the number of the protocol. A test that fails here wants another number.
SAID = {
    2: {
        "hello": "attempt description digest epoch hello kind offset rank ranks shape simulation "
        "token v",
        "offer": "epoch fd hello kind nbytes pid token v",
        "blocks": "epoch hello kind sequence v",
        "slots": "blocks epoch hello kind sequence v",
        "ping": "epoch hello kind v",
        "bye": "epoch hello kind steps v",
        "header": "attempt dtype field global_shape offset sequence shape simulation step time",
        "memory": (MAGIC, "<QQQ"),
    }
}
SAID[3] = SAID[2] | {
    "bye": "epoch hello kind steps v warnings",
    "warn": "epoch hello kind v warnings",
}
SAID[4] = SAID[3] | {"hello": " ".join(sorted([*SAID[3]["hello"].split(), "run"]))}


def test_the_number_stands_for_what_is_said(serve, tools, grid_simulation, monkeypatch):
    said, send = {"memory": (MAGIC, Reference.LAYOUT.format)}, Dealer.send

    def listen(dealer, parts):
        envelope = m.decode(parts[0])
        said[envelope["kind"]] = " ".join(sorted(envelope))
        headers = parts[1::2] or envelope.get("blocks", [])[::2]
        for header in headers:
            said["header"] = " ".join(sorted(msgpack.unpackb(header)))
        assert len(parts) == 1 or envelope["kind"] == "blocks"
        send(dealer, parts)

    monkeypatch.setattr(Dealer, "send", listen)
    server = serve()
    for number, shared in enumerate((True, False)):
        simulation = grid_simulation(number, (64, 64))
        with connect(simulation, endpoint=server.run_dir, shared_memory=shared) as client:
            client.send(0, 0.0, u=np.zeros((64, 64), np.float32))
            client.warn("it warns")
        tools.drain(server, lambda e: isinstance(e, Closed))
    said.setdefault("ping", SAID[2]["ping"])  # only said to a trainer that is slow to answer
    assert m.VERSION in SAID and said == SAID[m.VERSION]


@pytest.mark.parametrize("version", [m.VERSION - 1, m.VERSION + 1])
def test_another_version_is_refused_in_one_line(serve, tools, grid_simulation, version):
    server = serve()
    program = (
        "import sys; from sciml.stream import connect, message as m; from sciml.domain import Grid\n"
        f"m.VERSION = {version}\n"
        "try: connect(domain=Grid((4,), ((0, 1),), ('open',)), fields='u', timeout=100)\n"
        "except Exception as error: sys.exit(f'{type(error).__name__} {error}')"
    )
    environment = {**os.environ, "SCIML_ENDPOINT": str(server.endpoint)}
    rank = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    [line] = rank.stderr.splitlines()
    assert (
        rank.returncode == 1 and f"protocol version {m.VERSION}; this side speaks {version}" in line
    )
    assert "same version of sciml" in line
    assert server.status()["garbage"] >= 1 and server.status()["simulations"] == 0
    # The trainer goes on with those that speak as it does.
    with connect(grid_simulation(), endpoint=server.run_dir) as client:
        client.send(0, 0.0, u=np.zeros((16, 12), np.float32))
    tools.drain(server, lambda e: isinstance(e, Closed))
