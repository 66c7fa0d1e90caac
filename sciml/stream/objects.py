"""How many objects msgpack bytes stand for, before any is made: a byte may become a hundred.

An empty map is one byte on the wire and 64 in memory; a list may state more entries than there are
bytes. Arrays of fields are one object each, however long they are.
"""

from __future__ import annotations

from typing import NamedTuple

#: Objects in a message. A supervisor that tells of a hundred thousand simulations says as many numbers.
OBJECTS_LIMIT = 1 << 18
#: Lists and maps within each other: the axes of a grid are four deep.
DEPTH_LIMIT = 32


class _Kind(NamedTuple):
    """What a first byte says of what follows.

    Args:
        bytes: that belong to it.
        items: entries of a list, keys and values of a map.
        width: bytes that state a length.
        times: entries for each of that length; 0: it is one of bytes.
    """

    bytes: int = 0
    items: int = 0
    width: int = 0
    times: int = 0


def _kinds() -> dict[int, _Kind]:
    """By first byte; extension types, which nobody sends, are not among them."""
    kinds = dict.fromkeys([*range(0x80), *range(0xE0, 0x100), 0xC0, 0xC2, 0xC3], _Kind())
    for n in range(16):
        kinds[0x80 + n], kinds[0x90 + n] = _Kind(items=2 * n), _Kind(items=n)
    for n in range(32):
        kinds[0xA0 + n] = _Kind(bytes=n)
    kinds[0xCA], kinds[0xCB] = _Kind(bytes=4), _Kind(bytes=8)  # real numbers
    for n in range(4):  # whole ones
        kinds[0xCC + n] = kinds[0xD0 + n] = _Kind(bytes=1 << n)
    for n in range(3):  # bytes, text
        kinds[0xC4 + n] = kinds[0xD9 + n] = _Kind(width=1 << n)
    for n in range(2):  # lists, maps
        kinds[0xDC + n], kinds[0xDE + n] = _Kind(0, 0, 2 << n, 1), _Kind(0, 0, 2 << n, 2)
    return kinds


_KINDS = [_kinds().get(first) for first in range(256)]


def check(data: bytes | memoryview) -> None:
    """Refuse bytes that would become too many objects, or too deep a nest.

    Raises:
        ValueError: they would; an extension type, or lengths beyond the end.
    """
    at, size, objects = 0, len(data), 1
    left, above = 1, []  # entries to come of the innermost list, and of those around it
    while left or above:
        if not left:
            left = above.pop()
            continue
        left -= 1
        if at >= size:
            raise ValueError("it ends in the midst of something")
        kind = _KINDS[data[at]]
        if kind is None:
            raise ValueError(f"first byte {data[at]:#x}: an extension type, or none")
        nbytes, items, width, times = kind
        at += 1
        if width:
            length = int.from_bytes(data[at : at + width], "big")
            at += width
            items = length * times
            nbytes = 0 if times else length
        at += nbytes
        if items:
            objects += items
            if objects > OBJECTS_LIMIT:
                raise ValueError(f"more than {OBJECTS_LIMIT} objects")
            above.append(left)
            left = items
            if len(above) > DEPTH_LIMIT:
                raise ValueError(f"lists and maps more than {DEPTH_LIMIT} deep in each other")
    if at != size:
        raise ValueError(f"{size} bytes, of which the first thing takes {at}")
