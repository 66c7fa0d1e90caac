"""The trainer's end of the stream: what it may be asked, over the listener, the spool and the ledger."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from sciml.samples import Frame, Simulation
from sciml.stream import message as m
from sciml.stream.description import simulation_from_wire
from sciml.stream.endpoint import ENDPOINT, Keys, announce, check_host
from sciml.stream.events import Arrived, Closed, Event, EventQueue, Quarantined
from sciml.stream.journal import Journal
from sciml.stream.ledger import Ledger
from sciml.stream.listener import Listener
from sciml.stream.recovery import Recovery
from sciml.stream.registry import Registry
from sciml.stream.spool import SEGMENT_SIZE, Spool


class Server:
    """Takes blocks from solver ranks, gives frames to the trainer, each exactly once.

    What is in the spool survives SIGKILL. A server started again in the same run directory keeps
    keys and port, has the next epoch, and goes on where the checkpoint (:meth:`recover`) and the
    spool say.

    Args:
        run_dir: gets ``endpoint.json``, ``server.key`` and ``spool/``.
        host: interface to listen on; this machine only by default.
        port: 0 for any below 32768, kept over the lives of the trainer.
        encryption: CURVE, with the client key of this run as the only one allowed. Off is for
            loopback only.
        spool_limit: bytes on disk; :attr:`wants_commit` is set above 0.8 of it, and solvers wait
            when it is reached (or at 1.5 times what the last checkpoint needed, if that is more).
        queue_limit: bytes of frames that may wait for the trainer; solvers wait beyond it.
        shared_memory: let ranks on this node send their fields through it.
        run: UUID of the run, which its solvers say in their hello; by default one of its own.
        planned: numbers of its simulations; by default any number is taken.
        on_failure: called with what its listener died of; no message was the reason, those are refused.

    Raises:
        InputError: no encryption on a host that others reach; or another trainer has the spool.
    """

    def __init__(
        self,
        run_dir: str | os.PathLike[str],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        encryption: bool = True,
        spool_limit: int = 2 << 30,
        queue_limit: int = 64 << 20,
        shared_memory: bool = True,
        run: str = "",
        planned: Collection[int] | None = None,
        on_failure: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        check_host(host, encryption=encryption)
        self.run_dir = Path(run_dir)
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self._host = "127.0.0.1" if host == "localhost" else host
        self._port = port
        self._spool_limit = spool_limit
        self._needed_by_checkpoint = 0
        segment_size = max(1 << 20, min(SEGMENT_SIZE, spool_limit // 8))
        spare = spool_limit // 2 // segment_size
        self._spool = Spool(self.run_dir / "spool", segment_size, spare)
        self._records = self._spool.scan()
        self._keys = Keys.next_life(self.run_dir, encryption=encryption, run=run)
        self.epoch = self._keys.epoch
        self.ledger = Ledger()
        self.events = EventQueue(queue_limit, self._wake, self._settle)
        self._journal = Journal(self._spool)
        self._registry = Registry(
            self.epoch,
            self._journal,
            self.ledger,
            self.events,
            queue_limit,
            self._full,
            shared_memory,
            self._keys.run,
            planned,
        )
        self._lock = threading.Lock()
        self._listener = Listener(self._registry, self._lock, on_failure)
        self._recovered = False
        self._simulations: dict[int, Simulation] = {}
        self.address = ""

    # -- life -----------------------------------------------------------------------------------

    def recover(self, ledger: dict[str, Any] | None = None) -> None:
        """Go back to a checkpoint; call before :meth:`start`.

        Frames in the spool that ``ledger`` (the ``state_dict`` in the checkpoint) does not count as
        entered come out of :attr:`events` again. Without a checkpoint that is all of them.
        """
        if ledger is not None:
            self.ledger.load_state_dict(ledger)
        Recovery(self._registry).play(self._records)
        self._records = []
        self._recovered = True

    def start(self) -> None:
        """Listen; ``endpoint.json`` is there when this returns.

        Raises:
            StreamError: the port cannot be had.
        """
        if not self._recovered:
            self.recover()
        port = self._listener.bind(self._host, self._port, self._keys)
        self._keys, self.address = announce(self.run_dir, self._keys, self._host, port)
        self._listener.start()

    def stop(self) -> None:
        """Close the socket and the spool; clients park until another server comes, or time out."""
        self.events.close()
        if self._listener.stop():
            self._spool.close()

    # -- what the trainer asks ------------------------------------------------------------------

    def commit(self, keep: Iterable[tuple[int, int]], ledger: dict[str, Any] | None = None) -> None:
        """A checkpoint is safely on disk: let go of what it does not need.

        Args:
            keep: (simulation, step) of the frames behind the checkpoint's buffer and windower.
            ledger: the ``ledger.state_dict()`` in that checkpoint; default: as it is now, which is
                right only if nothing entered since the checkpoint was taken.

        Frames that entered after the checkpoint stay, and so does what no checkpoint older than
        this one could have needed: falling back to an older checkpoint is not provided for.
        """
        past = Ledger()
        past.load_state_dict(ledger if ledger is not None else self.ledger.state_dict())
        kept = set(keep)
        with self._lock:
            # A re-run of an open simulation is compared with the last frame of the one before.
            kept |= {
                (number, stream.delivered.leading() - 1)
                for number, stream in self._registry.streams.items()
            }
        gone = self._journal.retain(
            lambda key: key in kept or not past.has_entered(*key), past.finished
        )
        self._needed_by_checkpoint = self._spool.alive
        for number in gone:
            self._simulations.pop(number, None)
        self._wake()

    @property
    def wants_commit(self) -> bool:
        """The spool fills up: take a checkpoint soon, or the solvers will have to wait."""
        return self._spool.bytes > 0.8 * self._spool_room

    def make_room(self) -> None:
        """Let a spool that is nearly full grow past its limit, by half.

        For the time before the first checkpoint can be: the trainer waits for its watermark, so
        nothing can leave, and solvers that waited in turn would wait for ever. So it is where frames are
        held back until their simulation ends.
        """
        if self.wants_commit:
            self._needed_by_checkpoint = self._spool.bytes
            self._wake()

    def replay(self, keys: Iterable[tuple[int, int]]) -> Iterator[Frame]:
        """Frames in the spool, in the order of ``keys``; those that are not there are left out."""
        for key in keys:
            simulation = self.simulation(key[0])
            names = [field.name for field in simulation.fields] if simulation else []
            try:
                yield self._journal.frame(key, names)
            except KeyError:
                continue

    def simulation(self, number: int) -> Simulation | None:
        """What is known about a simulation that is open, or has frames in the spool."""
        if number not in self._simulations:
            with self._lock:
                stream = self._registry.streams.get(number)
            if stream is not None:
                return stream.simulation
            wire = self._journal.description(number)
            if wire is None:
                return None
            self._simulations[number] = simulation_from_wire(wire)
        return self._simulations[number]

    def settled(self) -> list[tuple[int, int]]:
        """Ranges of simulations of which nothing more is to come."""
        numbers = self.ledger.concluded()
        with self._lock:
            numbers.update(self._registry.closed)
        return numbers.ranges()

    def abandon(self, simulation: int) -> None:
        """It will not be run again: what has arrived is all there is, and it is closed."""
        with self._lock:
            self._registry.abandon(simulation)
        self._wake()

    def quarantine(self, simulation: int, reason: str) -> None:
        """Nothing of it comes in any more; the others go on."""
        with self._lock:
            self._registry.quarantine(simulation, reason)
        self._wake()

    def set_status(self, status: dict[str, Any]) -> None:
        """What the supervisor gets in answer to its control messages; plain values only."""
        m.encode(status)
        self._registry.status = status

    def status(self) -> dict[str, Any]:
        """For the display: plain numbers."""
        with self._lock:
            registry = self._registry
            sessions = [s for stream in registry.streams.values() for s in stream.sessions.values()]
            incomplete = sum(len(s.assembler.partials) for s in registry.streams.values())
            waiting = len(registry.credit.withheld)
            readers = registry.readers
        return {
            "epoch": self.epoch,
            "frames": self.ledger.frames(),
            "bytes": registry.reception.bytes,
            "simulations": len(registry.streams),
            "ranks": sum(s.peer is not None and not s.done for s in sessions),
            "ranks_waiting": waiting,
            "slot_ranks": len(readers),
            "slot_blocks": readers.blocks,
            "slot_bytes": readers.bytes,
            "slots_declined": readers.declined,
            "frames_incomplete": incomplete,
            "queue_bytes": self.events.bytes,
            "spool_bytes": self._spool.bytes,
            "spool_limit": self._spool_room,
            "spool_damaged": self._spool.damaged,
            "wants_commit": self.wants_commit,
            "garbage": registry.garbage,
            "failures": registry.failures,
            "turned_away": self._listener.turned_away,
            "refused_keys": self._listener.refused_keys,
            "problem": registry.problem,
        }

    # -- within ---------------------------------------------------------------------------------

    def _wake(self) -> None:
        self._listener.wake()

    def _settle(self, event: Event) -> None:
        match event:
            case Arrived(frame=frame):
                self.ledger.settle(frame)
            case Closed(simulation_id=number) | Quarantined(simulation_id=number):
                self.ledger.conclude(number)

    @property
    def _spool_room(self) -> int:
        return max(self._spool_limit, int(1.5 * self._needed_by_checkpoint))

    def _full(self) -> bool:
        return self.events.full or self._spool.bytes >= self._spool_room

    @property
    def endpoint(self) -> Path:
        return self.run_dir / ENDPOINT
