"""CURVE with an allow-list: only the client key of this run is let in.

CURVE alone encrypts and proves the *server*; without ZAP it accepts any client key.
"""

from __future__ import annotations

import zmq
from zmq.utils import z85

from sciml.stream.endpoint import Keys

ZAP_ADDRESS = "inproc://zeromq.zap.01"


class Gate:
    """Answers the questions of libzmq (RFC 27), from the thread that owns the server's socket.

    Args:
        context: the context of the server's socket.
        keys: of this run.
    """

    def __init__(self, context: zmq.Context, keys: Keys) -> None:
        self._allowed = z85.decode(keys.client_public)
        self.refused = 0
        self.socket = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(ZAP_ADDRESS)

    def answer(self) -> None:
        """Answer all questions that wait."""
        while self.socket.get(zmq.EVENTS) & zmq.POLLIN:
            request = self.socket.recv_multipart()
            known = len(request) == 7 and request[5] == b"CURVE" and request[6] == self._allowed
            if not known:
                self.refused += 1
            status = (b"200", b"OK", b"solver") if known else (b"400", b"key not allowed", b"")
            number = request[1] if len(request) > 1 else b""
            self.socket.send_multipart([b"1.0", number, *status, b""])

    def close(self) -> None:
        self.socket.close()


def guard(router: zmq.Socket, keys: Keys) -> None:
    """Make ``router`` a CURVE server that asks the :class:`Gate`; call before ``bind``."""
    router.curve_server = True
    router.curve_secretkey = keys.server_secret.encode()
    router.curve_publickey = keys.server_public.encode()
    router.zap_domain = b"sciml"
