"""The thread between the stream and the buffer: frames in, samples out."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from sciml.errors import InputError, ScimlError
from sciml.samples import Sample, Simulation, Windower
from sciml.stream.events import Arrived, Closed, Control, Opened, Quarantined
from sciml.study.heldout import HeldOut

WAIT = 0.2


class Intake(threading.Thread):
    """Takes the server's events in order and feeds the buffer.

    It blocks where the buffer blocks: the server's queue then fills, credit runs out, and the
    solvers slow down.

    Args:
        server: where events come from.
        windower: cuts training samples.
        buffer: takes them.
        heldout: takes the frames of validation simulations.
        roles: ``"train"`` or ``"validation"`` by simulation number.
        normalizer: sees every training sample until it is fixed.
    """

    def __init__(
        self,
        server: Any,
        windower: Windower,
        buffer: Any,
        heldout: HeldOut,
        roles: Mapping[int, str],
    ) -> None:
        super().__init__(name="intake", daemon=True)
        self._server = server
        self._windower = windower
        self._buffer = buffer
        self._heldout = heldout
        self._roles = roles
        self._halt = threading.Event()
        self.lock = threading.Lock()
        self.first = threading.Event()
        self.simulation: Simulation | None = None
        self.normalizer: Any = None
        self._early: list[Sample] = []
        self.quarantined: dict[int, str] = {}
        self.given_up: set[int] = set()
        self.launcher: dict[str, Any] = {}
        self.over = threading.Event()
        self.error: ScimlError | None = None

    def run(self) -> None:
        try:
            while not self._halt.is_set():
                event = self._server.events.get(timeout=WAIT)
                if event is not None:
                    self._take(event)
        except ScimlError as error:
            if not self._halt.is_set():
                self.error = error
                self.first.set()
                self._buffer.stop()

    def halt(self) -> None:
        self._halt.set()
        self._buffer.stop()
        self.join(timeout=10.0)

    def fix_normalizer(self) -> None:
        """From now on the statistics stay as they are: the model trains on them."""
        with self.lock:
            self.normalizer.fix()

    def attach_normalizer(self, normalizer: Any) -> None:
        """Hand over the statistics; samples that came before it existed are counted now."""
        with self.lock:
            self.normalizer = normalizer
            if self._early:
                normalizer.update(self._early)
            self._early = []

    def _take(self, event: Any) -> None:
        match event:
            case Opened(simulation=simulation, continues=continues):
                self._open(simulation, continues)
            case Arrived(frame=frame):
                if self._held_out(frame.simulation):
                    self._heldout.push(frame)
                else:
                    self._feed(self._windower.push(frame))
            case Closed(simulation_id=number):
                self._windower.close(number)
                self._heldout.close(number)
            case Quarantined(simulation_id=number, reason=reason):
                self.quarantined[number] = reason
                self._windower.close(number)
                self._heldout.drop(number)
            case Control(message=message):
                self._control(message)

    def _open(self, simulation: Simulation, continues: bool) -> None:
        if self._held_out(simulation.id):
            self._heldout.open(simulation)
            return
        if not continues:
            self._windower.cut(simulation.id)
        try:
            self._windower.open(simulation)
        except InputError as error:
            # The task does not fit this program at all: no other simulation will fit either.
            self.error = error
            self.first.set()
            raise
        if self.simulation is None:
            self.simulation = simulation
            self.first.set()

    def _feed(self, samples: list[Sample]) -> None:
        if not samples:
            return
        with self.lock:
            if self.normalizer is None:
                self._early += samples
            else:
                self.normalizer.update(samples)
        for sample in samples:
            self._buffer.put(sample)
        self._server.ledger.count("entered", len(samples))

    def _control(self, message: dict[str, Any]) -> None:
        self.launcher = message
        for number in message.get("given_up", ()):
            if number not in self.given_up:
                self.given_up.add(number)
                self._windower.close(number)
                self._heldout.drop(number)
        if message.get("done"):
            self.over.set()
            self._buffer.close()

    def _held_out(self, simulation: int) -> bool:
        return self._roles.get(simulation, "train") == "validation"
