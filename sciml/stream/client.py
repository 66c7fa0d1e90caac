"""What a solver rank holds: send, close.

Light on purpose: numpy and msgpack, no thread of its own. Everything the protocol asks for is done
inside ``send`` and ``close``; the trainer may die and come back in between.
"""

from __future__ import annotations

import contextlib
import os
import time as clock
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.domain.block import Block
from sciml.domain.names import require_names
from sciml.errors import DomainError, InputError, StreamError
from sciml.lazy import lazy
from sciml.samples import Simulation
from sciml.samples.program_warnings import Warned, Warnings
from sciml.stream import message as m
from sciml.stream.description import digest, simulation_to_wire
from sciml.stream.in_flight import InFlight
from sciml.stream.intervals import Intervals
from sciml.stream.parcel import Packer, Parcel
from sciml.stream.patience import Patience
from sciml.stream.policy import SendPolicy
from sciml.stream.slots import ROOM, ROOM_LIMIT, SMALL, Slots, node

if TYPE_CHECKING:
    from sciml.stream.transport import StreamTransport

#: Seconds that one wait for the trainer lasts. Longer, and a trainer that has moved is found later;
#: shorter, and ranks that wait take more of the cores.
POLL = 0.25
#: Seconds from one message about warnings to the next; what is newest goes with the goodbye in any case.
WARN_PAUSE = 0.5
#: Seconds between hellos while another rank is waited for.
HELLO_PAUSE = 0.05


class Client:
    """A rank's end of the stream; make it with :func:`connect`. Used from one thread.

    Args:
        simulation: what is streamed.
        block: the points this rank holds; ``None``: all of them (one rank only).
        rank, ranks: of how many.
        attempt: of running this simulation, from 1; a higher one fences lower ones off.
        transport: the way to the trainer, which is closed with the client.
        timeout: seconds to wait for the first answer.
        patience: seconds without any sign of the trainer before giving up later on.
        shared_memory: whether fields may go through it to a trainer on the same node.
        dtype: of what is sent; ``None``: as the arrays are.
        policy: what is sent of the simulation and the block, and of what :meth:`send` is given.

    Raises:
        InputError: a policy that does not fit.
        DomainError: names that no dataset can have, a static field of another shape.
        StreamError: as :func:`connect`.
    """

    def __init__(
        self,
        simulation: Simulation,
        block: Block | None,
        rank: int,
        ranks: int,
        attempt: int,
        transport: StreamTransport,
        timeout: float,
        patience: float,
        shared_memory: bool,
        dtype: np.dtype | None,
        policy: SendPolicy,
    ) -> None:
        fields = [field.name for field in simulation.fields]
        require_names(fields, simulation.static, simulation.parameters, simulation.domain.kind)
        for field in simulation.static_fields:
            found, wanted = np.shape(simulation.static[field.name]), field.shape(simulation.domain)
            if found != wanted:
                raise DomainError(
                    f"connect: static field '{field.name}' of shape {found}; expected {wanted}, all of "
                    f"it on every rank; on '{field.on}', as static_fields=[Field(...)] says, else point"
                )
        points = simulation.domain.point_shape
        self._policy, self._declared = policy, simulation.fields
        self._whole_block = Block((0,) * len(points), points) if block is None else block
        simulation = policy.simulation(simulation)
        if block is not None and policy.coarsen > 1:
            block = policy.block(block)
        self.simulation, self.attempt, self.rank = simulation, attempt, rank
        self._ranks, self._block = ranks, block
        self._token = os.urandom(16)
        self._hello = 0
        self._epoch = 0
        self._steps = Intervals()
        self._held = Intervals()
        self._overlap: int | None = None
        self._ready = self._finished = self._left = self._closed = False
        own = 1.0 if block is None else block.size / simulation.domain.size
        self._in_flight = InFlight(max(ranks, ceil(1.0 / own)), self._forget)
        #: What this rank has warned of: sent whole each time, so that it may come twice.
        self.warnings = Warnings()
        self._warned, self._warned_at, self._last_step = 0, 0.0, 0
        self._slots: Slots | None = None
        self._node = node() if shared_memory else ""
        self._waits = ""
        self._transport = transport
        limit = transport.endpoint.message_limit
        self._packer = Packer(simulation, block, rank, attempt, limit, dtype)
        self._patience = Patience(timeout)
        try:
            self._say_hello()
            while not self._ready:
                self._await()
        except BaseException:
            self.abort()
            raise
        self._patience = Patience(patience)

    def send(self, step: int, time: float, **fields: np.ndarray) -> None:
        """Stream one state: a block of every field.

        The arrays are copied; they may change as soon as this returns. It waits while the trainer
        has no room, or is away.

        Of a study with ``solver.send`` only what it asks for goes out: states whose ``step`` is no
        multiple of ``every`` are dropped at once, the others are counted anew.

        Args:
            step: count of the states given here, from 0.
            time: physical time.
            **fields: this rank's block of every field; the only cast is to the ``dtype`` of the study
                or :func:`connect`, C order is made.

        Raises:
            InputError: a field is missing or unknown, a step was sent before, no numbers.
            StreamError: refused (fenced, quarantined), or no sign of the trainer any more.
        """
        if self._closed:
            raise StreamError("send() on a client that is closed")
        if step % self.every:
            return
        step //= self.every
        if step in self._steps:
            given = step * self.every
            raise InputError(f"send: step {given} was sent before; expected each step once")
        fields = self._policy.take(self._declared, fields, self._whole_block)
        arrays = self._packer.check(step, fields)
        step = int(step)  # numpy's whole numbers would stay in the goodbye, which takes none
        self._steps.add(step)
        self._last_step = step
        if self._finished or (step in self._held and step != self._overlap):
            self._listen()
            return
        slots = self._room(arrays)
        self._in_flight.add(self._packer.pack(step, float(time), arrays, slots))
        if not self._in_flight.may_wait:
            self._listen()
            self._pump()
            while self._in_flight.queued and not self._finished:
                self._await()
                self._pump()

    @property
    def every(self) -> int:
        """Steps from one state that goes out to the next."""
        return self._policy.every

    def warn(
        self,
        message: str,
        value: float | None = None,
        *,
        step: int | None = None,
        kind: str | None = None,
    ) -> None:
        """Say that the data are worth less than they look: a grid too coarse, a solver that did not
        converge. The run goes on; display, summary, status and recording say it.

        Args:
            message: one line, cut at 300 characters: what is wrong by how much, and the remedy.
            value: how bad it is, the larger the worse: of many warnings of a kind the largest is kept.
            step: where; the one sent last by default.
            kind: what such warnings have in common; by default the message without its numbers.

        Raises:
            InputError: a value or step that is no number.
            StreamError: the client is closed.
        """
        if self._closed:
            raise StreamError("warn() on a client that is closed")
        step = self._last_step if step is None else step
        try:
            warned = Warned.made(message, value, step, kind)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"warn: value={value!r:.60}, step={step!r:.60}; expected numbers, or None"
            ) from error
        self.warnings.add(warned)

    def close(self) -> None:
        """Wait until everything is durable, then say goodbye for this rank.

        Raises:
            StreamError: as :meth:`send`; also when frames were lost on the trainer's side and only
                another attempt can bring them.
        """
        if self._closed:
            return
        try:
            said = 0.0
            while not (self._left or self._finished):
                self._pump()
                idle = self._ready and self._in_flight.empty
                if idle and clock.monotonic() - said > 1.0:
                    warned = [w.to_json() for w in self.warnings.all()]
                    self._send(m.BYE, steps=self._steps.ranges(), warnings=warned)
                    said = clock.monotonic()
                self._await()
        finally:
            self.abort()

    def abort(self) -> None:
        """Let go of the transport without a word; what is not durable is lost to the trainer."""
        self._closed = True
        self._transport.close()
        if self._slots is not None:
            self._slots.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    # -- outward --------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Send what is queued as far as credit goes."""
        self._send_warnings()
        while self._ready and (batch := self._in_flight.leave()):
            slots = self._slots
            # Slots that this life of the trainer cannot read are copied to the socket.
            refer = batch[0].span is not None and slots.accepted
            blocks = [part for p in batch for part in p.parts(slots, by_reference=refer)]
            sequence = batch[-1].sequence
            if refer:
                self._send(m.SLOTS, sequence=sequence, blocks=blocks)
            else:
                self._transport.send([self._envelope(m.BLOCKS, sequence=sequence), *blocks])

    def _send_warnings(self) -> None:
        """What is new of them, now and then."""
        if self._warned == self.warnings.version or not self._ready or self._finished:
            return
        if clock.monotonic() - self._warned_at >= WARN_PAUSE:
            self._warned, self._warned_at = self.warnings.version, clock.monotonic()
            self._send(m.WARN, warnings=[w.to_json() for w in self.warnings.all()])

    def _room(self, arrays: list[np.ndarray]) -> Slots | None:
        """The slots, with room for ``arrays``, for which it waits; ``None``: use the socket."""
        slots = self._slots
        dtypes = self._packer.dtypes(arrays)
        payloads = [a.size * d.itemsize for a, d in zip(arrays, dtypes, strict=True)]
        if slots is None or sum(payloads) < SMALL:
            return None
        size = slots.size(payloads)
        # What is sent becomes durable without anything more from here, so this ends.
        while slots.accepted and slots.place(size) is None and not self._in_flight.empty:
            self._pump()
            self._await()
        return slots if slots.accepted else None

    def _forget(self, parcel: Parcel) -> None:
        if parcel.span is not None:
            self._slots.release(parcel.span)

    def _offer_slots(self, where: Any) -> bool:
        """Offer slots to a trainer on this node; whether an answer is to be waited for."""
        if self._slots is None and self._node and where == self._node:
            self._node = ""  # tried once
            step = self._packer.estimate
            room = min(max(3 * step, min(ROOM, 64 * step)), ROOM_LIMIT)
            # Small fields do not need it, and without memory for it the socket does as well.
            with contextlib.suppress(OSError):
                self._slots = Slots(room) if step >= SMALL else None
        if self._slots is None:
            return False
        self._slots.accepted = False
        self._send(m.OFFER, **self._slots.offer())
        return True

    def _envelope(self, kind: str, **entries: Any) -> bytes:
        return m.envelope(kind, epoch=self._epoch, hello=self._hello, **entries)

    def _send(self, kind: str, **entries: Any) -> None:
        self._transport.send([self._envelope(kind, **entries)])

    def _say_hello(self) -> None:
        """Introduce this rank; answers to an earlier hello no longer count."""
        self._ready = False
        self._hello += 1
        entries: dict[str, Any] = {
            "run": self._transport.endpoint.run,
            "simulation": self.simulation.id,
            "attempt": self.attempt,
            "rank": self.rank,
            "ranks": self._ranks,
            "token": self._token,
            "digest": digest(self.simulation),
            "offset": None if self._block is None else self._block.offset,
            "shape": None if self._block is None else self._block.shape,
        }
        if self.rank == 0:
            entries["description"] = simulation_to_wire(self.simulation)
        hello = self._envelope(m.HELLO, **entries)
        if len(hello) > m.ENVELOPE_LIMIT:
            raise InputError(
                f"connect: domain and static fields take {len(hello)} bytes; expected at most "
                f"{m.ENVELOPE_LIMIT}: leave static fields out, or send them as fields"
            )
        self._transport.send([hello])

    # -- inward ---------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Take what the trainer has said, without waiting."""
        while (parts := self._transport.receive(0.0)) is not None:
            self._hear(parts)

    def _await(self) -> None:
        """Wait for the trainer to say something; ask it now and then."""
        parts = self._transport.receive(POLL)
        if parts is not None:
            self._hear(parts)
            self._listen()
            return
        if self._patience.exhausted:
            self._give_up()
        trouble = (
            self._transport.trouble()
        )  # always: what nobody reads of it holds libzmq up one day
        if not self._ready:
            if "key" in trouble:
                raise StreamError(f"{self._transport.endpoint.address}: {trouble}")
            self._waits = trouble or self._waits
        if self._patience.asks():
            if self._transport.reconnect() or not self._ready:
                self._say_hello()
            else:
                self._send(m.PING)

    def _give_up(self) -> None:
        why = self._waits or "is it running?"
        raise StreamError(
            f"no sign of the trainer at {self._transport.endpoint.address} for "
            f"{self._patience.silence:.0f} s: {why}"
        )

    def _hear(self, parts: list[bytes]) -> None:
        message = m.decode_envelope(parts[0])
        kind = message["kind"]
        if kind == m.REFUSED:
            raise StreamError(
                f"simulation {self.simulation.id}, attempt {self.attempt}, rank {self.rank}: "
                f"{m.text(message, 'reason', 4096)}"
            )
        if message.get("hello") != self._hello:
            return  # an answer to something that is no longer so
        if kind == m.WAIT:
            # A sign of life, but not of what is waited for: unless it is the trainer that waits.
            self._waits = m.text(message, "reason", 4096)
            if message.get("here") is True:
                self._patience.heard()
            clock.sleep(HELLO_PAUSE)
            if self._patience.exhausted:
                self._give_up()
            self._say_hello()
            return
        self._patience.heard()
        if kind == m.WELCOME:
            self._welcome(message)
        elif kind == m.ACK:
            self._in_flight.acknowledge(message)
        elif kind == m.OFFER and self._slots is not None:
            self._slots.accepted = message.get("accepted") is True
            self._ready = True
        elif kind == m.UNKNOWN:
            self._epoch = m.whole(message, "epoch")
            self._say_hello()
        elif kind == m.BYE:
            self._left = True

    def _welcome(self, message: dict[str, Any]) -> None:
        self._epoch = m.whole(message, "epoch")
        self._waits = ""
        self._warned = 0  # this life of the trainer may not know them
        if message.get("finished"):
            self._ready = self._finished = True
            self._in_flight.clear()
            return
        self._held = Intervals.from_wire(message.get("held"))
        self._overlap = message.get("overlap")
        self._in_flight.welcome(self._held, message)
        self._ready = not self._offer_slots(message.get("node"))


# Programs import ``connect`` from here; it makes a Client, so this module cannot import it (PEP 562).
__getattr__, *_ = lazy(__name__, {"connect": "sciml.stream.connection"})
