"""At which of a node's addresses dask is told to listen: never at all of them."""

from __future__ import annotations

import ipaddress
import socket

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
