"""Slots in shared memory: fields of a rank on the trainer's own node, beside the socket.

The memory is an anonymous file (``memfd``), owned by the rank: it has no name in any directory, and
the system frees it when the last process that has it open is gone, however that ended. The trainer
opens it through ``/proc/<pid>/fd/<number>``, which only the same user on the same node can, and knows
by a random token at its beginning that it is the right one. It is allocated at once and sealed
against shrinking, so that neither side meets SIGBUS.

Layout::

    magic 8s | token 32s | padding to 64 | slots
    slot: generation u64 | bytes u64 | padding to 64 | payload | padding to 64

Only a :class:`Reference` crosses the socket instead of a payload. The rank reuses a slot when
the trainer has said that its contents are durable.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MAGIC = b"\x93slots\x01\n"
NAME = "sciml-slots"
#: Bytes of the random token.
TOKEN = 32
#: Bytes to whose multiples slots and payloads are padded: a cache line.
ALIGNMENT = 64
REGION_HEAD = struct.Struct(f"<8s{TOKEN}s")
SLOT_HEAD = struct.Struct("<QQ")
#: Steps below this, bytes, go through the socket: a slot would save nothing.
SMALL = 4 << 10
#: Room for slots of one rank, bytes: enough to keep it busy, small enough to stay in caches.
ROOM = 16 << 20
#: The most, for steps so large that three of them are more.
ROOM_LIMIT = 256 << 20
#: Zero where the system or this Python has no seals.
SEALS = getattr(fcntl, "F_SEAL_SHRINK", 0) | getattr(fcntl, "F_SEAL_GROW", 0)


def boot_id() -> str:
    """What the present boot of this machine is called; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def node() -> str:
    """What all processes on this node, and no others, have in common; empty without slots here."""
    return boot_id() if hasattr(os, "memfd_create") and SEALS else ""


def padded(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a payload lies.

    Args:
        offset: of its slot, from the beginning of the memory.
        nbytes: of the payload, which begins :data:`ALIGNMENT` bytes behind ``offset``.
        generation: count of slots filled by this rank; tells a slot from what it held before.
    """

    offset: int
    nbytes: int
    generation: int

    LAYOUT = struct.Struct("<QQQ")

    def encode(self) -> bytes:
        return self.LAYOUT.pack(self.offset, self.nbytes, self.generation)


@dataclass(eq=False, slots=True)
class Span:
    """The slots of one step, side by side."""

    start: int
    stop: int
    references: list[Reference]
    free: bool = False


class Slots:
    """A rank's side: a ring of spans, freed about in the order in which they were taken.

    Args:
        room: bytes for slots.

    Raises:
        OSError: the memory cannot be had.
    """

    def __init__(self, room: int) -> None:
        self.nbytes = ALIGNMENT + padded(room)
        self.token = os.urandom(TOKEN)
        #: Whether the trainer reads from here.
        self.accepted = False
        self.fd = os.memfd_create(NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.fchmod(self.fd, 0o600)
            # All pages now: later there would be SIGBUS where here is an error.
            os.posix_fallocate(self.fd, 0, self.nbytes)
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, SEALS | fcntl.F_SEAL_SEAL)
            # Mapped at once too: a fault a page would triple the time that the first fills take.
            flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
            self._map = mmap.mmap(self.fd, self.nbytes, flags)
        except (OSError, ValueError):
            os.close(self.fd)
            raise
        REGION_HEAD.pack_into(self._map, 0, MAGIC, self.token)
        self._spans: deque[Span] = deque()
        self._generation = 0

    def offer(self) -> dict[str, object]:
        """What the trainer must know to open this memory."""
        return {"pid": os.getpid(), "fd": self.fd, "nbytes": self.nbytes, "token": self.token}

    @staticmethod
    def size(payloads: Iterable[int]) -> int:
        """Bytes that slots for ``payloads`` of so many bytes take."""
        return sum(ALIGNMENT + padded(nbytes) for nbytes in payloads)

    def place(self, size: int) -> int | None:
        """Where a span of ``size`` bytes would begin; ``None``: there is no room now."""
        if not self._spans:
            return ALIGNMENT if ALIGNMENT + size <= self.nbytes else None
        head, tail = self._spans[-1].stop, self._spans[0].start
        if head > tail:
            if head + size <= self.nbytes:
                return head
            return ALIGNMENT if ALIGNMENT + size < tail else None
        return head if head + size < tail else None

    def fill(
        self, arrays: Sequence[np.ndarray], dtypes: Sequence[np.dtype] | None = None
    ) -> Span | None:
        """Copy a step, in C order, as ``dtypes`` or as it is; ``None``: there is no room now."""
        dtypes = [array.dtype for array in arrays] if dtypes is None else dtypes
        sizes = [a.size * kind.itemsize for a, kind in zip(arrays, dtypes, strict=True)]
        start = self.place(self.size(sizes))
        if start is None:
            return None
        at, references = start, []
        for array, kind, nbytes in zip(arrays, dtypes, sizes, strict=True):
            self._generation += 1
            SLOT_HEAD.pack_into(self._map, at, self._generation, nbytes)
            np.ndarray(array.shape, kind, self._map, at + ALIGNMENT)[...] = array
            references.append(Reference(at, nbytes, self._generation))
            at += ALIGNMENT + padded(nbytes)
        span = Span(start, at, references)
        self._spans.append(span)
        return span

    def payload(self, reference: Reference) -> bytes:
        """A copy, to be sent through the socket after all."""
        start = reference.offset + ALIGNMENT
        return self._map[start : start + reference.nbytes]

    def release(self, span: Span) -> None:
        """Its contents are durable: the room may be used again."""
        span.free = True
        while self._spans and self._spans[0].free:
            self._spans.popleft()

    def close(self) -> None:
        if self.fd >= 0:
            self._map.close()
            os.close(self.fd)
            self.fd = -1
