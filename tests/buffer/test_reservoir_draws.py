"""A reservoir that gives each sample several times before it may leave."""

import threading
from collections import Counter

import pytest
from patience import PATIENCE

from sciml.buffer import make
from sciml.domain import Field, Grid
from sciml.errors import InputError
from sciml.samples import Sample, Simulation

GRID = Grid((2, 2), ((0, 1), (0, 1)), ("periodic", "periodic"))
SIMULATION = Simulation(0, GRID, (Field("u"),))


def drawn(draws, samples=200, capacity=20, batch=4):
    buffer = make("reservoir", capacity, 8, seed=3, draws=draws)
    counts = Counter()

    def produce():
        for origin in range(samples):
            buffer.put(Sample(SIMULATION, origin, (), ()))
        buffer.close()

    producer = threading.Thread(target=produce)
    producer.start()
    steps = 0
    while batch_of := buffer.get_batch(batch):
        counts.update(sample.origin for sample in batch_of)
        steps += 1
    producer.join(PATIENCE)
    return counts, steps, buffer


@pytest.mark.parametrize("draws", [1, 2, 5])
def test_every_sample_is_drawn_at_least_that_often(draws):
    counts, steps, buffer = drawn(draws)
    assert len(counts) == 200
    assert min(counts.values()) >= draws
    assert steps >= 200 * draws / 4
    assert buffer.stats()["size"] == 0
    assert buffer.stats()["evicted"] == 200


def test_state_keeps_what_may_not_leave_yet():
    buffer = make("reservoir", 8, 1, seed=0, draws=3)
    samples = {o: Sample(SIMULATION, o, (), ()) for o in range(8)}
    for sample in samples.values():
        buffer.put(sample)
    for _ in range(5):
        buffer.get_batch(3)
    again = make("reservoir", 8, 1, seed=9, draws=3)
    again.load_state_dict(buffer.state_dict(), lambda key: samples[key[1]])
    assert again.stats()["unseen"] == buffer.stats()["unseen"] < 8
    for _ in range(5):
        assert [s.key for s in again.get_batch(3)] == [s.key for s in buffer.get_batch(3)]


def test_only_a_reservoir_repeats():
    with pytest.raises(InputError, match="reservoir"):
        make("fifo", 8, draws=2)
