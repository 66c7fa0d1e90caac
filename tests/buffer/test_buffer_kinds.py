"""What each kind of buffer promises, without threads: every call here may not block."""

import json
from collections import Counter
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from sciml.buffer import FIFO, FIRO, KINDS, Reservoir, Stopped, make
from sciml.domain import Field, Grid
from sciml.errors import InputError
from sciml.samples import Sample, Simulation

SIMULATION = Simulation(0, Grid((2,), ((0, 1),), ("periodic",)), (Field("u"),))
KIND = pytest.mark.parametrize("kind", KINDS)


def sample(origin):
    return Sample(SIMULATION, origin, (), ())


def fill(buffer, n, start=0):
    for origin in range(start, start + n):
        buffer.put(sample(origin))


def origins(batch):
    return [s.origin for s in batch]


def drain(buffer, n):
    """Everything until the buffer is exhausted."""
    drawn = []
    while batch := buffer.get_batch(n):
        drawn += origins(batch)
    return drawn


@st.composite
def histories(draw):
    capacity = draw(st.integers(1, 12))
    return (
        capacity,
        draw(st.integers(1, capacity)),
        draw(st.integers(1, capacity)),
        draw(st.lists(st.booleans(), max_size=80)),
    )


def play(buffer, n, history):
    """Put where the history says True, draw where it says False, skipping calls that would block.

    Yields after each action: what was put, what was drawn, the batch of this action or None.
    """
    put, drawn = [], []
    for is_put in history:
        stats = buffer.stats()
        if is_put and stats["unseen"] < buffer.capacity:
            put.append(len(put))
            buffer.put(sample(put[-1]))
            yield put, drawn, None
        elif not is_put and stats["size"] >= max(buffer.watermark, n):
            batch = origins(buffer.get_batch(n))
            drawn += batch
            yield put, drawn, batch


@KIND
@given(histories())
@settings(max_examples=60)
def test_nothing_lost_nothing_doubled_capacity_kept(kind, case):
    capacity, watermark, n, history = case
    buffer = make(kind, capacity, watermark, seed=1)
    put, drawn = [], []
    for put, drawn, batch in play(buffer, n, history):
        stats = buffer.stats()
        assert len(buffer) == stats["size"] == stats["seen"] + stats["unseen"] <= capacity
        assert stats["put"] == stats["size"] + stats["evicted"] == len(put)
        assert stats["drawn"] == len(drawn) and stats["distinct"] == len(set(drawn))
        # What is not held any more has been drawn.
        held = set(origins(buffer.samples()))
        assert set(put) - held <= set(drawn)
        if batch is not None:
            assert len(batch) == n == len(set(batch))
    buffer.close()
    drawn = drawn + drain(buffer, n)
    assert set(drawn) == set(put)
    stats = buffer.stats()
    assert stats["size"] == 0 and stats["evicted"] == len(put) and stats["closed"]
    if kind != "reservoir":
        assert len(drawn) == len(put)
        assert stats["repeats"] == (1.0 if put else 0.0)
    if kind == "fifo":
        assert drawn == put
    if put:
        assert stats["repeats"] == pytest.approx(len(drawn) / len(set(drawn)))


@KIND
@given(histories(), st.integers(0, 80))
@settings(max_examples=40)
def test_resumed_buffer_draws_the_same(kind, case, cut):
    capacity, watermark, n, history = case
    first = make(kind, capacity, watermark, seed=3)
    list(play(first, n, history[:cut]))
    state = json.loads(json.dumps(first.state_dict()))
    assert msgpack.unpackb(msgpack.packb(state)) == state
    second = make(kind, capacity, watermark, seed=99)
    second.load_state_dict(state, lambda key: sample(key[1]))
    assert second.stats() == first.stats()
    assert [batch for *_, batch in play(first, n, history[cut:])] == [
        batch for *_, batch in play(second, n, history[cut:])
    ]
    first.close(), second.close()
    assert drain(first, n) == drain(second, n)
    assert second.stats() == first.stats()
    third = make(kind, capacity, watermark)
    third.load_state_dict(first.state_dict(), lambda key: sample(key[1]))
    assert third.get_batch(1) == []


def mixed(kind):
    """Ten samples of simulations 0 and 1 in turn, some drawn."""
    buffer = make(kind, 20, 4, seed=5)
    buffer.watch(1)
    for origin in range(10):
        buffer.put(Sample(replace(SIMULATION, id=origin % 2), origin, (), ()))
    return buffer, [s.key for s in buffer.get_batch(4)]


@KIND
def test_a_simulation_is_removed_whole_and_nothing_else(kind):
    buffer, drawn = mixed(kind)
    held = [s.key for s in buffer.samples()]
    gone = buffer.remove(1)
    assert sorted(gone) == sorted(key for key in held if key[0] == 1)
    stats = buffer.stats()
    assert stats["removed"] == len(gone) > 0
    assert stats["put"] == stats["size"] + stats["evicted"] + stats["removed"] == 10
    assert buffer.remove(1) == [] and buffer.remove(7) == []
    assert buffer.unwatch(1) == sum(key[0] == 1 for key in drawn) > 0
    assert buffer.unwatch(1) == 0
    again = make(kind, 20, 4)
    again.load_state_dict(buffer.state_dict(), lambda key: sample(key[1]))
    assert again.stats() == buffer.stats()
    buffer.close()
    rest = drain(buffer, 3)
    assert set(rest) <= {0, 2, 4, 6, 8} and buffer.stats()["size"] == 0
    if kind == "fifo":
        assert rest == sorted(rest)


@KIND
def test_counts_of_draws_come_back_with_a_buffer(kind):
    buffer, drawn = mixed(kind)
    again = make(kind, 20, 4)
    again.load_state_dict(
        buffer.state_dict(), lambda key: Sample(replace(SIMULATION, id=key[0]), key[1], (), ())
    )
    assert again.unwatch(1) == sum(key[0] == 1 for key in drawn)


def test_seed_decides_the_draws():
    def draws(seed):
        buffer = Reservoir(50, 1, seed)
        fill(buffer, 50)
        return origins(buffer.get_batch(20))

    assert draws(1) == draws(1) != draws(2)


TRIALS = 3000


def assert_uniform(counts, n):
    observed = [counts[i] for i in range(n)]
    p = chisquare(observed).pvalue
    assert p > 1e-3, f"p = {p:.2e} for {observed}"


def test_firo_draws_uniformly():
    first, second = Counter(), Counter()
    for seed in range(TRIALS):
        buffer = FIRO(10, 1, seed)
        fill(buffer, 10)
        a, b = origins(buffer.get_batch(2))
        first[a] += 1
        second[b] += 1
    assert_uniform(first, 10)
    assert_uniform(second, 10)


def test_reservoir_draws_uniformly_from_seen_and_unseen():
    counts = Counter()
    for seed in range(TRIALS):
        buffer = Reservoir(10, 1, seed)
        fill(buffer, 6)
        buffer.get_batch(4)
        fill(buffer, 4, start=6)
        counts.update(origins(buffer.get_batch(1)))
    assert_uniform(counts, 10)


def test_reservoir_pairs_are_uniform_within_a_batch():
    pairs = Counter()
    buffer = Reservoir(5, 1, 0)
    fill(buffer, 5)
    for _ in range(TRIALS):
        a, b = sorted(origins(buffer.get_batch(2)))
        pairs[a, b] += 1
    assert len(pairs) == 10
    assert chisquare(list(pairs.values())).pvalue > 1e-3


def test_reservoir_evicts_seen_ones_uniformly_and_only_those():
    counts = Counter()
    for seed in range(TRIALS):
        buffer = Reservoir(8, 1, seed)
        fill(buffer, 5)
        buffer.get_batch(5)
        fill(buffer, 4, start=5)
        held = set(origins(buffer.samples()))
        (gone,) = set(range(9)) - held
        counts[gone] += 1
    assert set(counts) == set(range(5))
    assert_uniform(counts, 5)


def test_reservoir_drains_uniformly():
    counts = Counter()
    for seed in range(TRIALS):
        buffer = Reservoir(8, 1, seed)
        fill(buffer, 8)
        buffer.get_batch(4)
        buffer.close()
        counts.update(origins(buffer.get_batch(1)))
    assert_uniform(counts, 8)


def test_reservoir_removes_the_bias_of_arrival():
    """Samples that come while the trainer draws train about as often as the first ones do."""
    buffer = Reservoir(100, 50, 0)
    drawn = Counter()
    fill(buffer, 100)
    for origin in range(100, 2000):
        drawn.update(origins(buffer.get_batch(4)))
        buffer.put(sample(origin))
    early = np.mean([drawn[i] for i in range(200, 500)])
    late = np.mean([drawn[i] for i in range(1400, 1700)])
    assert 0.9 < early / late < 1.1


def test_stats_measure_repeats_staleness_and_ratio():
    buffer = FIFO(10)
    fill(buffer, 4)
    buffer.get_batch(2)  # 3 and 2 samples came after them
    stats = buffer.stats()
    assert (stats["staleness"], stats["ratio"], stats["repeats"]) == (2.5, 2.0, 1.0)
    buffer = Reservoir(2, 2, 0)
    fill(buffer, 2)
    for _ in range(3):
        buffer.get_batch(2)
    stats = buffer.stats()
    assert stats["repeats"] == 3.0 and stats["ratio"] == pytest.approx(1 / 3)
    assert (stats["seen"], stats["unseen"], stats["evicted"]) == (2, 0, 0)
    assert [s.key for s in buffer.samples()] == [
        tuple(entry[:2]) for entry in buffer.state_dict()["entries"]
    ]


@pytest.mark.parametrize(("capacity", "watermark"), [(0, 1), (10, 11), (10, 0), (-1, -1)])
def test_sizes_that_cannot_work(capacity, watermark):
    with pytest.raises(InputError, match="expected 1 ≤ watermark ≤ capacity"):
        make("reservoir", capacity, watermark)


def test_bad_requests():
    with pytest.raises(InputError, match="did you mean 'reservoir'"):
        make("resevoir", 10)
    for n in (0, 11):
        with pytest.raises(InputError, match="1 ≤ batch ≤ capacity"):
            FIFO(10).get_batch(n)
    buffer = FIFO(10)
    buffer.close()
    with pytest.raises(Stopped, match=r"sample \(0, 3\) came after"):
        buffer.put(sample(3))
    state = FIRO(10).state_dict()
    with pytest.raises(InputError, match="holds a firo buffer"):
        buffer.load_state_dict(state, None)
    full = FIRO(10)
    fill(full, 10)
    with pytest.raises(InputError, match="10 samples, more than capacity=5"):
        FIRO(5).load_state_dict(full.state_dict(), lambda key: sample(key[1]))
