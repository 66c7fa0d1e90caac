"""What the server knows about a rank, and about the attempt that it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sciml.domain.block import Block, tiles
from sciml.errors import StreamError
from sciml.samples import Simulation
from sciml.stream.assembler import Assembler
from sciml.stream.intervals import Intervals

#: What all blocks of one field from one rank have in common: field, dtype, global shape, offset, shape.
BlockLayout = tuple[str, str, tuple[int, ...], tuple[int, ...], tuple[int, ...]]


class Refusal(StreamError):
    """A peer is refused, with the reason; nothing else changes."""


@dataclass(eq=False, slots=True)
class Session:
    """One rank of one attempt of one simulation; outlives its connections.

    Credit is counted in bytes from the last hello: what was ``returned`` plus a window; ``granted``
    is the most that the client ever got.

    Args:
        rank: also the number of its block.
        token: drawn by the client process: tells a reconnection from a second process.
        block: the box of points that it holds.
    """

    simulation: int
    attempt: int
    rank: int
    token: bytes
    block: Block
    peer: bytes | None = None
    hello: int = 0
    sequence: int = 0
    received: int = 0
    returned: int = 0
    withheld: int = 0
    granted: int = 0
    done: bool = False
    #: Layouts of blocks that passed every check: one a field, since all others are refused.
    layouts: dict[BlockLayout, np.dtype] = field(default_factory=dict)

    def bind(self, peer: bytes, hello: int) -> None:
        """A connection said hello: the count of bytes begins anew."""
        self.peer, self.hello = peer, hello
        self.sequence = self.received = self.returned = self.withheld = 0
        self.granted = 0


@dataclass(eq=False, slots=True)
class OpenStream:
    """The newest attempt of one simulation.

    Args:
        simulation: as rank 0 of this attempt described it.
        attempt: older ones are fenced off.
        ranks: how many blocks a field on points has.
        digest: of the description, the same on all ranks.
        delivered: steps whose frames are complete, of this attempt or one before.
        assembler: frames that are not complete.
    """

    simulation: Simulation
    attempt: int
    ranks: int
    digest: int
    assembler: Assembler
    delivered: Intervals = field(default_factory=Intervals)
    produced: Intervals = field(default_factory=Intervals)
    sessions: dict[int, Session] = field(default_factory=dict)
    dtypes: dict[str, np.dtype] = field(default_factory=dict)
    tiled: bool = False
    opened: bool = False
    #: Step of the overlapping frame that decides whether windows continue; None if none will.
    overlap: int | None = None
    probe: Assembler | None = None
    #: Steps before the overlap whose frames are complete: given to the trainer once that is decided.
    early: list[int] = field(default_factory=list)

    @classmethod
    def begin(
        cls,
        simulation: Simulation,
        attempt: int,
        ranks: int,
        digest: int,
        delivered: Intervals,
        read: Callable[[int], np.ndarray],
    ) -> OpenStream:
        assembler = Assembler(simulation.fields, ranks, read)
        return cls(simulation, attempt, ranks, digest, assembler, delivered)

    def expect_overlap(self, step: int) -> None:
        """The client is to send ``step`` once more, to be compared with what is there."""
        self.overlap = step
        self.probe = Assembler(self.simulation.fields, self.ranks, self.assembler._read)

    def settle_overlap(self) -> None:
        self.overlap = self.probe = None

    @property
    def complete(self) -> bool:
        """Whether every rank has said hello."""
        return len(self.sessions) == self.ranks

    @property
    def finished(self) -> bool:
        return self.complete and all(session.done for session in self.sessions.values())

    def check_tiling(self) -> bool:
        shape = self.simulation.domain.point_shape
        self.tiled = tiles([session.block for session in self.sessions.values()], shape)
        return self.tiled

    def held(self, rank: int) -> Intervals:
        """Steps that ``rank`` need not send."""
        held = self.delivered.copy()
        for step in self.assembler.held(rank):
            held.add(step)
        return held if self.overlap is None else held.without(self.overlap)
