"""A client's socket: connects by what the endpoint file says, and again when that changes."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import zmq

from sciml.errors import StreamError
from sciml.stream.endpoint import Endpoint

#: Milliseconds to the next try to connect, doubled up to the second: thousands of ranks try at once.
RECONNECT_MS, RECONNECT_MAX_MS = 100, 2_000
#: Milliseconds between signs of life of both sides, and of silence after which a connection is dropped.
#: Shorter, and a machine that stands still for a moment loses all of them.
HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 5_000, 30_000
#: Smaller parts are copied into the message: pyzmq has a thread that lets go of those that are not,
#: and its turns cost more than to copy so much.
COPIED = 256 << 10
#: Contexts of dealers that are not closed. One that was collected together with its socket would wait
#: for it, and hold up the process, for good: it does not know of a socket that is garbage like itself.
_OPEN: set[zmq.Context] = set()


class Dealer:
    """A DEALER socket to the trainer: a :class:`~sciml.stream.transport.StreamTransport`.

    libzmq reconnects by itself when the trainer comes back at the same address.

    Args:
        endpoint: the file, or its run directory.
        run: UUID of the run that it must be of; empty: any.

    Raises:
        StreamError: no endpoint file, one that others can read, or that of another run than started
            this process.
    """

    def __init__(self, endpoint: str | os.PathLike[str], run: str = "") -> None:
        self._path = Path(endpoint)
        self.endpoint = Endpoint.read(self._path)
        self._check_run(self.endpoint, run or self.endpoint.run)
        self._context = zmq.Context()
        _OPEN.add(self._context)
        self._socket = self._connect()

    def send(self, parts: Sequence[Any]) -> None:
        """Hand over a message; parts must not change afterwards (they are not copied)."""
        try:
            self._socket.send_multipart(parts, zmq.NOBLOCK, copy=False)
        except zmq.Again as error:
            raise StreamError(
                f"{len(parts)} parts could not be queued for {self.endpoint.address}"
            ) from error

    def receive(self, timeout: float) -> list[bytes] | None:
        """A message, or ``None`` after ``timeout`` seconds."""
        if timeout > 0 and not self._poller.poll(int(timeout * 1000) + 1):
            return None
        try:
            return self._socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None

    def reconnect(self) -> bool:
        """Read the endpoint file again; connects and returns True if the trainer has moved.

        Raises:
            StreamError: it is that of another run.
        """
        try:
            endpoint = Endpoint.read(self._path)
        except StreamError:
            return False  # being rewritten, or the run directory is away for a moment
        self._check_run(endpoint, self.endpoint.run)
        if endpoint == replace(self.endpoint, epoch=endpoint.epoch):
            return False
        self.endpoint = endpoint
        self._drop_socket()
        self._socket = self._connect()
        return True

    def _check_run(self, endpoint: Endpoint, mine: str) -> None:
        if endpoint.run != mine:
            raise StreamError(
                f"{self._path} is the endpoint of run {endpoint.run or '(none)'}, and this process was "
                f"started for run {mine or '(none)'}: another run took its directory; nothing was sent "
                "to it"
            )

    def trouble(self) -> str:
        """What the connection suffers from, as libzmq has said since the last call."""
        said = ""
        while self._monitor.poll(0):
            # By hand: zmq.utils.monitor would bring asyncio and ssl into every rank.
            event, _ = struct.unpack("=hi", self._monitor.recv_multipart()[0])
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                said = ""
            said = _TROUBLES.get(event, said)
        return said

    def close(self) -> None:
        if not self._socket.closed:
            self._drop_socket()
            self._context.term()
            _OPEN.discard(self._context)

    def _drop_socket(self) -> None:
        self.trouble()  # of a queue that is full the end would be waited for, for good
        self._socket.disable_monitor()
        self._monitor.close(linger=0)
        self._socket.close(linger=0)

    def _connect(self) -> zmq.Socket:
        socket = self._context.socket(zmq.DEALER)
        socket.linger = 0
        # Credit bounds what is under way, in bytes; a count of messages would not.
        socket.sndhwm = socket.rcvhwm = 0
        socket.maxmsgsize = self.endpoint.message_limit
        socket.reconnect_ivl, socket.reconnect_ivl_max = RECONNECT_MS, RECONNECT_MAX_MS
        socket.heartbeat_ivl, socket.heartbeat_timeout = HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS
        socket.tcp_keepalive = 1
        if self.endpoint.server_key:
            try:
                socket.curve_serverkey = self.endpoint.server_key.encode()
                socket.curve_publickey = self.endpoint.public_key.encode()
                socket.curve_secretkey = self.endpoint.secret_key.encode()
            except (zmq.ZMQError, ValueError) as error:
                socket.close()
                raise StreamError(f"{self._path}: keys that are no keys ({error})") from error
        socket.copy_threshold = COPIED
        self._poller = zmq.Poller()
        self._poller.register(socket, zmq.POLLIN)
        self._monitor = socket.get_monitor_socket()
        socket.connect(self.endpoint.address)
        return socket


_TROUBLES = {
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "the trainer does not know the key of the endpoint file",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "the encrypted handshake fails: is the endpoint file of "
    "another run, or does another run listen there?",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "the encrypted handshake fails: one side is encrypted, the "
    "other is not, or something else listens there",
    zmq.EVENT_CONNECT_RETRIED: "nothing listens there",
}
