"""What the records of the spool mean: blocks of frames, and notes about simulations."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from sciml.samples import Frame
from sciml.stream.assembler import from_records
from sciml.stream.message import Header
from sciml.stream.spool import Spool, SpoolRecord

Key = tuple[int, int]

#: Kinds of records. All but BLOCK are notes.
BLOCK = "block"
SIMULATION, RANK, OPENED, BYE, CLOSED, QUARANTINED = (
    "simulation",
    "rank",
    "opened",
    "bye",
    "closed",
    "quarantined",
)


class Journal:
    """The spool, by frame and by simulation; thread-safe.

    Args:
        spool: where the records lie.
    """

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self._lock = threading.RLock()
        #: Times that something was written: whoever compares sees whether there was room.
        self.written = 0
        self._blocks: dict[Key, list[int]] = {}
        self._notes: dict[int, list[tuple[str, int]]] = {}

    # -- writing --------------------------------------------------------------------------------

    def add_blocks(self, blocks: Sequence[tuple[Header, int, Any]]) -> list[int]:
        """Journal ``(header, rank, payload)``; see :meth:`Spool.append_all`."""
        orders = self.spool.append_all(
            [
                ({"kind": BLOCK, "rank": rank, **header._asdict()}, payload)
                for header, rank, payload in blocks
            ]
        )
        with self._lock:
            self.written += 1
            for (header, _, _), order in zip(blocks, orders, strict=True):
                self._blocks.setdefault((header.simulation, header.step), []).append(order)
        return orders

    def note(self, kind: str, simulation: int, **entries: Any) -> None:
        order = self.spool.append({"kind": kind, "simulation": simulation, **entries})
        with self._lock:
            self.written += 1
            self._notes.setdefault(simulation, []).append((kind, order))

    def adopt(self, record: SpoolRecord) -> None:
        """A record that a scan found."""
        header = record.header
        with self._lock:
            if header["kind"] == BLOCK:
                key = header["simulation"], header["step"]
                self._blocks.setdefault(key, []).append(record.order)
            else:
                notes = self._notes.setdefault(header["simulation"], [])
                notes.append((header["kind"], record.order))

    # -- reading --------------------------------------------------------------------------------

    def __contains__(self, key: Key) -> bool:
        return key in self._blocks

    def keys(self) -> list[Key]:
        with self._lock:
            return list(self._blocks)

    def values(self, order: int) -> np.ndarray:
        """Payload of one block as ``uint8``."""
        return self.spool.read(order)[1]

    def frame(self, key: Key, fields: Sequence[str]) -> Frame:
        """A frame that was delivered.

        Raises:
            KeyError: it is not in the spool (any more).
        """
        with self._lock:
            orders = list(self._blocks[key])
        return from_records(*key, (self.spool.read(order) for order in orders), fields)

    def description(self, simulation: int) -> dict[str, Any] | None:
        """The newest description of a simulation."""
        with self._lock:
            orders = [o for kind, o in self._notes.get(simulation, ()) if kind == SIMULATION]
        return self.spool.read(orders[-1])[0]["description"] if orders else None

    # -- letting go -----------------------------------------------------------------------------

    def forget(self, keys: Iterable[Key]) -> None:
        with self._lock:
            for key in keys:
                self.spool.drop(self._blocks.pop(key, ()))

    def retain(self, needed: Callable[[Key], bool], finished: Callable[[int], bool]) -> list[int]:
        """Drop frames that are not ``needed``, and what was noted about ``finished`` simulations.

        Of a finished simulation with needed frames the description stays. Returns the numbers of
        those that are gone altogether.
        """
        self.forget([key for key in self.keys() if not needed(key)])
        gone = []
        with self._lock:
            kept = {simulation for simulation, _ in self._blocks}
            for simulation in [s for s in self._notes if finished(s)]:
                notes = self._notes.pop(simulation)
                stay = [n for n in notes if n[0] == SIMULATION and simulation in kept]
                self.spool.drop({order for _, order in notes} - {order for _, order in stay})
                if stay:
                    self._notes[simulation] = stay
                else:
                    gone.append(simulation)
        self.spool.compact()
        return gone
