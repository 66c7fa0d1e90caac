"""The trainer's side of shared memory: every reference is checked, and payloads are copied out.

A payload is copied once, into the memory that becomes the frame, before it is looked at: what was
validated is what is journalled and trained on, whatever the other side writes into its slot.
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import re
import stat
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sciml.stream.message import BLOCKS_LIMIT, MESSAGE_LIMIT, Malformed, whole
from sciml.stream.session import Session
from sciml.stream.slots import (
    ALIGNMENT,
    MAGIC,
    NAME,
    REGION_HEAD,
    ROOM_LIMIT,
    SEALS,
    SLOT_HEAD,
    TOKEN,
    Reference,
    node,
)

log = logging.getLogger("sciml.stream")

#: Ranks that may have slots; more of them use the socket. Each takes a file descriptor.
READERS_LIMIT = 256
#: Seconds between looks for ranks that died, and before the memory of one is let go of: what it sent
#: before its end may still be on its way.
SWEEP = 1.0
MOURNING = 2.0
_LINK = re.compile(rf"/memfd:{NAME}( \(deleted\))?")


class SlotReader:
    """One rank's slots, read-only.

    Args:
        pid, fd: of the rank's process and its open file there.
        nbytes, token: as the rank says; compared with what is there.

    Raises:
        OSError: no such file here: another node, another user, another name space.
        Malformed: it is there and is not what the rank says.
    """

    def __init__(self, pid: int, fd: int, nbytes: int, token: bytes) -> None:
        self.pid, self.nbytes = pid, nbytes
        self.died = 0.0
        link = f"/proc/{pid}/fd/{fd}"
        # Looked at before it is opened: to open other things than memory may do something.
        if not _LINK.fullmatch(os.readlink(link)):
            raise Malformed("slots that are no anonymous memory")
        mine = os.open(link, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(mine)
            if not stat.S_ISREG(status.st_mode) or status.st_size != nbytes:
                raise Malformed(f"slots of {nbytes} bytes that are not there")
            if fcntl.fcntl(mine, fcntl.F_GET_SEALS) & SEALS != SEALS:
                raise Malformed("slots that may shrink")
            self._map = mmap.mmap(mine, nbytes, prot=mmap.PROT_READ)
        finally:
            os.close(mine)
        if REGION_HEAD.unpack_from(self._map) != (MAGIC, token):
            self._map.close()
            raise Malformed("slots of somebody else")

    def check(self, data: Any) -> Reference:
        """Raises :class:`Malformed`: no reference, outside the memory, or to another generation."""
        if len(data) != Reference.LAYOUT.size:
            raise Malformed(f"a reference of {len(data)} bytes")
        offset, nbytes, generation = Reference.LAYOUT.unpack(data)
        if offset % ALIGNMENT or offset < ALIGNMENT or nbytes > MESSAGE_LIMIT:
            raise Malformed(f"a slot of {nbytes} bytes at {offset}")
        if offset + ALIGNMENT + nbytes > self.nbytes:
            raise Malformed(
                f"a slot of {nbytes} bytes at {offset}, beyond the {self.nbytes} bytes that there are"
            )
        reference = Reference(offset, nbytes, generation)
        self._check_head(reference)
        return reference

    def read(self, reference: Reference) -> np.ndarray:
        """The payload in memory of its own, ``uint8``."""
        start = reference.offset + ALIGNMENT
        payload = np.ndarray(reference.nbytes, np.uint8, self._map, start).copy()
        self._check_head(reference)
        return payload

    def close(self) -> None:
        self._map.close()

    def _check_head(self, reference: Reference) -> None:
        head = SLOT_HEAD.unpack_from(self._map, reference.offset)
        if head != (reference.generation, reference.nbytes):
            raise Malformed(
                f"the slot at {reference.offset} holds generation {head[0]} of {head[1]} bytes; "
                f"expected {reference.generation} of {reference.nbytes}"
            )


class Readers:
    """The slots of all ranks on this node.

    Args:
        enabled: off: every rank uses the socket.
    """

    def __init__(self, *, enabled: bool = True) -> None:
        #: Sent to ranks in their welcome: one that finds itself on the same node makes an offer.
        self.node = node() if enabled else ""
        self.blocks = self.bytes = self.declined = 0
        self._readers: dict[Session, SlotReader] = {}
        self._swept = time.monotonic()

    def __len__(self) -> int:
        return len(self._readers)

    def __contains__(self, session: Session) -> bool:
        return session in self._readers

    def open(self, session: Session, offer: Mapping[str, Any]) -> bool:
        """Whether the slots that a rank offers will be read; if not, it uses the socket.

        Raises:
            Malformed: no offer.
        """
        pid, fd = whole(offer, "pid", low=1, high=1 << 31), whole(offer, "fd", high=1 << 31)
        nbytes = whole(offer, "nbytes", low=ALIGNMENT, high=ROOM_LIMIT + 2 * ALIGNMENT)
        token = offer.get("token")
        if not isinstance(token, bytes) or len(token) != TOKEN:
            raise Malformed("an offer of slots without a token")
        self.forget(session)
        if not self.node or len(self._readers) >= READERS_LIMIT:
            return False
        try:
            self._readers[session] = SlotReader(pid, fd, nbytes, token)
        except (OSError, ValueError, Malformed) as error:
            self.declined += 1
            log.info(
                "simulation %d, rank %d: no shared memory (%s)",
                session.simulation,
                session.rank,
                error,
            )
            return False
        return True

    def check(self, session: Session, parts: Sequence[Any]) -> list[Reference]:
        """References to payloads, none of them read yet."""
        if len(parts) > BLOCKS_LIMIT:
            raise Malformed(f"{len(parts)} references")
        reader = self._readers[session]
        return [reader.check(part) for part in parts]

    def read(self, session: Session, references: Sequence[Reference]) -> list[np.ndarray]:
        reader = self._readers[session]
        payloads = [reader.read(reference) for reference in references]
        self.blocks += len(payloads)
        self.bytes += sum(payload.nbytes for payload in payloads)
        return payloads

    def sweep(self) -> None:
        """Let go of memory whose rank died: until then the system keeps it."""
        now = time.monotonic()
        if now - self._swept < SWEEP:
            return
        self._swept = now
        for session, reader in list(self._readers.items()):
            if os.path.exists(f"/proc/{reader.pid}"):
                reader.died = 0.0
            elif not reader.died:
                reader.died = now
            elif now - reader.died > MOURNING:
                self.forget(session)

    def forget(self, session: Session) -> None:
        reader = self._readers.pop(session, None)
        if reader is not None:
            reader.close()

    def close(self) -> None:
        for session in list(self._readers):
            self.forget(session)
