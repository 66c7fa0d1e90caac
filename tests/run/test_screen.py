"""Simulations that are held back, let in, and left out: buffer, statistics and account add up."""

import json
from collections import Counter

import numpy as np
import pytest

from sciml.buffer import KINDS, make
from sciml.domain import Field, Grid
from sciml.run.held_out import HeldOut
from sciml.run.online.intake import Intake
from sciml.run.online.restart import kept, needed
from sciml.samples import Frame, Simulation, Task, Windower
from sciml.samples.windower import sample_frames, window
from sciml.stream.events import Arrived, Closed, Opened, Quarantined
from sciml.stream.ledger import Ledger
from sciml.surrogates import Statistics, Surrogate
from sciml.surrogates.shares import Shares

GRID = Grid((8,), ((0.0, 1.0),), ("periodic",))
X = np.arange(8) / 8
TASK = Task(("u",), ("u",), parameters=("a",))


class Server:
    """A ledger and a spool; what the queue of a server does besides."""

    def __init__(self):
        self.ledger = Ledger()
        self.frames, self.simulations, self.closed = {}, {}, []

    def simulation(self, number):
        return self.simulations.get(number)

    def replay(self, keys):
        return (self.frames[key] for key in keys)

    def abandon(self, number):
        self.closed.append(number)


class Run:
    """An intake that is fed by hand, with a surrogate behind it if wanted."""

    def __init__(self, folder, kind="fifo", surrogate=True, roles=(), watermark=1):
        self.server, self.said = Server(), []
        self.buffer = make(kind, 1000, watermark, 0)
        heldout = HeldOut(folder)
        self.intake = Intake(
            self.server, Windower(TASK), self.buffer, heldout, dict(roles), say=self.said.append
        )
        self.screen = self.intake.screen
        if surrogate:
            self.attach()

    def attach(self, state=None):
        self.surrogate = Surrogate.build("mlp", TASK, GRID, fields=(Field("u"),))
        self.shares = Shares(Statistics(self.surrogate), state)
        self.screen.attach(self.shares)

    def take(self, event):
        self.intake._take(event)
        match event:
            case Arrived(frame=frame):
                self.server.ledger.settle(frame)
            case Closed(simulation_id=number) | Quarantined(simulation_id=number):
                self.server.ledger.conclude(number)

    def open(self, number):
        simulation = Simulation(number, GRID, (Field("u"),), {"a": 0.1 * number})
        self.server.simulations[number] = simulation
        self.take(Opened(simulation, 1, False))

    def frame(self, number, step, factor=1.0):
        values = (factor * np.sin(2 * np.pi * (X + 0.1 * number + 0.05 * step))).astype(np.float32)
        frame = Frame(number, step, 0.1 * step, {"u": values})
        self.server.frames[frame.key] = frame
        self.server.ledger.receive(number, step)
        self.take(Arrived(frame))

    def whole(self, number, steps=6):
        self.open(number)
        for step in range(steps):
            self.frame(number, step)
        self.take(Closed(number))

    def goes_high(self, number, factor=1e6, steps=6, last=12):
        """One that is sound for some steps, and held back from then on."""
        self.open(number)
        for step in range(last):
            self.frame(number, step, 1.0 if step < steps else factor)

    def held(self):
        return Counter(sample.key[0] for sample in self.buffer.samples())

    def check(self):
        """Nothing is lost, nothing doubled."""
        frames, stats = self.server.ledger.frames(), self.buffer.stats()
        assert frames["received"] == frames["entered"] + frames["held"] + frames["dropped"], frames
        assert frames["lost"] == frames["doubled"] == 0
        assert stats["put"] == stats["size"] + stats["evicted"] + stats["removed"]
        assert self.server.ledger.samples()["entered"] == stats["put"]
        keys = [sample.key for sample in self.buffer.samples()]
        assert len(keys) == len(set(keys))
        return frames


def deviation(run):
    return float(run.surrogate.normalizer.std("u"))


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_is_held_back_and_ends_well_comes_in_whole(tmp_path, kind):
    run = Run(tmp_path, kind)
    for number in range(4):
        run.whole(number)
    run.goes_high(9)
    assert run.check()["held"] == 6 and run.held()[9] == 0  # its first samples left as well
    assert deviation(run) == pytest.approx(0.7, rel=0.1)
    assert any("simulation 9 is held back" in line and "'u' reaches" in line for line in run.said)
    run.take(Closed(9))
    assert run.check() == {**run.check(), "held": 0, "dropped": 0, "entered": 36}
    assert run.held()[9] == 11
    origins = [s.origin for s in run.buffer.samples() if s.simulation.id == 9]
    assert sorted(origins) == list(range(11))
    assert "6 frames that were held back are let in" in run.said[-1]
    # It is trained on, and no measure for the others.
    assert deviation(run) == pytest.approx(0.7, rel=0.1)
    assert run.surrogate.bounds.of("field", "u")[1] == pytest.approx(1e6, rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_is_held_back_and_quarantined_leaves_nothing(tmp_path, kind):
    run = Run(tmp_path, kind)
    for number in range(4):
        run.whole(number)
    before = run.shares.state_dict()
    run.goes_high(9)
    run.buffer.get_batch(10)
    run.take(Quarantined(9, "nan"))
    assert run.check() == {**run.check(), "held": 0, "dropped": 6, "entered": 30}
    assert run.held()[9] == 0
    assert run.shares.state_dict() == before
    assert run.surrogate.bounds.of("field", "u")[1] == pytest.approx(1.0, rel=0.1)
    line = run.said[-1]
    assert "simulation 9 is left out: quarantined; 5 samples" in line and "6 frames" in line


def test_how_often_it_was_drawn_is_said(tmp_path):
    run = Run(tmp_path, "reservoir")
    for number in range(4):
        run.whole(number)
    run.open(9)
    for step in range(4):
        run.frame(9, step)
    drawn = sum(s.key[0] == 9 for _ in range(20) for s in run.buffer.get_batch(8))
    run.take(Quarantined(9, "nan"))
    assert drawn > 0 and "3 samples of it have left the buffer, 0 frames" in run.said[-1]
    assert f"and {drawn} draws" in run.said[-1]


@pytest.mark.parametrize(("factor", "left"), [(1.0, 9), (1e6, 0)])
def test_one_that_is_given_up_leaves_if_it_is_far(tmp_path, factor, left):
    """Programs that check their fields end by themselves, and are not quarantined."""
    run = Run(tmp_path)
    for number in range(4):
        run.whole(number)
    run.goes_high(9, factor, last=10)
    run.intake._control({"given_up": [[9, "exit code 1"]]})
    assert run.server.closed == [9]
    run.frame(9, 10)  # was under way
    run.take(Closed(9, abandoned=True))
    frames = run.check()
    assert run.held()[9] == left
    assert (frames["dropped"], frames["held"]) == ((5, 0) if factor > 1 else (1, 0))
    assert any("left out: given up; 'u' reaches" in line for line in run.said) == (factor > 1)


def test_what_cannot_be_trained_on_is_not_let_in(tmp_path):
    run = Run(tmp_path)
    for number in range(4):
        run.whole(number)
    run.goes_high(9, 1e30)
    run.take(Closed(9))
    assert run.check()["dropped"] == 6 and run.held()[9] == 0
    assert "simulation 9 is left out: it cannot be trained on: 'u' reaches" in run.said[-1]


def test_the_only_simulation_is_held_back_by_the_scaling_alone(tmp_path):
    """Nobody to compare with, and float32 all the same."""
    run = Run(tmp_path)
    run.goes_high(0, 1e6)
    assert run.held()[0] == 11 and run.screen.fix()
    run.frame(0, 12, 1e20)
    assert run.check()["held"] == 1 and run.held()[0] == 0
    assert "what training began with" in run.said[-1]


def test_one_with_which_the_loss_is_not_finite_is_held_back_and_not_let_in(tmp_path):
    """Two side by side: nobody else to compare with."""
    run = Run(tmp_path)
    run.whole(2)
    for number in (0, 1):
        run.open(number)
        for step in range(5):
            run.frame(number, step, 1e30 if number else 1.0)
    assert not run.screen.rescue([2])  # has ended well: it is something else
    assert run.screen.rescue([0, 1, 2]) and run.held().keys() == {0, 2}
    assert "simulation 1 is held back until it ends: the loss is not finite" in run.said[-1]
    assert run.screen.shaken() and not run.screen.shaken()
    assert deviation(run) == pytest.approx(0.7, rel=0.1)
    run.take(Closed(1))
    assert "simulation 1 is left out: it cannot be trained on" in run.said[-1]
    assert run.screen.rescue([0]) and not run.screen.rescue([0])
    run.check()


def test_who_was_ahead_is_taken_back_when_others_come(tmp_path):
    run = Run(tmp_path)
    for number in range(4):
        run.open(number)
    for step in range(8):
        run.frame(0, step, 10.0**step)
    assert run.held()[0] == 7
    for step in range(8):
        for number in (1, 2, 3):
            run.frame(number, step)
    assert run.held()[0] == 0 and any("simulation 0 is held back" in line for line in run.said)
    assert deviation(run) == pytest.approx(0.7, rel=0.1)
    run.check()


def test_scaling_is_fixed_without_one_that_is_ahead(tmp_path):
    run = Run(tmp_path)
    for number in range(4):
        run.open(number)
        for step in range(5 if number else 8):
            run.frame(number, step, 1.0 if number else 10.0**step)
    assert run.held()[0] == 7
    assert run.screen.fix()
    assert run.held()[0] == 0 and deviation(run) == pytest.approx(0.7, rel=0.1)


def test_scaling_that_came_from_a_bad_simulation_is_measured_anew(tmp_path):
    """Fixed while it was in: of what is left, or of what comes where nothing is."""
    run = Run(tmp_path)
    run.open(0)
    for step in range(6):
        run.frame(0, step, 10.0**step)
    assert run.screen.fix() and deviation(run) > 1e3
    run.take(Quarantined(0, "nan"))
    assert deviation(run) > 1e3  # until the training is between two steps
    assert run.screen.renew() and not run.screen.fix()
    run.whole(1)
    assert run.screen.fix() and deviation(run) == pytest.approx(0.7, rel=0.1)
    run.whole(2)
    assert not run.screen.renew()
    run.open(3)
    run.frame(3, 0)
    run.frame(3, 1)
    before = run.surrogate.normalizer.moments
    run.take(Quarantined(3, "nan"))
    assert not run.screen.renew()  # nothing of it is in there
    np.testing.assert_array_equal(run.surrogate.normalizer.moments, before)
    run.check()


def test_scaling_is_left_alone_where_a_bad_simulation_hardly_matters(tmp_path):
    run = Run(tmp_path)
    for number in range(4):
        run.open(number)
        for step in range(6):
            run.frame(number, step)
    run.screen.fix()
    before = run.surrogate.normalizer.moments
    run.take(Quarantined(2, "nan"))
    assert not run.screen.renew()
    np.testing.assert_array_equal(run.surrogate.normalizer.moments, before)


def test_what_ended_well_and_far_before_there_were_others_is_no_measure(tmp_path):
    run = Run(tmp_path)
    run.goes_high(0)
    run.take(Closed(0))
    assert deviation(run) > 1e5
    for number in range(1, 5):
        run.whole(number)
    assert deviation(run) == pytest.approx(0.7, rel=0.1) and run.held()[0] == 11
    assert any("simulation 0, which has ended well, is far outside" in line for line in run.said)
    run.check()


def test_before_the_surrogate_is_there(tmp_path):
    """Frames come while torch is imported."""
    run = Run(tmp_path, surrogate=False)
    for number in range(4):
        run.whole(number)
    run.goes_high(9)
    run.open(10)
    run.frame(10, 0)
    run.frame(10, 1)
    run.take(Quarantined(10, "nan"))
    run.attach()
    assert deviation(run) == pytest.approx(0.7, rel=0.1)
    assert run.surrogate.normalizer.moments[0, 0] == 4 * 5 * 8
    run.take(Closed(9))
    assert run.check()["held"] == 0 and run.held()[9] == 11


def test_a_held_out_simulation_that_is_far_is_named_and_one_beyond_reason_left_out(tmp_path):
    run = Run(tmp_path, roles={8: "validation", 9: "validation", 7: "validation"})
    for number in range(4):
        run.whole(number)
    for number, factor in ((7, 1.0), (8, 1e6), (9, 1e30)):
        run.goes_high(number, factor)
        run.take(Closed(number))
    assert [s.id for s, _ in run.intake._heldout.trajectories()] == [7, 8]
    assert "simulation 8, which is held out, is far outside" in run.said[0]
    assert "left out of the validation" in run.said[1] and len(run.said) == 2
    run.check()


def test_a_held_out_simulation_of_which_the_model_can_make_nothing_is_left_out(tmp_path):
    run = Run(tmp_path, roles={8: "validation", 9: "validation"})
    asked = []

    def wrong(simulation, frames):
        asked.append((simulation.id, len(frames)))
        return "frame 0: particles 1 and 2 are 0 apart" if simulation.id == 9 else ""

    run.screen.attach(run.shares, wrong)
    for number in (0, 8, 9):
        run.whole(number)
    assert [s.id for s, _ in run.intake._heldout.trajectories()] == [8]
    assert [number for number, frames in asked if frames] == [8, 9]
    assert run.said == [
        "simulation 9, which is held out, is left out of the validation: "
        "frame 0: particles 1 and 2 are 0 apart"
    ]
    run.check()


@pytest.mark.parametrize("moment", ["held", "being let in"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_trainer_that_is_killed_meanwhile_goes_on(tmp_path, kind, moment):
    """From its checkpoint: frames that had not entered come again, in order."""
    run = Run(tmp_path, kind)
    for number in range(4):
        run.whole(number)
    run.goes_high(9)
    states = []

    def checkpoint():
        state = {"source": {"buffer": run.buffer.state_dict()}, "extra": run.intake.state_dict()}
        states.append(json.loads(json.dumps(state)))

    checkpoint()
    put = run.buffer.put

    def slow(sample):
        checkpoint()  # while it waits for room
        put(sample)
        checkpoint()

    run.buffer.put = slow
    run.take(Closed(9))
    expected = sorted(s.key for s in run.buffer.samples())
    for state in states[:1] if moment == "held" else states[1:]:
        beside = state["extra"]
        after = Run(tmp_path, kind, surrogate=False)
        # What a commit lets go of is gone.
        after.server.ledger.load_state_dict(beside["ledger"])
        keys = {
            key
            for key in run.server.frames
            if key in kept(TASK, state) or not after.server.ledger.has_entered(*key)
        }
        after.server.frames = {key: run.server.frames[key] for key in keys}
        after.server.simulations = run.server.simulations
        frames = {key: after.server.frames[key] for key in needed(TASK, state)}
        there = run.server.simulations

        def sample(key, frames=frames, there=there):
            number, origin = key
            return window(TASK, there[number], origin, lambda step: frames[number, step])

        buffered = state["source"]["buffer"]
        after.buffer.load_state_dict(buffered, sample)
        waiting = [
            sample((n, origin))
            for n, origin, ordinal in beside["on_the_way"]
            if ordinal >= buffered["counts"][0]
        ]
        put_count = buffered["counts"][0]
        after.intake.restore(beside, waiting, put_count, there, frames)
        after.server.ledger.set("entered", put_count)
        after.intake._put_waiting()
        after.attach(beside["screen"]["shares"])
        for key in sorted(keys - {k for k in keys if after.server.ledger.has_entered(*k)}):
            after.server.ledger.receive(*key)
            after.take(Arrived(after.server.frames[key]))
        after.take(Closed(9))
        assert sorted(s.key for s in after.buffer.samples()) == expected
        assert after.check()["held"] == after.check()["dropped"] == 0
        assert after.server.ledger.finished(9)


def test_frames_of_held_back_samples_stay_in_the_spool(tmp_path):
    run = Run(tmp_path)
    for number in range(4):
        run.whole(number)
    run.goes_high(9)
    state = {"source": {"buffer": run.buffer.state_dict()}, "extra": run.intake.state_dict()}
    aside = sample_frames(TASK, [(9, origin) for origin in range(5)])
    assert aside <= kept(TASK, state) and not aside - {(9, 5)} <= needed(TASK, state)
