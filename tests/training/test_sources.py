import numpy as np
import pytest
import torch

from sciml.domain import Field, Particles
from sciml.errors import InputError
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates.particles.neighbours import Neighbours
from sciml.surrogates.structure import BadFrame
from sciml.training import CollocationSource, DatasetSource, Mix, Source, StreamSource


def keys(source, count):
    return [source.next_batch().keys for _ in range(count)]


def test_an_epoch_gives_every_sample_once(source, samples):
    drawn = [k for b in iter(source(batch_size=7, epochs=1).next_batch, None) for k in b.keys]
    assert sorted(drawn) == sorted(s.key for s in samples)
    assert drawn != sorted(drawn)


def test_epochs_differ_and_seeds_repeat(source):
    a, b = source(epochs=2), source(epochs=2)
    n = a.epoch_steps
    first, second = keys(a, n), keys(a, n)
    assert first != second
    assert a.next_batch() is None
    assert keys(b, n) == first
    assert keys(source(seed=1), n) != first


def test_without_shuffling_the_order_stays(source, samples):
    assert keys(source(shuffle=False), 1)[0] == tuple(s.key for s in samples[:4])


def test_a_dataset_source_goes_on_where_it_was(source):
    straight = source()
    expected = keys(straight, 25)
    halted = source()
    keys(halted, 13)
    resumed = source()
    resumed.load_state_dict(halted.state_dict())
    assert keys(resumed, 12) == expected[13:]


def test_no_samples_and_no_batch_are_refused(task, samples):
    with pytest.raises(InputError, match="no samples"):
        DatasetSource([], task, 4)
    with pytest.raises(InputError, match="batch_size=0"):
        DatasetSource(samples, task, 0)


class Shelf:
    """A buffer that holds a list."""

    def __init__(self, samples):
        self.samples = list(samples)

    def get_batch(self, n):
        taken, self.samples = self.samples[:n], self.samples[n:]
        return taken

    def state_dict(self):
        return {"left": len(self.samples)}


def test_a_stream_source_ends_with_its_buffer(task, samples):
    source = StreamSource(Shelf(samples[:5]), task, 2)
    assert [source.next_batch().size for _ in range(3)] == [2, 2, 1]
    assert source.next_batch() is None
    assert source.state_dict() == {"drawn": 5, "buffer": {"left": 0}}


def test_a_stream_goes_on_without_a_simulation_whose_particles_are_at_one_place():
    """Each batch without its samples, none of the others lost; without `refuse` it is an error."""
    species, task = np.array([1, 1, 8]), Task(("positions",), ("positions",))
    field, cutoff = Field("positions", components=3), Neighbours(5.0)
    samples = []
    for k in range(6):
        x = np.random.default_rng(k).normal(size=(3, 3))
        x[1] = x[0] if k in (1, 4) else x[1]
        simulation = Simulation(k % 3, Particles(species), (field,))
        frames = tuple(Frame(k % 3, k + n, float(n), {"positions": x}) for n in (0, 1))
        samples.append(Sample(simulation, k, frames[:1], frames[1:]))
    refused = []
    source = StreamSource(
        Shelf(samples), task, 3, (cutoff,), refuse=lambda *why: refused.append(why)
    )
    keys = [source.next_batch().keys for _ in range(2)]
    assert keys == [((0, 0), (2, 2)), ((0, 3), (2, 5))] and source.next_batch() is None
    [(simulation, reason), _] = refused
    assert simulation == 1
    assert reason.startswith("frame 1: particles 0 and 1 are 0 apart; expected none nearer than")
    with pytest.raises(BadFrame, match="simulation 1, frame 1: particles 0 and 1 are 0 apart"):
        StreamSource(Shelf(samples), task, 3, (cutoff,)).next_batch()


def sampler(rng, n):
    return {"interior": rng.uniform(size=(n, 2)), "boundary": rng.uniform(size=(3, 2))}


def test_collocation_points_require_gradients_and_resume():
    source = CollocationSource(sampler, 10, seed=3, draws=3)
    batch = source.next_batch()
    assert batch.inputs["interior"].shape == (10, 2)
    assert batch.inputs["boundary"].requires_grad
    state = source.state_dict()
    second = source.next_batch().inputs["interior"]
    assert not torch.equal(second, batch.inputs["interior"])
    resumed = CollocationSource(sampler, 10, seed=3, draws=3)
    resumed.load_state_dict(state)
    assert torch.equal(resumed.next_batch().inputs["interior"], second)
    resumed.next_batch()
    assert resumed.next_batch() is None


def test_a_mix_draws_from_each_and_ends_with_the_first(source):
    mix = Mix({"data": source(epochs=1), "points": CollocationSource(sampler, 5)})
    steps = mix.epoch_steps
    batches = [mix.next_batch() for _ in range(steps)]
    assert set(batches[0]) == {"data", "points"}
    assert mix.next_batch() is None
    fresh = Mix({"data": source(epochs=1), "points": CollocationSource(sampler, 5)})
    fresh.next_batch()
    state = fresh.state_dict()
    expected = fresh.next_batch()
    again = Mix({"data": source(epochs=1), "points": CollocationSource(sampler, 5)})
    again.load_state_dict(state)
    got = again.next_batch()
    assert got["data"].keys == expected["data"].keys
    np.testing.assert_array_equal(
        got["points"].inputs["interior"].detach(), expected["points"].inputs["interior"].detach()
    )


def test_all_are_sources(source, task):
    for made in (
        source(),
        StreamSource(Shelf([]), task, 1),
        CollocationSource(sampler, 1),
        Mix({}),
    ):
        assert isinstance(made, Source)
