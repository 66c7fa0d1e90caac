"""Connections without a key keep neither files nor true clients out."""

import os
import resource
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest
from patience import PATIENCE, wait_until

from sciml.stream import Closed
from sciml.stream.lobby import Lobby

pytestmark = pytest.mark.skipif(not Lobby.AT_HAND, reason="as Linux does it")

STRANGERS = 338
#: Descriptors that are left when they come.
LEFT = 200
SAID = {
    "nothing": b"",
    "the beginning of a greeting": b"\xff" + bytes(8) + b"\x7f",
    "a greeting, and no more": b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE" + bytes(15) + bytes(32),
    "anything": bytes(range(1, 31)),
}


@pytest.fixture
def few_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + LEFT, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def descriptors():
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 1 << 20  # all of them are taken: a crowd may be quicker, for a moment


def crowd(address, said):
    """A process that connects so often, says its word, and stays."""
    host, port = address.removeprefix("tcp://").split(":")
    source = (
        "import resource, socket, sys\n"
        "_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))\n"
        "host, port, said, lines = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3]), []\n"
        f"for _ in range({STRANGERS}):\n"
        "    lines.append(socket.create_connection((host, port)))\n"
        "    try: lines[-1].sendall(said)\n"
        "    except OSError: pass\n"
        "print('there', flush=True); sys.stdin.read()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", source, host, port, said.hex()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("said", SAID)
def test_a_crowd_that_shows_no_key_takes_no_file_from_a_trainer(
    serve, solve, grid_simulation, tools, few_descriptors, monkeypatch, said
):
    monkeypatch.setattr("sciml.stream.endpoint.HANDSHAKE", 600.0)  # those that may stay, do
    server = serve()
    lobby, before = server._listener._lobby, descriptors()
    strangers = crowd(server.address, SAID[said])
    try:
        assert strangers.stdout.readline() == "there\n"
        if said == "nothing":
            assert descriptors() < before + 10
        elif said != "anything":  # which is none of the protocol, and hung up on at once
            # While they come, they may take all descriptors for a moment. The solver below lives in this
            # process, as none does in a trainer's: it would die of that, and no event ever come.
            wait_until(lambda: lobby.turned_away + len(lobby._waiting) == STRANGERS)
            assert lobby.turned_away > STRANGERS // 4
        wait_until(lambda: descriptors() < before + LEFT - 40)
        with ExitStack() as files:  # what a checkpoint takes, and more
            for _ in range(20):
                files.enter_context(open(os.devnull))
        began = time.monotonic()
        threads = solve(grid_simulation(), range(3))
        events = tools.drain(server, lambda e: isinstance(e, Closed))
        tools.finish(threads)
        print(f"\n{said}: a solver was done after {time.monotonic() - began:.2f} s")
        assert tools.steps_of(events) == [0, 1, 2]
    finally:
        strangers.communicate("")


def test_clients_that_were_let_in_are_none_of_the_crowd(
    serve, solve, grid_simulation, tools, monkeypatch
):
    server = serve()
    monkeypatch.setattr(server._listener._lobby, "_most", 2)
    threads = [t for n in range(8) for t in solve(grid_simulation(n), range(20), pause=0.02)]
    closed = iter(range(7, -1, -1))
    tools.drain(server, lambda e: isinstance(e, Closed) and next(closed) == 0)
    tools.finish(threads)
    assert server.ledger.frames()["received"] == 160
    assert len(server._listener._lobby._waiting) <= 2


#: More come and go than libzmq may tell of, while nobody looks; those behind them wait outside.
UNSEEN = """
import pathlib, socket, sys, zmq
from sciml.stream.authentication import guard
from sciml.stream.endpoint import Keys, bind
from sciml.stream.lobby import Lobby
router = zmq.Context().socket(zmq.ROUTER)
guard(router, Keys.next_life(pathlib.Path(sys.argv[1]), encryption=True))
port = bind(router, "127.0.0.1", 0, 0)
lobby = Lobby(router, port)
for _ in range(1200):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as line:
            line.sendall(bytes(range(1, 31)))
    except OSError:
        break  # so many that none may wait any more
lobby.close()
"""


def test_libzmq_that_waits_for_the_lobby_does_not_hold_up_its_end(tmp_path):
    # In a process of its own: one that waits with the lock of the interpreter cannot be timed out.
    subprocess.run([sys.executable, "-c", UNSEEN, tmp_path], timeout=PATIENCE, check=True)
