"""Listening TCP sockets of a process."""

import ipaddress
import os
from pathlib import Path


def listening(pid="self"):
    """(address, port) of every listening TCP socket of a process."""
    sockets = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(os.readlink(entry))
        except OSError:
            continue  # closed meanwhile
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                host, port = fields[1].split(":")
                # Words of four bytes, each in the order of the machine.
                words = [bytes.fromhex(host[i : i + 8])[::-1] for i in range(0, len(host), 8)]
                yield str(ipaddress.ip_address(b"".join(words))), int(port, 16)
