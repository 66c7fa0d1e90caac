"""Orders of supervisor, trainer, jobs, hosts and messages, thousands of them, with the real product.

Who starts, dies, stands still, comes back or is told twice, and when, follows from a seed; see
``order.py``. Run one alone, with its trace: ``python tests/ordering/order.py SEED``.
"""

import random

import faults
import pytest
import stage
from order import Action, actions_of, run_order, smaller, tally

#: Orders of every day; of a failing one the smallest trace is shown.
ORDERS = 40


def hold(seeds):
    with stage.installed():
        found = tally(seeds)
        print(f"\n{found}")
        assert not found.failed, str(smaller(found.failed[0]))


def test_every_order_holds():
    hold(range(ORDERS))


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(10))
def test_every_order_of_many_holds(part):
    hold(range(10_000 * part, 10_000 * (part + 1)))


def test_an_order_is_the_same_each_time():
    with stage.installed():
        for seed in (2, 4, 17):
            one, other = run_order(seed), run_order(seed)
            assert [line for _, line in one.trace if "/" not in line] == [
                line for _, line in other.trace if "/" not in line
            ]
            assert one.steps == other.steps


def worker_unheard(seed):
    """Workers cannot be heard for a moment: what they run is started elsewhere."""
    chance = random.Random(seed)
    hosts = [chance.choice(("work-1", "work-2")) for _ in range(2)]
    return [Action("part", chance.uniform(2.5, 9.0), host=host, seconds=2.0) for host in hosts]


def leader_asleep(seed):
    """A leader sleeps for long, and another takes over."""
    chance = random.Random(seed)
    step = chance.randrange(80, 300)
    asleep = Action("freeze", kind="supervisor", step=step, seconds=2 * stage.LAPSE)
    return [asleep, Action("resume", chance.uniform(4.0, 12.0), host="b")]


def trainer_killed(seed):
    return [Action("kill", kind="trainer", step=random.Random(seed).randrange(60, 250))]


#: Orders that are about what a fault breaks, so that few of them find it: seeds of the study that it
#: takes, and what happens. For the others, any orders do.
ABOUT = {
    "fence_removed": (range(1, 400, 5), worker_unheard),
    "loss_not_noticed": (range(0, 400, 5), leader_asleep),
    "acknowledged_before_written": (range(60, 400, 5), trainer_killed),
}
#: Where the search for the others begins: shortly before the first order that finds them.
BEGIN = {"lease_not_looked_at": 17, "stop_marks_ignored": 29, "entered_not_in_the_checkpoint": 8}


def find(fault, seeds, actions, monkeypatch):
    """The first order that finds a fault, and how many were tried."""
    with monkeypatch.context() as patch:
        fault(patch.setattr)
        with stage.installed():
            for tried, seed in enumerate(seeds, 1):
                result = run_order(seed, actions(seed))
                if result.violations:
                    return result, tried
    return None, 0


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_put_in_on_purpose_is_found(fault, monkeypatch):
    begin = BEGIN.get(fault.__name__, 0)
    seeds, actions = ABOUT.get(fault.__name__, (range(begin, 200), actions_of))
    result, tried = find(fault, seeds, actions, monkeypatch)
    assert result is not None
    with stage.installed():
        without = run_order(result.seed, actions(result.seed))
    assert not without.violations, str(without)
    print(f"\n{fault.__name__}: order {result.seed}, number {tried}: {result.violations[0]:.200}")


@pytest.mark.slow
@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.__name__)
def test_how_many_orders_find_a_fault(fault, monkeypatch):
    result, tried = find(fault, range(2000), actions_of, monkeypatch)
    assert result is not None
    print(f"\n{fault.__name__}: after {tried} orders: {result.violations[0]:.200}")


def test_a_trainer_told_to_stop_while_it_waits_for_samples_ends():
    """Its supervisor is killed, and nobody brings samples any more."""
    with stage.installed():
        for step in range(150, 320, 10):
            result = run_order(7, [Action("kill", kind="supervisor", step=step)], 0.0)
            assert not result.violations, str(result)
