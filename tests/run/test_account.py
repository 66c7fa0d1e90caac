"""What came, against the plan: who has an outcome, who gave too little."""

import json
from types import SimpleNamespace

import pytest

from sciml.run.account import Account, announced
from sciml.run.snapshot import Snapshot
from sciml.stream.intervals import Intervals
from sciml.stream.ledger import Ledger

ROLES = {n: "validation" if n in (2, 5) else "train" for n in range(8)}


def account(counts, announced=None, **options):
    """Of simulations that closed with so many frames each."""
    delivered = {}
    for number, frames in counts.items():
        delivered.setdefault(frames, Intervals()).add(number)
    closed = Intervals((n, n + 1) for n in counts)
    return Account(ROLES, announced, closed, delivered, **options)


def test_all_is_there():
    found = account(dict.fromkeys(range(8), 61), 61)
    assert (found.expected, found.missing, found.lacking, found.short) == (8 * 61, 0, [], {})
    assert found.to_json()["with_outcome"] == found.to_json()["planned"] == 8


def test_who_announced_more_than_came_is_named():
    found = account({**dict.fromkeys(range(7), 61), 7: 30}, 61)
    assert (found.short, found.missing, found.expected) == ({7: 30}, 31, 8 * 61)
    assert found.line(7) == "simulation 7 ended well with 30 frames; its options announce 61"


def test_all_of_them_may_have_given_half():
    found = account(dict.fromkeys(range(8), 30), 61)
    assert len(found.short) == 8 and found.missing == 8 * 31


def test_without_a_number_that_is_announced_siblings_tell():
    found = account({**dict.fromkeys(range(6), 61), 6: 60, 7: 62})
    assert (found.full, found.short, found.missing) == (61, {6: 60}, 1)
    assert "others sent 61" in found.line(6)


@pytest.mark.parametrize("counts", [{}, {0: 9, 1: 9}, {0: 9, 1: 9, 2: 9, 3: 5, 4: 6, 5: 7}])
def test_a_few_siblings_or_all_sorts_of_them_tell_nothing(counts):
    found = account(counts)
    assert found.full is None and found.expected is None
    assert found.short == {} and found.missing == 0


def test_who_was_given_up_or_quarantined_owes_nothing():
    found = account(
        {**dict.fromkeys(range(5), 61), 5: 3, 6: 2},
        61,
        given_up={5, 7},
        quarantined={6},
    )
    assert found.short == {} and found.lacking == []
    assert found.expected == 5 * 61
    told = found.to_json()
    assert (told["finished"], told["given_up"], told["quarantined"]) == (5, 2, 1)


def test_who_ended_well_and_never_closed():
    """What it had not sent is missing, nothing at all may be: no ledger of what came knows that."""
    found = account(dict.fromkeys(range(6), 61), 61, unclosed={6: 61, 7: 0})
    assert found.short == {7: 0} and found.missing == 61 and found.lacking == []


def test_when_training_is_over_only_held_out_simulations_are_lacking():
    counts = dict.fromkeys((0, 1, 2), 61)
    assert account(counts, 61).lacking == [3, 4, 5, 6, 7]
    over = account(counts, 61, over=True)
    assert over.lacking == [5] and over.skipped == {3, 4, 6, 7}
    assert over.expected == 4 * 61


def test_frames_that_a_program_announces():
    solver = SimpleNamespace(options={"steps": 44}, send=SimpleNamespace(every=4))
    study = SimpleNamespace(solver=solver)
    ours = {"order": {}, "options": [{"name": "steps", "default": 9}], "parameters": []}
    assert announced(study, ours) == 12
    solver.options = {}
    assert announced(study, ours) == 3
    assert announced(study, {"options": [{"name": "steps", "default": 9}]}) is None
    assert announced(study, {"order": {}, "options": []}) is None


def test_the_ledger_knows_how_many_frames_came_of_whom():
    ledger = Ledger()
    for simulation, frames in {0: 3, 1: 3, 2: 1, 3: 0}.items():
        for step in range(frames):
            ledger.receive(simulation, step)
        ledger.close(simulation)
        ledger.conclude(simulation)
    ledger.receive(4, 0)
    ledger.conclude(2)  # again: nothing changes
    assert ledger.received(4) == 1 and ledger.received(9) == 0
    again = Ledger()
    again.load_state_dict(json.loads(json.dumps(ledger.state_dict())))
    for one in (ledger, again):
        found = {frames: numbers.ranges() for frames, numbers in one.delivered().items()}
        assert found == {3: [(0, 2)], 1: [(2, 3)], 0: [(3, 4)]}


def test_what_nobody_knows_is_not_shown_as_nothing():
    assert Snapshot().to_json()["frames"]["expected"] is None
    counted = Snapshot(trainer={"frames": {"expected": 8, "received": 7}}).to_json()["frames"]
    assert (counted["expected"], counted["received"], counted["missing"]) == (8, 7, 0)
