"""The thread between the stream and the buffer: frames in, samples out."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sciml.buffer import Stopped
from sciml.domain.time_units import UNKNOWN
from sciml.errors import InputError, ScimlError
from sciml.run.held_out import HeldOut
from sciml.run.one_domain import joined_with
from sciml.run.online.screen import Screen, Wrong
from sciml.samples import Frame, Sample, Simulation, Windower
from sciml.samples.step import Step
from sciml.samples.windower import sample_frames, window
from sciml.stream.events import Arrived, Closed, Control, Opened, Quarantined
from sciml.surrogates.scope import Scope, scope_from_wire, scope_to_wire

if TYPE_CHECKING:
    from sciml.domain import Domain, Grid
    from sciml.record import Recorder
    from sciml.surrogates.shares import Shares

#: Seconds that a wait for an event lasts; a halt is noticed so late.
WAIT = 0.2
#: Share by which time steps of simulations may differ: a surrogate refuses data that differ by more.
UNLIKE = 0.01

log = logging.getLogger("sciml.trainer")


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
        recorder: takes every frame, if there is one.
        stop: set when this thread ends with an :attr:`error`, so that training ends with a checkpoint
            that can be gone on from.
        say: takes a line to whoever watches the run.
    """

    def __init__(
        self,
        server: Any,
        windower: Windower,
        buffer: Any,
        heldout: HeldOut,
        roles: Mapping[int, str],
        recorder: Recorder | None = None,
        stop: threading.Event | None = None,
        say: Callable[[str], None] = log.warning,
    ) -> None:
        super().__init__(name="intake", daemon=True)
        self._server = server
        self._windower = windower
        self._buffer = buffer
        self._heldout = heldout
        self._recorder = recorder
        self._stop_training = stop or threading.Event()
        self.roles = dict(roles)
        self._training = True
        self._halt, self._last_call = threading.Event(), threading.Event()
        #: Events that had come at the last call and were not taken.
        self._due = 0
        self.lock = threading.Lock()
        self.first = threading.Event()
        self.simulation: Simulation | None = None
        #: Where the fields of all simulations live, and of those for training.
        self._domains: Grid | Scope | None = None
        self.scope: Grid | Scope | None = None
        #: What of the stream is sound; with the statistics, once there is a surrogate.
        self.screen = Screen(windower.task.moving, buffer, server.ledger, say)
        # Samples of the last frame, with the number that each has among all that are put.
        self._on_the_way: list[tuple[int, Sample]] = []
        self._put_count = 0
        # Why a domain cannot be trained on, in words; nobody knows before there is a model.
        self._strange: Callable[[Domain], str] | None = None
        self.dt: Step | None = None
        # Of simulations that have given one frame: its step and time.
        self._first_times: dict[int, tuple[int, float]] = {}
        self._measured: set[int] = set()
        self.quarantined: dict[int, str] = {}
        self.given_up: set[int] = set()
        self.opened: set[int] = set()
        self._last: dict[int, float] = {}
        self._busy = False
        self.launcher: dict[str, Any] = {}
        self.over = threading.Event()
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self._put_waiting()
            while not self._halt.is_set():
                event = self._server.events.get(timeout=WAIT)
                if event is not None:
                    self._busy = True
                    self._take(event)
                    self._busy = False
                if self._last_call.is_set():
                    self._due -= 1
                    if event is None or self._due < 0:
                        self._server.events.settle()
                        return
        except Stopped:
            return  # asked to halt while it was waiting for room
        except (ScimlError, OSError) as error:
            self.fail(error)
        except Exception as error:
            log.exception("the intake cannot go on")
            self.fail(ScimlError(f"the intake cannot go on: {type(error).__name__}: {error}"))

    def fail(self, error: Exception) -> None:
        """Nothing more comes in: training ends with a checkpoint, and the run with this error."""
        self.error = self.error or error
        self._stop_training.set()
        self.first.set()
        self._buffer.stop()

    def finish(self) -> None:
        """Take in what has come so far, however long it takes, then end: while solvers go on sending
        there is always more."""
        self._due = len(self._server.events)
        self._last_call.set()
        if self.is_alive():
            self.join()
        self.halt()

    def halt(self) -> None:
        self._halt.set()
        self._buffer.stop()
        if self.is_alive():
            self.join(timeout=10.0)

    def discard_training(self) -> None:
        """Training is over: take in what is still to come for validation, drop the rest."""
        self._training = False
        self._buffer.stop()

    @property
    def training_over(self) -> bool:
        """Whether only held-out simulations are still of use."""
        return not self._training

    def heard(self) -> dict[str, float]:
        """Seconds since each open simulation last gave a frame; keys are strings, as on the wire.

        A solver that waits for the trainer is not silent: nobody is while the buffer is full.
        """
        now = time.monotonic()
        if self._busy:
            return dict.fromkeys(map(str, list(self._last)), 0.0)
        return {str(number): now - last for number, last in list(self._last.items())}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must know beside the buffer: keys, not data. Call with :attr:`lock`.

        A sample on its way may have reached the buffer between the buffer's own state and this one:
        its ordinal tells, since the buffer counts what was put.
        """
        windows, heldout = self._windower.pending(), self._heldout.pending()
        return {
            "frames": [list(frame.key) for frame in windows + heldout],
            "windower": self._windower.state_dict(),
            "heldout": self._heldout.state_dict(),
            "on_the_way": [[*sample.key, ordinal] for ordinal, sample in self._on_the_way],
            "recorder": self._recorder.state_dict() if self._recorder else None,
            "ledger": self._server.ledger.state_dict(),
            "opened": sorted(self.opened),
            "screen": self.screen.state_dict(),
            "scope": None if self.scope is None else scope_to_wire(self.scope),
            "dt": None if self.dt is None else [self.dt.value, self.dt.units, self.dt.dates],
        }

    def restore(
        self,
        state: Mapping[str, Any],
        waiting: Sequence[Sample],
        put: int,
        simulations: Mapping[int, Simulation],
        frames: Mapping[tuple[int, int], Frame],
    ) -> None:
        """Go on where :meth:`state_dict` was taken; before :meth:`start`.

        Args:
            state: from :meth:`state_dict`.
            waiting: samples that had not reached the buffer.
            put: number of samples that the buffer had been given.
            simulations, frames: at least those that the state names.
        """
        self._windower.load_state_dict(state["windower"], simulations, frames.__getitem__)
        self._heldout.restore(state["heldout"], frames, self._server.simulation)
        self._put_count = put
        self._on_the_way = list(enumerate(waiting, put))
        self.opened = set(state["opened"])
        self.screen.load_state_dict(state["screen"])
        if state["scope"]:
            self.scope = self._domains = scope_from_wire(state["scope"])
        dt = state["dt"]
        self.dt = None if dt is None else Step(dt[0], dt[1], dates=dt[2])
        # The model is in the checkpoint: no simulation need open to build it from.
        self.first.set()

    def _take(self, event: Any) -> None:
        match event:
            case Opened(simulation=simulation, continues=continues):
                self._open(simulation, continues)
            case Arrived(frame=frame):
                self._arrive(frame)
            case Closed(simulation_id=number, abandoned=abandoned):
                self._close(number, abandoned)
            case Quarantined(simulation_id=number, reason=reason):
                self.quarantined[number] = reason
                with self.lock:
                    self.screen.leave_out(number, f"quarantined: {reason}", "quarantined")
                self._drop(number, f"quarantined: {reason}")
            case Control(message=message):
                self._control(message)

    def _open(self, simulation: Simulation, continues: bool) -> None:
        self.opened.add(simulation.id)
        self._last[simulation.id] = time.monotonic()
        # Found out here, not after the training: this ends the run, too.
        self._domains = joined_with(self._domains, simulation.id, simulation.domain)
        if self._recorder:
            self._recorder.open(simulation, continues)
        if self._held_out(simulation.id):
            self._heldout.open(simulation)
            return
        with self.lock:
            self.screen.open(simulation.id)
            self._take_in(simulation)
            if not continues:
                self._windower.cut(simulation.id)
                self.screen.cut(simulation.id)
            # A task that does not fit this program fits no other simulation either: this ends
            # the intake, and with it the run.
            self._windower.open(simulation)
        if self.simulation is None:
            self.simulation = simulation
            self.first.set()

    def attach(
        self, shares: Shares, strange: Callable[[Domain], str], wrong: Wrong | None = None
    ) -> None:
        """There is a model: what comes is measured for it, and left out where it was not built for it,
        or what is held out has frames that are wrong for it. Call with :attr:`lock`."""
        self._strange = strange
        there = [self._server.simulation(n) for n in sorted(self.opened - {*self.screen.left_out})]
        there = [one for one in there if one is not None and not self._held_out(one.id)]
        if any(strange(one.domain) for one in there):
            self.scope = None
            for one in there:
                self._take_in(one)
        self.screen.attach(shares, wrong)

    def _take_in(self, simulation: Simulation) -> None:
        """Its domain is one of those that are trained on, where the model can be."""
        if self._strange is not None and (why := self._strange(simulation.domain)):
            self.screen.leave_out(simulation.id, why)
        else:
            self.scope = joined_with(self.scope, simulation.id, simulation.domain)

    def _arrive(self, frame: Frame) -> None:
        ledger = self._server.ledger
        self._last[frame.simulation] = time.monotonic()
        with self.lock:
            # One step for a checkpoint: a frame that had entered, yet is in no list of what is held,
            # would not come again; one that is recorded and has not entered would come as if its
            # simulation began anew, and cut the recording there.
            if self._recorder:
                self._recorder.push(frame)
            if frame.simulation in self.given_up:  # its last ones were under way
                ledger.hold(frame)
                return
            if self._held_out(frame.simulation):
                self._heldout.push(frame)
                ledger.enter(frame)
                return
            if self.screen.holds(frame, judge=self._training):
                return
            self._enter(frame)
        self._put_waiting()

    def _enter(self, frame: Frame) -> None:
        # Its samples are listed as on their way, whether or not the buffer has room for them yet.
        samples = self._windower.push(frame)
        self._measure_dt(frame)
        self._on_the_way = list(enumerate(samples, self._put_count))
        self._server.ledger.enter(frame)
        self.screen.measure(samples)

    def _close(self, number: int, abandoned: bool) -> None:
        """Nothing more comes of a simulation; what was held back of it is let in or dropped."""
        self._last.pop(number, None)
        if self._held_out(number):
            with self.lock:
                came = self._heldout.came(number)
                sound = came is None or self.screen.sound(*came)
            if not sound:
                self._heldout.drop(number)
        elif abandoned:
            with self.lock:
                self.screen.ends_badly(number, "it did not end")
        else:
            self._let_in(number)
        with self.lock:
            self._windower.close(number)
        warned = self._server.ledger.warned(number)
        self._heldout.close(number, warned)
        if self._recorder:
            self._recorder.close(number, warned)

    def _let_in(self, number: int) -> None:
        """A simulation has ended well: what was held back of it comes from the spool, as it came, and
        waits for room as everything does."""
        with self.lock:
            held = self.screen.ends_well(number)
        if held is None:
            return
        simulation = self._server.simulation(number)
        while held.origins and self._training:
            sample = self._again(simulation, held.origins[0])
            with self.lock:
                del held.origins[0]
                self.screen.measure([sample])
                self._on_the_way = [(self._put_count, sample)]
            self._put_waiting()
        while held.steps and self._training:
            step = held.steps[0]
            frames = [] if step is None else list(self._server.replay([(number, step)]))
            with self.lock:
                del held.steps[0]
                if step is None:
                    self._windower.cut(number)
                for frame in frames:
                    self._enter(frame)
            self._put_waiting()
        with self.lock:
            if not self._training:
                self._server.ledger.admit(number)
            self.screen.let_in(number)

    def _again(self, simulation: Simulation, origin: int) -> Sample:
        """A sample that was in the buffer before."""
        task = self._windower.task
        keys = sample_frames(task, [(simulation.id, origin)])
        frames = {frame.step: frame for frame in self._server.replay(sorted(keys))}
        return window(task, simulation, origin, frames.__getitem__)

    def _measure_dt(self, frame: Frame) -> None:
        """Physical time between frames, once two of a simulation have come: one for all of them, where
        the task goes ahead by it.

        Raises:
            InputError: another than that of the simulations before.
        """
        number = frame.simulation
        if number in self._measured:
            return
        step, time_ = self._first_times.setdefault(number, (frame.step, frame.time))
        if frame.step == step:
            return
        del self._first_times[number]
        self._measured.add(number)
        value = (frame.time - time_) / (frame.step - step)
        if self.dt is None:
            units = self.simulation.time_units if self.simulation else UNKNOWN
            self.dt = Step(value, units, dates=" since " in units)
        elif self._windower.task.even and abs(value - self.dt.value) > UNLIKE * abs(self.dt.value):
            raise InputError(
                f"simulation {number} sends a frame every {value:g}, others every {self.dt}; expected "
                "one time step in all: send at equal times (solver.send.every counts steps), or let "
                "the task see the time, with task.time"
            )

    def _put_waiting(self) -> None:
        """Give the buffer what is on its way; waits where the buffer is full."""
        while self._on_the_way and self._training:
            try:
                self._buffer.put(self._on_the_way[0][1])
            except Stopped:
                if self._training:
                    raise
                break  # training ended while this one waited for room
            # A checkpoint that has the buffer's state from before this put still lists the sample.
            with self.lock:
                (_, sample), *self._on_the_way = self._on_the_way
                self._put_count += 1
                self.screen.stray(sample.simulation.id)
            self._server.ledger.count("entered")
        with self.lock:
            self._on_the_way = []

    def _drop(self, simulation: int, reason: str) -> None:
        self._last.pop(simulation, None)
        with self.lock:
            self._windower.close(simulation)
        self._heldout.drop(simulation)
        if self._recorder:
            self._recorder.drop(simulation, reason)

    def _control(self, message: dict[str, Any]) -> None:
        self.launcher = message
        for number, reason in message.get("given_up", ()):
            if number not in self.given_up:
                self.given_up.add(number)
                with self.lock:
                    self.screen.ends_badly(number, "given up")
                self._drop(number, reason)
                self._server.abandon(number)
        if message.get("done"):
            self.over.set()
            self._buffer.close()

    def _held_out(self, simulation: int) -> bool:
        return self.roles.get(simulation, "train") == "validation"
