"""Producers and a reader in threads: whatever ends first, nobody waits for ever."""

import threading
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import PATIENCE, wait_until

from sciml.buffer import KINDS, Reservoir, Stopped, make
from sciml.domain import Field, Grid
from sciml.samples import Sample, Simulation

GRID = Grid((2,), ((0, 1),), ("periodic",))
KIND = pytest.mark.parametrize("kind", KINDS)


def sample(simulation, origin):
    return Sample(Simulation(simulation, GRID, (Field("u"),)), origin, (), ())


def start(target, *args):
    thread = threading.Thread(target=target, args=args, daemon=True)
    thread.start()
    return thread


def join(*threads):
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive(), "deadlock"


@KIND
@given(
    st.integers(1, 12),
    st.floats(0, 1),
    st.floats(0, 1),
    st.lists(st.integers(0, 40), min_size=1, max_size=3),
)
@settings(max_examples=25)
def test_no_deadlock_and_nothing_lost(kind, capacity, watermark, batch, lengths):
    """Any sizes, any number of producers; they may all end before the watermark is reached."""
    watermark, batch = (1 + round(part * (capacity - 1)) for part in (watermark, batch))
    buffer = make(kind, capacity, watermark, seed=0)
    drawn = []

    def produce(simulation, length):
        for origin in range(length):
            buffer.put(sample(simulation, origin))

    def read():
        while batch_ := buffer.get_batch(batch):
            assert len({s.key for s in batch_}) == len(batch_) <= batch
            assert len(buffer) <= capacity
            drawn.extend(s.key for s in batch_)

    reader = start(read)
    producers = [start(produce, i, length) for i, length in enumerate(lengths)]
    join(*producers)
    buffer.close()
    join(reader)
    counts = Counter(drawn)
    assert set(counts) == {(i, o) for i, length in enumerate(lengths) for o in range(length)}
    if kind != "reservoir":
        assert set(counts.values()) <= {1}
    if kind == "fifo":
        for i, length in enumerate(lengths):
            assert [o for s, o in drawn if s == i] == list(range(length))


@KIND
def test_put_waits_for_room_and_is_let_in_after_close(kind):
    """A sample whose put began before reception ended is not lost."""
    buffer = make(kind, 2, 1)
    for origin in range(2):
        buffer.put(sample(0, origin))
    late = start(buffer.put, sample(0, 2))
    wait_until(lambda: buffer._waiting == 1)  # else it comes too late
    time.sleep(0.05)
    assert late.is_alive() and len(buffer) == 2
    buffer.close()
    drawn = []
    while batch := buffer.get_batch(2):
        drawn += [s.origin for s in batch]
    join(late)
    assert sorted(drawn) == [0, 1, 2]


@KIND
def test_reader_waits_for_the_watermark(kind):
    buffer = make(kind, 10, 5)
    got = []
    reader = start(lambda: got.append(buffer.get_batch(2)))
    for origin in range(4):
        buffer.put(sample(0, origin))
    time.sleep(0.05)
    assert not got
    buffer.put(sample(0, 4))
    join(reader)
    assert len(got[0]) == 2


@KIND
def test_batch_larger_than_the_watermark_is_waited_for(kind):
    buffer = make(kind, 10, 1)
    got = []
    reader = start(lambda: got.append(buffer.get_batch(3)))
    for origin in range(2):
        buffer.put(sample(0, origin))
    time.sleep(0.05)
    assert not got
    buffer.put(sample(0, 2))
    join(reader)
    assert len(got[0]) == 3


@KIND
def test_stop_wakes_everyone(kind):
    empty, full = make(kind, 2, 2), make(kind, 1, 1)
    full.put(sample(0, 0))
    outcome = []

    def put():
        try:
            full.put(sample(0, 1))
        except Stopped as error:
            outcome.append(error)

    waiting = [start(put), start(lambda: outcome.append(empty.get_batch(1)))]
    time.sleep(0.05)
    empty.stop(), full.stop()
    join(*waiting)
    assert [] in outcome and any(isinstance(o, Stopped) for o in outcome)
    assert full.get_batch(1) == [] and len(full) == 1
    with pytest.raises(Stopped):
        full.put(sample(0, 2))


def test_reservoir_blocks_only_on_unseen_ones():
    buffer = Reservoir(3, 1)
    for origin in range(3):
        buffer.put(sample(0, origin))
    late = start(buffer.put, sample(0, 3))
    time.sleep(0.05)
    assert late.is_alive()
    (drawn,) = buffer.get_batch(1)
    join(late)
    held = [s.origin for s in buffer.samples()]
    assert drawn.origin not in held and 3 in held and len(held) == 3
