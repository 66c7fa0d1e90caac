"""Append-only segments with a checksum per record: what is in them survives SIGKILL.

Layout of a record, little-endian, padded to 64 bytes::

    magic 8s | crc32 u32 | header bytes u32 | payload bytes u64 | order u64 | segment u64 |
    header | payload

The checksum covers everything behind itself: CRC-32 of the rest of the prefix and of the header, then
:func:`~sciml.stream.checksum.checksum` of the payload. Files of dead segments are used again under a new
number, since their pages are in memory already (fresh ones cost up to ten times the copy); what is
left in them of the old life bears the old number and is passed over. Records are *written* with
``pwritev`` (2–3 times the speed of stores into a fresh mapping, without the interpreter lock, and a
full disk is an error instead of SIGBUS) and *scanned* through a memory map. Both live in the page
cache, which outlives the process; power loss is not covered.
"""

from __future__ import annotations

import errno
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

from sciml.errors import InputError, no_room
from sciml.stream.checksum import checksum
from sciml.stream.file_lock import take_lock
from sciml.stream.slots import ALIGNMENT, padded

MAGIC = b"\x93sciml\x02\n"
_CHECKED = struct.Struct("<IQQQ")
_PREFIX = struct.Struct("<8sIIQQQ")
#: Bytes of a segment: what is freed and allocated at once. Larger ones are rewritten more, smaller ones
#: are more files.
SEGMENT_SIZE = 64 << 20
#: Larger writes make Linux take huge pages, which cost several times more when they are fresh.
WRITE_SIZE = 1 << 20
#: Parts of one write; the system takes 1024.
PARTS = 512
_ZEROS = bytes(ALIGNMENT)
#: A segment with less than this part alive is rewritten.
SPARSE = 0.5


@dataclass(frozen=True, slots=True)
class SpoolRecord:
    """A record's place in the journal's order and its header; the payload stays on disk."""

    order: int
    header: Any
    nbytes: int


@dataclass(slots=True)
class _Segment:
    number: int
    path: Path
    fd: int
    size: int
    used: int = 0
    alive: int = 0
    orders: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Location:
    segment: _Segment
    offset: int
    header: int
    payload: int

    @property
    def size(self) -> int:
        return padded(_PREFIX.size + self.header + self.payload)


class Spool:
    """Records on disk, in order; thread-safe.

    Args:
        directory: made if need be; one process at a time may have it open.
        segment_size: bytes allocated at once.
        spare: files of dead segments that are kept for use.

    Raises:
        InputError: another living process has it open.
    """

    def __init__(self, directory: Path, segment_size: int = SEGMENT_SIZE, spare: int = 4) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self.segment_size, self._spares = segment_size, spare
        #: Records that the last scan found damaged and dropped.
        self.damaged = 0
        #: Bytes of records on disk, dead ones too.
        self.bytes = 0
        self._lock = threading.RLock()
        self._places: dict[int, _Location] = {}
        self._segments: list[_Segment] = []
        self._spare: list[_Segment] = []
        self._active: _Segment | None = None
        self._order = 0
        self._number = 0
        try:
            # Where the file system has no locks, the leader's lease keeps a second trainer out.
            self._guard, _ = take_lock(directory / "lock")
        except BlockingIOError as error:
            raise InputError(
                f"{directory} is in use by another trainer; end that one first"
            ) from error

    @property
    def alive(self) -> int:
        """Bytes of records that are still needed."""
        return sum(segment.alive for segment in self._segments)

    # -- reading --------------------------------------------------------------------------------

    def scan(self) -> list[SpoolRecord]:
        """All sound records in order; to be called once, before the first append.

        Damaged records are dropped and counted; what follows them is found again by its magic.
        """
        records: dict[int, SpoolRecord] = {}
        for path in sorted(self.directory.glob("*.segment")):
            number = int(path.stem)
            self._number = max(self._number, number)
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            size = os.fstat(fd).st_size
            segment = _Segment(number, path, fd, size)
            if size:
                with mmap.mmap(fd, size, access=mmap.ACCESS_READ) as view:
                    for order, offset, header, payload in self._walk(view, size, number):
                        if order in records:
                            continue  # killed between rewriting a segment and dropping the old one
                        place = _Location(segment, offset, header, payload)
                        start = offset + _PREFIX.size
                        contents = msgpack.unpackb(view[start : start + header], raw=False)
                        records[order] = SpoolRecord(order, contents, payload)
                        self._note(order, place)
                        segment.used = offset + place.size
            if segment.orders:
                segment.size = min(size, segment.used)
                os.ftruncate(fd, segment.size)
                self._segments.append(segment)
                self.bytes += segment.used
            else:
                _remove(segment)
        self._order = max(records, default=0)
        return [records[order] for order in sorted(records)]

    def _walk(self, view: mmap.mmap, size: int, number: int) -> Iterator[tuple[int, int, int, int]]:
        """Sound records of segment ``number``: (order, offset, header bytes, payload bytes)."""
        offset = 0
        counted = suspect = False
        while 0 <= offset <= size - _PREFIX.size:
            magic, crc, header, payload, order, segment = _PREFIX.unpack_from(view, offset)
            end = offset + _PREFIX.size + header + payload
            mine = magic == MAGIC and segment == number
            if mine and end <= size and _crc(view, offset + 12, end - payload, end) == crc:
                self.damaged += suspect
                counted = suspect = False
                yield order, offset, header, payload
                offset = padded(end)
                continue
            if mine:
                self.damaged += not counted
                counted, suspect = True, False
            else:
                # The end of the segment, unless a sound record follows.
                suspect = not counted
            offset = view.find(MAGIC, offset + 1)
            while offset > 0 and offset % ALIGNMENT:
                offset = view.find(MAGIC, offset + 1)

    def read(self, order: int) -> tuple[Any, np.ndarray]:
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

    def append(self, header: Any, payload: Any = b"") -> int:
        return self.append_all([(header, payload)])[0]

    def append_all(self, records: Sequence[tuple[Any, Any]]) -> list[int]:
        """Write (header, payload) pairs; when this returns they survive the process.

        Headers are anything that msgpack packs. Returns the orders of the records.

        Raises:
            OSError: no room on the disk; none of them counts as written.
        """
        with self._lock:
            first = self._order + 1
            self._order += len(records)
            orders = list(range(first, self._order + 1))
            try:
                self._write_all(
                    (order, msgpack.packb(header), payload)
                    for order, (header, payload) in zip(orders, records, strict=True)
                )
            except OSError:
                self.drop(orders)
                raise
            return orders

    def _write_all(self, records: Iterable[tuple[int, bytes, Any]]) -> None:
        """Write (order, header, payload); small neighbors share a system call."""
        parts: list[Any] = []
        places: list[tuple[int, _Location]] = []
        size = 0  # of what waits
        for order, header, payload in records:
            body = memoryview(payload)
            length = _PREFIX.size + len(header) + body.nbytes
            start = padded(size)
            if places and not (
                start + length <= WRITE_SIZE
                and segment.used + start + length <= segment.size
                and len(parts) < PARTS
            ):
                self._put(parts, places, size)
                parts, places, size, start = [], [], 0, 0
            if places:
                parts.append(_ZEROS[: start - size])
            else:
                segment = self._room(padded(length))
            place = _Location(segment, segment.used + start, len(header), body.nbytes)
            checked = _CHECKED.pack(place.header, place.payload, order, segment.number)
            crc = checksum(payload, zlib.crc32(header, zlib.crc32(checked)))
            parts += (MAGIC + crc.to_bytes(4, "little") + checked, header)
            if body.nbytes:
                flat = body.cast("B")
                parts += (flat[i : i + WRITE_SIZE] for i in range(0, len(flat), WRITE_SIZE))
            places.append((order, place))
            size = start + length
        if places:
            self._put(parts, places, size)

    def _put(self, parts: list[Any], places: list[tuple[int, _Location]], size: int) -> None:
        """Write ``parts`` behind what the active segment holds; then they are where ``places`` say."""
        segment = places[0][1].segment
        # A record larger than a write comes alone: prefix, header and first piece, then the others.
        calls = [parts[:3], *([p] for p in parts[3:])] if size > WRITE_SIZE else [parts]
        written = 0
        for call in calls:
            written += os.pwritev(segment.fd, call, segment.used + written)
        if written != size:
            raise OSError(errno.ENOSPC, f"{written} of {size} bytes written", str(segment.path))
        segment.used += padded(size)
        self.bytes += padded(size)
        for order, place in places:
            self._note(order, place)

    def _room(self, size: int) -> _Segment:
        """The active segment, or the next one if ``size`` bytes do not fit."""
        active = self._active
        if active is None or active.used + size > active.size:
            self._active = None
            self._number += 1
            path = self.directory / f"{self._number:010d}.segment"
            if self._spare and size <= self.segment_size:
                active = self._spare.pop()
                active.path.rename(path)
                active = _Segment(self._number, path, active.fd, active.size)
            else:
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                fd = os.open(path, flags, 0o600)
                active = _Segment(self._number, path, fd, max(size, self.segment_size))
                try:
                    _allocate(fd, active.size)
                except OSError:
                    _remove(active)
                    raise
            self._segments.append(active)
            self._active = active
        return active

    def _note(self, order: int, place: _Location) -> None:
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
        goes: a kill in between leaves both, and a scan takes one. Where the disk has no room for
        them, the old segments stay.
        """
        with self._lock:
            sparse = [s for s in self._segments if s.alive < SPARSE * s.used]
            if self._active in sparse:
                self._active = None
        # The dead ones first: their room may be what the survivors of the others need.
        for segment in sorted(sparse, key=lambda s: s.alive):
            try:
                self._evacuate(segment)
            except OSError as error:
                if not no_room(error):
                    raise
                return
            with self._lock:
                self._segments.remove(segment)
                self.bytes -= segment.used
                if segment.size == self.segment_size and len(self._spare) < self._spares:
                    self._spare.append(segment)
                else:
                    _remove(segment)

    def _evacuate(self, segment: _Segment) -> None:
        for order in sorted(segment.orders):
            with self._lock:  # one record at a time, so that the stream goes on meanwhile
                place = self._places.get(order)
                if place is not None and place.segment is segment:
                    self._move(order, place)

    def _move(self, order: int, place: _Location) -> None:
        body = np.empty(place.header + place.payload, np.uint8)
        os.preadv(place.segment.fd, [body], place.offset + _PREFIX.size)
        self._write_all([(order, bytes(body[: place.header]), body[place.header :])])

    def close(self) -> None:
        with self._lock:
            for segment in self._segments:
                os.close(segment.fd)
            for segment in self._spare:
                _remove(segment)
            self._segments, self._spare, self._active = [], [], None
            self._places.clear()
            os.close(self._guard)


def _crc(view: mmap.mmap, start: int, middle: int, end: int) -> int:
    """Of a record as it was found, whose payload begins at ``middle``."""
    return checksum(view[middle:end], zlib.crc32(view[start:middle]))


def _allocate(fd: int, size: int) -> None:
    """Reserve the room now, so that a full disk shows here and not in mid-record."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    else:
        os.ftruncate(fd, size)


def _remove(segment: _Segment) -> None:
    os.close(segment.fd)
    segment.path.unlink(missing_ok=True)
