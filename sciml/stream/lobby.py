"""Who has connected and has not shown a key: never so many that no file can be opened any more.

Connections that say nothing are the system's affair (:func:`~sciml.stream.endpoint.bind`), and libzmq
ends those that are not through the handshake in time. Until then each takes a file descriptor, so of
more than there is room for, the oldest are hung up on: true clients need milliseconds, and come again.

libzmq lets in from a thread of its own, and faster than this one hangs up: while another thread has the
interpreter, hundreds come. What bounds them is the queue of what libzmq tells (:data:`QUEUE`), in which
it waits for room. So a process that may have 4096 descriptors never lacks one. Of a few hundred a crowd
takes all for a moment, and who opens a file just then fails.
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
#: Words of libzmq that may wait for us, beside 1000 on its own side that nothing changes.
QUEUE = 1
EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_MONITOR_STOPPED
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
        self._told_all = False
        self._router = router
        self.socket = router.context.socket(zmq.PAIR)
        self.socket.rcvhwm = QUEUE  # which get_monitor_socket() leaves at 1000
        address = f"inproc://lobby-{port}"
        router.monitor(address, EVENTS)
        self.socket.connect(address)

    def look(self) -> None:
        """Take in who came and went; hang up on the oldest of too many."""
        while self._hear():
            if len(self._waiting) > self._most:
                self._thin_out()

    def close(self) -> None:
        """Close the server's socket, and hear libzmq out.

        Its thread may be waiting for room in the queue, with a lock that is needed to end the queue:
        ``disable_monitor()`` would wait for that, with the interpreter's, for good.
        """
        self._router.close()
        while not self._told_all:
            self.socket.poll()
            self._hear()
        self.socket.close(linger=0)

    def _hear(self) -> bool:
        """Take in one that came or went; whether there was one."""
        if not self.socket.get(zmq.EVENTS) & zmq.POLLIN:
            return False
        event, fd = struct.unpack("=hi", self.socket.recv_multipart()[0])
        self._waiting.pop(fd, None)
        if event == zmq.EVENT_ACCEPTED:
            self._waiting[fd] = None
        self._told_all = event == zmq.EVENT_MONITOR_STOPPED
        return True

    def _thin_out(self) -> None:
        """Hang up on the oldest; on a quarter more than must be, since each time all are looked at."""
        here = [fd for fd in self._waiting if self._in_handshake(fd)]
        spare = max(0, len(here) - self._most * 3 // 4)
        self._waiting = dict.fromkeys(here[spare:])
        for fd in here[:spare]:
            self.turned_away += self._in_handshake(fd, hang_up=True)

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
