import json

import numpy as np
import pytest
import torch
from torch import nn

from sciml.domain import Grid
from sciml.errors import DomainError, InputError
from sciml.samples import Task
from sciml.surrogates import MLP, Normalizer, Scope, Surrogate, collate


class Sum(nn.Module):
    """Channels added up; one output channel."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.factor * x.sum(1, keepdim=True)


def test_channels_come_in_the_stated_order(grid_samples):
    task = Task(("u", "v"), ("u",), history=2, parameters=("a",), static=("m",), time=True)
    samples = grid_samples(task, (4, 3), 2)
    seen = []

    class Spy(nn.Module):
        def forward(self, x):
            seen.append(x)
            return x[:, :1]

    batch = collate(samples, task).to("cpu", torch.float32)
    Surrogate(Spy(), task)(batch)
    x = seen[0]
    assert x.shape == (2, 7, 4, 3)
    assert torch.equal(x[:, :2], batch.inputs["u"])
    assert torch.equal(x[:, 2:4], batch.inputs["v"])
    assert torch.equal(x[:, 4], batch.static["m"])
    assert torch.equal(x[:, 5, 0, 0], batch.parameters[:, 0])
    assert torch.equal(x[:, 6, 2, 1], batch.time[:, 0])


def test_outputs_are_fed_back_when_unrolled(grid_samples):
    task = Task(("u",), ("u",), history=2, unroll=3)
    batch = collate(grid_samples(task), task)
    out = Surrogate(Sum(), task)(batch)["u"]
    a, b = batch.inputs["u"].unbind(1)
    torch.testing.assert_close(out, torch.stack([a + b, a + 2 * b, 2 * a + 3 * b], 1))


def test_outputs_are_in_physical_units(grid_samples, step_task):
    samples = grid_samples(step_task)
    normalizer = Normalizer(step_task)
    normalizer.update(samples)

    class Zero(nn.Module):
        def forward(self, x):
            return torch.zeros_like(x[:, :1])

    batch = collate(samples, step_task)
    out = Surrogate(Zero(), step_task, normalizer)(batch)["u"]
    mean = normalizer.denormalize("u", torch.zeros(()))
    torch.testing.assert_close(out, mean.expand_as(out))
    out = Surrogate(Zero(), step_task, normalizer, increment=True)(batch)["u"]
    change = normalizer.denormalize("u", torch.zeros(()), "increment")
    torch.testing.assert_close(out, batch.inputs["u"] + change)


def test_increment_adds_the_output_to_the_last_input(grid_samples):
    task = Task(("u",), ("u",), history=2)
    batch = collate(grid_samples(task), task)
    plain = Surrogate(Sum(), task)(batch)["u"]
    change = Surrogate(Sum(), task, increment=True)(batch)["u"]
    torch.testing.assert_close(change, plain + batch.inputs["u"][:, -1:])


def test_increment_of_no_input_is_refused():
    task = Task(("a",), ("p",), lead=0)
    with pytest.raises(InputError, match="nothing to add a change to"):
        Surrogate(Sum(), task, increment=True)


def test_unroll_without_feedback_is_refused():
    with pytest.raises(InputError, match="not all among the targets"):
        Surrogate(Sum(), Task(("u", "v"), ("u",), unroll=2))


def test_wrong_number_of_output_channels_is_named(grid_samples):
    task = Task(("u", "v"), ("u", "v"))
    with pytest.raises(DomainError, match="expected 2 channels"):
        Surrogate(Sum(), task)(collate(grid_samples(task), task))


def test_meshes_get_their_geometry(mesh_sample):
    task = Task(("u",), ("u",), parameters=("a",))

    class Neighbors(nn.Module):
        def forward(self, x, points, edges, owner):
            assert points.shape == (len(x), 2)
            received = torch.zeros_like(x[:, 0]).index_add(0, edges[1], x[edges[0], 0])
            return received[:, None] + 0 * owner[:, None]

    samples = [mesh_sample(3, 0), mesh_sample(4, 1)]
    surrogate = Surrogate(Neighbors(), task, Normalizer(task))
    out = surrogate(collate(samples, task))["u"]
    assert out.shape == (14, 1)
    torch.testing.assert_close(out[6:], surrogate(collate(samples[1:], task))["u"])


def test_a_custom_model_is_loaded_with_an_instance(tmp_path, grid_samples, step_task):
    surrogate = Surrogate(Sum(), step_task, Normalizer(step_task))
    with torch.no_grad():
        surrogate.model.factor.fill_(2.5)
    surrogate.save(tmp_path)
    with pytest.raises(InputError, match="pass an instance"):
        Surrogate.load(tmp_path)
    assert Surrogate.load(tmp_path, Sum()).model.factor.item() == 2.5
    with pytest.raises(InputError, match="weights do not fit"):
        Surrogate.load(tmp_path, nn.Linear(2, 2))
    with pytest.raises(InputError, match=r"the class Sum; expected an instance: Sum\(\.\.\.\)"):
        Surrogate.load(tmp_path, Sum)


def test_tied_weights_can_be_saved(tmp_path, step_task):
    class Tied(Sum):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(2, 2)
            self.b = self.a

    Surrogate(Tied(), step_task).save(tmp_path)
    Surrogate.load(tmp_path, Tied())


def test_a_directory_without_a_surrogate_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no surrogate\.json"):
        Surrogate.load(tmp_path)


def test_saving_leaves_other_files_alone(tmp_path, step_task):
    (tmp_path / "notes").write_text("precious")
    with pytest.raises(InputError, match="notes is a file; expected a directory"):
        Surrogate(Sum(), step_task).save(tmp_path / "notes")
    Surrogate(Sum(), step_task).save(tmp_path)
    assert (tmp_path / "notes").read_text() == "precious"


@pytest.mark.parametrize("name", ["surrogate.json", "model.safetensors"])
def test_a_damaged_file_is_named(tmp_path, step_task, name):
    Surrogate(Sum(), step_task).save(tmp_path)
    (tmp_path / name).write_bytes(b"{")
    with pytest.raises(InputError, match=f"{name} .*save"):
        Surrogate.load(tmp_path, Sum())
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match="save"):
        Surrogate.load(tmp_path, Sum())


def test_a_newer_schema_is_refused(tmp_path, step_task):
    Surrogate(Sum(), step_task).save(tmp_path)
    card = json.loads((tmp_path / "surrogate.json").read_text())
    (tmp_path / "surrogate.json").write_text(json.dumps({**card, "schema_version": 99}))
    with pytest.raises(InputError, match="schema_version 99"):
        Surrogate.load(tmp_path, Sum())


def test_a_mesh_survives_saving(tmp_path, mesh_sample):
    task = Task(("u",), ("u",))
    mesh = mesh_sample(4).simulation.domain
    Surrogate(nn.Identity(), task, None, mesh).save(tmp_path)
    loaded = Surrogate.load(tmp_path, nn.Identity())
    assert loaded.domain == Scope.of(mesh) and loaded.domain.most == mesh.size
    # Not the mesh, however large it was.
    assert len((tmp_path / "surrogate.json").read_text()) < 5000


def test_a_model_needs_a_name(step_task):
    with pytest.raises(InputError, match=r"expected one of .*fno, .*mlp"):
        Surrogate.build({"modes": 3}, step_task, None)


def test_mlp_names_unknown_activations_and_wrong_sizes():
    with pytest.raises(InputError, match="did you mean 'gelu'"):
        MLP(3, 2, activation="gelo")
    with pytest.raises(InputError, match="4 values a sample; it was built for 3"):
        MLP(3, 2)(torch.zeros(1, 4))


def test_options_from_numpy_can_be_saved(tmp_path, step_task):
    config = {"name": "fno", "modes": np.array([4, 4]), "hidden_channels": np.int64(4)}
    grid = Grid((8, 8), ((0, 1), (0, 1)), ("periodic", "periodic"))
    Surrogate.build(config, step_task, grid).save(tmp_path)
    assert Surrogate.load(tmp_path).config == {"name": "fno", "modes": [4, 4], "hidden_channels": 4}


@pytest.mark.parametrize(
    "config", ["deeponet", "fno", {"name": "unet", "levels": 2, "width": 4, "operator": True}]
)
def test_float64_survives_saving(tmp_path, step_task, config):
    grid = Grid((8, 8), ((0, 1), (0, 1)), ("periodic", "periodic"))
    torch.set_default_dtype(torch.float64)
    try:
        saved = Surrogate.build(config, step_task, grid)
    finally:
        torch.set_default_dtype(torch.float32)
    saved.save(tmp_path)
    for a, b in zip(saved.parameters(), Surrogate.load(tmp_path).parameters(), strict=True):
        assert torch.equal(a, b) and a.dtype == b.dtype == torch.float64


def test_a_surrogate_that_goes_anywhere_can_be_saved(tmp_path, step_task):
    grid = Grid((8, 8), ((0, 1), (0, 1)), ("periodic", "periodic"))
    surrogate = Surrogate.build({"name": "fno", "symmetrize": "flips"}, step_task, grid)
    surrogate.domain = None  # as errors of predict say
    surrogate.save(tmp_path)
    assert Surrogate.load(tmp_path).domain is None
