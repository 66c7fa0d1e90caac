"""What reaches a model that is no number on a point: kinds, components, cells, edges, static charges."""

import numpy as np
import pytest
import torch
from torch import nn

import sciml
from sciml.domain import Field, Graph, Grid, Mesh, Particles
from sciml.domain.dataset import to_dataset
from sciml.errors import DomainError, InputError
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import Normalizer, Scope, Setting, Surrogate, collate
from sciml.surrogates.scope import joined

POINTS = np.array([(0, 0), (1, 0), (1, 1), (0, 1), (0.5, 2)], float)
HOUSE = Mesh(POINTS, [[0, 1, 2, 3], [2, 3, 4, -1]], cell_type="polygon", groups={"wall": [0, 1]})
KINDS = ("fluid", "wall", "inflow")
FIELDS = (
    Field("v", "m/s", components=2),
    Field("p", on="cell"),
    Field("stress", on="cell", components=6),
    Field("flux", on="edge"),
    Field("force", on="global", components=2),
)
STATIC = (Field("kind", categories=KINDS), Field("area", on="cell"), Field("drag", on="global"))


def sample(mesh=HOUSE, number=0):
    rng = np.random.default_rng(number)
    frames = [
        Frame(number, step, float(step), {f.name: rng.normal(size=f.shape(mesh)) for f in FIELDS})
        for step in (0, 1)
    ]
    static = {
        "kind": np.arange(mesh.size) % 3,
        "area": np.arange(1.0, 1 + len(mesh.cells)),
        "drag": np.array(0.5),
    }
    about = Simulation(number, mesh, FIELDS, {"nu": 0.1}, static, static_fields=STATIC)
    return Sample(about, 0, (frames[0],), (frames[1],))


def test_every_place_is_put_together():
    task = Task(("v", "p", "flux", "force"), ("stress",), static=("kind", "area", "drag"))
    two = [sample(), sample(Mesh(POINTS[:4], [[0, 1, 2, 3]], cell_type="polygon"), 1)]
    batch = collate(two, task)
    shapes = {n: tuple(t.shape) for n, t in (batch.inputs | batch.targets | batch.static).items()}
    assert shapes == {
        "v": (9, 1, 2), "p": (3, 1), "flux": (10, 1), "force": (2, 1, 2), "stress": (3, 1, 6),
        "kind": (9,), "area": (3,), "drag": (2,),
    }  # fmt: skip
    geometry = batch.geometry
    assert geometry["cell_owner"].tolist() == [0, 0, 1]
    assert geometry["cells"].tolist() == [[0, 1, 2, 3], [2, 3, 4, -1], [5, 6, 7, 8]]
    assert geometry["edge_owner"].tolist() == [0] * 6 + [1] * 4
    assert geometry["sides"][6:].min() == 5


def test_as_many_edges_as_nodes_are_no_channel_of_nodes():
    ring = Graph(3, [[0, 1, 2], [1, 2, 0]])
    fields = Field("u"), Field("flow", on="edge")
    values = {"u": np.ones((4, 3)), "flow": np.ones((4, 3))}
    ds = to_dataset(ring, fields, values, range(4))
    task = {"inputs": ["u", "flow"], "targets": ["u"]}
    with pytest.raises(InputError, match=r"'flow' has a value for each edge.* expected"):
        sciml.fit(Seen(1), ds, task, epochs=1)


@pytest.mark.parametrize("on", ["point", "global"])
def test_forcing_of_vectors_is_refused(on):
    fields = Field("u"), Field("wind", on=on, components=2)
    values = {f.name: np.ones((4, *f.shape(HOUSE))) for f in fields}
    ds = to_dataset(HOUSE, fields, values, range(4))
    with pytest.raises(InputError, match="forcing 'wind' has 2 components; expected a number"):
        sciml.fit(Seen(1), ds, {"inputs": ["u"], "forcing": ["wind"]}, epochs=1)


def test_graphs_have_fields_on_their_edges():
    graph = Graph(3, [[0, 1], [1, 2]])
    about = Simulation(0, graph, (Field("u"), Field("flow", on="edge")))
    frame = Frame(0, 0, 0.0, {"u": np.ones(3), "flow": np.ones(2)})
    batch = collate(
        [Sample(about, 0, (frame,), (frame,))] * 2, Task(("u", "flow"), ("flow",), lead=0)
    )
    assert batch.inputs["flow"].shape == (4, 1) and "sides" not in batch.geometry
    assert batch.geometry["edge_owner"].tolist() == [0, 0, 1, 1]


class Seen(nn.Module):
    """Keeps what it is given and gives what its first channels are."""

    def __init__(self, out):
        super().__init__()
        self.out = out

    def forward(self, x, *_):
        self.x = x
        return x[:, : self.out]


def test_kinds_become_channels_and_vectors_keep_theirs():
    task = Task(("v",), ("v",), static=("kind",), parameters=("nu",))
    one = sample()
    normalizer = Normalizer(task)
    normalizer.update([one])
    surrogate = Surrogate(Seen(2), task, normalizer, HOUSE, fields=(*FIELDS, *STATIC))
    assert surrogate.setting.channels == (2 + 3 + 1, 2)
    out = surrogate(collate([one], task))["v"]
    assert out.shape == (5, 1, 2)
    np.testing.assert_array_equal(surrogate.model.x[:, 2:5], np.eye(3)[np.arange(5) % 3])
    # A vector is scaled by one number, without a mean: it turns with the axes.
    v = torch.from_numpy(one.inputs[0].fields["v"]).float()
    ratio = v / surrogate.model.x[:, :2]
    assert ratio.std() < 1e-5
    with pytest.raises(DomainError, match="expected 2 channels in axis 1"):
        Surrogate(Seen(1), task, None, HOUSE, fields=FIELDS)(collate([one], task))


@pytest.mark.parametrize("bundle", [1, 2])
def test_a_vector_of_one_component_keeps_its_axis(bundle):
    fields, rng = (Field("v", components=1), Field("p")), np.random.default_rng(0)
    values = {f.name: rng.normal(size=(6, *f.shape(HOUSE))) for f in fields}
    ds = to_dataset(HOUSE, fields, values, range(6))
    task = {"inputs": ["p", "v"], "targets": ["v", "p"], "bundle": bundle}

    class Net(nn.Linear):
        def forward(self, x, *_):
            return super().forward(x)

    ahead = sciml.fit(Net(2, 2 * bundle), ds, task, epochs=1).predict(ds)
    assert ahead.v.shape == (6, 5, 1) and ahead.p.shape == (6, 5)


def test_kinds_on_a_grid_from_a_file_to_a_prediction():
    grid = Grid((6, 8), ((0, 1), (0, 1)), ("periodic", "periodic"))
    u = np.random.default_rng(0).normal(size=(5, 6, 8))
    land = Field("land", categories=("sea", "land", "ice"))
    static = {"land": np.random.default_rng(1).integers(0, 3, (6, 8))}
    ds = to_dataset(grid, (Field("u"),), {"u": u}, range(5), static=static, static_fields=(land,))
    model = {"name": "fno", "modes": 2, "hidden_channels": 2, "n_layers": 1}
    surrogate = sciml.fit(model, ds, {"inputs": ["u"], "static": ["land"]}, epochs=1)
    assert surrogate.model.torus.in_channels == 1 + 3
    assert surrogate.setting.field("land").categories == land.categories
    seen = {}
    surrogate.model.register_forward_pre_hook(lambda module, args: seen.update(x=args[0]))
    surrogate.predict(ds.isel(time=[0]))
    expected = np.eye(3)[static["land"]].transpose(2, 0, 1)
    np.testing.assert_array_equal(seen["x"][0, 1:], expected)


class Conducting(nn.Module):
    """du/dt at nodes by what flows along the edges."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.zeros(()))

    def forward(self, x, edges, owner, *, conductance, **tables):
        self.seen, self.tables = conductance, tables
        source, receiver = edges
        flow = conductance[:, None] * (x[source, :1] - x[receiver, :1])
        return x[:, :1] + self.a * torch.zeros_like(x[:, :1]).index_add(0, receiver, flow)


def test_conductances_reach_a_model_of_graphs():
    """On edges, by their name; places of nodes are channels."""
    edges = np.array([[0, 1, 1, 2], [1, 0, 2, 1]])
    still = (Field("conductance", on="edge"), Field("place", components=2))
    u = np.random.default_rng(0).normal(size=(6, 3))
    w = np.array([1.0, 1.0, 3.0, 3.0])
    static = {"conductance": w, "place": np.eye(3)[:, :2]}
    ds = to_dataset(
        Graph(3, edges), (Field("u"),), {"u": u}, range(6), static=static, static_fields=still
    )
    task = {"inputs": ["u"], "static": [*static]}
    surrogate = sciml.fit(Conducting(), ds, task, epochs=1)
    assert surrogate.setting.channels == (1 + 2, 1) and surrogate.model.tables == {}
    assert float(surrogate.model.a.detach()) != 0.0
    ahead = surrogate.predict(ds.isel(time=[0, 1]))
    assert ahead.u.shape[-1] == 3
    scaled = (w - w.mean()) / w.std()
    np.testing.assert_allclose(surrogate.model.seen.numpy()[:4], scaled, rtol=1e-5)


def test_cells_come_with_what_is_in_them():
    class Told(Seen):
        def forward(self, x, points, edges, owner, **beside):
            self.beside = beside
            return super().forward(x)

    task = Task(("v",), ("v",), static=("area", "drag"))
    surrogate = Surrogate(Told(2), task, None, HOUSE, fields=(*FIELDS, *STATIC))
    assert surrogate.setting.channels == (2 + 1, 2)
    surrogate(collate([sample(), sample(number=1)], task))
    beside, x = surrogate.model.beside, surrogate.model.x
    assert set(beside) == {"area", "cells"} and len(beside["cells"]) == len(beside["area"])
    assert (x[:, 2] == 0.5).all()


def test_kinds_that_change_are_refused():
    with pytest.raises(InputError, match="'kind' says of what kind"):
        Surrogate(nn.Identity(), Task(("kind",), ("v",)), fields=STATIC)


class Coulomb(nn.Module):
    """E = Σ q_i q_j / r_ij over pairs."""

    def forward(self, positions, *, charge, owner, ptr, periodic, **_):
        self.periodic = periodic
        i, j = torch.nonzero(owner[:, None] == owner[None]).unbind(1)
        i, j = i[i < j], j[i < j]
        r = (positions[i] - positions[j]).norm(dim=1)
        pairs = charge[i] * charge[j] / r
        return {"energy": torch.zeros(len(ptr) - 1).index_add(0, owner[i], pairs)}


def test_static_charges_reach_a_model_of_particles():
    fields = (Field("position", components=3), Field("energy", on="global"))
    rng = np.random.default_rng(0)
    task = Task(("position",), ("energy",), lead=0, static=("charge",))
    samples, expected = [], []
    for number, n in enumerate((2, 3)):
        x, q = rng.normal(size=(n, 3)), rng.choice([-1.0, 1.0], n)
        box = Particles(np.ones(n, int), np.eye(3) * 9, (True, True, False))
        simulation = Simulation(number, box, fields, {}, {"charge": q})
        frame = Frame(number, 0, 0.0, {"position": x, "energy": np.array(0.0)})
        samples.append(Sample(simulation, 0, (frame,), (frame,)))
        pairs = [(a, b) for a in range(n) for b in range(a)]
        expected.append(sum(q[a] * q[b] / np.linalg.norm(x[a] - x[b]) for a, b in pairs))
    batch = collate(samples, task)
    surrogate = Surrogate(Coulomb(), task, fields=fields)
    np.testing.assert_allclose(surrogate(batch)["energy"][:, 0], expected, rtol=1e-5)
    assert surrogate.model.periodic.tolist() == [True, True, False]
    open_space = Simulation(2, Particles([1, 1]), fields, {}, {"charge": np.ones(2)})
    with pytest.raises(DomainError, match=r"periodic along .* in one batch"):
        collate([samples[0], Sample(open_space, 0, *[samples[0].inputs] * 2)], task)


def test_a_scope_is_what_was_seen_of_meshes():
    small = Mesh(POINTS[:3], [[0, 1, 2]], groups={"inflow": [0]})
    large = Mesh(POINTS[:4], [[0, 1, 2, 3]])
    scope = joined([small, large])
    long = [float(np.ptp(POINTS[:n], axis=0).max()) for n in (3, 4)]
    assert scope == Scope(
        "mesh", 2, ("quadrilateral", "triangle"), ("inflow",), least=3, most=4,
        shortest=min(long), longest=max(long),
    )  # fmt: skip
    scope.require(small)
    with pytest.raises(
        InputError, match="cells of type polygon; the surrogate was trained on quad"
    ):
        scope.require(HOUSE)
    with pytest.raises(InputError, match="species 8; the surrogate was trained on 1"):
        Scope.of(Particles([1, 1])).require(Particles([1, 8]))
    with pytest.raises(InputError, match="lives on a graph; the surrogate on a mesh"):
        scope.require(Graph(2, [[0], [1]]))
    with pytest.raises(DomainError, match="domains of units '1' and 'm'"):
        scope.joined(Scope.of(Mesh(POINTS[:3], [[0, 1, 2]], "m")))
    assert Setting(Task(("u",), ("u",)), large).scope == Scope.of(large)
