"""After the trainer's death: the spool, read in order, becomes the state it had, and its events."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from sciml.domain.block import Block
from sciml.samples.program_warnings import parsed
from sciml.stream.assembler import piece_of
from sciml.stream.description import simulation_from_wire
from sciml.stream.events import Closed, Deferred, Opened, Quarantined
from sciml.stream.intervals import Intervals
from sciml.stream.journal import BLOCK, BYE, CLOSED, OPENED, QUARANTINED, RANK, SIMULATION
from sciml.stream.registry import Registry
from sciml.stream.session import OpenStream, Session
from sciml.stream.spool import SpoolRecord


class Recovery:
    """Plays the records of a spool into a fresh :class:`Registry`.

    The ledger is that of the checkpoint. Frames that it does not count as entered are given to the
    trainer again: they were drawn, if at all, by weights that are gone. Frames that are incomplete
    wait for the rest, and simulations for their ranks to say hello again.

    Args:
        registry: without streams; its ledger is loaded.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._journal, self._ledger = registry.journal, registry.ledger
        self._events = registry.events
        self._played = {
            SIMULATION: self._simulation,
            RANK: self._rank,
            OPENED: self._opened,
            BLOCK: self._block,
            BYE: self._bye,
            CLOSED: self._closed,
            QUARANTINED: self._quarantined,
        }

    def play(self, records: Iterable[SpoolRecord]) -> None:
        for record in records:
            self._journal.adopt(record)
            played = self._played.get(record.header["kind"])
            if played is not None and not self._ledger.finished(record.header["simulation"]):
                played(record)
        for stream in self._registry.streams.values():
            if not stream.opened and stream.attempt > 1:
                self._registry.reception.expect_overlap(stream, stream.simulation)

    def _simulation(self, record: SpoolRecord) -> None:
        header = record.header
        number, simulation = header["simulation"], simulation_from_wire(header["description"])
        self._ledger.rerun(number, header["attempt"])
        old = self._registry.streams.get(number)
        if old is not None:
            self._journal.forget((number, step) for step in old.assembler.partials)
        self._registry.streams[number] = OpenStream.begin(
            simulation,
            header["attempt"],
            header["ranks"],
            header["digest"],
            old.delivered if old else self._ledger.entered(number),
            self._journal.values,
        )

    def _rank(self, record: SpoolRecord) -> None:
        header = record.header
        stream = self._stream(record)
        if stream is not None:
            block = Block(tuple(header["offset"]), tuple(header["shape"]))
            rank = header["rank"]
            stream.sessions[rank] = Session(
                stream.simulation.id, stream.attempt, rank, header["token"], block
            )
            if stream.complete:
                stream.check_tiling()

    def _opened(self, record: SpoolRecord) -> None:
        stream = self._stream(record)
        if stream is None:
            return
        stream.opened = True
        before = self._ledger.attempt(stream.simulation.id)
        if stream.attempt >= before:
            # The checkpoint holds windows of this very attempt: they go on.
            continues = stream.attempt == before or record.header["continues"]
            self._events.put(Opened(stream.simulation, stream.attempt, continues))

    def _block(self, record: SpoolRecord) -> None:
        header, stream = record.header, self._stream(record)
        number, step = header["simulation"], header["step"]
        if stream is None:
            if not self._ledger.has_entered(number, step):
                self._journal.forget([(number, step)])
            return
        if step in stream.delivered or stream.assembler.has(step, header["field"], header["rank"]):
            return
        stream.dtypes.setdefault(header["field"], np.dtype(header["dtype"]))
        stream.produced.add(step)
        self._ledger.announce(number, step)
        piece = piece_of(header, record.order)
        complete = stream.assembler.add(
            step, header["time"], header["field"], header["rank"], piece
        )
        if complete:
            if not stream.opened:  # the note that it was is lost
                stream.opened = True
                ours = stream.attempt == self._ledger.attempt(number)
                self._events.put(Opened(stream.simulation, stream.attempt, ours))
            del stream.assembler.partials[step]
            stream.delivered.add(step)
            self._ledger.receive(number, step)
            names = [field.name for field in stream.simulation.fields]
            self._events.put(Deferred(partial(self._journal.frame, (number, step), names)))

    def _bye(self, record: SpoolRecord) -> None:
        header, stream = record.header, self._stream(record)
        if stream is not None and header["rank"] in stream.sessions:
            steps = Intervals((start, stop) for start, stop in header["steps"])
            stream.sessions[header["rank"]].done = True
            stream.produced.update(steps)
            self._ledger.produce(stream.simulation.id, steps)
            warned = parsed(header["warnings"])
            self._ledger.warn(stream.simulation.id, stream.attempt, warned)

    def _closed(self, record: SpoolRecord) -> None:
        number = record.header["simulation"]
        stream = self._registry.streams.get(number)
        whole = stream is not None and not stream.produced.minus(stream.delivered)
        if not whole and not record.header["abandoned"]:
            return  # what has been lost since comes with another attempt
        self._registry.streams.pop(number, None)
        if stream is not None:
            self._journal.forget((number, step) for step in stream.assembler.partials)
        self._registry.closed.add(number)
        self._ledger.close(number)
        self._events.put(Closed(number, record.header["abandoned"]))

    def _quarantined(self, record: SpoolRecord) -> None:
        number, reason = record.header["simulation"], record.header["reason"]
        stream = self._registry.streams.pop(number, None)
        if stream is not None:
            self._journal.forget((number, step) for step in stream.assembler.partials)
        self._ledger.quarantine(number, reason)
        self._events.put(Quarantined(number, reason))

    def _stream(self, record: SpoolRecord) -> OpenStream | None:
        """The stream that a record belongs to; None if its description did not survive."""
        stream = self._registry.streams.get(record.header["simulation"])
        fits = stream is not None and stream.attempt == record.header["attempt"]
        return stream if fits else None
