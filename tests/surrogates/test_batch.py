import numpy as np
import pytest
import torch
from torch import nn

from sciml.errors import DomainError
from sciml.samples import Task
from sciml.surrogates import Normalizer, Surrogate, collate
from sciml.surrogates.batch import suited


def test_grid_fields_stack_in_order_of_time(grid_samples):
    task = Task(
        ("u", "v"), ("u", "v"), history=2, unroll=3, parameters=("a", "b"), static=("mask",)
    )
    samples = grid_samples(task, (5, 4), 3)
    batch = collate(samples, task)
    assert batch.inputs["v"].shape == (3, 2, 5, 4)
    assert batch.targets["u"].shape == (3, 3, 5, 4)
    assert batch.static["mask"].shape == (3, 5, 4)
    np.testing.assert_array_equal(batch.inputs["v"][2, 1], samples[2].inputs[1].fields["v"])
    np.testing.assert_array_equal(batch.targets["u"][1, 2], samples[1].targets[2].fields["u"])
    np.testing.assert_allclose(batch.parameters[2, 1], samples[2].simulation.parameters["b"])
    np.testing.assert_allclose(batch.time[0], [0.2, 0.3, 0.4])
    assert batch.size == 3
    assert batch.keys == ((0, 1), (1, 1), (2, 1))
    assert batch.geometry["periodic"].tolist() == [True, True]


def test_float64_stays_until_it_is_scaled(grid_samples):
    task = Task(("u",), ("u",), parameters=("a",), static=("s",))
    batch = collate(grid_samples(task, dtype=np.float64), task)
    own = nn.Linear(1, 1)
    for model, dtype in (
        (own, torch.float32),
        (Surrogate(own, task, Normalizer(task)), torch.float64),
    ):
        found = suited(batch, model, "cpu")
        assert {found.inputs["u"].dtype, found.targets["u"].dtype, found.static["s"].dtype} == {
            dtype
        }
        assert {found.parameters.dtype, found.time.dtype} == {dtype}
        assert found.geometry["spacing"].dtype is torch.float32
    assert collate(grid_samples(task, dtype=np.float32), task).inputs["u"].dtype is torch.float32
    assert collate(grid_samples(task, dtype=np.int16), task).inputs["u"].dtype is torch.float32


def test_meshes_concatenate_and_edges_are_offset(mesh_sample):
    task = Task(("u",), ("u",), parameters=("a",))
    samples = [mesh_sample(3, 0), mesh_sample(5, 1)]
    batch = collate(samples, task)
    geometry = batch.geometry
    assert geometry["ptr"].tolist() == [0, 6, 16]
    assert batch.inputs["u"].shape == (16, 1)
    assert geometry["points"].shape == (16, 2)
    np.testing.assert_array_equal(
        geometry["edges"][:, -samples[1].simulation.domain.edges.shape[1] :] - 6,
        samples[1].simulation.domain.edges,
    )
    # No edge joins two samples.
    owner = geometry["owner"]
    assert torch.equal(owner[geometry["edges"][0]], owner[geometry["edges"][1]])


def test_global_fields_of_molecules_have_one_value_a_sample(molecule_sample):
    task = Task(("positions",), ("energy",), lead=0)
    batch = collate([molecule_sample(2, 0), molecule_sample(4, 1)], task)
    assert batch.inputs["positions"].shape == (6, 1, 3)
    assert batch.targets["energy"].shape == (2, 1)
    assert batch.geometry["species"].tolist() == [1, 2, 1, 2, 3, 4]


def test_grids_of_two_shapes_are_refused(grid_samples):
    task = Task(("u",), ("u",))
    samples = grid_samples(task, (8, 8), 1) + grid_samples(task, (8, 6), 1)
    with pytest.raises(DomainError, match=r"\(8, 8\) and \(8, 6\)"):
        collate(samples, task)


def test_grids_that_close_in_other_ways_are_refused(grid_samples):
    task = Task(("u",), ("u",))
    samples = grid_samples(task, count=1) + grid_samples(
        task, count=1, boundary=("periodic", "open")
    )
    with pytest.raises(DomainError, match="boundaries periodic, periodic and periodic, open"):
        collate(samples, task)


def test_two_kinds_of_domain_are_refused(grid_samples, mesh_sample):
    task = Task(("u",), ("u",))
    with pytest.raises(DomainError, match="a mesh and a grid"):
        collate([*grid_samples(task), mesh_sample(3)], task)


def test_no_samples_are_refused():
    with pytest.raises(DomainError, match="at least one"):
        collate([], Task(("u",), ("u",)))


def test_to_moves_every_tensor(grid_samples):
    task = Task(("u",), ("u",), parameters=("a",), static=("s",))
    moved = collate(grid_samples(task), task).to("meta")
    tensors = [moved.parameters, moved.time, *moved.geometry.values()]
    tensors += [*moved.inputs.values(), *moved.targets.values(), *moved.static.values()]
    assert all(t.device.type == "meta" for t in tensors)


@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [
        (np.int64, torch.float64),
        (np.uint32, torch.float64),
        (np.int16, torch.float32),
        (np.uint8, torch.float32),
        (np.float16, torch.float32),
    ],
)
def test_integers_keep_their_digits(grid_samples, dtype, wanted):
    """A counter of 2^40 differs from the next one; small integers fit into float32."""
    task = Task(("u",), ("u",), static=("s",))
    samples, large = grid_samples(task), 2**40 if np.dtype(dtype).itemsize == 8 else 100
    for sample in samples:
        for frame in (*sample.inputs, *sample.targets):
            frame.fields["u"] = (large + np.arange(64).reshape(8, 8)).astype(dtype)
    batch = collate(samples, task)
    assert batch.inputs["u"].dtype == batch.targets["u"].dtype == wanted
    assert (batch.inputs["u"][0, 0] - batch.inputs["u"][0, 0, 0, 0]).flatten().tolist() == [
        *range(64)
    ]
