"""Losses and validation of fields on every place of every kind of domain, of sizes that vary."""

import numpy as np
import pytest
import torch
from torch import nn

import sciml
from sciml.domain import Field, Graph, Grid, Mesh
from sciml.domain.dataset import to_dataset
from sciml.errors import InputError
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import Normalizer, Setting, Statistics, Surrogate, collate
from sciml.training import Classification, DatasetSource, Phase, Supervised, Validation, train
from sciml.training.figures import lines, short
from sciml.training.objectives import objective_of


def strip(n):
    """n squares in a row, 2n + 2 nodes."""
    points = np.array([(i, j) for j in range(2) for i in range(n + 1)], float)
    cells = [(i, i + 1, n + 2 + i, n + 1 + i) for i in range(n)]
    return Mesh(points, cells, cell_type="quadrilateral")


class Same(nn.Module):
    """Gives so much of what it is given, on whatever place."""

    def __init__(self, part):
        super().__init__()
        self.part = part
        self.w = nn.Parameter(torch.zeros(1))

    def forward(self, batch):
        return {n: self.part * t + 0 * self.w for n, t in batch.targets.items()}


def held(model, task, **more):
    model.task, model.setting = task, Setting(task, **more)
    return model


@pytest.mark.parametrize("on", ["point", "cell", "edge", "global"])
@pytest.mark.parametrize("components", [0, 2])
def test_meshes_of_several_sizes_have_an_error_a_sample(on, components):
    rng, field = np.random.default_rng(0), Field("q", on=on, components=components)
    task = Task(("p",), ("q",), lead=0)
    samples, trajectories = [], []
    # As many squares in one as there are edges, or points, in others.
    for number, n in enumerate((1, 3, 4, 7)):
        mesh = strip(n)
        fields = {"p": np.zeros(mesh.size), "q": 3 + rng.standard_normal(field.shape(mesh))}
        simulation = Simulation(number, mesh, (Field("p"), field))
        frame = Frame(number, 0, 0.0, fields)
        samples.append(Sample(simulation, 0, (frame,), (frame,)))
        trajectories.append((simulation, [frame]))
    wrong = [0.1 * rng.standard_normal(s.targets[0].fields["q"].shape) for s in samples]

    class Off(Same):
        def forward(self, batch):
            off = [torch.as_tensor(w).reshape(-1, *field.trailing) for w in wrong]
            return {"q": batch.targets["q"] + torch.cat(off)[:, None]}

    model = held(Off(1.0), task, scope=strip(1), fields=(Field("p"), field))
    found = Validation(trajectories, batch_size=4)(model)["fields"]["q"]
    truths = [s.targets[0].fields["q"] for s in samples]
    relative = [np.linalg.norm(w) / np.linalg.norm(t) for w, t in zip(wrong, truths, strict=True)]
    assert found["one_step"] == pytest.approx(np.mean(relative), rel=1e-6)
    loss = Supervised("relative_l2")(model, collate(samples, task))["relative_l2"]
    assert loss.item() == pytest.approx(np.mean(relative), rel=1e-5)


class Nodes(nn.Module):
    """A network at each node of what it and its neighbours have."""

    def __init__(self, given, wanted):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * given, 16), nn.Tanh(), nn.Linear(16, wanted))

    def forward(self, x, edges, owner):
        around = torch.zeros_like(x).index_add(0, edges[1], x[edges[0]])
        return self.layers(torch.cat([x, around], dim=1))


def rings(count, seed=0):
    """Is a node of a ring larger than both its neighbours, smaller, or neither?"""
    rng = np.random.default_rng(seed)
    fields = (Field("u"), Field("what", categories=("top", "bottom", "slope")))
    found = []
    for number in range(count):
        n = int(rng.integers(5, 12))
        i = np.arange(n)
        edges = np.concatenate([[i, (i + 1) % n], [(i + 1) % n, i]], axis=1)
        u = rng.standard_normal(n)
        around = 0.5 * (np.roll(u, 1) + np.roll(u, -1))
        what = np.where(u > around + 0.5, 0, np.where(u < around - 0.5, 1, 2))
        simulation = Simulation(number, Graph(n, edges), fields)
        found.append((simulation, [Frame(number, 0, 0.0, {"u": u, "what": what})]))
    return found


def test_kinds_of_nodes_are_learned_and_judged_by_accuracy():
    task = Task(("u",), ("what",), lead=0)
    trajectories = rings(40)
    [first, *_] = trajectories
    fields, domain = first[0].fields, first[0].domain
    samples = [Sample(s, 0, (f,), (f,)) for s, [f] in trajectories]
    made = Surrogate(Nodes(1, 3), task, Normalizer(task), domain, fields=fields)
    statistics = Statistics(made)
    statistics.update(samples)
    statistics.fix()
    objective = objective_of(None, made.setting)
    assert isinstance(objective, Classification)
    batch = collate(samples, task)
    given = torch.log_softmax(made(batch)["what"][:, 0], dim=1)
    by_hand = -given[torch.arange(len(given)), batch.targets["what"][:, 0].long()].mean()
    assert objective(made, batch)["cross_entropy"].item() == pytest.approx(by_hand.item(), rel=1e-5)
    train(made, DatasetSource(samples, task, 40), objective, Phase(lr=5e-2, steps=80))
    found = Validation(rings(20, seed=1))(made)
    assert found["accuracy"] > 0.8 and found["cross_entropy"] < 0.6
    assert "accuracy" in lines(found)[0] and "accuracy" in short(found)
    strange = rings(1)
    strange[0][1][0].fields["what"][0] = 7
    with pytest.raises(InputError, match="of kind 0 to 7; expected 0 to 2"):
        Validation(strange)(made)


def test_kinds_on_a_grid_from_a_file_to_a_prediction_beside_numbers():
    grid = Grid((8, 8), ((0, 1), (0, 1)), ("periodic", "periodic"))
    rng = np.random.default_rng(0)
    u = rng.standard_normal((12, 8, 8))
    fields = (Field("u"), Field("v"), Field("sign", categories=("minus", "plus")))
    arrays = {"u": u, "v": 2 * u, "sign": (u > 0).astype(np.int8)}
    ds = to_dataset(grid, fields, arrays, np.arange(12.0))
    task = {"inputs": ["u"], "targets": ["v", "sign"], "lead": 0}
    net = nn.Sequential(nn.Conv2d(1, 16, 1), nn.Tanh(), nn.Conv2d(16, 3, 1))
    made = sciml.fit(net, ds, task, epochs=30, batch_size=4)
    assert {*made.history.steps[-1].losses} == {"relative_l2", "cross_entropy"}
    last = made.history.validations[-1]
    assert {*last["fields"]["sign"]} == {"accuracy", "cross_entropy"}
    assert last["fields"]["v"]["vrmse"] < 0.9
    found = made.predict(ds)
    assert found.sign.dims == ds.sign.dims and {*np.unique(found.sign)} <= {0, 1}
    assert (found.sign == ds.sign).mean() > 0.75
    with pytest.raises(InputError, match="target 'v' is no field of kinds"):
        objective_of("classification", made.setting)
