"""Who has connected and has not shown a key: never so many that no file can be opened any more.

Connections that say nothing are the system's affair (:func:`~sciml.stream.endpoint.bind`), and libzmq
ends those that are not through the handshake in time. Until then each takes a file descriptor, so of
more than there is room for, the oldest are hung up on: true clients need milliseconds, and come again.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import struct
import sys
from typing import final

import zmq

#: Least number of connections that may be in their handshake at once.
LEAST = 16
#: Bytes of a server's greeting and welcome (RFC 23, 26). It says more only to who has shown its key.
_WELCOMED = 64 + 170
#: Where ``struct tcp_info`` of Linux has the count of bytes that the other side has acknowledged.
_ACKNOWLEDGED = 120


@final
class Lobby:
    """Keeps few connections in their handshake; used by the thread that owns the server's socket.

    Args:
        router: the server's socket, bound.
        port: that it is bound to.
    """

    #: Linux tells what it needs to know.
    AT_HAND = sys.platform == "linux"

    def __init__(self, router: zmq.Socket, port: int) -> None:
        self._port = port
        self._most = max(LEAST, _descriptors_left() // 2)
        self._waiting: dict[int, None] = {}
        self.turned_away = 0
        self._router = router
        self.socket = router.get_monitor_socket(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)

    def look(self) -> None:
        """Take in who came and went, and hang up on the oldest of those that are too many."""
        while self.socket.get(zmq.EVENTS) & zmq.POLLIN:
            event, fd = struct.unpack("=hi", self.socket.recv_multipart()[0])
            self._waiting.pop(fd, None)
            if event == zmq.EVENT_ACCEPTED:
                self._waiting[fd] = None
        if len(self._waiting) > self._most:
            self._waiting = dict.fromkeys(fd for fd in self._waiting if self._in_handshake(fd))
        for fd in list(self._waiting)[: max(0, len(self._waiting) - self._most)]:
            del self._waiting[fd]
            self.turned_away += self._in_handshake(fd, hang_up=True)

    def close(self) -> None:
        self._router.disable_monitor()
        self.socket.close(linger=0)

    def _in_handshake(self, fd: int, *, hang_up: bool = False) -> bool:
        """Of a connection to our port; the number may be another file's by now."""
        with contextlib.suppress(OSError):
            line = socket.socket(fileno=fd)
            try:
                if line.getsockname()[1] != self._port:
                    return False
                size = _ACKNOWLEDGED + 8
                info = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
                if struct.unpack_from("=Q", info, _ACKNOWLEDGED)[0] > _WELCOMED:
                    return False
                if hang_up:
                    line.shutdown(socket.SHUT_RDWR)  # libzmq finds that the other side has gone
                return True
            finally:
                line.detach()
        return False


def _descriptors_left() -> int:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return 1 << 20
    return limit - len(os.listdir("/proc/self/fd"))
