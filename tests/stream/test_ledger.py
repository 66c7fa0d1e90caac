import pickle

import numpy as np

from sciml.samples import Frame
from sciml.stream.intervals import Intervals
from sciml.stream.ledger import Ledger


def frame(simulation, step):
    return Frame(simulation, step, 0.0, {"u": np.zeros(1)})


def run_through(ledger, simulation, steps):
    for step in range(steps):
        ledger.receive(simulation, step)
        ledger.enter(frame(simulation, step))
    ledger.produce(simulation, Intervals([(0, steps)]))
    ledger.close(simulation)
    ledger.conclude(simulation)


def test_counts_lost_and_doubled():
    ledger = Ledger()
    ledger.produce(0, Intervals([(0, 5)]))
    for step in (0, 1, 2, 4):
        ledger.receive(0, step)
        ledger.enter(frame(0, step))
    ledger.enter(frame(0, 2))
    assert ledger.frames()["lost"] == 0  # the missing one may still come
    ledger.close(0)
    counts = ledger.frames()
    assert counts == {
        "produced": 5,
        "received": 4,
        "entered": 4,
        "held": 0,
        "dropped": 0,
        "lost": 1,
        "doubled": 1,
        "resent": 0,
    }
    ledger.conclude(0)
    assert ledger.frames() == counts


def test_settling_what_was_entered_by_hand_counts_once():
    ledger, f = Ledger(), frame(0, 0)
    ledger.enter(f)
    ledger.settle(f)
    assert ledger.frames()["doubled"] == 0
    ledger.settle(frame(0, 0))
    assert ledger.frames()["doubled"] == 1


def hold(ledger, simulation, steps):
    for step in steps:
        ledger.receive(simulation, step)
        f = frame(simulation, step)
        ledger.hold(f)
        ledger.settle(f)  # asking for the next event


def test_a_frame_that_is_held_back_has_not_entered():
    ledger = Ledger()
    ledger.receive(0, 0)
    ledger.enter(frame(0, 0))
    hold(ledger, 0, (1, 2, 3))
    assert ledger.held(0).ranges() == [(1, 4)]
    counts = ledger.frames()
    assert (counts["received"], counts["entered"], counts["held"]) == (4, 1, 3)
    state = ledger.state_dict()
    after = Ledger()
    after.load_state_dict(state)  # and comes again from the spool
    assert after.has_entered(0, 0) and not after.has_entered(0, 1)
    ledger.enter(frame(0, 1))  # it ended well: all of them are let in
    ledger.enter(frame(0, 2))
    assert ledger.held(0).ranges() == [(3, 4)] and ledger.frames()["doubled"] == 0
    ledger.enter(frame(0, 3))
    ledger.conclude(0)
    counts = ledger.frames()
    assert (counts["entered"], counts["held"], counts["dropped"]) == (4, 0, 0)


def test_frames_held_back_of_a_bad_simulation_are_dropped():
    ledger = Ledger()
    run_through(ledger, 7, 5)
    ledger.receive(0, 0)
    ledger.enter(frame(0, 0))
    hold(ledger, 0, (1, 2, 3))
    ledger.quarantine(0, "nan")
    assert ledger.frames()["held"] == 3  # until the trainer has heard of it
    ledger.conclude(0)
    counts = ledger.frames()
    assert counts["received"] == counts["entered"] + counts["dropped"] == 9
    assert (counts["dropped"], counts["held"], counts["lost"]) == (3, 0, 0)
    after = Ledger()
    after.load_state_dict(ledger.state_dict())
    assert after.frames() == counts


def test_memory_is_flat_while_simulations_grow():
    sizes = []
    ledger = Ledger()
    for simulation in range(1000):
        run_through(ledger, simulation, 20)
        if simulation in (99, 999):
            sizes.append(len(pickle.dumps(ledger.state_dict())))
    assert sizes[1] < sizes[0] + 20
    assert ledger.frames()["entered"] == 20_000


def test_state_goes_back_to_the_checkpoint():
    ledger = Ledger()
    run_through(ledger, 0, 5)
    ledger.receive(1, 0)
    ledger.enter(frame(1, 0))
    ledger.receive(1, 1)  # received, not entered: not part of the model
    ledger.count("entered", 7)
    state = ledger.state_dict()
    ledger.enter(frame(1, 1))
    other = Ledger()
    other.load_state_dict(state)
    assert other.has_entered(0, 4) and other.has_entered(1, 0) and not other.has_entered(1, 1)
    assert other.frames()["entered"] == 6 and other.samples()["entered"] == 7
    assert other.finished(0) and not other.finished(1)
