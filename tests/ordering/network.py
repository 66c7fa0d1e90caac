"""Sockets of libzmq between virtual processes: what is sent may be late, come twice, or be lost.

As under libzmq on TCP, messages of one connection come in order. A connection that breaks takes along
what is under way, or lets it arrive late, beside what the next one brings; a peer that connects again
is another peer. Keys are compared, nothing is encrypted.
"""

from __future__ import annotations

import itertools
from collections import deque
from types import SimpleNamespace
from typing import Any

import zmq
from system import here
from world import Host, World

#: Seconds until a client tries again to connect.
RETRY = 1.0


class Network:
    """All connections of a world.

    Args:
        twice: chance that a message comes twice.
        slowness: seconds that a message takes, at most; most take far less.
    """

    def __init__(self, world: World, *, twice: float = 0.02, slowness: float = 0.3) -> None:
        self.world, self.twice, self.slowness = world, twice, slowness
        self.bound: dict[tuple[str, int], Socket] = {}
        self.links: list[Link] = []
        #: Hosts that nobody hears for now.
        self.parted: set[Host] = set()
        self._names = itertools.count(1)

    def reach(self, address: str, source: Host) -> Socket | None:
        name, _, port = address.removeprefix("tcp://").rpartition(":")
        name = source.name if name in ("127.0.0.1", "localhost") else name
        router = self.bound.get((name, int(port)))
        apart = router is not None and router.process.host is not source
        return None if apart and self.parted & {source, router.process.host} else router

    def part(self, host: Host, seconds: float) -> None:
        """A host works on, and cannot be heard for a while."""
        self.parted.add(host)
        self.break_links(host)
        self.world.at(seconds, lambda: self.parted.discard(host))

    def link(self, dealer: Socket, router: Socket) -> None:
        link = Link(self, f"peer-{next(self._names)}".encode(), dealer, router)
        self.links.append(link)
        dealer.link = router.links[link.name] = link
        for message in dealer.unsent:
            link.send(router, message)
        dealer.unsent.clear()

    def break_links(self, host: Host | None = None) -> None:
        """Connections of a host end, as those of a network that fails for a moment."""
        for link in list(self.links):
            if host is None or host in (link.dealer.process.host, link.router.process.host):
                link.break_off()


class Link:
    """One connection."""

    def __init__(self, network: Network, name: bytes, dealer: Socket, router: Socket) -> None:
        self.network, self.name, self.dealer, self.router = network, name, dealer, router
        self.up = True
        self._last = {dealer: 0.0, router: 0.0}
        self._lost = False

    def send(self, to: Socket, message: list[bytes]) -> None:
        world, chance = self.network.world, self.network.world.random
        times = 2 if chance.random() < self.network.twice else 1
        for _ in range(times):
            delay = 0.002 + self.network.slowness * chance.random() ** 4
            when = self._last[to] = max(self._last[to], world.now + delay)
            world.at(when - world.now, lambda: self._arrive(to, message))

    def _arrive(self, to: Socket, message: list[bytes]) -> None:
        if (self.up or not self._lost) and not to.closed and to.process.alive:
            if to is self.router:
                to.inbox.append([self.name, *message])
            elif self.up:
                to.inbox.append(message)
            to.wake()

    def break_off(self) -> None:
        if not self.up:
            return
        self.up = False
        self._lost = self.network.world.random.random() < 0.5
        self.network.links.remove(self)
        self.router.links.pop(self.name, None)
        if self.dealer.link is self:
            self.dealer.link = None
            self.dealer.try_again()


class Socket:
    """A ROUTER, a DEALER; options that are set are kept and, but for the keys, not looked at."""

    def __init__(self, network: Network, kind: int) -> None:
        self.network, self.kind = network, kind
        self.process = network.world.current.process
        self.inbox: deque[list[bytes]] = deque()
        self.waiters: list[Any] = []
        self.closed = False
        self.link: Link | None = None
        self.links: dict[bytes, Link] = {}
        self.unsent: list[list[bytes]] = []
        self.curve_serverkey = self.curve_publickey = b""
        self.allowed: bytes | None = None
        self._where: tuple[str, int] | None = None
        self._address = ""
        self.process.at_end.append(self.shut)

    # -- both -----------------------------------------------------------------------------------

    def wake(self) -> None:
        for task in self.waiters:
            self.network.world.wake(task)

    def recv_multipart(self, flags: int = 0, copy: bool = True) -> list[Any]:
        self.network.world.step("receive")
        if not self.inbox:
            raise zmq.Again
        parts = self.inbox.popleft()
        if copy:
            return parts
        return [SimpleNamespace(bytes=part, buffer=memoryview(part)) for part in parts]

    def close(self, linger: Any = None) -> None:
        self.network.world.step("close")
        self.shut()

    def shut(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self._where is not None:
            self.network.bound.pop(self._where, None)
        for link in [*self.links.values(), *([self.link] if self.link else [])]:
            link.break_off()

    # -- ROUTER ---------------------------------------------------------------------------------

    def bind(self, address: str) -> None:
        port = address.rpartition(":")[2]
        where = (self.process.host.name, int(port))
        self.network.world.step(f"bind {where}")
        if where in self.network.bound:
            raise zmq.ZMQError(zmq.EADDRINUSE)
        self.network.bound[where] = self
        self._where = where

    # -- DEALER ---------------------------------------------------------------------------------

    def connect(self, address: str) -> None:
        self._address = address
        self.try_again(0.01)

    def try_again(self, delay: float = RETRY) -> None:
        if not self.closed and self.process.alive:
            self.network.world.at(delay, self._try)

    def _try(self) -> None:
        if self.closed or not self.process.alive or self.link is not None:
            return
        router = self.network.reach(self._address, self.process.host)
        if (
            router is not None
            and not router.process.frozen
            and self.curve_serverkey == router.curve_publickey
            and router.allowed in (None, self.curve_publickey)
        ):
            self.network.link(self, router)
        else:
            self.try_again()

    def send_multipart(self, parts: Any, flags: int = 0, copy: bool = True) -> None:
        self.network.world.step("send")
        message = [bytes(memoryview(part).cast("B")) for part in parts]
        if self.kind == zmq.ROUTER:
            link = self.links.get(message[0])
            if link is None:
                raise zmq.ZMQError(zmq.EHOSTUNREACH)
            link.send(link.dealer, message[1:])
        elif self.link is None:
            self.unsent.append(message)
        else:
            self.link.send(self.link.router, message)

    def get_monitor_socket(self) -> Any:
        return SimpleNamespace(poll=lambda *_: 0, close=lambda **_: None)

    def disable_monitor(self) -> None:
        pass


class Poller:
    def __init__(self) -> None:
        self._watched: list[Any] = []

    def register(self, what: Any, flags: int = 0) -> None:
        self._watched.append(what)

    def poll(self, timeout: float | None = None) -> list[tuple[Any, int]]:
        world = here()
        world.step("poll")
        deadline = None if timeout is None or timeout < 0 else world.now + timeout / 1000
        while True:
            ready = [(what, zmq.POLLIN) for what in self._watched if _waiting(world, what)]
            if ready or (deadline is not None and world.now >= deadline):
                return ready
            task = world.current
            queues = [_waiters(world, what) for what in self._watched]
            for queue in queues:
                queue.append(task)
            world.block(deadline)
            for queue in queues:
                queue.remove(task)


def _waiting(world: World, what: Any) -> bool:
    return bool(world.pipes[what].data if isinstance(what, int) else what.inbox)


def _waiters(world: World, what: Any) -> list[Any]:
    return world.pipes[what].waiters if isinstance(what, int) else what.waiters


class Context:
    def socket(self, kind: int) -> Socket:
        return Socket(here().network, kind)

    def term(self) -> None:
        pass

    def destroy(self, linger: Any = None) -> None:
        pass


class Zmq:
    """Stands where modules of the product have ``zmq``."""

    Context, Poller, Socket = Context, Poller, Socket
    _keys = itertools.count(1)

    def __getattr__(self, name: str) -> Any:
        return getattr(zmq, name)

    def curve_keypair(self) -> tuple[bytes, bytes]:
        number = here().random.getrandbits(64)
        return (f"public-{number}".encode(), f"secret-{number}".encode())


def guard(router: Socket, keys: Any) -> None:
    """As :func:`sciml.stream.authentication.guard`."""
    router.curve_publickey = keys.server_public.encode()
    router.allowed = keys.client_public.encode()


class Quiet:
    """A socket to which nothing comes."""

    def __init__(self) -> None:
        self.inbox: list[Any] = []
        self.waiters: list[Any] = []


class Gate:
    """As :class:`sciml.stream.authentication.Gate`; sockets compare the keys by themselves."""

    refused = 0

    def __init__(self, context: Context, keys: Any) -> None:
        self.socket = Quiet()

    def answer(self) -> None:
        pass

    def close(self) -> None:
        pass
