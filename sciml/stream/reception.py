"""Blocks that were let in: journalled, joined to frames, given to the trainer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from sciml.domain.block import Block
from sciml.samples import Frame, Simulation
from sciml.stream.assembler import Assembler, Partial, Piece, detach
from sciml.stream.credit import Credit
from sciml.stream.events import Deferred, EventQueue, Opened
from sciml.stream.inspection import BadBlock, inspect
from sciml.stream.journal import OPENED, Journal
from sciml.stream.ledger import Ledger
from sciml.stream.message import Header, Malformed
from sciml.stream.session import OpenStream, Session


class Reception:
    """The way of a block from the socket to the queue.

    Args:
        journal, ledger, events: where frames go.
        credit: what senders get back for them.
    """

    def __init__(
        self, journal: Journal, ledger: Ledger, events: EventQueue, credit: Credit
    ) -> None:
        self._journal, self._ledger, self._events = journal, ledger, events
        self._credit = credit
        self.bytes = 0

    def take(
        self, stream: OpenStream, session: Session, headers: Sequence[Any], payloads: Sequence[Any]
    ) -> None:
        """All blocks of one message.

        Raises:
            BadBlock: after the good blocks before it were taken.
            OSError: the spool has no room; nothing was taken.
        """
        fresh: list[tuple[Header, Any, np.ndarray]] = []
        seen: set[tuple[int, str]] = set()
        bad: BadBlock | None = None
        for packed, payload in zip(headers, payloads, strict=True):
            header = Header.decode(packed)
            if (header.simulation, header.attempt) != (session.simulation, session.attempt):
                raise Malformed("a block of another simulation than its sender said hello for")
            try:
                values = inspect(header, payload, stream, session)
            except BadBlock as error:
                bad = error
                break
            step, name = header.step, header.field
            if step == stream.overlap:
                self._compare(stream, session, header, values)
                continue
            known = step in stream.delivered or stream.assembler.has(step, name, session.rank)
            if known or (step, name) in seen:
                self._ledger.resend(1)
                self._credit.give_back(session, session.hello, values.nbytes)
                continue
            seen.add((step, name))
            fresh.append((header, payload, values))
        if fresh:
            self._journal.add_blocks([(header, session.rank, p) for header, p, _ in fresh])
            whole: list[tuple[Frame, Partial]] = []
            for header, _, values in fresh:
                self._join(stream, session, header, values, whole)
            self._events.put_frames([frame for frame, _ in whole])
            for _, parts in whole:
                self._credit.settle(parts)
        if bad is not None:
            raise bad

    def open(self, stream: OpenStream, *, continues: bool) -> None:
        number = stream.simulation.id
        self._journal.note(OPENED, number, attempt=stream.attempt, continues=continues)
        stream.opened = True  # only now: what cannot be written down has not happened
        stream.settle_overlap()
        self._events.put(Opened(stream.simulation, stream.attempt, continues))
        names = [field.name for field in stream.simulation.fields]
        for step in stream.early:
            self._events.put(Deferred(partial(self._journal.frame, (number, step), names)))
        stream.early.clear()

    def expect_overlap(self, stream: OpenStream, old: Simulation | None) -> None:
        """Ask a re-run for one frame again, if that may let windows continue.

        The last one before the first gap; where the very first frames are missing, lost from a damaged
        spool, the first one that is there.
        """
        there = stream.delivered
        if old is None or not (there and old.deterministic and stream.simulation.deterministic):
            return
        step = there.leading() - 1 if 0 in there else there.ranges()[0][0]
        if (stream.simulation.id, step) in self._journal:
            stream.expect_overlap(step)

    def _join(
        self,
        stream: OpenStream,
        session: Session,
        header: Header,
        values: np.ndarray,
        whole: list[tuple[Frame, Partial]],
    ) -> None:
        """Add a journalled block; a frame that it completes is added to ``whole``."""
        self.bytes += values.nbytes
        step = header.step
        if step not in stream.assembler.partials:
            stream.produced.add(step)
            self._ledger.announce(stream.simulation.id, step)
        complete = _add(stream.assembler, session, header, values)
        if not complete:
            return
        frame, parts = stream.assembler.take(stream.simulation.id, stream.attempt, step)
        stream.delivered.add(step)
        self._ledger.receive(stream.simulation.id, step)
        if not stream.opened and stream.overlap is not None and step < stream.overlap:
            # Whether it may join what is there is not known yet; until then it lies in the spool.
            stream.early.append(step)
            self._credit.settle(parts)
            return
        if not stream.opened:
            # A frame beyond the overlap is complete and the overlap is not: nothing was shown.
            self.open(stream, continues=False)
        whole.append((frame, parts))

    def _compare(
        self, stream: OpenStream, session: Session, header: Header, values: np.ndarray
    ) -> None:
        """Blocks of the overlapping frame: do they agree, bit for bit, with what was delivered?"""
        probe = stream.probe
        if probe.has(header.step, header.field, session.rank):
            self._credit.give_back(session, session.hello, values.nbytes)
            return
        if not _add(probe, session, header, values):
            return
        again, parts = probe.take(stream.simulation.id, stream.attempt, header.step)
        self.open(stream, continues=self._agrees(stream, again))
        self._credit.settle(parts)

    def _agrees(self, stream: OpenStream, again: Frame) -> bool:
        try:
            before = self._journal.frame(again.key, [f.name for f in stream.simulation.fields])
        except KeyError:
            return False
        return before.fields.keys() == again.fields.keys() and all(
            before.fields[name].dtype == values.dtype
            and np.array_equal(before.fields[name], values)
            for name, values in again.fields.items()
        )


def _add(assembler: Assembler, session: Session, header: Header, values: np.ndarray) -> bool:
    same = header.shape == session.block.shape and header.offset == session.block.offset
    block = session.block if same else Block(header.offset, header.shape)
    piece = Piece(block, values.dtype, header.global_shape, detach(values))
    complete = assembler.add(header.step, header.time, header.field, session.rank, piece)
    charge = (session, session.hello, values.nbytes)
    assembler.partials[header.step].charges.append(charge)
    return complete
