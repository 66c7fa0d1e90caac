"""What listens for solver ranks: one thread with one socket, which hands messages to the registry."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import final

import zmq

from sciml.stream import message as m
from sciml.stream.authentication import Gate, guard
from sciml.stream.dealer import HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS
from sciml.stream.endpoint import Keys, bind
from sciml.stream.lobby import Lobby
from sciml.stream.registry import Registry

#: Messages and bytes taken before answers go out: acknowledgements are cumulative.
BURST, BURST_BYTES = 64, 4 << 20
#: After fewer bytes of blocks than this the thread sleeps so many seconds, to find more of them at once:
#: beside a training, most of the cost of a lone frame is to get code and threads back into the caches.
GATHER_BYTES, GATHER = 1 << 20, 0.02
#: Milliseconds in which the thread looks around although nothing has come.
TICK_MS = 200

log = logging.getLogger("sciml.stream")


@final
class Listener:
    """Takes messages of ranks in bursts, and sends the answers of the registry.

    :meth:`bind`, then :meth:`start`; :meth:`wake` may be called from any thread at any time.

    Args:
        registry: what messages are handed to, with ``lock`` held.
        lock: guards the registry.
        on_failure: called with what the thread died of.
    """

    def __init__(
        self, registry: Registry, lock: threading.Lock, on_failure: Callable[[Exception], None]
    ) -> None:
        self._registry, self._lock, self._on_failure = registry, lock, on_failure
        self._stopping = False
        self._gate: Gate | None = None
        self._lobby: Lobby | None = None
        self._thread: threading.Thread | None = None
        self._waker, self._wakened = os.pipe()
        os.set_blocking(self._waker, False)
        os.set_blocking(self._wakened, False)

    def bind(self, host: str, port: int, keys: Keys) -> int:
        """Take a port, and return it; ranks can connect, and are not heard before :meth:`start`.

        Args:
            host: interface to listen on.
            port: to take; 0 for that of the keys, or any.
            keys: of the run; where they are empty nothing is encrypted.

        Raises:
            StreamError: the port cannot be had.
        """
        self._context = zmq.Context()
        encrypted = bool(keys.server_secret)
        self._gate = Gate(self._context, keys) if encrypted else None
        router = self._router = self._context.socket(zmq.ROUTER)
        router.linger = 0
        router.router_mandatory = True
        router.maxmsgsize = m.MESSAGE_LIMIT
        router.sndhwm = router.rcvhwm = 10_000
        router.heartbeat_ivl, router.heartbeat_timeout = HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS
        router.tcp_keepalive = 1
        if encrypted:
            guard(router, keys)
        self._port = bind(router, host, port, keys.port)
        return self._port

    def start(self) -> None:
        """Begin to listen."""
        # Without keys nothing tells who is let in; but then nobody comes from elsewhere either.
        self._lobby = Lobby(self._router, self._port) if self._gate and Lobby.AT_HAND else None
        self._thread = threading.Thread(target=self._serve, name="stream", daemon=True)
        self._thread.start()

    def stop(self) -> bool:
        """End the thread and close the socket; False if that was done before."""
        self._stopping = True
        if self._thread is not None:
            self.wake()
            self._thread.join()
            self._thread = None
        if self._waker < 0:
            return False
        os.close(self._waker)
        os.close(self._wakened)
        self._waker = self._wakened = -1
        return True

    def wake(self) -> None:
        """Look around now: there may be room again, or something to say."""
        if self._wakened >= 0:
            with contextlib.suppress(BlockingIOError):  # full: it will wake anyway
                os.write(self._wakened, b"\0")

    @property
    def turned_away(self) -> int:
        """Connections hung up on, since too many showed no key."""
        return self._lobby.turned_away if self._lobby else 0

    @property
    def refused_keys(self) -> int:
        """Connections with a key that is not the run's."""
        return self._gate.refused if self._thread and self._gate else 0

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._waker, zmq.POLLIN)
        if self._gate is not None:
            poller.register(self._gate.socket, zmq.POLLIN)
        if self._lobby is not None:
            poller.register(self._lobby.socket, zmq.POLLIN)
        try:
            while not self._stopping:
                ready = dict(poller.poll(TICK_MS))
                if self._waker in ready:
                    self._drain_wakes()
                if self._gate is not None and self._gate.socket in ready:
                    self._gate.answer()
                if self._lobby is not None and self._lobby.socket in ready:
                    self._lobby.look()
                with self._lock:
                    few = self._take_burst()
                    self._registry.readers.sweep()
                    self._registry.credit.release()
                    self._registry.flush()
                    self._send_answers()
                if few:
                    time.sleep(GATHER)
        except Exception as error:
            log.exception("the stream cannot go on")
            self._on_failure(error)
        finally:
            if self._gate is not None:
                self._gate.close()  # first: connections that asked it end when it does
            if self._lobby is not None:
                self._lobby.close()
            self._registry.readers.close()
            self._router.close()
            self._context.term()

    def _take_burst(self) -> bool:
        """Some messages: few enough that senders hear in time that their window moves on.

        Returns whether these were all that waited, with blocks among them and little in those.
        """
        before, taken = self._registry.reception.bytes, 0
        for _ in range(BURST):
            try:
                frames = self._router.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return 0 < taken < GATHER_BYTES
            self._registry.handle(frames[0].bytes, [frame.buffer for frame in frames[1:]])
            taken = self._registry.reception.bytes - before
            if taken >= BURST_BYTES:
                break
        return False

    def _send_answers(self) -> None:
        outbox, self._registry.outbox = self._registry.outbox, []
        for peer, answer in outbox:
            try:
                self._router.send_multipart([peer, answer], zmq.NOBLOCK)
            except zmq.Again:
                continue  # it does not read; answers are cumulative, and it will ask again
            except zmq.ZMQError:
                self._registry.gone(peer)

    def _drain_wakes(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._waker, 4096)
