"""How many samples were drawn, for the next life of the trainer."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path


class DrawCount:
    """A count that outlives a SIGKILL: eight bytes in a mapped file.

    The next life reads how many samples the last one had drawn, and so how many of its draws are
    undone by going back to a checkpoint.

    Args:
        path: of the file, made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        if (
            not path.exists() or path.stat().st_size != 8
        ):  # a kill may have torn it: nothing is known
            path.write_bytes(struct.pack("<q", 0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)

    def set(self, count: int) -> None:
        struct.pack_into("<q", self._map, 0, count)

    def get(self) -> int:
        return struct.unpack_from("<q", self._map, 0)[0]
