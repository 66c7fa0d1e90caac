"""Every window once, whatever the order of arrival, and no frame kept for nothing."""

import gc
import json
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.domain import Field, Grid
from sciml.errors import InputError
from sciml.samples import Frame, Simulation, Task, Windower

GRID = Grid((2,), ((0, 1),), ("periodic",))


def simulation(number=0):
    return Simulation(
        number, GRID, (Field("u"),), {"kappa": 1.0}, {"mask": np.ones(GRID.point_shape)}
    )


def frame(step, number=0, attempt=1):
    return Frame(number, step, 0.1 * step, {"u": np.zeros(2)}, attempt)


@st.composite
def tasks(draw):
    history = draw(st.integers(0, 3))
    lead = draw(st.integers(0 if history <= 1 else 1, 3))
    unroll = draw(st.integers(1, 3)) if lead else 1
    return Task(("u",) if history else (), ("u",), lead, history, unroll)


def steps_of(task, origin):
    return {*task.input_steps(origin), *task.target_steps(origin)}


def span(task):
    return max(steps_of(task, 0)) - min(steps_of(task, 0))


def origins(task, n):
    """Origins of all windows within steps 0 … n−1."""
    every = range(-20, n + 1)
    return {o for o in every if min(steps_of(task, o)) >= 0 and max(steps_of(task, o)) < n}


@given(tasks(), st.integers(0, 14).flatmap(lambda n: st.permutations(range(n))))
@settings(max_examples=150)
def test_each_window_once_in_any_order(task, order):
    windower = Windower(task)
    windower.open(simulation())
    arrived, cut = set(), []
    for step in order:
        arrived.add(step)
        samples = windower.push(frame(step))
        for sample in samples:
            assert [f.step for f in sample.inputs] == list(task.input_steps(sample.origin))
            assert [f.step for f in sample.targets] == list(task.target_steps(sample.origin))
        found = [s.origin for s in samples]
        assert found == sorted(found)
        cut += found
        # Given as soon as complete, and a frame is held exactly while a window still wants it.
        complete = {o for o in origins(task, 20) if steps_of(task, o) <= arrived}
        assert set(cut) == complete
        wanted = set().union(*(steps_of(task, o) for o in origins(task, 40) - complete))
        assert {f.step for f in windower.pending()} == arrived & wanted
    assert sorted(cut) == sorted(origins(task, len(order)))


@given(tasks())
@settings(max_examples=40)
def test_memory_stays_bounded_in_order(task):
    windower = Windower(task)
    windower.open(simulation())
    for step in range(50):
        windower.push(frame(step))
        assert len(windower.pending()) <= span(task)


def test_storage_goes_with_the_last_window():
    windower = Windower(Task(("u",), ("u",)))
    windower.open(simulation())
    first = frame(0)
    alive = weakref.ref(first.fields["u"])
    windower.push(first)
    samples = windower.push(frame(1))
    del first
    gc.collect()
    assert alive() is not None
    del samples
    gc.collect()
    assert alive() is None


@given(
    tasks(),
    st.permutations(range(12)),
    st.integers(0, 12),
)
@settings(max_examples=100)
def test_a_cut_keeps_attempts_apart(task, order, at):
    """Windows join frames from one side of the cut only, and nothing waits for the other side."""
    windower = Windower(task)
    windower.open(simulation())
    before, after, seen = set(order[:at]), set(), []
    for step in order[:at]:
        seen += windower.push(frame(step))
    windower.cut(0)
    windower.open(simulation())
    assert windower.pending() == []
    for step in order[at:]:
        after.add(step)
        seen += windower.push(frame(step, attempt=2))
        possible = {o for o in origins(task, 40) if not steps_of(task, o) & before}
        open_ = {o for o in possible if not steps_of(task, o) <= after}
        wanted = set().union(*(steps_of(task, o) for o in open_))
        assert {f.step for f in windower.pending()} == after & wanted
    assert all(len({f.attempt for f in s.frames}) == 1 for s in seen)
    expected = {o for o in origins(task, 12) if steps_of(task, o) <= before}
    expected |= {o for o in origins(task, 12) if steps_of(task, o) <= after}
    assert sorted(s.origin for s in seen) == sorted(expected)


@given(tasks(), st.permutations(range(12)), st.integers(0, 12))
@settings(max_examples=60)
def test_resumed_windower_cuts_the_rest(task, order, at):
    first = Windower(task)
    first.open(simulation())
    seen = [s.origin for step in order[:at] for s in first.push(frame(step))]
    second = Windower(task)
    state = json.loads(json.dumps(first.state_dict()))
    second.load_state_dict(state, {0: simulation()}, lambda key: frame(key[1], key[0]))
    assert [f.key for f in second.pending()] == [f.key for f in first.pending()]
    seen += [s.origin for step in order[at:] for s in second.push(frame(step))]
    assert sorted(seen) == sorted(origins(task, 12))


def test_simulations_do_not_mix():
    windower = Windower(Task(("u",), ("u",)))
    windower.open(simulation(0))
    windower.open(simulation(1))
    assert windower.push(frame(0, 0)) == [] and windower.push(frame(1, 1)) == []
    (sample,) = windower.push(frame(1, 0))
    assert sample.key == (0, 0) and {f.simulation for f in sample.frames} == {0}
    windower.close(0)
    assert [f.key for f in windower.pending()] == [(1, 1)]
    windower.close(1)
    windower.close(7)
    windower.cut(7)
    assert windower.pending() == []


def test_a_frame_that_came_before_is_refused():
    windower = Windower(Task(("u",), ("u",)))
    windower.open(simulation())
    windower.push(frame(0))
    windower.push(frame(1))
    for step in (0, 1):
        with pytest.raises(InputError, match=rf"frame \(0, {step}\) came twice"):
            windower.push(frame(step))
    with pytest.raises(InputError, match="simulation 3, which is not open"):
        windower.push(frame(0, 3))


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Task(("v",), ("u",)), "wants field 'v', which simulation 0 does not have"),
        (Task(("u",), ("u",), parameters=("kapa",)), "did you mean 'kappa'"),
        (Task(("u",), ("u",), static=("msk",)), "static field 'msk'.*did you mean 'mask'"),
    ],
)
def test_what_a_simulation_does_not_have(task, message):
    with pytest.raises(InputError, match=message):
        Windower(task).open(simulation())
