"""Models of meshes: attention over edges, whom nodes attend to, and what no model may look at."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import shortest_path
from torch.nn import functional as F
from zoo import ZOO

from sciml.domain import Field, Grid, Mesh
from sciml.domain.dataset import to_dataset
from sciml.errors import DomainError, InputError
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import (
    MeshGraphNet,
    MeshTransformer,
    Statistics,
    Surrogate,
    Transolver,
    collate,
    registry,
)
from sciml.surrogates.graph.links import links_of
from sciml.surrogates.mesh.bistride import BiStride
from sciml.surrogates.mesh.edge_attention import EdgeAttention, _gathered
from sciml.surrogates.mesh.encodings import laplacian, random_walk, rotated, rotations
from sciml.surrogates.mesh.mesh_transformer import SIZES, in_parts
from sciml.surrogates.mesh.neighbourhoods import Neighbourhoods, receptive_field, with_loops

NAMES = sorted(n for n in ZOO if ".mesh." in registry.MODELS[n])
SHIFT = np.array([3.0, -7.0])
TASK = Task(("u",), ("u",), parameters=("a",))
#: Whose edges have the logarithm of their length, so that the unit matters; who sees all of a mesh.
SEE_LENGTHS, SEE_ALL = ("meshgraphnet", "mppde"), ("mppde", "transolver")


def plate(rows, columns, seed=0):
    """A plate of triangles with inner nodes shifted and numbers shuffled; its left side is a wall."""
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    points = np.stack([x.ravel(), y.ravel()], axis=1) + rng.uniform(-0.2, 0.2, (x.size, 2))
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    low = np.stack([corner, corner + 1, corner + columns], axis=1)
    high = np.stack([corner + 1, corner + columns + 1, corner + columns], axis=1)
    cells = np.concatenate([low, high])
    return renumbered(
        Mesh(points, cells, groups={"wall": np.flatnonzero(x.ravel() == 0)}),
        rng.permutation(len(points)),
    )


def renumbered(mesh, order):
    """The mesh with node ``order[i]`` as its node i."""
    place = np.argsort(order)
    groups = {name: place[nodes] for name, nodes in mesh.groups.items()}
    return Mesh(mesh.points[order], place[mesh.cells], groups=groups)


def sample(domain, number=0, u=None):
    u = np.random.default_rng(number).standard_normal(domain.size) if u is None else u
    simulation = Simulation(number, domain, (Field("u", "K"),), {"a": 1.0})
    frames = [Frame(number, s, 0.1 * s, {"u": (s + 1) * u.astype(np.float32)}) for s in (0, 1)]
    return Sample(simulation, 0, (frames[0],), (frames[1],))


def built(name, samples, **options):
    torch.manual_seed(0)
    config = {"name": name, **ZOO[name].options, **options}
    simulation = samples[0].simulation
    surrogate = Surrogate.build(config, TASK, simulation.domain, fields=simulation.fields)
    statistics = Statistics(surrogate)
    statistics.update(samples)
    statistics.fix()
    return surrogate.eval()


def output(surrogate, samples):
    return surrogate(collate(samples, TASK, surrogate.structures))["u"]


# Attention


def neighbours(nodes, symmetric, seed=0):
    """A mask (receiver, source) that joins each node with itself, and its edges in any order."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(nodes, nodes, generator=generator) < 0.1
    mask = mask | mask.T if symmetric else mask
    mask.fill_diagonal_(True)
    edges = mask.nonzero().T.flip(0)
    return mask, edges[:, torch.randperm(edges.shape[1], generator=generator)]


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("symmetric", [True, False])
def test_attention_is_that_of_a_dense_mask(symmetric, heads):
    """Values to 1e-6 in float32, gradients as exact as they are large."""
    mask, edges = neighbours(60, symmetric)
    links = links_of(edges, 60)
    assert links.symmetric == symmetric
    for dtype, atol in ((torch.float32, 1e-6), (torch.float64, 1e-13)):
        q, k, v = (torch.randn(60, heads, 8, dtype=dtype, requires_grad=True) for _ in range(3))
        found = EdgeAttention.of(links, heads)(q, k, v)
        by_head = [t.transpose(0, 1) for t in (q, k, v)]
        wanted = F.scaled_dot_product_attention(*by_head, attn_mask=mask).transpose(0, 1)
        torch.testing.assert_close(found, wanted, atol=atol, rtol=0)
        weights = torch.randn_like(found)
        grads = [torch.autograd.grad((o * weights).sum(), (q, k, v)) for o in (found, wanted)]
        torch.testing.assert_close(*grads, atol=10 * atol, rtol=1e-5)


@pytest.mark.parametrize("symmetric", [True, False])
def test_gradients_of_attention(symmetric):
    _, edges = neighbours(12, symmetric)
    attend = EdgeAttention.of(links_of(edges, 12), 2)
    q, k, v = (torch.randn(12, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(3))
    assert torch.autograd.gradcheck(attend, (q, k, v))


def test_large_scores_stay_finite():
    _, edges = neighbours(20, True)
    attend = EdgeAttention.of(links_of(edges, 20), 1)
    q = (1e4 * torch.randn(20, 1, 4)).requires_grad_()
    found = attend(q, q, torch.ones(20, 1, 4))
    torch.testing.assert_close(found, torch.ones_like(found))
    found.sum().backward()
    assert q.grad.isfinite().all()


def test_gathered_it_is_the_same():
    """As autocast and compilers see it; in bfloat16 too, roughly."""
    _, edges = neighbours(30, False)
    attend = EdgeAttention.of(links_of(edges, 30), 2)
    q, k, v = (torch.randn(30, 2, 4) for _ in range(3))
    flat = [t.reshape(-1, 4) for t in (q, k, v)]
    torch.testing.assert_close(_gathered(*flat, attend).view_as(v), attend(q, k, v))
    low = attend(*(t.bfloat16() for t in (q, k, v)))
    torch.testing.assert_close(low.float(), attend(q, k, v), atol=0.05, rtol=0.05)


def test_parts_of_a_layer_are_those_of_its_output():
    layer, x = torch.nn.Linear(4, 6), torch.randn(5, 4)
    parts = in_parts(layer, x, 3)
    torch.testing.assert_close(parts, list(layer(x).chunk(3, dim=1)))
    assert all(part.is_contiguous() for part in parts)


def test_a_node_alone_sees_itself():
    """And without an edge at all it gets 0, of the function as of its gradient."""
    attend = EdgeAttention.of(links_of(torch.tensor([[0, 1], [1, 0]]), 3), 1)
    v = torch.randn(3, 1, 4, requires_grad=True)
    found = attend(v, v, v)
    assert not found[2].any() and found[:2].all()
    assert torch.autograd.grad(found.sum(), v)[0].isfinite().all()
    net = MeshTransformer(2, 2, layers=2, width=8, heads=2)
    x, pair = torch.randn(3, 2), torch.tensor([[0, 1], [1, 0]])
    torch.testing.assert_close(net(x, pair)[2:], net(x[2:], torch.empty(2, 0, dtype=torch.long)))


@pytest.mark.parametrize(
    "edges",
    [
        torch.tensor([[3], [1]]),
        torch.tensor([[-1], [1]]),
        torch.tensor([[0, 1], [1, 2], [2, 0]]),
        torch.ones(2, 1, dtype=torch.bool),
        [[0], [1]],
    ],
)
def test_edges_that_cannot_be_are_refused(edges):
    with pytest.raises(InputError, match="edges"):
        MeshTransformer(2, 2, layers=1, width=8, heads=2)(torch.randn(3, 2), edges)


# Whom nodes attend to


def distances(mesh):
    near = np.zeros((mesh.size, mesh.size))
    near[mesh.edges[1], mesh.edges[0]] = 1.0
    return shortest_path(near, unweighted=True)


@pytest.mark.parametrize("hops", [1, 2])
def test_windows_are_rings_of_distances(hops):
    mesh = plate(6, 7)
    far = distances(mesh)
    dilations = (1, 2, 3)
    for d, links in zip(dilations, Neighbourhoods(hops, dilations).of(mesh), strict=True):
        seen = np.zeros((mesh.size, mesh.size), bool)
        seen[links.receiver, links.source] = True
        np.testing.assert_array_equal(seen, np.isin(far, [0, *(k * d for k in range(1, hops + 1))]))
        assert links.symmetric


def test_the_receptive_field_is_what_a_gradient_reaches():
    mesh = plate(9, 9)
    cases = {
        "none": Neighbourhoods(),
        "hops": Neighbourhoods(2),
        "windows": Neighbourhoods(1, (1, 3)),
        "random": Neighbourhoods(random_edges=1),
        "global": Neighbourhoods(global_nodes=2),
        "walls": Neighbourhoods(global_groups=("wall",)),
    }
    reach, layers, node = {}, 3, int(np.argmin(mesh.points.sum(axis=1)))
    net = MeshTransformer(1, 1, layers, 8, 2).double()
    for case, near in cases.items():
        links = near.of(mesh)
        x = torch.randn(mesh.size, 1, dtype=torch.float64, requires_grad=True)
        [slope] = torch.autograd.grad(net(x, links)[node].sum(), x)
        after = receptive_field(links, layers, node)
        np.testing.assert_array_equal(after >= 0, slope[:, 0].numpy() != 0, err_msg=case)
        reach[case] = int((after >= 0).sum())
    assert reach["none"] < reach["hops"] and reach["none"] < reach["windows"]
    assert reach["none"] < reach["random"]
    assert reach["global"] == reach["walls"] == mesh.size
    np.testing.assert_array_equal(
        receptive_field(cases["none"].of(mesh), layers, node),
        np.where(distances(mesh)[node] <= layers, distances(mesh)[node], -1),
    )


def test_a_virtual_node_joins_all_of_a_graph_and_no_other():
    one, two = plate(4, 4, 1), plate(4, 5, 2)
    edges = torch.from_numpy(np.concatenate([one.edges, two.edges + one.size], axis=1))
    owner = torch.arange(2).repeat_interleave(torch.tensor([one.size, two.size]))
    net = MeshTransformer(1, 1, 1, 8, 2, virtual_node=True)
    x = torch.randn(len(owner), 1, requires_grad=True)
    [slope] = torch.autograd.grad(net(x, edges, owner=owner)[0].sum(), x)
    assert slope[: one.size].all() and not slope[one.size :].any()


def test_every_second_front_is_kept():
    """Each node is kept or next to one that is; means of a constant are that constant."""
    pieces = plate(8, 9), plate(3, 4)
    points = np.concatenate([one.points + k * 10 * SHIFT for k, one in enumerate(pieces)])
    mesh = Mesh(
        np.concatenate([points, [[50.0, 50.0]]]),
        np.concatenate([pieces[0].cells, pieces[1].cells + pieces[0].size]),
    )
    parts = {n: torch.from_numpy(p.values) for n, p in BiStride(3).parts(mesh).items()}
    levels, n, far = BiStride(3).taken(parts, mesh.size, True), mesh.size, distances(mesh)
    assert not parts
    for level in levels:
        kept = level.kept.numpy()
        assert len(kept) < 0.75 * n
        assert (far[:, kept].min(axis=1) <= 1).all()
        near = (far[np.ix_(kept, kept)] <= 2) & ~np.eye(len(kept), dtype=bool)
        seen = np.zeros_like(near)
        seen[level.links.receiver, level.links.source] = True
        np.testing.assert_array_equal(seen, near)
        ones = torch.ones(n, 1)
        torch.testing.assert_close(level.down(ones), ones[: len(kept)])
        torch.testing.assert_close(level.up(ones[: len(kept)], n), ones)
        far, n = shortest_path(near.astype(float), unweighted=True), len(kept)


@pytest.mark.parametrize("name", ["mesh_transformer", "meshgraphnet"])
def test_coarser_meshes_carry_further(name):
    one, reach = sample(plate(9, 9)), []
    for options in ({"layers": 5}, {"layers": 5, "levels": 2}):
        surrogate = built(name, [one], **options)
        batch = collate([one], TASK, surrogate.structures)
        x = batch.inputs["u"].requires_grad_()
        [slope] = torch.autograd.grad(surrogate(batch)["u"][0].sum(), x)
        reach.append(int((slope != 0).sum()))
    assert reach[1] > 1.3 * reach[0], reach


def test_walks_return_and_eigenvectors_are_ones():
    mesh = plate(5, 6)
    n, (source, receiver) = mesh.size, mesh.edges
    dense = np.zeros((n, n))
    dense[receiver, source] = 1.0
    degree = dense.sum(axis=1)
    step = dense / degree[:, None]
    wanted = np.stack([np.diag(np.linalg.matrix_power(step, k)) for k in range(1, 8)], axis=1)
    np.testing.assert_allclose(random_walk(mesh.edges, n, 7), wanted, atol=1e-12)
    matrix = np.eye(n) - dense / np.sqrt(np.outer(degree, degree))
    found = laplacian(mesh.edges, n, 5)
    values = np.linalg.eigvalsh(matrix)[1:6]
    np.testing.assert_allclose(matrix @ found, found * values, atol=1e-10)
    np.testing.assert_allclose((found**2).sum(axis=0), n)


def test_eigenvectors_of_a_large_mesh_are_those_of_a_small_one(monkeypatch):
    mesh = plate(6, 7)
    whole = laplacian(mesh.edges, mesh.size, 4, mesh.points)
    monkeypatch.setattr("sciml.surrogates.mesh.encodings._DENSE", 3)
    again = laplacian(mesh.edges, mesh.size, 4, mesh.points)
    np.testing.assert_allclose(again, whole, atol=1e-7)


def test_encodings_of_pieces_are_their_own():
    """Two meshes in one, and a node alone, which has none."""
    one = plate(4, 5)
    edges = np.concatenate([one.edges, one.edges + one.size], axis=1)
    for make in (laplacian, random_walk):
        alone, both = make(one.edges, one.size, 3), make(edges, 2 * one.size + 1, 3)
        np.testing.assert_allclose(both[:-1], np.concatenate([alone, alone]), atol=1e-10)
        assert not both[-1].any()


def test_turned_queries_and_keys_see_how_far_apart_they_are():
    turns = rotations(10, 2)
    q, k = torch.randn(2, 1, 10)
    x, y, shift = torch.rand(3, 2)

    def score(a, b):
        return (rotated(q[None], (a @ turns)[None]) * rotated(k[None], (b @ turns)[None])).sum()

    torch.testing.assert_close(score(x, y), score(x + shift, y + shift), atol=1e-3, rtol=1e-3)
    assert abs(score(x, y) - score(x, y + shift)) > 1e-2


# All models of meshes


OPTIONS = {
    "mesh_transformer": [
        {"hops": 2, "random_edges": 2, "global_nodes": 2, "encoding": "laplacian"},
        {"global_groups": ["wall"], "encoding": "random_walk", "rope": True, "virtual_node": True},
        {"levels": 1, "layers": 3, "rope": True, "virtual_node": True},
    ],
    "meshgraphnet": [{"levels": 1, "layers": 4, "virtual_node": True}],
    "transolver": [{"encoding": "laplacian"}],
}
CASES = [(n, o) for n in NAMES for o in ({}, *OPTIONS.get(n, ()))]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_order_of_nodes_does_not_matter(name, options):
    """Nor that of edges, which a mesh lists by its nodes; cells come in another order, too."""
    mesh = plate(5, 6)
    one = sample(mesh)
    order = np.random.default_rng(1).permutation(mesh.size)
    again = renumbered(mesh, order)
    other = sample(replace(again, cells=again.cells[::-1]), u=one.inputs[0].fields["u"][order])
    surrogate = built(name, [one], **options).double()
    torch.testing.assert_close(
        output(surrogate, [one])[torch.from_numpy(order)], output(surrogate, [other]),
        atol=1e-6, rtol=1e-6,
    )  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {"global_nodes": 1},
        {"global_nodes": 5},
        {"encoding": "laplacian"},
        {"levels": 1, "layers": 3},
    ],
)
def test_nor_does_it_on_a_regular_mesh(options):
    """Where nodes are as far away as others, and eigenvectors are odd or even."""
    y, x = np.meshgrid(0.07 * np.arange(6), 0.1 * np.arange(10), indexing="ij")
    corner = (10 * np.arange(5)[:, None] + np.arange(9)).ravel()
    cells = np.stack([corner, corner + 1, corner + 11, corner + 10], axis=1)
    mesh = Mesh(np.stack([x.ravel(), y.ravel()], axis=1), cells)
    one = sample(mesh)
    surrogate = built("mesh_transformer", [one], **options).double()
    wanted = output(surrogate, [one])
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(mesh.size)
        other = sample(renumbered(mesh, order), u=one.inputs[0].fields["u"][order])
        torch.testing.assert_close(
            wanted[torch.from_numpy(order)], output(surrogate, [other]), atol=1e-6, rtol=1e-6
        )


@pytest.mark.parametrize(("name", "options"), CASES)
def test_where_a_mesh_lies_does_not_matter(name, options):
    """Nor in which unit lengths are."""
    mesh = plate(5, 6)
    one = sample(mesh)
    surrogate = built(name, [one], **options)
    other = sample(replace(mesh, points=1000 * (mesh.points + SHIFT)))
    if name in SEE_LENGTHS:
        other = sample(replace(mesh, points=mesh.points + SHIFT))
    torch.testing.assert_close(
        output(surrogate, [one]), output(surrogate, [other]), atol=2e-4, rtol=1e-3
    )


@pytest.mark.parametrize(("name", "options"), CASES)
def test_nor_does_it_where_float32_has_no_digits_left(name, options):
    """A map in metres."""
    mesh = plate(5, 6)
    one = sample(mesh)
    other = sample(replace(mesh, points=mesh.points + 1e5 * SHIFT))
    surrogate = built(name, [one], **options)
    torch.testing.assert_close(
        output(surrogate, [one]), output(surrogate, [other]), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize(("name", "options"), CASES)
def test_meshes_of_other_sizes_in_one_batch(name, options):
    samples = [sample(plate(r, c, r), r) for r, c in ((3, 4), (6, 5), (2, 2))]
    surrogate = built(name, samples, **options)
    together, begin = output(surrogate, samples), 0
    for one in samples:
        alone = output(surrogate, [one])
        there = together[begin : begin + len(alone)]
        torch.testing.assert_close(alone, there, atol=1e-5, rtol=1e-4)
        begin += len(alone)


@pytest.mark.parametrize("name", NAMES)
def test_pieces_and_nodes_alone(name):
    """A mesh of two pieces, and a node that belongs to no cell."""
    one = plate(4, 4)
    points = np.concatenate([one.points, one.points + 10 * SHIFT, [[9.0, 9.0]]])
    mesh = Mesh(points, np.concatenate([one.cells, one.cells + one.size]))
    surrogate = built(name, [sample(mesh)])
    batch = collate([sample(mesh)], TASK, surrogate.structures)
    x = batch.inputs["u"].requires_grad_()
    found = surrogate(batch)["u"]
    assert found.isfinite().all()
    [slope] = torch.autograd.grad(found[-1].sum(), x)
    assert slope[-1].any(), "it sees itself"
    assert slope[:-1].any() == (name in SEE_ALL)


@pytest.mark.parametrize("name", ["mesh_transformer", "meshgraphnet", "transolver"])
def test_nodes_see_in_which_groups_they_are(name):
    mesh = plate(5, 6)
    bare, other = (sample(replace(mesh, groups=groups)) for groups in ({"wall": []}, {"hole": [0]}))
    seeing, blind = (built(name, [sample(mesh)], groups=groups) for groups in (True, False))
    for one in (bare, other):  # a group that was not there is not seen
        change = (output(seeing, [one]) - output(seeing, [sample(mesh)])).abs()[:, 0]
        assert (change[mesh.groups["wall"]] > 1e-5).all()
        torch.testing.assert_close(output(blind, [one]), output(blind, [sample(mesh)]))


def test_a_mesh_unlike_those_of_the_training_is_warned_of():
    """Of its nodes, its lengths, and groups that the model sees."""
    training = [sample(replace(plate(5, 6), units="m"))]
    surrogate, blind = (built("meshgraphnet", training, groups=groups) for groups in (True, False))
    surrogate.dt = blind.dt = 0.1

    def asked(mesh, surrogate=surrogate):
        u = np.ones((1, mesh.size))
        ds = to_dataset(mesh, (Field("u", "K"),), {"u": u}, np.zeros(1), parameters={"a": 1.0})
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            surrogate.predict(ds)
        return [str(w.message) for w in told if "mesh" in str(w.message)]

    assert not asked(plate(6, 9))
    assert "a mesh of 143 nodes; the surrogate was trained on 30 to 30" in asked(plate(11, 13))[0]
    assert "a mesh of 4 nodes" in asked(plate(2, 2))[0]
    mesh = plate(5, 6)
    large = replace(mesh, points=1000 * mesh.points)
    [one], [other] = asked(replace(large, units="mm")), asked(large)
    assert "in mm; the surrogate was trained on meshes in m" in one
    assert "long; the surrogate was trained on" in other and "another unit?" in other
    bare, renamed = replace(mesh, groups={}), replace(mesh, groups={"Wall": [0]})
    assert "without the group wall, which all" in asked(bare)[0]
    assert "and with Wall, which none had" in asked(renamed)[0]
    assert not asked(bare, blind)
    with pytest.raises(InputError, match="no group 'wall'; its mesh has no groups: they are"):
        Neighbourhoods(global_groups=("wall",)).of(bare)


# MeshTransformer


def test_sizes_have_the_parameters_that_they_say():
    millions = {}
    for size, (layers, width, heads) in SIZES.items():
        with torch.device("meta"):
            net = MeshTransformer(6, 2, layers, width, heads)
        millions[size] = sum(p.numel() for p in net.parameters()) / 1e6
    assert {s: float(f"{m:.2g}") for s, m in millions.items()} == {
        "S": 0.57, "M": 3.3, "L": 13, "XL": 39,
    }  # fmt: skip


def test_checkpointed_it_is_the_same():
    mesh = plate(4, 5)
    edges, x = torch.from_numpy(mesh.edges), torch.randn(mesh.size, 2)
    grads = []
    for checkpointed in (False, True):
        torch.manual_seed(0)
        net = MeshTransformer(2, 1, 3, 8, 2, checkpointed=checkpointed)
        net(x, edges).square().sum().backward()
        grads.append([p.grad for p in net.parameters()])
    torch.testing.assert_close(*grads, atol=0, rtol=0)


def test_it_takes_edges_as_torch_geometric_has_them():
    mesh = plate(4, 5)
    edges = torch.from_numpy(mesh.edges)
    net, x = MeshTransformer(2, 1, 2, 8, 2), torch.randn(mesh.size, 2)
    [links] = Neighbourhoods().of(mesh)
    torch.testing.assert_close(net(x, edges), net(x, links))
    torch.testing.assert_close(net(x, with_loops(edges.flip(1), mesh.size)), net(x, links))


def test_places_come_with_the_data_of_torch_geometric():
    data = pytest.importorskip("torch_geometric.data")
    mesh, x = plate(4, 5), torch.randn(20, 2)
    edges, places = torch.from_numpy(mesh.edges), torch.from_numpy(mesh.points).float()
    net = MeshTransformer(2, 1, 2, 16, 2, rope=2)
    given = data.Data(x=x, edge_index=edges, pos=places)
    torch.testing.assert_close(net(given), net(x, edges, places))
    with pytest.raises(InputError, match=r"rope without points; expected .*data\.pos"):
        net(data.Data(x=x, edge_index=edges))


@pytest.mark.parametrize(
    "net",
    [
        MeshTransformer(2, 1, 2, 8, 2, virtual_node=True),
        MeshGraphNet(2, 1, hidden=8, layers=2, virtual_node=True),
        Transolver(2, 1, 2, 8, 2),
    ],
    ids=lambda net: type(net).__name__,
)
def test_a_batch_of_torch_geometric_is_its_graphs(net):
    data = pytest.importorskip("torch_geometric.data", reason="needs the extra 'graph'")
    meshes = [plate(4, 5, 1), plate(3, 4, 2)]
    graphs = [
        data.Data(x=torch.randn(mesh.size, 2), edge_index=torch.from_numpy(mesh.edges))
        for mesh in meshes
    ]
    every = torch.cat([net(graph) for graph in graphs])
    batch = data.Batch.from_data_list(graphs)
    torch.testing.assert_close(net(batch), every)
    for owner, said in ((batch.batch.flip(0), "falls somewhere"), (batch.batch[1:], r"is \(31,\)")):
        batch.batch = owner
        with pytest.raises(InputError, match=f"owner {said}; expected .32,."):
            net(batch)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": "XS"}, "unknown size 'XS'"),
        ({"heads": 3}, "width=8 for heads=3"),
        ({"encoding": "laplace"}, "did you mean 'laplacian'"),
        ({"dilations": [0]}, "expected 1 or more of edges"),
        ({"rope": True, "heads": 4}, "2 channels a head for 2 coordinates; expected 4"),
        ({"random_edges": -1}, "-1|whole number"),
        ({"layers": 0}, "0 layers"),
        ({"levels": 2}, "2 coarser levels with 2 layers; expected 5"),
    ],
)
def test_options_are_refused_by_name(options, said):
    with pytest.raises(InputError, match=said):
        built("mesh_transformer", [sample(plate(3, 3))], **options)


def test_groups_that_a_mesh_does_not_have_are_named():
    surrogate = built("mesh_transformer", [sample(plate(3, 3))], global_groups=["walls"])
    with pytest.raises(InputError, match="no group 'walls'; did you mean 'wall'"):
        output(surrogate, [sample(plate(3, 3))])
    with pytest.raises(DomainError, match="edges of a grid"):
        Neighbourhoods().of(Grid((8,), ((0.0, 1.0),), ("periodic",)))
