"""Which TCP sockets processes listen on, as the kernel tells it."""

import ipaddress
import os
from pathlib import Path


def listening(*pids):
    """``{(address, port): pid}`` of the listening sockets of processes; of this one by default."""
    return {
        (_address(host), int(port, 16)): pid
        for pid in pids or (os.getpid(),)
        for host, port in _of(pid)
    }


def public(found):
    """Those of :func:`listening` that others than this machine can reach."""
    return {place for place in found if not ipaddress.ip_address(place[0]).is_loopback}


def _of(pid):
    sockets = set()
    try:
        entries = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return  # it has ended
    for entry in entries:
        try:
            sockets.add(os.readlink(entry))
        except OSError:
            continue  # closed meanwhile
    for table in ("tcp", "tcp6"):
        path = Path(f"/proc/{pid}/net", table)
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                yield fields[1].split(":")


def _address(text):
    """The kernel writes 32-bit words in the byte order of the machine."""
    words = [int(text[i : i + 8], 16).to_bytes(4, "little") for i in range(0, len(text), 8)]
    address = ipaddress.ip_address(b"".join(words))
    return str(getattr(address, "ipv4_mapped", None) or address)
