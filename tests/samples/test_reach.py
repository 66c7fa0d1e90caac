"""Who is far outside of what others have reached: those that diverge, and no legitimate variety."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciml.samples import Frame
from sciml.samples.reach import OTHERS, REMEMBERED, Reach, those_far

X = np.linspace(0, 2 * np.pi, 16, endpoint=False)


def frame(number, step, values):
    return Frame(number, step, 0.1 * step, {"u": np.asarray(values)})


def wave(number, step):
    return np.sin(X + number + 0.1 * step)


def stream(values, simulations, steps=20, at_once=3):
    """Frames as they come where ``at_once`` run side by side; closes those that are through."""
    for first in range(0, simulations, at_once):
        group = range(first, min(first + at_once, simulations))
        for step in range(steps):
            for number in group:
                yield frame(number, step, values(number, step))
        yield from (("closed", number) for number in group)


def found(values, simulations=12, **how):
    """(simulation, step at which it was found) of all that were found far."""
    reach, seen, step = Reach(["u"]), {}, 0
    for event in stream(values, simulations, **how):
        if isinstance(event, tuple):
            reach.close(event[1])
        else:
            step = event.step
            reach.add(event)
        for number, _ in reach.found():
            seen.setdefault(number, step)
            reach.set_aside(number)
    return seen


rng = np.random.default_rng(3)
AMPLITUDES = 10 ** rng.uniform(-3, 0, 60)
ONSETS = rng.integers(0, 10, 60)

LEGITIMATE = {
    "amplitudes over three decades": lambda n, k: AMPLITUDES[n] * wave(n, k),
    "squares of them": lambda n, k: AMPLITUDES[n] ** 2 * wave(n, k),
    "growth from 1e-8 in all": lambda n, k: min(1.0, 1e-8 * 10 ** (0.8 * k)) * wave(n, k),
    "growth without end in all": lambda n, k: 10.0**k * wave(n, k),
    "zero at first": lambda n, k: (k > 5) * wave(n, k),
    "zero until some time": lambda n, k: (k > ONSETS[n]) * wave(n, k),
    "an offset": lambda n, k: 280 + 0.1 * wave(n, k),
    "offsets of their own": lambda n, k: 280 + 30 * AMPLITUDES[n] + 1e-3 * wave(n, k),
    "constant": lambda n, k: np.full(16, 280.0),
    "constant, each its own": lambda n, k: np.full(16, AMPLITUDES[n]),
    "decay": lambda n, k: 10.0 ** (-k * AMPLITUDES[n] * 10) * wave(n, k),
    "whole numbers": lambda n, k: (100 * wave(n, k)).astype(np.int32),
}


@pytest.mark.parametrize("at_once", [1, 2, 3, 8, 60])
@pytest.mark.parametrize("case", LEGITIMATE)
def test_legitimate_variety_is_not_far(case, at_once):
    assert found(LEGITIMATE[case], 60, at_once=at_once) == {}


@given(st.permutations(range(20)))
def test_three_decades_are_not_far_in_whatever_order_they_come(order):
    amplitudes = np.logspace(-3, 0, 20)[list(order)]
    assert found(lambda n, k: amplitudes[n] * wave(n, k), 20, steps=3) == {}


def grows(n, k):
    return wave(n, k) * (10.0 ** max(0, k - 9) if n in (5, 7, 11) else 1)


def jumps(n, k):
    return wave(n, k) * (1e20 if n in (5, 7, 11) and k > 9 else 1)


def high(n, k):
    return wave(n, k) * (1e6 if n in (5, 7, 11) and k > 9 else 1)


@pytest.mark.parametrize("offset", [0.0, -3.0])
@pytest.mark.parametrize("unit", [1.0, 1e-25, 1e12])
@pytest.mark.parametrize(("fault", "within"), [(grows, 5), (jumps, 1), (high, 1)])
def test_those_that_diverge_are_found_in_whatever_units(fault, within, unit, offset):
    seen = found(lambda n, k: unit * (fault(n, k) + offset))
    assert seen.keys() == {5, 7, 11} and all(step <= 9 + within for step in seen.values()), seen


def test_who_was_ahead_of_all_others_is_found_when_they_come():
    """One at a time: of the first three nothing is known until the fourth."""
    values = lambda n, k: wave(n, k) * (1e20 if n == 0 and k > 9 else 1)  # noqa: E731
    assert found(values, 3, at_once=1) == {}
    assert found(values, 4, at_once=1).keys() == {0}
    assert found(values, 4, at_once=4).keys() == {0}


def test_a_quarter_of_the_others_may_be_bad_without_hiding_one():
    reach = Reach(["u"])
    for number in range(12):
        reach.add(frame(number, 0, wave(number, 0) * (1e12 if number < 3 else 1)))
        reach.close(number)
    reach.found()
    reach.add(frame(20, 0, 1e6 * wave(0, 0)))
    [(number, far)] = reach.found()
    assert number == 20 and far.value == pytest.approx(1e6, rel=0.1) and far.others == 12
    assert str(far) == f"'u' reaches {far.value:.3g}, 12 others {far.usual:.2g}"
    assert 1e5 < far.times < 1e7


def test_the_worst_field_is_named_with_its_level():
    reach = Reach(["u", "t"])
    for number in range(5):
        factor = 1e9 if number == 4 else 1.0
        fields = {"u": factor * wave(number, 0), "t": 280 + 0.1 * factor * wave(number, 0)}
        reach.add(Frame(number, 0, 0.0, fields))
    [(number, far)] = reach.found()
    assert number == 4 and far.field == "u"
    reach = Reach(["t"])
    for number in range(5):
        fields = {"t": 280 + 0.1 * (1e9 if number == 4 else 1.0) * wave(number, 0)}
        reach.add(Frame(number, 0, 0.0, fields))
    [(_, far)] = reach.found()
    assert "280 ± 0.28" in str(far)


def test_who_is_held_back_or_gone_is_no_measure():
    reach = Reach(["u"])
    for number in range(OTHERS + 2):
        reach.add(frame(number, 0, wave(number, 0) * (1e9 if number < 2 else 1)))
    # Two of five: of their quartiles one is bad.
    reach.set_aside(0)
    reach.remove(1)
    reach.add(frame(9, 0, 1e8 * wave(0, 0)))
    assert [number for number, _ in reach.found()] == [9]


def test_what_cannot_be_scaled_is_told():
    reach = Reach(["u"])
    reach.add(frame(0, 0, wave(0, 0)))
    assert reach.beyond(0, lambda name: (0.0, 0.5)) is None
    reach.add(frame(0, 1, -1e12 * np.ones(16)))
    far = reach.beyond(0, lambda name: (0.0, 0.5))
    assert str(far) == "'u' reaches -1e+12, what training began with 0.5"
    assert reach.beyond(0, lambda name: (0.0, np.inf)) is None


def test_memory_is_bounded_and_comes_back():
    reach = Reach(["u"])
    for number in range(3 * REMEMBERED):
        reach.add(frame(number, 0, wave(number, 0)))
        reach.close(number)
        reach.found()
    state = json.loads(json.dumps(reach.state_dict()))
    assert len(state) <= REMEMBERED + 1
    other = Reach(["u"])
    other.load_state_dict(state)
    for one in (reach, other):
        one.add(frame(999, 0, 1e9 * wave(0, 0)))
    assert reach.found() == other.found() != []


def test_points_without_values_are_left_out():
    land = np.where(np.arange(16) < 4, np.nan, 1.0)
    frames = [frame(n, 0, land * wave(n, 0) * (1e30 if n == 2 else 1)) for n in range(6)]
    assert those_far(frames, ["u"]).keys() == {2}
