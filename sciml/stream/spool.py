"""Append-only segments with a checksum per record: what is in them survives SIGKILL.

Layout of a record, little-endian, padded to 64 bytes::

    magic 8s | crc32 u32 | header bytes u32 | payload bytes u64 | order u64 | header | payload

The checksum covers everything behind itself. Records are *written* with ``pwritev`` (2–3 times the
speed of stores into a fresh mapping, without the interpreter lock, and a full disk is an error
instead of SIGBUS) and *scanned* through a memory map. Both live in the page cache, which outlives
the process; power loss is not covered.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from sciml.errors import InputError

MAGIC = b"\x93sciml\x01\n"
_CHECKED = struct.Struct("<IQQ")
_PREFIX = struct.Struct("<8sIIQQ")
ALIGNMENT = 64
SEGMENT_SIZE = 64 << 20
#: A segment with less than this part alive is rewritten.
SPARSE = 0.5
_PADDING = bytes(ALIGNMENT)


@dataclass(frozen=True, slots=True)
class Record:
    """A record's place in the journal's order and its header; the payload stays on disk."""

    order: int
    header: dict[str, Any]
    nbytes: int


@dataclass(slots=True)
class _Segment:
    path: Path
    fd: int
    size: int
    used: int = 0
    alive: int = 0
    orders: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Place:
    segment: _Segment
    offset: int
    header: int
    payload: int

    @property
    def size(self) -> int:
        return _padded(_PREFIX.size + self.header + self.payload)


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


class Spool:
    """Records on disk, in order; thread-safe.

    Args:
        directory: made if need be; one process at a time may have it open.
        segment_size: bytes allocated at once.

    Raises:
        InputError: another living process has it open.
    """

    def __init__(self, directory: Path, segment_size: int = SEGMENT_SIZE) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self.segment_size = segment_size
        #: Records that the last scan found damaged and dropped.
        self.damaged = 0
        self._lock = threading.RLock()
        self._places: dict[int, _Place] = {}
        self._segments: list[_Segment] = []
        self._active: _Segment | None = None
        self._order = 0
        self._number = 0
        # The lock goes with the process, however it ends.
        self._guard = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._guard)
            raise InputError(
                f"{directory} is in use by another trainer; end that one first"
            ) from error

    @property
    def bytes(self) -> int:
        """Bytes of records on disk, dead ones too."""
        return sum(segment.used for segment in self._segments)

    @property
    def alive(self) -> int:
        """Bytes of records that are still needed."""
        return sum(segment.alive for segment in self._segments)

    # -- reading --------------------------------------------------------------------------------

    def scan(self) -> list[Record]:
        """All sound records in order; to be called once, before the first append.

        Damaged records are dropped and counted; what follows them is found again by its magic.
        """
        records: dict[int, Record] = {}
        for path in sorted(self.directory.glob("*.segment")):
            self._number = max(self._number, int(path.stem))
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            size = os.fstat(fd).st_size
            segment = _Segment(path, fd, size)
            if size:
                with mmap.mmap(fd, size, access=mmap.ACCESS_READ) as view:
                    for order, offset, header, payload in self._walk(view, size):
                        if order in records:
                            continue  # killed between rewriting a segment and dropping the old one
                        place = _Place(segment, offset, header, payload)
                        start = offset + _PREFIX.size
                        contents = msgpack.unpackb(view[start : start + header], raw=False)
                        records[order] = Record(order, contents, payload)
                        self._note(order, place)
                        segment.used = offset + place.size
            if segment.orders:
                os.ftruncate(fd, min(size, segment.used))
                self._segments.append(segment)
            else:
                _remove(segment)
        self._order = max(records, default=0)
        return [records[order] for order in sorted(records)]

    def _walk(self, view: mmap.mmap, size: int) -> Iterator[tuple[int, int, int, int]]:
        offset = 0
        while 0 <= offset <= size - _PREFIX.size:
            magic, crc, header, payload, order = _PREFIX.unpack_from(view, offset)
            end = offset + _PREFIX.size + header + payload
            if magic == MAGIC and end <= size and zlib.crc32(_slice(view, offset, end)) == crc:
                yield order, offset, header, payload
                offset = _padded(end)
                continue
            if magic == MAGIC or any(view[offset : offset + _PREFIX.size]):
                self.damaged += 1
            offset = view.find(MAGIC, offset + 1)
            while offset > 0 and offset % ALIGNMENT:
                offset = view.find(MAGIC, offset + 1)

    def read(self, order: int) -> tuple[dict[str, Any], np.ndarray]:
        """Header and payload (``uint8``, writable, fresh memory).

        Raises:
            KeyError: the record was dropped.
        """
        with self._lock:
            place = self._places[order]
            payload = np.empty(place.payload, np.uint8)
            header = bytearray(place.header)
            os.preadv(place.segment.fd, [header, payload], place.offset + _PREFIX.size)
        return msgpack.unpackb(header, raw=False), payload

    # -- writing --------------------------------------------------------------------------------

    def append(self, header: dict[str, Any], payload: Any = b"") -> int:
        return self.append_all([(header, payload)])[0]

    def append_all(self, records: Sequence[tuple[dict[str, Any], Any]]) -> list[int]:
        """Write records; when this returns they survive the process. Returns their orders.

        Raises:
            OSError: no room on the disk; none of them counts as written.
        """
        with self._lock:
            orders: list[int] = []
            try:
                for header, payload in records:
                    self._order += 1
                    self._write(self._order, msgpack.packb(header), payload)
                    orders.append(self._order)
            except OSError:
                self.drop(orders)
                raise
            return orders

    def _write(self, order: int, header: Any, payload: Any) -> None:
        nbytes = memoryview(payload).nbytes
        size = _PREFIX.size + len(header) + nbytes
        segment = self._room(_padded(size))
        checked = _CHECKED.pack(len(header), nbytes, order)
        crc = zlib.crc32(payload, zlib.crc32(header, zlib.crc32(checked)))
        parts = [MAGIC + crc.to_bytes(4, "little") + checked, header]
        if nbytes:
            parts.append(payload)
        written = os.pwritev(segment.fd, parts, segment.used)
        if written != size:
            raise OSError(f"{segment.path}: {written} of {size} bytes written")
        place = _Place(segment, segment.used, len(header), nbytes)
        segment.used += place.size
        self._note(order, place)

    def _room(self, size: int) -> _Segment:
        active = self._active
        if active is None or active.used + size > active.size:
            if active is not None:
                os.ftruncate(active.fd, active.used)
            self._active = None
            self._number += 1
            path = self.directory / f"{self._number:010d}.segment"
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            active = _Segment(path, os.open(path, flags, 0o600), max(size, self.segment_size))
            try:
                _allocate(active.fd, active.size)
            except OSError:
                _remove(active)
                raise
            self._segments.append(active)
            self._active = active
        return active

    def _note(self, order: int, place: _Place) -> None:
        self._places[order] = place
        place.segment.orders.add(order)
        place.segment.alive += place.size

    # -- letting go -----------------------------------------------------------------------------

    def drop(self, orders: Iterable[int]) -> None:
        """Records that nobody needs; their room is freed by :meth:`compact`.

        This is not written down: until their segment is gone, a scan finds them again. Whoever
        drops a record must be able to tell, from what else is known, that it is stale.
        """
        with self._lock:
            for order in orders:
                place = self._places.pop(order, None)
                if place is not None:
                    place.segment.orders.discard(order)
                    place.segment.alive -= place.size

    def compact(self) -> None:
        """Delete segments without a living record; rewrite those that are mostly dead.

        Survivors are appended to the active segment, under their old order, before the old segment
        goes: a kill in between leaves both, and a scan takes one.
        """
        with self._lock:
            sparse = [s for s in self._segments if s.alive < SPARSE * s.used]
            if self._active in sparse:
                self._active = None
        for segment in sparse:
            for order in sorted(segment.orders):
                with self._lock:  # one record at a time, so that the stream goes on meanwhile
                    place = self._places.get(order)
                    if place is not None and place.segment is segment:
                        self._move(order, place)
            with self._lock:
                self._segments.remove(segment)
                _remove(segment)

    def _move(self, order: int, place: _Place) -> None:
        body = np.empty(place.header + place.payload, np.uint8)
        os.preadv(place.segment.fd, [body], place.offset + _PREFIX.size)
        self._write(order, body[: place.header], body[place.header :])

    def close(self) -> None:
        with self._lock:
            for segment in self._segments:
                os.close(segment.fd)
            self._segments, self._active = [], None
            self._places.clear()
            os.close(self._guard)


def _slice(view: mmap.mmap, offset: int, end: int) -> bytes:
    return view[offset + 12 : end]


def _allocate(fd: int, size: int) -> None:
    """Reserve the room now, so that a full disk shows here and not in mid-record."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    else:
        os.ftruncate(fd, size)


def _remove(segment: _Segment) -> None:
    os.close(segment.fd)
    segment.path.unlink(missing_ok=True)
