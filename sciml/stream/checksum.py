"""A checksum of large payloads at the speed of memory.

CRC-32 of zlib takes longer than to copy and to write what it covers. Here the payload is cut into
pages of 4096 bytes, the 64-bit words of each page are added modulo 2⁶⁴, and the CRC-32 goes over the
sums and over what is left behind the last whole page::

    crc32(tail, crc32(sums, start))

Any change within one word is found, and so are pages that are missing, exchanged or of another time;
words of one page whose order is changed are not, which neither disks nor interrupted writes do.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

#: Bytes that are added up to one sum.
PAGE = 4096
_WORDS = PAGE // 8


def checksum(payload: Any, start: int = 0) -> int:
    """32-bit checksum of a contiguous buffer, continuing from ``start``."""
    view = memoryview(payload)
    pages = view.nbytes // PAGE
    if not pages:
        return zlib.crc32(view, start)
    words = np.frombuffer(view, np.dtype("<u8"), pages * _WORDS)
    sums = np.add.reduce(words.reshape(pages, _WORDS), axis=1)
    return zlib.crc32(view.cast("B")[pages * PAGE :], zlib.crc32(sums, start))
