"""Between the frames that come and what is trained on: who is far outside is held back, who is bad goes.

Everything here is called with the intake's lock held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any

from sciml.buffer import Buffer
from sciml.samples import Frame, Sample, Simulation
from sciml.samples.reach import Far, Reach
from sciml.stream.ledger import Ledger

if TYPE_CHECKING:
    from sciml.surrogates.shares import Shares

#: What is wrong with frames of a simulation, in words, or nothing.
Wrong = Callable[[Simulation, Sequence[Frame]], str]


@dataclass(slots=True)
class Held:
    """A simulation that is held back. Its frames lie in the spool: here are their steps.

    Args:
        far: why.
        origins: of its samples that were in the buffer.
        steps: of frames that came since, in order of arrival; ``None``: windows do not go on here.
    """

    far: Far
    origins: list[int] = field(default_factory=list)
    steps: list[int | None] = field(default_factory=list)
    #: Whether the loss was not finite with it, so that it is not let in.
    lost: bool = False
    #: Whether that is still so at its end.
    outside: bool = True


class Screen:
    """What of a stream is sound.

    A simulation that is *far* outside of the others (:class:`~sciml.samples.reach.Reach`), or beyond
    what can be trained on with the scaling that is fixed, is **held back**: its samples leave buffer and
    statistics, its frames wait in the spool. If it ends well, they are let in, but for those that cannot
    be trained on; if it ends badly, they are dropped. What came of a simulation that is **left out**,
    quarantined for instance, leaves buffer and statistics.

    Args:
        fields: that are trained on.
        buffer: what the trainer draws from.
        ledger: the account.
        say: takes a line to whoever watches the run.
    """

    def __init__(
        self,
        fields: Sequence[str],
        buffer: Buffer,
        ledger: Ledger,
        say: Callable[[str], None],
    ) -> None:
        self._reach, self._buffer, self._ledger = Reach(fields), buffer, ledger
        self._say = say
        self._shares: Shares | None = None
        self._wrong: Wrong | None = None
        self._early: list[Sample] = []
        self._held: dict[int, Held] = {}
        # Those that are let in now: a checkpoint still finds here what has not entered.
        self._let_in: dict[int, Held] = {}
        # Ended well, and not compared with enough others yet.
        self._unsettled: set[int] = set()
        self._shaken = False
        #: Simulations of which nothing is trained on any more, and why.
        self.left_out: dict[int, str] = {}

    # -- frames as they come --------------------------------------------------------------------

    def open(self, simulation: int) -> None:
        self._buffer.watch(simulation)

    def cut(self, simulation: int) -> None:
        """A new attempt begins that does not go on with the frames before."""
        if simulation in self._held:
            self._held[simulation].steps.append(None)

    def holds(self, frame: Frame, *, judge: bool = True) -> bool:
        """Whether a frame is to wait, or to go nowhere; it is noted then, and must not enter.

        ``judge``: look at what is in it; not where nothing is trained on any more.
        """
        number = frame.simulation
        if number not in self.left_out:
            if judge:
                self._reach.add(frame)
                self._review()
                self._require_trainable(number)
            if number not in self._held:
                return False
            self._held[number].steps.append(frame.step)
        self._ledger.hold(frame)
        return True

    @property
    def holding(self) -> bool:
        """Whether frames wait in the spool for how their simulation ends."""
        return bool(self._held)

    def measure(self, samples: list[Sample]) -> None:
        """Count samples that enter into the statistics."""
        if samples and self._outside(samples[0].simulation.id):
            if self._shares is not None:
                self._shares.widen(samples)
        elif self._shares is None:
            self._early += samples
        else:
            self._shares.update(samples)

    def stray(self, simulation: int) -> None:
        """A sample was put that had waited since before its simulation was held back."""
        if simulation in self._held:
            self._held[simulation].origins += self._take_out(simulation)

    # -- simulations as they end ----------------------------------------------------------------

    def ends_well(self, simulation: int) -> Held | None:
        """What is to be let in now, if anything was held back; :meth:`let_in` follows."""
        held = self._held.get(simulation)
        if held is not None:
            far = self._reach.far(simulation)
            beyond = self._beyond(simulation)
            if held.lost or beyond or (far and not far.trainable):
                self.leave_out(simulation, f"it cannot be trained on: {beyond or far or held.far}")
                return None
            held.outside = far is not None
            self._let_in[simulation] = self._held.pop(simulation)
            frames = len(self._ledger.held(simulation))
            self._say(
                f"simulation {simulation} has ended well: {frames} frames that were held back are let in"
            )
        self._reach.close(simulation)
        self._buffer.unwatch(simulation)
        self._unsettled.add(simulation)
        self._review()
        return held

    def let_in(self, simulation: int) -> None:
        """All that was held back of it has entered."""
        del self._let_in[simulation]
        self._review()

    def ends_badly(self, simulation: int, reason: str) -> None:
        """It was given up: what had come of it stays, unless it is far outside."""
        held = self._held.get(simulation)
        far = held.far if held else self._reach.far(simulation)
        if far:
            self.leave_out(simulation, f"{reason}; {far}")
        else:
            self._reach.remove(simulation)

    def sound(self, held_out: Simulation, frames: Sequence[Frame]) -> bool:
        """Whether a simulation that is held out, and has ended well, can be validated on; one that is
        far outside of those that are trained on is named."""
        simulation = held_out.id
        if self._wrong is not None and (wrong := self._wrong(held_out, frames)):
            self._say(
                f"simulation {simulation}, which is held out, is left out of the validation: {wrong}"
            )
            return False
        for frame in frames:
            self._reach.add(frame)
        beyond = self._beyond(simulation) if frames else None
        far = beyond or self._reach.far(simulation)
        self._reach.remove(simulation)
        if far is None:
            return True
        fits = beyond is None and far.trainable
        then = "" if fits else ", and is left out of the validation"
        self._say(f"simulation {simulation}, which is held out, is far outside: {far}{then}")
        return fits

    def leave_out(self, simulation: int, reason: str, shown: str = "") -> None:
        """Nothing of it is trained on any more: its samples leave buffer and statistics.

        Args:
            simulation: which.
            reason: as it is kept.
            shown: as it is said, where whoever watches knows the reason already.
        """
        if simulation in self.left_out:
            return
        self.left_out[simulation] = reason
        held = self._held.pop(simulation, None)
        self._shaken |= (
            self._buffer.drawn_of(simulation) > 0 and self._reach.far(simulation) is not None
        )
        samples = len(self._take_out(simulation)) + (len(held.origins) if held else 0)
        frames, drawn = len(self._ledger.held(simulation)), self._buffer.unwatch(simulation)
        self._reach.remove(simulation)
        if samples or frames or drawn or not shown:
            self._say(
                f"simulation {simulation} is left out: {shown or reason}; {samples} samples of it have "
                f"left the buffer, {frames} frames that were held back are dropped, and {drawn} draws "
                "that were made of it before cannot be undone"
            )

    # -- the training ---------------------------------------------------------------------------

    def attach(self, shares: Shares, wrong: Wrong | None = None) -> None:
        """The statistics are there: samples that came before are counted now; ``wrong``
        says which frames the model can make nothing of."""
        self._shares, self._wrong = shares, wrong
        for number in (*self.left_out, *self._held):
            shares.remove(number)
        shares.update(self._early)
        self._early = []

    def fix(self) -> bool:
        """The scaling stays from now on, without those that are far; whether there is anything to scale
        by."""
        self._review(behind=True)
        return self._shares.fix(self._buffer.samples())

    @property
    def outdated(self) -> bool:
        """Whether :meth:`renew` has anything to do; needs no lock."""
        return self._shares is not None and self._shares.stale

    def renew(self) -> bool:
        """Whether the scaling has to be fixed again, without those that were taken out since."""
        renewed = self._shares.renew(self._buffer.samples)
        if renewed:
            self._shaken = True
            self._say("the scaling came from simulations that were taken out: it is measured anew")
        return renewed

    def rescue(self, simulations: Iterable[int]) -> bool:
        """The loss of these is not finite. Holds one of them back that has not ended, the farthest;
        False if there is none: then it is not for a simulation that diverges."""
        farthest = self._reach.farthest(set(simulations))
        if farthest is None:
            return False
        number, far = farthest
        self._hold(number, far, "the loss is not finite, and ")
        self._held[number].lost = self._shaken = True
        return True

    def shaken(self) -> bool:
        """Whether steps were taken since this was asked last that the optimizer should forget: their
        values, or their scaling, were wrong."""
        shaken, self._shaken = self._shaken, False
        return shaken

    # -- state ----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Numbers and lists. Frames that are held back have not entered: they come again."""
        return {
            "reach": self._reach.state_dict(),
            "held": [
                [number, list(astuple(held.far)), held.origins, held.lost]
                for number, held in (self._held | self._let_in).items()
            ],
            "unsettled": sorted(self._unsettled),
            "left_out": [list(entry) for entry in self.left_out.items()],
            "shares": None if self._shares is None else self._shares.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`state_dict` was taken."""
        self._reach.load_state_dict(state["reach"])
        self._held = {
            number: Held(Far(*far), list(origins), lost=lost)
            for number, far, origins, lost in state["held"]
        }
        for number in self._held:
            self._reach.set_aside(number)
        self._unsettled = set(state["unsettled"])
        self.left_out = dict(state["left_out"])

    # -- parts of them --------------------------------------------------------------------------

    def _review(self, *, behind: bool = False) -> None:
        """Hold back who has turned out to be far; one that has ended well is named, and out of the
        statistics."""
        for number, far in self._reach.found(behind=behind):
            if number not in self._unsettled:
                self._hold(number, far)
            elif number not in self._let_in:
                self._unsettled.discard(number)
                if self._shares is not None:
                    self._shares.remove(number, trained=True)
                self._say(f"simulation {number}, which has ended well, is far outside: {far}")
        for number in [n for n in self._unsettled - self._let_in.keys() if self._reach.settled(n)]:
            self._unsettled.discard(number)
            if self._shares is not None:
                self._shares.close(number)

    def _require_trainable(self, number: int) -> None:
        """Hold it back where the model could make nothing of it."""
        if number not in self._held and (far := self._beyond(number)):
            self._hold(number, far)

    def _beyond(self, number: int) -> Far | None:
        return None if self._shares is None else self._reach.beyond(number, self._shares.scale)

    def _hold(self, number: int, far: Far, why: str = "") -> None:
        self._shaken |= self._buffer.drawn_of(number) > 0
        self._held[number] = Held(far, self._take_out(number))
        self._reach.set_aside(number)
        self._say(f"simulation {number} is held back until it ends: {why}{far}")

    def _outside(self, number: int) -> bool:
        return number in self._let_in and self._let_in[number].outside

    def _take_out(self, simulation: int) -> list[int]:
        self._early = [s for s in self._early if s.simulation.id != simulation]
        if self._shares is not None:
            self._shares.remove(simulation)
        return [origin for _, origin in self._buffer.remove(simulation)]
