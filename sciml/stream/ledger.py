"""The account of a run: every frame and sample, counted once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sciml.samples import Frame
from sciml.samples.program_warnings import Warned, joined, parsed
from sciml.stream.intervals import Intervals

#: Simulations whose warnings are kept with their texts; of further ones, kind and value.
TEXTS = 10_000
SAMPLES = ("entered", "drawn", "evicted", "removed", "rolled_back")


@dataclass(slots=True)
class _Steps:
    """A simulation that is not finished: which steps were produced, received, entered, and held back."""

    attempt: int = 0
    closed: bool = False
    produced: Intervals = field(default_factory=Intervals)
    received: Intervals = field(default_factory=Intervals)
    entered: Intervals = field(default_factory=Intervals)
    held: Intervals = field(default_factory=Intervals)


class Ledger:
    """Counts frames and samples; finished simulations shrink to a few whole numbers.

    Frames are *produced* (a solver announced them), *received* (complete and in the spool),
    *entered* (the trainer has dealt with them), *held* (it waits for how their simulation ends),
    *dropped* (held, and that ended badly), *lost* (their simulation is closed and they never
    came), *doubled* (entered twice, which must not happen), *resent* (blocks that came again after
    a reconnection and were recognized). Of finished simulations, received = entered + dropped.

    Samples *entered* the buffer and were *drawn* from it; they left it *evicted*, having been drawn as
    often as they should, or *removed* with their simulation. One that was held back and let in again has
    entered and was removed once more: entered = in the buffer + evicted + removed.

    :meth:`state_dict` belongs into every checkpoint: what it counts as entered is part of the model
    that the checkpoint holds. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._open: dict[int, _Steps] = {}
        self._finished = Intervals()
        # Finished simulations by the number of frames that came of them.
        self._delivered: dict[int, Intervals] = {}
        self._quarantined: dict[int, str] = {}
        # By simulation: the attempt, and what it has warned of.
        self._warned: dict[int, tuple[int, list[Warned]]] = {}
        #: Changes with what is warned of.
        self.warned_version = 0
        self._totals: Counter[str] = Counter()
        self._samples = dict.fromkeys(SAMPLES, 0)
        self._last: Frame | None = None

    # -- noted by the server --------------------------------------------------------------------

    def produce(self, simulation: int, steps: Intervals) -> None:
        with self._lock:
            self._account(simulation).produced.update(steps)

    def announce(self, simulation: int, step: int) -> None:
        """The first block of a frame is there."""
        with self._lock:
            self._account(simulation).produced.add(step)

    def receive(self, simulation: int, step: int) -> None:
        with self._lock:
            account = self._account(simulation)
            account.produced.add(step)
            account.received.add(step)

    def resend(self, blocks: int) -> None:
        with self._lock:
            self._totals["resent"] += blocks

    def close(self, simulation: int) -> None:
        """All its frames have been given to the trainer's queue."""
        with self._lock:
            self._account(simulation).closed = True

    def quarantine(self, simulation: int, reason: str) -> None:
        with self._lock:
            self._quarantined[simulation] = reason
            self.trim(simulation)

    def trim(self, simulation: int) -> None:
        """What a bad or broken simulation began and did not deliver was refused, not lost."""
        with self._lock:
            if simulation in self._open:
                account = self._open[simulation]
                account.produced = account.received.copy()

    def warn(self, simulation: int, attempt: int, warned: Sequence[Warned]) -> None:
        """One of its ranks has warned of so much, in all; said again, it changes nothing."""
        with self._lock:
            of, before = self._warned.get(simulation, (attempt, []))
            if not warned or attempt < of:
                return
            if len(self._warned) >= TEXTS and simulation not in self._warned:
                warned = [replace(w, message=w.kind) for w in warned]
            after = (attempt, joined(before if of == attempt else [], warned))
            self.warned_version += self._warned.get(simulation) != after
            self._warned[simulation] = after

    def rerun(self, simulation: int, attempt: int) -> None:
        """An attempt begins: what those before it warned of counts no more."""
        with self._lock:
            if self._warned.get(simulation, (attempt,))[0] < attempt:
                del self._warned[simulation]
                self.warned_version += 1

    # -- noted by the trainer -------------------------------------------------------------------

    def enter(self, frame: Frame) -> None:
        """The trainer has dealt with ``frame``: its samples are where a checkpoint finds them.

        Asking the queue for the next event does this by itself. Call it earlier, under the lock
        that also guards the checkpoint, where the two must not come apart.
        """
        with self._lock:
            self._last = frame
            account = self._open.get(frame.simulation)
            if frame.simulation in self._finished or (account and frame.step in account.entered):
                self._totals["doubled"] += 1
                return
            account = self._account(frame.simulation)
            if frame.step in account.held:
                account.held = account.held.without(frame.step)
            account.entered.add(frame.step)
            account.attempt = max(account.attempt, frame.attempt)

    def hold(self, frame: Frame) -> None:
        """``frame`` has not entered, nor has it when the next event is asked for: a trainer that goes
        back to a checkpoint gets it again."""
        with self._lock:
            self._last = frame
            account = self._account(frame.simulation)
            account.held.add(frame.step)

    def admit(self, simulation: int) -> None:
        """All that is held back of a simulation counts as entered: nobody trains any more."""
        with self._lock:
            account = self._account(simulation)
            account.entered.update(account.held)
            account.held = Intervals()

    def held(self, simulation: int) -> Intervals:
        """Steps of a simulation that are held back."""
        with self._lock:
            account = self._open.get(simulation)
            return account.held.copy() if account else Intervals()

    def settle(self, frame: Frame) -> None:
        """:meth:`enter`, unless the trainer did that already for this very frame."""
        with self._lock:
            if frame is not self._last:
                self.enter(frame)

    def conclude(self, simulation: int) -> None:
        """The trainer knows that the simulation is closed or quarantined: nothing more to say."""
        with self._lock:
            account = self._open.pop(simulation, None)
            if simulation not in self._finished:
                came = len(account.received) if account else 0
                self._delivered.setdefault(came, Intervals()).add(simulation)
            self._finished.add(simulation)
            if account is None:
                return
            self._totals["produced"] += len(account.produced)
            self._totals["received"] += len(account.received)
            self._totals["frames_entered"] += len(account.entered)
            self._totals["dropped"] += len(account.held)
            self._totals["lost"] += len(account.produced.minus(account.received))

    def count(self, name: str, n: int = 1) -> None:
        """Add to a count of samples: entered, drawn, evicted, removed, rolled_back."""
        with self._lock:
            self._samples[name] += n

    def set(self, name: str, n: int) -> None:
        with self._lock:
            self._samples[name] = n

    # -- read -----------------------------------------------------------------------------------

    def frames(self) -> dict[str, int]:
        with self._lock:
            accounts = list(self._open.values())
            totals = self._totals
            closed = (a for a in accounts if a.closed)
            lost = sum(len(a.produced.minus(a.received)) for a in closed)
            return {
                "produced": totals["produced"] + sum(len(a.produced) for a in accounts),
                "received": totals["received"] + sum(len(a.received) for a in accounts),
                "entered": totals["frames_entered"] + sum(len(a.entered) for a in accounts),
                "held": sum(len(a.held) for a in accounts),
                "dropped": totals["dropped"],
                "lost": totals["lost"] + lost,
                "doubled": totals["doubled"],
                "resent": totals["resent"],
            }

    def samples(self) -> dict[str, int]:
        with self._lock:
            return dict(self._samples)

    def reason(self, simulation: int) -> str | None:
        """Why a simulation is quarantined; None if it is not."""
        return self._quarantined.get(simulation)

    def quarantined(self) -> dict[int, str]:
        with self._lock:
            return dict(self._quarantined)

    def warned(self, simulation: int) -> list[Warned]:
        """What a simulation has warned of, all ranks together."""
        with self._lock:
            return list(self._warned.get(simulation, (0, []))[1])

    def warnings(self) -> dict[int, list[Warned]]:
        """By simulation, of those that warned."""
        with self._lock:
            return {number: list(warned) for number, (_, warned) in self._warned.items()}

    def finished(self, simulation: int) -> bool:
        return simulation in self._finished

    def delivered(self) -> dict[int, Intervals]:
        """Numbers of all finished simulations, by how many frames came of them."""
        with self._lock:
            return {frames: numbers.copy() for frames, numbers in self._delivered.items()}

    def received(self, simulation: int) -> int:
        """Frames that came of a simulation that is not finished."""
        with self._lock:
            account = self._open.get(simulation)
            return len(account.received) if account else 0

    def concluded(self) -> Intervals:
        """Numbers of all finished simulations."""
        with self._lock:
            return self._finished.copy()

    def entered(self, simulation: int) -> Intervals:
        """Steps that the trainer has dealt with, of a simulation that is not finished."""
        with self._lock:
            account = self._open.get(simulation)
            return account.entered.copy() if account else Intervals()

    def has_entered(self, simulation: int, step: int) -> bool:
        with self._lock:
            account = self._open.get(simulation)
            return simulation in self._finished or bool(account and step in account.entered)

    def attempt(self, simulation: int) -> int:
        """Newest attempt of which a frame entered; 0 if none did."""
        with self._lock:
            account = self._open.get(simulation)
            return account.attempt if account else 0

    # -- state ----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists; what is not entered yet is not part of it."""
        with self._lock:
            return {
                "open": {
                    str(number): {"attempt": a.attempt, "entered": a.entered.ranges()}
                    for number, a in self._open.items()
                    if len(a.entered)
                },
                "finished": self._finished.ranges(),
                "delivered": {str(n): these.ranges() for n, these in self._delivered.items()},
                "quarantined": {str(k): v for k, v in self._quarantined.items()},
                "warned": {
                    str(number): [attempt, [w.to_json() for w in warned]]
                    for number, (attempt, warned) in self._warned.items()
                },
                "totals": dict(self._totals),
                "samples": dict(self._samples),
            }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to the account of a checkpoint."""
        with self._lock:
            self._open.clear()
            for number, entry in state["open"].items():
                entered = Intervals(tuple(pair) for pair in entry["entered"])
                self._open[int(number)] = _Steps(
                    entry["attempt"], False, entered.copy(), entered.copy(), entered
                )
            self._finished = Intervals(tuple(pair) for pair in state["finished"])
            self._delivered = {
                int(n): Intervals(tuple(pair) for pair in ranges)
                for n, ranges in state["delivered"].items()
            }
            self._quarantined = {int(k): v for k, v in state["quarantined"].items()}
            self.warned_version += 1
            self._warned = {
                int(k): (attempt, parsed(warned))
                for k, (attempt, warned) in state["warned"].items()
            }
            self._totals = Counter(state["totals"])
            self._samples = {**dict.fromkeys(SAMPLES, 0), **state["samples"]}
            self._last = None

    def _account(self, simulation: int) -> _Steps:
        account = self._open.get(simulation)
        if account is None:
            account = self._open[simulation] = _Steps()
        return account
