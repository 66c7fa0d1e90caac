"""The protocol, seen from the server: what each message does. No sockets in here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any

from sciml.errors import DomainError, StreamError
from sciml.stream import message as m
from sciml.stream.control import check_control
from sciml.stream.credit import TOLERANCE, Credit
from sciml.stream.description import block_from_wire, digest, simulation_from_wire
from sciml.stream.events import Closed, Control, EventQueue, Quarantined
from sciml.stream.inspection import BadBlock
from sciml.stream.intervals import Intervals
from sciml.stream.journal import BYE, CLOSED, QUARANTINED, RANK, SIMULATION, Journal
from sciml.stream.ledger import Ledger
from sciml.stream.reception import Reception
from sciml.stream.session import OpenStream, Refusal, Session
from sciml.stream.slot_reader import Readers

log = logging.getLogger("sciml.stream")

#: Ranks of one simulation; each has a session of about a kilobyte.
RANKS_LIMIT = 1 << 16


class Registry:
    """State of all simulations that are streaming, driven by messages; owned by one thread.

    Args:
        epoch: life of the trainer; messages of another one are answered *unknown*.
        journal, ledger, events: where frames go.
        queue_limit: bytes of frames that may wait for the trainer.
        full: whether nothing more should come in for now.
        shared_memory: whether ranks on this node may use it.
        run: UUID of the run: who comes with the endpoint of another is refused.
        planned: numbers of its simulations; ``None``: any.
    """

    def __init__(
        self,
        epoch: int,
        journal: Journal,
        ledger: Ledger,
        events: EventQueue,
        queue_limit: int,
        full: Callable[[], bool],
        shared_memory: bool = True,
        run: str = "",
        planned: Collection[int] | None = None,
    ) -> None:
        self.epoch, self.run, self.planned = epoch, run, planned
        self.journal, self.ledger, self.events = journal, ledger, events
        self.credit = Credit(queue_limit, full)
        self.reception = Reception(journal, ledger, events, self.credit)
        self.readers = Readers(enabled=shared_memory)
        self.streams: dict[int, OpenStream] = {}
        #: Simulations that need nothing more: closed in this life or found closed at its start.
        self.closed = Intervals()
        self.peers: dict[bytes, Session] = {}
        #: Answers to send: (peer, envelope).
        self.outbox: list[tuple[bytes, bytes]] = []
        self.status: dict[str, Any] = {}
        #: Messages that no true client sends, and messages that met an error of ours.
        self.garbage = self.failures = 0
        self.problem = ""
        self._control: dict[str, Any] | None = None
        self._handlers = {
            m.HELLO: self._hello,
            m.BLOCKS: self._blocks,
            m.SLOTS: self._blocks,
            m.OFFER: self._offer,
            m.PING: self._ping,
            m.BYE: self._bye,
            m.WARN: self._warn,
            m.CONTROL: self._exchange,
        }

    def handle(self, peer: bytes, parts: Sequence[Any]) -> None:
        """Do what one message asks; whatever it contains, this returns."""
        try:
            envelope = m.decode_envelope(parts[0] if parts else b"")
            handler = self._handlers.get(envelope["kind"])
            if handler is None:
                raise m.Malformed(f"a message of kind {envelope['kind']!r:.40}")
            written = self.journal.written
            handler(peer, envelope, parts[1:])
            self.problem = "" if self.journal.written > written else self.problem
        except Refusal as error:
            self._refuse(peer, str(error))
        except (StreamError, DomainError) as error:
            self.garbage += 1
            self._refuse(peer, str(error))
        except OSError as error:
            # The spool has no room. The client keeps its blocks and asks again in a second.
            if not self.problem:
                log.error("spool: %s; solvers wait until there is room", error)
            self.problem = f"spool: {error}"
            self.peers.pop(peer, None)
            if envelope["kind"] == m.HELLO:  # it waits as long as we say that we are here
                self._answer(peer, m.WAIT, hello=envelope["hello"], reason=self.problem, here=True)
        except Exception as error:
            # A message may stop itself, never the thread that serves all the others.
            log.exception("message from a client could not be handled")
            self.failures += 1
            self._refuse(peer, f"the trainer could not handle a message: {error}")

    def flush(self) -> None:
        """Put into the outbox what the messages since the last call amount to; wake the trainer."""
        self.events.wake()
        for session in self.credit.touched:
            stream = self.streams.get(session.simulation)
            if session.peer is None or stream is None:
                continue
            window = self.credit.window(stream)
            self._answer(
                session.peer,
                m.ACK,
                hello=session.hello,
                accepted=session.sequence,
                durable=session.sequence,
                window=window,
                credit=self.credit.grant(session, window),
            )
        self.credit.touched.clear()

    def gone(self, peer: bytes) -> None:
        """The connection of ``peer`` is no more; its session waits for another hello."""
        session = self.peers.pop(peer, None)
        if session is not None and session.peer == peer:
            session.peer = None

    def quarantine(self, simulation: int, reason: str) -> None:
        """Nothing of this simulation comes in any more; the others go on."""
        reason = m.line(reason, 2000)
        log.warning("simulation %d quarantined: %s", simulation, reason)
        self.journal.note(QUARANTINED, simulation, reason=reason)
        self.ledger.quarantine(simulation, reason)
        self._drop(simulation, f"quarantined: {reason}")
        self.events.put(Quarantined(simulation, reason))

    def abandon(self, simulation: int) -> None:
        """The simulation will not be run again: close it with the frames it has."""
        if simulation in self.closed or self.ledger.reason(simulation) is not None:
            return
        self.ledger.trim(simulation)
        self._close(simulation, abandoned=True)
        self._drop(simulation, "the study goes on without this simulation")

    # -- messages -------------------------------------------------------------------------------

    def _hello(self, peer: bytes, envelope: dict[str, Any], parts: Sequence[Any]) -> None:
        self._check_run(envelope)
        number = m.whole(envelope, "simulation")
        if self.planned is not None and number not in self.planned:
            raise Refusal(
                f"simulation {number} is none of this run's {len(self.planned)}; expected a number "
                "from its simulations.json (SCIML_SIMULATION)"
            )
        attempt, hello = m.whole(envelope, "attempt", low=1), m.whole(envelope, "hello", low=1)
        ranks = m.whole(envelope, "ranks", low=1, high=RANKS_LIMIT)
        rank = m.whole(envelope, "rank", high=ranks)
        token = envelope.get("token")
        if not isinstance(token, bytes) or not 8 <= len(token) <= 64:
            raise m.Malformed("hello without a token")
        self._check_quarantine(number)
        if number in self.closed or self.ledger.finished(number):
            self._answer(peer, m.WELCOME, hello=hello, finished=True)
            return
        stream = self.streams.get(number)
        self._check_fence(stream, attempt)
        if stream is None or stream.attempt < attempt:
            if rank != 0:
                # Rank 0 describes the simulation; until then nothing can be checked.
                self._answer(peer, m.WAIT, hello=hello, reason="rank 0 has not connected")
                return
            stream = self._begin(number, attempt, ranks, envelope)
        if ranks != stream.ranks or m.whole(envelope, "digest") != stream.digest:
            self.quarantine(number, f"rank {rank} describes another simulation than rank 0")
            self._check_quarantine(number)
        session = self._session(stream, rank, token, envelope)
        if session.peer is not None:
            self.peers.pop(session.peer, None)
        session.bind(peer, hello)
        self.peers[peer] = session
        self.credit.forget(session)
        self._count_active()
        if stream.complete and not stream.tiled and not stream.check_tiling():
            boxes = [(s.block.offset, s.block.shape) for s in stream.sessions.values()]
            self.quarantine(
                number,
                f"the blocks of {ranks} ranks do not tile "
                f"{stream.simulation.domain.point_shape}: {boxes!r:.300}",
            )
            self._check_quarantine(number)
        if stream.tiled and not stream.opened and stream.overlap is None:
            self.reception.open(stream, continues=False)
        window = self.credit.window(stream)
        self._answer(
            peer,
            m.WELCOME,
            hello=hello,
            finished=False,
            held=stream.held(rank).ranges(),
            overlap=stream.overlap,
            node=self.readers.node,
            window=window,
            credit=self.credit.grant(session, window),
        )

    def _blocks(self, peer: bytes, envelope: dict[str, Any], parts: Sequence[Any]) -> None:
        session = self._known(peer, envelope)
        if session is None:
            return
        by_slots = envelope["kind"] == m.SLOTS
        parts = m.blobs(envelope, "blocks") if by_slots else parts
        if len(parts) % 2 or not 0 < len(parts) <= 2 * m.BLOCKS_LIMIT:
            raise m.Malformed(f"{len(parts)} parts of blocks; expected pairs of header and payload")
        stream = self.streams[session.simulation]
        payloads = parts[1::2]
        if by_slots and session not in self.readers:
            self._answer(peer, m.UNKNOWN, hello=session.hello)
            return
        references = self.readers.check(session, payloads) if by_slots else ()
        session.received += sum((r.nbytes for r in references) if by_slots else map(len, payloads))
        if session.received > session.granted + TOLERANCE + self.credit.window(stream):
            raise Refusal(f"rank {session.rank} sent more than it has credit for")
        if by_slots:
            payloads = self.readers.read(session, references)
        try:
            self.reception.take(stream, session, parts[::2], payloads)
        except BadBlock as error:
            self.quarantine(session.simulation, str(error))
            return
        session.sequence = m.whole(envelope, "sequence", low=session.sequence)
        self.credit.touched.add(session)

    def _offer(self, peer: bytes, envelope: dict[str, Any], parts: Sequence[Any]) -> None:
        session = self._known(peer, envelope)
        if session is not None:
            accepted = self.readers.open(session, envelope)
            self._answer(peer, m.OFFER, hello=session.hello, accepted=accepted)

    def _ping(self, peer: bytes, envelope: dict[str, Any], parts: Sequence[Any]) -> None:
        session = self._known(peer, envelope)
        if session is not None:
            self.credit.touched.add(session)

    def _warn(self, peer: bytes, envelope: dict[str, Any], parts: Sequence[Any]) -> None:
        """Not answered and not journalled: each life is sent all anew, and so is the goodbye."""
        session = self._known(peer, envelope)
        if session is not None:
            warned = m.warnings(envelope, "warnings")
            self.ledger.warn(session.simulation, session.attempt, warned)

    def _bye(self, peer: bytes, envelope: dict[str, Any], parts: Sequence[Any]) -> None:
        session = self._known(peer, envelope)
        if session is None:
            return
        stream = self.streams[session.simulation]
        steps = Intervals.from_wire(envelope.get("steps"))
        warned = m.warnings(envelope, "warnings")
        self.ledger.warn(session.simulation, session.attempt, warned)
        if not session.done:
            self.journal.note(
                BYE,
                session.simulation,
                attempt=session.attempt,
                rank=session.rank,
                steps=steps.ranges(),
                warnings=[w.to_json() for w in warned],
            )
            session.done = True
            stream.produced.update(steps)
            self.ledger.produce(session.simulation, steps)
            self._count_active()
        if stream.finished:
            missing = stream.produced.minus(stream.delivered)
            if missing:
                # Blocks that were durable once and are so no more (a damaged spool), or ranks that
                # disagree about the steps: only another attempt can bring those frames.
                raise Refusal(
                    f"{len(missing)} frames of simulation {session.simulation} are incomplete, "
                    f"steps {missing.ranges()!r:.80}; run it again as attempt {stream.attempt + 1}"
                )
            if not stream.opened:
                self.reception.open(stream, continues=False)
            self._close(session.simulation)
            self._drop(session.simulation, None)
        self._answer(peer, m.BYE, hello=session.hello)

    def _exchange(self, peer: bytes, envelope: dict[str, Any], parts: Sequence[Any]) -> None:
        self._check_run(envelope)
        contents = envelope.get("message")
        if not isinstance(contents, dict):
            raise m.Malformed("control without a message")
        check_control(contents)
        if contents != self._control:
            self._control = contents
            self.events.put(Control(contents))
        number = m.whole(envelope, "number")
        self._answer(peer, m.CONTROL, number=number, status=self.status)

    # -- parts of them --------------------------------------------------------------------------

    def _begin(self, number: int, attempt: int, ranks: int, envelope: dict[str, Any]) -> OpenStream:
        """A first or a newer attempt: what is incomplete of the older one is dropped."""
        description = envelope.get("description")
        if not isinstance(description, dict):
            raise m.Malformed("hello of rank 0 without a description")
        simulation = simulation_from_wire(description)
        if simulation.id != number or digest(simulation) != m.whole(envelope, "digest"):
            raise m.Malformed("hello whose description is of another simulation")
        self.ledger.rerun(number, attempt)
        old = self.streams.get(number)
        delivered = old.delivered if old else self.ledger.entered(number)
        stream = OpenStream.begin(
            simulation, attempt, ranks, digest(simulation), delivered, self.journal.values
        )
        self.journal.note(
            SIMULATION,
            number,
            attempt=attempt,
            ranks=ranks,
            digest=stream.digest,
            description=description,
        )
        if old is not None:
            stream.early = old.early
            self._drop(number, "fenced: a newer attempt is streaming")
        self.streams[number] = stream
        self.reception.expect_overlap(stream, old.simulation if old else None)
        return stream

    def _session(
        self, stream: OpenStream, rank: int, token: bytes, envelope: dict[str, Any]
    ) -> Session:
        session = stream.sessions.get(rank)
        if session is not None:
            if session.token != token:
                raise Refusal(
                    f"rank {rank} of attempt {stream.attempt} of simulation {stream.simulation.id} is "
                    "another process already: under MPI each rank gives its rank= and ranks= to "
                    f"connect(); run again, it is attempt {stream.attempt + 1} (SCIML_ATTEMPT)"
                )
            return session
        block = block_from_wire(stream.simulation, stream.ranks, envelope)
        if block is None:
            self.quarantine(
                stream.simulation.id,
                f"rank {rank} holds offset {envelope.get('offset')!r:.60}, shape "
                f"{envelope.get('shape')!r:.60}; expected a block inside "
                f"{stream.simulation.domain.point_shape}, or one rank without a block",
            )
            self._check_quarantine(stream.simulation.id)
        self.journal.note(
            RANK,
            stream.simulation.id,
            attempt=stream.attempt,
            rank=rank,
            token=token,
            offset=block.offset,
            shape=block.shape,
        )
        session = Session(stream.simulation.id, stream.attempt, rank, token, block)
        stream.sessions[rank] = session
        return session

    def _known(self, peer: bytes, envelope: dict[str, Any]) -> Session | None:
        """The session of a message of this epoch and of the newest hello."""
        hello = m.whole(envelope, "hello", low=1)
        session = self.peers.get(peer)
        known = session is not None and session.hello == hello
        if not known or m.whole(envelope, "epoch") != self.epoch:
            self._answer(peer, m.UNKNOWN, hello=hello)
            return None
        if session.simulation not in self.streams:
            self.peers.pop(peer)
            self._answer(peer, m.UNKNOWN, hello=hello)
            return None
        return session

    def _check_run(self, envelope: dict[str, Any]) -> None:
        theirs = m.text(envelope, "run")
        if theirs != self.run:
            raise Refusal(
                f"here listens the trainer of run {self.run}, and the endpoint is that of run "
                f"{theirs or '(none)'}, whose trainer is gone or elsewhere; nothing was taken: end this "
                "process, its own run starts it again"
            )

    def _check_quarantine(self, number: int) -> None:
        reason = self.ledger.reason(number)
        if reason is not None:
            raise Refusal(f"simulation {number} is quarantined: {reason}")

    def _check_fence(self, stream: OpenStream | None, attempt: int) -> None:
        if stream is not None and attempt < stream.attempt:
            raise Refusal(
                f"fenced: attempt {attempt} of simulation {stream.simulation.id} came after "
                f"attempt {stream.attempt} had begun"
            )

    def _drop(self, simulation: int, reason: str | None) -> None:
        """End a stream; its ranks are refused with ``reason``, unless it ended as it should."""
        stream = self.streams.pop(simulation, None)
        if stream is None:
            return
        self.journal.forget((simulation, step) for step in stream.assembler.partials)
        for session in stream.sessions.values():
            self.credit.forget(session)
            self.readers.forget(session)
            if session.peer is not None:
                self.peers.pop(session.peer, None)
                if reason is not None:
                    self._refuse(session.peer, reason)
        self._count_active()

    def _close(self, simulation: int, abandoned: bool = False) -> None:
        self.journal.note(CLOSED, simulation, abandoned=abandoned)
        self.closed.add(simulation)
        self.ledger.close(simulation)
        self.events.put(Closed(simulation, abandoned))

    def _count_active(self) -> None:
        sessions = self.peers.values()
        self.credit.active = sum(not session.done for session in sessions)

    def _refuse(self, peer: bytes, reason: str) -> None:
        self._answer(peer, m.REFUSED, reason=m.line(reason, 2000))

    def _answer(self, peer: bytes, kind: str, **entries: Any) -> None:
        self.outbox.append((peer, m.envelope(kind, epoch=self.epoch, **entries)))
