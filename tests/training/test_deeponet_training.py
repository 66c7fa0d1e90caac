"""Operators trained through the one loop: at all points, at points of each function, from a space."""

import numpy as np
import pytest
import torch

import sciml
from sciml.domain import Field, Grid
from sciml.errors import InputError
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import Surrogate, collate
from sciml.training import DatasetSource, Phase, Supervised, TensorSource, train
from sciml.training.function_space import FunctionSpaceSource, function_dataset
from sciml.training.points import at_random_points

TASK = Task(("u",), ("s",), lead=0)
GRID = Grid((16,), ((0.0, 1.0),), ("open",))


class Sines:
    """u = Σ a_k sin kπx, in the manner of deepxde's function spaces."""

    def random(self, size):
        return np.random.randn(size, 3)

    def eval_batch(self, features, xs):
        return features @ np.sin(np.pi * np.arange(1, 4)[:, None] * xs[:, 0])


def antiderivative(u, grid):
    means = (u[:, 1:] + u[:, :-1]) / 2
    return {"s": np.pad(np.cumsum(means, axis=1), ((0, 0), (1, 0))) * grid.spacing[0]}


@pytest.fixture
def ds():
    return function_dataset(Sines(), antiderivative, GRID, TASK, 48)


@pytest.fixture
def pairs():
    u = np.random.default_rng(0).standard_normal((10, 4, 5)).astype(np.float32)
    grid = Grid((4, 5), ((0, 1), (0, 1)), ("open", "periodic"))
    fields = (Field("u"), Field("s"))
    samples = []
    for i, values in enumerate(u):
        frame = Frame(i, 0, 0.0, {"u": values, "s": 2 * values})
        samples.append(Sample(Simulation(i, grid, fields), 0, (frame,), (frame,)))
    return samples


def test_points_are_those_of_the_grid(pairs):
    batch = collate(pairs, TASK)
    drawn = at_random_points(batch, 7)
    at, s = drawn.geometry["at"], batch.targets["s"]
    assert at.shape == (10, 7, 2) and drawn.targets["s"].shape == (10, 1, 7)
    index = torch.stack([at[..., 0] * 3, at[..., 1] * 5], -1).round().long()
    for b in range(10):
        assert torch.equal(drawn.targets["s"][b, 0], s[b, 0, index[b, :, 0], index[b, :, 1]])
    with pytest.raises(InputError, match="points already"):
        at_random_points(drawn, 7)


def test_a_loss_at_points_is_that_of_the_field_there(pairs):
    batch = collate(pairs, TASK)
    config = {"name": "deeponet", "branch": [8], "trunk": [8], "basis": 4}
    surrogate = Surrogate.build(config, TASK, pairs[0].simulation.domain)
    torch.manual_seed(0)
    drawn = at_random_points(batch, 3)
    whole = surrogate(batch)["s"] - batch.targets["s"]
    index = (drawn.geometry["at"] * torch.tensor([3.0, 5.0])).round().long()
    errors = whole[torch.arange(10)[:, None], 0, index[..., 0], index[..., 1]]
    torch.manual_seed(0)
    loss = Supervised("mse", points=3)(surrogate, batch)["mse"]
    torch.testing.assert_close(loss, errors.square().mean())
    with pytest.raises(InputError, match="no neighbors"):
        Supervised("h1", points=3)
    with pytest.raises(InputError, match="increment"):
        task = Task(("u",), ("u",), lead=0)
        Supervised("mse", points=3)(
            Surrogate.build(config, task, GRID, increment=True), collate(pairs, task)
        )


def test_a_tensor_source_gives_what_a_dataset_source_gives(pairs):
    ours = TensorSource(collate(pairs, TASK), 4, epochs=2, seed=3)
    theirs = DatasetSource(pairs, TASK, 4, epochs=2, seed=3)
    assert ours.epoch_steps == theirs.epoch_steps == 3
    for _ in range(6):
        a, b = ours.next_batch(), theirs.next_batch()
        assert a.keys == b.keys and a.size == b.size
        assert torch.equal(a.inputs["u"], b.inputs["u"])
        assert torch.equal(a.targets["s"], b.targets["s"])
        assert torch.equal(a.geometry["spacing"], b.geometry["spacing"])
    assert ours.next_batch() is None


def test_a_tensor_source_goes_on_where_it_was(pairs):
    whole = collate(pairs, TASK)
    source = TensorSource(whole, 4)
    for _ in range(4):
        source.next_batch()
    again = TensorSource(whole, 4)
    again.load_state_dict(source.state_dict())
    assert torch.equal(again.next_batch().inputs["u"], source.next_batch().inputs["u"])
    everything = TensorSource(whole)
    assert everything.next_batch() is everything.next_batch() is whole


@pytest.mark.parametrize("name", ["deeponet", "pod_deeponet", "mionet"])
def test_fit_learns_an_antiderivative(name, ds):
    config = {"name": name, "basis": 3, "branch": [16]}
    plan = Phase("adam", lr=1e-2, epochs=60)
    surrogate = sciml.fit(config, ds, TASK, batch_size=16, phases=plan, validation=0.2)
    assert surrogate.history.losses[-1] < surrogate.history.losses[0] / 5
    assert surrogate.history.validations[-1]["one_step"] < 0.2
    assert surrogate.predict(ds).s.dims == ("sample", "x")


def test_one_random_point_of_each_function_is_enough(ds):
    config = {"name": "deeponet", "basis": 8, "branch": [16], "trunk": [16]}
    plan = Phase("adam", lr=1e-2, epochs=300)
    surrogate = sciml.fit(
        config, ds, TASK, batch_size=48, phases=plan, loss="mse", points=1, validation=0.1
    )
    assert surrogate.history.validations[-1]["one_step"] < 0.2


def test_functions_come_from_a_space_without_end():
    before = np.random.get_state()[1].copy()
    source = FunctionSpaceSource(Sines(), antiderivative, GRID, TASK, 8, seed=1)
    first, second = source.next_batch(), source.next_batch()
    assert (np.random.get_state()[1] == before).all()
    assert not torch.equal(first.inputs["u"], second.inputs["u"])
    again = FunctionSpaceSource(Sines(), antiderivative, GRID, TASK, 8, seed=1)
    again.load_state_dict({"drawn": 1})
    assert torch.equal(again.next_batch().inputs["u"], second.inputs["u"])
    slope = torch.diff(first.targets["s"][:, 0]) / GRID.spacing[0]
    u = first.inputs["u"][:, 0]
    torch.testing.assert_close(slope, (u[:, 1:] + u[:, :-1]) / 2, atol=1e-4, rtol=1e-4)
    config = {"name": "deeponet", "basis": 8, "branch": [8], "trunk": [8]}
    surrogate = Surrogate.build(config, TASK, GRID, normalizer=None)
    history = train(surrogate, source, Supervised("mse"), Phase("adam", lr=1e-2, steps=60))
    assert np.mean(history.losses[-5:]) < np.mean(history.losses[:5]) / 3


def test_what_an_operator_does_not_give_is_named():
    source = FunctionSpaceSource(Sines(), lambda u, grid: {"v": u}, GRID, TASK, 8)
    with pytest.raises(InputError, match="v for the target 's'"):
        source.next_batch()
    with pytest.raises(InputError, match="expected one input, lead=0"):
        FunctionSpaceSource(Sines(), antiderivative, GRID, Task(("u",), ("u",)), 8)


@pytest.mark.parametrize("points", [None, 1])
def test_bfloat16_leaves_means_their_digits(pairs, points):
    """Outputs around 10⁵: bfloat16 has steps of 512 there."""
    for sample in pairs:
        sample.targets[0].fields["s"] += np.float32(1e5)
    config = {"name": "deeponet", "branch": [32], "trunk": [32], "basis": 16}
    surrogate = Surrogate.build(config, TASK, pairs[0].simulation.domain)
    surrogate.normalizer.update(pairs)
    source = TensorSource(collate(pairs * 10, TASK))
    objective = Supervised("mse", points=points)
    phase = Phase("adam", lr=3e-3, steps=30)
    history = train(surrogate, source, objective, phase, options={"autocast": "bfloat16"})
    assert max(history.losses) < 20
    assert sum(history.losses[-5:]) < sum(history.losses[:5])
