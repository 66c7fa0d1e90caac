"""Prescribed points: no loss there, and outputs that are what is given, on every kind of domain."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import sciml
from sciml.domain import Field, Graph, Grid, Mesh, Particles
from sciml.domain.dataset import to_dataset
from sciml.errors import InputError
from sciml.samples import Frame, Sample, Simulation, Task, Windower
from sciml.samples.groups import members
from sciml.surrogates import Surrogate, collate
from sciml.training import Augmentation, Supervised, Validation

POINTS = np.array([(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)], float)
CELLS = [[0, 1, 4, 3], [1, 2, 5, 4]]
MESH = Mesh(POINTS, CELLS, groups={"inflow": [0, 3], "wall": [1, 2], "none": []})
KIND = Field("kind", categories=("free", "held"))
DOMAINS = {
    "grid": (Grid((3, 4), ((0, 1), (0, 1)), ("dirichlet", "periodic")), ("y_min", "y_max")),
    "mesh": (MESH, ("inflow", "wall")),
    "graph": (Graph(4, [[0, 1, 2], [1, 2, 3]]), ("held",)),
    "particles": (Particles([1, 1, 8]), ("8",)),
}


class More(nn.Module):
    """Adds one to what it is given, wherever."""

    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, x, *_, **__):
        return x + self.one


def simulated(kind, components=0, frames=4, number=0):
    domain, groups = DOMAINS[kind]
    field = Field("u", components=components)
    static = {"kind": np.arange(domain.size).reshape(domain.point_shape) % 2}
    simulation = Simulation(number, domain, (field,), {}, static, static_fields=(KIND,))
    rng = np.random.default_rng(number)
    found = [
        Frame(number, s, float(s), {"u": rng.standard_normal(field.shape(domain))})
        for s in range(frames)
    ]
    held = np.any([members(simulation, g) for g in groups], axis=0)
    return simulation, found, field, held, groups


@pytest.mark.parametrize(
    ("kind", "components"), [*((k, 0) for k in DOMAINS), *((k, 2) for k in DOMAINS if k != "grid")]
)
def test_given_values_are_kept_while_outputs_are_fed_back(kind, components):
    simulation, frames, field, held, groups = simulated(kind, components)
    task = Task(("u",), ("u",), unroll=3, prescribed={"u": groups})
    sample = Sample(simulation, 0, (frames[0],), tuple(frames[1:]))
    batch = collate([sample, sample], task)
    model = Surrogate(More(), task, None, simulation.domain, fields=(field,))
    out = model(batch)["u"]
    truth = batch.targets["u"]
    rows = torch.from_numpy(held)
    rows = rows.expand(2, *rows.shape) if kind == "grid" else rows.repeat(2)
    for step in range(3):
        assert torch.equal(out[:, step][rows], truth[:, step][rows])
        free = batch.inputs["u"][:, 0] + step + 1
        torch.testing.assert_close(out[:, step][~rows], free[~rows])
    # What is given has no part in the loss, whatever it is.
    whole = Supervised("mse")(model, batch)["mse"]
    error = (out - truth).transpose(0, 1)[:, ~rows]
    assert whole.item() == pytest.approx(error.square().mean().item(), rel=1e-5)
    found = Validation([(simulation, frames)], rollout=3)(model)["fields"]["u"]
    assert np.isfinite(found["rollout"])
    # Where nothing is known ahead, what was last is held.
    blind = [Frame(0, f.step, f.time, {}) for f in frames[1:]]
    batch = collate([Sample(simulation, 0, (frames[0],), tuple(blind))] * 2, task)
    held_on = model(batch)["u"]
    assert all(torch.equal(held_on[:, k][rows], batch.inputs["u"][:, 0][rows]) for k in range(3))


def test_groups_that_are_not_there_are_one_line():
    task = Task(("u",), ("u",), prescribed={"u": ["infow"]})
    simulation, *_ = simulated("mesh")
    with pytest.raises(InputError, match=r"group 'infow': .* did you mean 'inflow'"):
        Windower(task).open(simulation)
    with pytest.raises(InputError, match="prescribed 'v' is no target; known: u"):
        Task(("u",), ("u",), prescribed={"v": ["wall"]})
    with pytest.raises(InputError, match="prescribed 'u' is no input of a time before"):
        Task(("u",), ("u",), lead=0, prescribed={"u": ["wall"]})
    for mistaken in (["inflow", "wall"], [("u", "v", "wall")], "wall"):
        with pytest.raises(InputError, match=r"expected groups by target, as {'u': .'wall'.}"):
            Task(("u",), ("u",), prescribed=mistaken)
    with pytest.raises(InputError, match="expected names of groups"):
        Task(("u",), ("u",), prescribed={"u": []})


def test_a_rollout_holds_the_wall_or_takes_what_is_given_ahead(tmp_path):
    rng = np.random.default_rng(0)
    u = rng.standard_normal((6, 6))
    ds = to_dataset(MESH, (Field("u"),), {"u": u}, np.arange(6.0))
    task = Task(("u",), ("u",), prescribed={"u": ["inflow"]})
    made = Surrogate(More(), task, None, MESH, fields=(Field("u"),), dt=1.0)
    out = made.rollout(ds.isel(time=[0]), 3).u.values
    np.testing.assert_allclose(out[:, [0, 3]], np.tile(u[0, [0, 3]], (3, 1)), rtol=1e-6)
    np.testing.assert_allclose(out[:, 1], u[0, 1] + np.arange(1, 4), rtol=1e-5)
    out = made.rollout(ds.isel(time=[0]), 3, forcing=ds.isel(time=slice(1, None))).u.values
    np.testing.assert_allclose(out[:, [0, 3]], u[1:4, [0, 3]], rtol=1e-6)
    # It is known to a saved surrogate, and to `fit`.
    made.save(tmp_path)
    assert json.loads((tmp_path / "surrogate.json").read_text())["task"]["prescribed"]
    assert Surrogate.load(tmp_path, More()).task.prescribed == (("u", ("inflow",)),)
    net = sciml.fit(More(), ds, {"inputs": ["u"], "prescribed": {"u": ["inflow"]}}, epochs=1)
    np.testing.assert_allclose(
        net.rollout(ds.isel(time=[0]), 2).u[:, [0, 3]], u[[0, 0]][:, [0, 3]], rtol=1e-6
    )


def test_reflections_move_what_is_given():
    simulation, frames, *_, groups = simulated("grid")
    task = Task(("u",), ("u",), prescribed={"u": groups[:1]})
    batch = collate([Sample(simulation, 0, (frames[0],), (frames[1],))], task)
    model = Surrogate(More(), task, None, simulation.domain, fields=(Field("u", parity="scalar"),))
    torch.manual_seed(0)
    turned = set()
    augment = Augmentation("flips").told(model)
    for step in range(20):
        other = augment(model, batch, step)
        mask = other.fixed["u"].expand_as(other.targets["u"])
        assert torch.equal(other.given["u"][mask], other.targets["u"][mask])
        turned.add(int(other.fixed["u"][0, 0, 0].all()))
    assert turned == {0, 1}


def test_a_target_that_is_given_everywhere_is_no_target():
    _, frames, field, _, _ = simulated("mesh")
    mesh = Mesh(POINTS, CELLS, groups={"here": [0, 1, 2], "there": [3, 4, 5]})
    values = {"u": np.stack([f.fields["u"] for f in frames])}
    ds = to_dataset(mesh, (field,), values, np.arange(4.0))
    task = Task(("u",), ("u",), prescribed={"u": ["here", "there"]})
    with pytest.raises(InputError, match="'u' is prescribed at here, there, which are all points"):
        sciml.fit("meshgraphnet", ds, task, epochs=1)
