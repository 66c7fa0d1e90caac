"""Where dask listens: at one address of a node, and at those of a scheduler that somebody else runs."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from sciml.errors import InputError

#: Hosts that mean every interface.
EVERYWHERE = ("0.0.0.0", "*", "::", "")


def listening_address(interface: str | None, host: str) -> str:
    """The one address at which dask's scheduler waits for workers.

    Args:
        interface: its address, if one is named.
        host: else where the stream listens; where that is every interface, the address of the default
            route.

    Raises:
        InputError: no such interface, one without an IPv4 address, or a host that has none.
    """
    import psutil
    from distributed.utils import get_ip

    if interface is not None:
        there = {
            name: [a.address for a in addresses if a.family == socket.AF_INET]
            for name, addresses in psutil.net_if_addrs().items()
        }
        known = sorted(name for name, found in there.items() if found)
        if not there.get(interface):
            raise InputError(
                f"cluster.interface: '{interface}' is none of this node's with an IPv4 address; "
                f"expected one of {', '.join(known)}"
            )
        return there[interface][0]
    if host in EVERYWHERE:
        return get_ip()
    try:
        return socket.gethostbyname(host)
    except OSError as error:
        raise InputError(
            f"stream.host: '{host}' has no address ({error}); expected a name or address of this node"
        ) from error


def is_loopback(host: str) -> bool:
    """Whether a host is this machine as seen by itself alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_scheduler(address: str, timeout: float = 5.0, *, encryption: bool = True) -> None:
    """Refuse a scheduler that is not there, or that lets in more than its own.

    Args:
        address: ``tls://head:8786``; ``tcp://…`` or ``head:8786`` on this machine; others are left to
            dask.
        timeout: seconds.
        encryption: whether one elsewhere has to speak TLS: what dask sends are pickles, and who can
            write to it runs code here.

    Raises:
        InputError: no address, nothing listens there, no TLS, or none of dask's certificates here.
    """
    split = urlsplit(address if "://" in address else f"tcp://{address}")
    if split.scheme not in ("tcp", "tls"):
        return
    try:
        host, port = split.hostname, split.port
    except ValueError:  # a port that is no number
        host = port = None
    if not host or not port:
        raise InputError(f"scheduler '{address}'; expected an address such as tcp://head:8786")
    if split.scheme == "tls":
        _require_certificates(address)
    elif encryption and not is_loopback(host):
        raise InputError(
            f"scheduler {address}: without TLS, whoever reaches it can run code as you, and here; "
            "expected tls://…, the loopback (an ssh tunnel), or in a study cluster.encryption: false"
        )
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError as error:
        raise InputError(
            f"scheduler {address}: nothing answers there ({error}); start one with `dask scheduler`, or "
            "name another"
        ) from error


def _require_certificates(address: str) -> None:
    """Raises :class:`InputError` where dask's configuration has no certificates for a client."""
    from distributed import Security

    wanted = "distributed.comm.tls.ca-file, client.key and client.cert of dask's configuration"
    try:
        context = Security().get_connection_args("client").get("ssl_context")
    except OSError as error:
        raise InputError(f"scheduler {address}: {wanted} cannot be read ({error})") from error
    if context is None:
        raise InputError(f"scheduler {address}: no certificates; expected {wanted}")
