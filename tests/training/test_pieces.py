"""Meshes in pieces: what a model computes and learns there is what it does on the whole."""

import numpy as np
import pytest
import torch
from scipy.spatial import Delaunay

import sciml
from sciml.domain import Field, Mesh
from sciml.domain.dataset import to_dataset
from sciml.domain.pieces import cut
from sciml.errors import InputError
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.samples.pieces import Pieces
from sciml.surrogates import Statistics, Surrogate, collate
from sciml.surrogates.traits import traits_of
from sciml.training import Supervised

pytest.importorskip("pymetis", reason="needs the extra 'mesh'")

STATIC = (Field("along", on="edge"), Field("inside", on="cell"))
TASK = Task(("u",), ("u",), static=("along", "inside"), prescribed={"u": ["wall"]})
MODELS = {
    "meshgraphnet": {"hidden": 8, "layers": 3},
    "mesh_transformer": {
        "layers": 3, "width": 16, "heads": 2, "dilations": [1, 2], "rope": True,
        "encoding": "random_walk",
    },
    "gcn": {"hidden": 8, "layers": 2},
}  # fmt: skip


def mesh(nodes=300, seed=0):
    points = np.random.default_rng(seed).random((nodes, 2))
    cells = Delaunay(points).simplices
    (ax, ay), (bx, by) = ((points[cells[:, k]] - points[cells[:, 0]]).T for k in (1, 2))
    return Mesh(
        points,
        cells[np.abs(ax * by - ay * bx) > 1e-5],
        groups={"wall": np.flatnonzero(points[:, 0] < 0.1)},
    )


def sample(domain, number=0):
    rng = np.random.default_rng(number)
    static = {f.name: rng.standard_normal(f.shape(domain)) for f in STATIC}
    simulation = Simulation(number, domain, (Field("u", "K"),), {}, static, static_fields=STATIC)
    u = rng.standard_normal((2, domain.size)).astype(np.float32)
    frames = [Frame(number, s, 0.1 * s, {"u": v}) for s, v in enumerate(u)]
    return Sample(simulation, 0, (frames[0],), (frames[1],))


def test_pieces_share_out_the_nodes():
    whole = mesh()
    pieces = cut(whole, 4, 2)
    assert len(pieces) == 4
    owned = np.concatenate([p.nodes[p.owned] for p in pieces])
    np.testing.assert_array_equal(np.sort(owned), np.arange(whole.size))
    for piece in pieces:
        assert 0.8 * 75 < piece.owned.sum() < 1.2 * 75 and piece.size < whole.size
        np.testing.assert_array_equal(piece.points, whole.points[piece.nodes])
        np.testing.assert_array_equal(piece.nodes[piece.cells], whole.cells[piece.kept_cells])
        np.testing.assert_array_equal(piece.nodes[piece.sides], whole.sides[piece.kept_sides])
        on_wall = np.isin(piece.nodes, whole.groups["wall"])
        np.testing.assert_array_equal(piece.groups["wall"], np.flatnonzero(on_wall))


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_those_of_the_whole(name):
    """Of all pieces at once, and one after another with the share of points that each learns."""
    one = sample(mesh())
    torch.manual_seed(0)
    surrogate = Surrogate.build(
        {"name": name, **MODELS[name]}, TASK, one.simulation.domain, increment=True,
        fields=(*one.simulation.fields, *STATIC),
    )  # fmt: skip
    statistics = Statistics(surrogate)
    statistics.update([one])
    statistics.fix()
    surrogate.double()
    reach = traits_of(surrogate.model).reach
    pieces = Pieces([one], 3, 2 if name == "gcn" else reach)
    whole = collate([one], TASK, surrogate.structures).to("cpu", torch.float64)

    def gradient(batches, shares):
        surrogate.zero_grad()
        loss = sum(
            share * Supervised("mse")(surrogate, batch)["mse"]
            for batch, share in zip(batches, shares, strict=True)
        )
        loss.backward()
        return loss.detach(), [p.grad.clone() for p in surrogate.parameters()]

    wanted = gradient([whole], [1.0])
    parts = [collate([p], TASK, surrogate.structures).to("cpu", torch.float64) for p in pieces]
    assert all(len(b.inputs["u"]) < len(whole.inputs["u"]) for b in parts)
    counts = [b.weights["u"].sum() for b in parts]
    torch.testing.assert_close(sum(counts), whole.weights["u"].sum())
    shares = [c / sum(counts) for c in counts]
    torch.testing.assert_close(gradient(parts, shares), wanted, atol=1e-12, rtol=1e-6)
    together = collate([*pieces], TASK, surrogate.structures).to("cpu", torch.float64)
    torch.testing.assert_close(gradient([together], [1.0]), wanted, atol=1e-12, rtol=1e-6)


def test_with_less_around_them_they_are_not():
    one = sample(mesh())
    torch.manual_seed(0)
    surrogate = Surrogate.build(
        {"name": "meshgraphnet", **MODELS["meshgraphnet"]}, TASK, one.simulation.domain,
        fields=(*one.simulation.fields, *STATIC),
    ).double()  # fmt: skip

    def asked(one):
        return surrogate(collate([one], TASK, surrogate.structures).to("cpu", torch.float64))["u"]

    off = []
    for halo in (0, 3):
        first = Pieces([one], 3, halo)[0]
        piece = first.simulation.domain
        there = asked(one)[piece.nodes[piece.owned]]
        off.append((asked(first)[piece.owned] - there).abs().max().item())
    assert off[0] > 1e-6 and off[1] < 1e-12, off


def datasets():
    found = []
    for number in range(3):
        domain = mesh(60, number)
        u = np.random.default_rng(number).standard_normal(domain.size)
        values = np.stack([u * 0.8**s for s in range(4)])
        found.append(to_dataset(domain, (Field("u", "K"),), {"u": values}, np.arange(4.0)))
    return found


def test_a_fit_takes_pieces():
    made = sciml.fit(
        "meshgraphnet", datasets(), pieces=2, batch_size=4, epochs=2, hidden=8, layers=2
    )
    # Two simulations of three windows in two pieces, four at a time.
    assert len(made.history.steps) == 2 * 3 * 2 * 2 // 4
    assert np.isfinite(made.history.validations[-1]["vrmse"])


@pytest.mark.parametrize(
    ("model", "pieces", "said"),
    [
        ({"name": "transolver", "layers": 1}, 2, "sees all of a mesh, or does not say how far"),
        ({"name": "meshgraphnet", "virtual_node": True}, 2, "pieces=2, and the model sees all"),
        ({"name": "mesh_transformer", "global_nodes": 1}, 2, "pieces=2, and the model sees all"),
        ({"name": "meshgraphnet"}, 100, "60 nodes in 100 pieces; expected 1 to 60"),
        ({"name": "meshgraphnet"}, 0, "pieces=0; expected 1 or more"),
    ],
)
def test_what_cannot_be_is_refused(model, pieces, said):
    with pytest.raises(InputError, match=said):
        sciml.fit(model, datasets(), pieces=pieces, epochs=1)


def test_a_divergence_is_not_of_pieces():
    objective = {"kind": "supervised", "loss": "mse", "divergence": ["v"]}
    flows = []
    for one in datasets():
        v = np.stack([one.u.values, one.u.values], axis=-1)
        flows.append(one.drop_vars("u").assign(v=(("time", "node", "space"), v)))
    with pytest.raises(InputError, match="pieces=2 and a divergence"):
        sciml.fit(
            {"name": "meshgraphnet", "layers": 1, "hidden": 8}, flows, pieces=2,
            objectives={"flow": objective}, epochs=1,
        )  # fmt: skip
