"""Where the trainer listens, and the keys: two small files of the run directory, for the owner only.

``endpoint.json`` is what a client needs; ``server.key`` stays with the trainer. Both are kept for
the next life of the trainer: new keys would lock running solvers out in silence.
"""

from __future__ import annotations

import json
import os
import random
import socket
import stat
import time
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import zmq

from sciml.errors import InputError, StreamError
from sciml.stream.message import MESSAGE_LIMIT

SCHEMA_VERSION = 1
ENDPOINT, SERVER_KEY = "endpoint.json", "server.key"
LOOPBACK = ("127.0.0.1", "localhost")
#: Below the range from which systems take outgoing ports, so that a port stays free between lives.
PORTS = range(20000, 32768)
#: Seconds in which the port of the last life may become free.
BIND_PATIENCE = 10.0
#: Seconds in which who connects must have shown a key. Longer, and those without one hold file
#: descriptors for longer; shorter, and a trainer that is busy with its imports lets nobody in.
HANDSHAKE = 5.0
#: Seconds in which who connects must have said something before it costs a file descriptor at all.
SILENCE = 60
#: Connections that may be so silent; the system has a bound of its own, often this one.
BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a client reads.

    Args:
        address: ``tcp://host:port``.
        epoch: life of the trainer, from 1.
        server_key: public key of the trainer; empty without encryption.
        public_key, secret_key: the pair that every client of this run uses.
        message_limit: largest part of a message, bytes.
        run: UUID of the run; a trainer of another one takes nothing from this client.
    """

    address: str
    epoch: int
    server_key: str = ""
    public_key: str = ""
    secret_key: str = ""
    message_limit: int = MESSAGE_LIMIT
    run: str = ""

    def write(self, run_dir: Path) -> None:
        entries = {"schema_version": SCHEMA_VERSION, **asdict(self)}
        _write_private(run_dir / ENDPOINT, entries)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Endpoint:
        """Read an endpoint file, or that of a run directory.

        Raises:
            StreamError: no such file, not an endpoint, or one that others can read.
        """
        path = Path(path)
        path = path / ENDPOINT if path.is_dir() else path
        entries = _read_private(path)
        if entries.pop("schema_version", None) != SCHEMA_VERSION:
            raise StreamError(
                f"{path}: expected schema_version {SCHEMA_VERSION}; "
                "solver and trainer must run the same version of sciml"
            )
        try:
            return cls(**entries)
        except TypeError as error:
            raise StreamError(f"{path}: not an endpoint file ({error})") from error


@dataclass(frozen=True, slots=True)
class Keys:
    """The trainer's side: its own key pair, that of its clients, and the port of its last life."""

    epoch: int
    port: int
    server_public: str = ""
    server_secret: str = ""
    client_public: str = ""
    client_secret: str = ""
    run: str = ""

    @classmethod
    def next_life(cls, run_dir: Path, *, encryption: bool, run: str = "") -> Keys:
        """Keys and port of the life before, if there was one, with the next epoch.

        Args:
            run: UUID of the run, by default that of the life before; keys of another run are none of
                this one's.
        """
        path = run_dir / SERVER_KEY
        old = cls(epoch=0, port=0)
        if path.exists():
            try:
                old = cls(**_read_private(path))
            except TypeError as error:
                raise StreamError(
                    f"{path}: no keys of a trainer ({error}); remove it, and solvers that still run "
                    "are started again"
                ) from error
        if run and old.run and old.run != run:
            old = cls(epoch=0, port=0)
        run = run or old.run or str(uuid.uuid4())
        pairs = (old.server_public, old.server_secret, old.client_public, old.client_secret)
        if encryption and not all(pairs):
            made = (*zmq.curve_keypair(), *zmq.curve_keypair())
            pairs = tuple(key.decode() for key in made)
        keys = cls(old.epoch + 1, old.port, *(pairs if encryption else ("",) * 4), run)
        keys.write(run_dir)
        return keys

    def write(self, run_dir: Path) -> None:
        _write_private(run_dir / SERVER_KEY, asdict(self))


def announce(run_dir: Path, keys: Keys, host: str, port: int) -> tuple[Keys, str]:
    """Write down for ranks and for the next life where the trainer listens; that, and its address."""
    keys = replace(keys, port=port)
    keys.write(run_dir)
    host = host if host not in ("0.0.0.0", "*") else socket.getfqdn()
    endpoint = Endpoint(
        f"tcp://{host}:{port}",
        keys.epoch,
        keys.server_public,
        keys.client_public,
        keys.client_secret,
        run=keys.run,
    )
    endpoint.write(run_dir)
    return keys, endpoint.address


def check_host(host: str, *, encryption: bool) -> None:
    """Raises :class:`InputError` where fields would cross a network in the clear."""
    if not encryption and host not in LOOPBACK:
        raise InputError(
            f"stream: host {host!r} with encryption off; expected encryption: true, or a host of "
            f"this machine only ({', '.join(LOOPBACK)})"
        )


def candidate_ports(wanted: int, last: int) -> list[int]:
    """Ports to try in order: the one asked for, or that of the last life and then any."""
    if wanted:
        return [wanted]
    return ([last] if last else []) + random.sample(PORTS, 50)


def _write_private(path: Path, entries: dict[str, object]) -> None:
    """Written aside and renamed: a client that starts meanwhile reads the old or the new one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(entries, file, indent=1)
    aside.replace(path)


def _read_private(path: Path) -> dict[str, object]:
    try:
        with path.open() as file:
            status = os.fstat(file.fileno())
            if stat.S_IMODE(status.st_mode) & 0o077:
                raise StreamError(
                    f"{path} can be read by others (mode {stat.S_IMODE(status.st_mode):o}), and it "
                    f"holds keys; expected mode 600: chmod 600 {path}"
                )
            entries = json.load(file)
    except FileNotFoundError as error:
        raise StreamError(f"{path}: no such endpoint file; is the trainer running?") from error
    except (OSError, ValueError) as error:
        raise StreamError(f"{path}: cannot be read ({error})") from error
    if not isinstance(entries, dict):
        raise StreamError(f"{path}: not an endpoint file")
    return entries


def bind(router: zmq.Socket, host: str, port: int, last: int) -> int:
    """Bind a socket to ``port``, or to any that is free if that is 0; returns which.

    The port of the ``last`` life may be held for a moment by the system: worth a few tries.

    Raises:
        StreamError: nothing can be bound.
    """
    deadline = time.monotonic() + BIND_PATIENCE
    while True:
        for number in candidate_ports(port, last):
            try:
                return _listen(router, host, number)
            except (zmq.ZMQError, OSError) as error:
                reason = error
            if number == last and time.monotonic() < deadline:
                break
        if time.monotonic() > deadline:
            raise StreamError(
                f"cannot listen on {host}, port {port or 'any'}: {reason}; "
                "give another host or port"
            )
        time.sleep(0.1)


def _listen(router: zmq.Socket, host: str, port: int) -> int:
    """Bind to one port. Where the system can (Linux), it keeps connections to itself until they say
    something: thousands that are silent take no file descriptor from this process."""
    router.handshake_ivl = int(1000 * HANDSHAKE)
    router.backlog = BACKLOG
    if not hasattr(socket, "TCP_DEFER_ACCEPT"):
        router.bind(f"tcp://{host}:{port}")
        return port
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, SILENCE)
        listener.bind(("" if host == "*" else host, port))
        listener.listen(BACKLOG)
        # libzmq takes it over, and closes it.
        router.use_fd = os.dup(listener.fileno())
        router.bind(f"tcp://{host}:{port}")
    return port
