"""What holds for the layers of graph diffusion, on random graphs.

Long, since each law is held to every layer: they share one table of layers and of graphs.
"""

import gc
import sys
import weakref
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sciml.errors import DivergedError, InputError
from sciml.surrogates import (
    GCN,
    GRAND,
    GREAD,
    GraphNetwork,
    MeshGraphNet,
    SheafDiffusion,
    SheafNN,
    undirected,
)
from sciml.surrogates import graph as family
from sciml.surrogates.graph.attention import SCORES, STOCHASTIC, Attention
from sciml.surrogates.graph.flux import FluxHead
from sciml.surrogates.graph.gread import REACTIONS
from sciml.surrogates.graph.links import links_of
from sciml.surrogates.graph.maps import KINDS, RestrictionMaps
from sciml.surrogates.graph.ode import TABLEAUX, Integration
from sciml.surrogates.graph.rewiring import rewired
from sciml.surrogates.graph.sheaf_laplacian import SheafLaplacian, chebyshev

DOUBLE = torch.float64
IN_SPACE = [kind for kind in KINDS if kind != "rotation"]
CHANNELS = 6
LAYERS = {
    "grand": lambda: GRAND(CHANNELS),
    "grand-nl": lambda: GRAND(CHANNELS, 2.0, nonlinear=True, attention={"score": "kernel"}),
    "grand-plain": lambda: GRAND(CHANNELS, attention={"score": "none", "stochastic": "degree"}),
    "grand-column": lambda: GRAND(CHANNELS, attention={"stochastic": "column"}),
    "grand-symmetric": lambda: GRAND(
        CHANNELS, attention={"stochastic": "symmetric", "positive": "squareplus"}
    ),
    **{f"gread-{r}": lambda r=r: GREAD(CHANNELS, 1.0, r, per_channel="both") for r in REACTIONS},
    **{f"sheaf-{m}": lambda m=m: SheafDiffusion(2, 3, maps=m) for m in KINDS},
    "sheaf-flow": lambda: SheafDiffusion(2, 3, maps="general", time=1.0),
    "sheaf-weighted": lambda: SheafDiffusion(
        2, 3, options={"edge_weights": True, "high_pass": False}
    ),
    "sheaf-polynomial": lambda: SheafDiffusion(2, 3, maps="diagonal", degree=4),
    "sheaf-directed": lambda: SheafDiffusion(2, 3, maps="general", directed=True),
    "sheaf-nn": lambda: SheafNN(2, 3),
    "gcn": lambda: GCN((CHANNELS,) * 3),
    "meshgraphnet": lambda: MeshGraphNet(CHANNELS, CHANNELS, hidden=8, layers=2),
    "sheaf-heat": lambda: SheafDiffusion(2, 3, time=1.0, linear=True),
    "flux": lambda: GraphNetwork(CHANNELS, CHANNELS, GRAND(8), 8, head="flux", skip=True),
}


@pytest.fixture(params=sorted(LAYERS))
def layer(request):
    return LAYERS[request.param]()


@pytest.fixture
def graph():
    return random_graph(9, 14)


def random_graph(nodes, pairs, alone=1):
    """Edges both ways; the last nodes have none."""
    return undirected(torch.randint(0, nodes - alone, (2, pairs)))


def dense(edge_weights, links):
    """A_vu."""
    matrix = torch.zeros(links.nodes, links.nodes, dtype=edge_weights.dtype)
    return matrix.index_put((links.receiver, links.source), edge_weights)


def coboundary(maps, links):
    """δ as a matrix: a row of blocks for each pair of nodes that is joined, orientation as it comes."""
    maps = torch.diag_embed(maps) if maps.ndim == 2 else maps
    d, once = maps.shape[-1], (links.source < links.receiver).nonzero()[:, 0]
    delta = torch.zeros(len(once), d, links.nodes, d, dtype=maps.dtype)
    for row, e in enumerate(once.tolist()):
        delta[row, :, links.receiver[e]] = maps[e]
        delta[row, :, links.source[e]] = -maps[links.reverse[e]]
    return delta.reshape(len(once) * d, links.nodes * d)


def matrix_of(laplacian, links, d):
    """What it does to each unit vector."""
    one = torch.eye(links.nodes * d, dtype=DOUBLE).view(links.nodes, d, -1)
    return laplacian.apply(one, links).reshape(links.nodes * d, -1)


def sheaf(kind, stalk, edges, nodes, **options):
    links = links_of(edges, nodes, "a test", loops=False)
    made = RestrictionMaps(kind, stalk, 5, **options).to(DOUBLE)
    return links, made(torch.randn(nodes, 5, dtype=DOUBLE), links)


@pytest.mark.parametrize("fixed", [{}, {"low_pass": True, "high_pass": True}])
@pytest.mark.parametrize("kind", IN_SPACE)
def test_the_product_is_that_of_the_dense_matrix(kind, fixed, graph):
    links, maps = sheaf(kind, 3, graph, 9, **fixed)
    d = 3 + len(fixed)
    assert maps.shape[1] == d
    delta = coboundary(maps, links)
    x = torch.randn(9, d, 4, dtype=DOUBLE)
    wanted = (delta.T @ delta @ x.reshape(9 * d, 4)).reshape(9, d, 4)
    laplacian = SheafLaplacian.of(maps, links)
    torch.testing.assert_close(laplacian.apply(x, links), wanted)
    if (
        fixed
    ):  # a field that is the same everywhere: not seen by the low pass, doubled by the high one
        seen = laplacian.apply(torch.ones(9, d, 1, dtype=DOUBLE), links)[:, :, 0]
        torch.testing.assert_close(seen[:, 3], torch.zeros(9, dtype=DOUBLE))
        torch.testing.assert_close(seen[:, 4], 2 * links.degree(DOUBLE))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_normalised_laplacian_is_symmetric_with_a_spectrum_below_two(kind, weighted, graph):
    links, maps = sheaf(kind, 2, graph, 9, edge_weights=weighted)
    delta = coboundary(maps, links)
    laplacian = delta.T @ delta
    d_and_one = torch.eye(18, dtype=DOUBLE)
    for v in range(9):
        block = slice(2 * v, 2 * v + 2)
        d_and_one[block, block] += laplacian[block, block]
    c = torch.linalg.cholesky(d_and_one)
    wanted = torch.linalg.solve(c, torch.linalg.solve(c, laplacian).T).T
    small = matrix_of(SheafLaplacian.normalised(maps, links, KINDS[kind].orthogonal), links, 2)
    torch.testing.assert_close(small, wanted)
    torch.testing.assert_close(small, small.T)
    spectrum = torch.linalg.eigvalsh(small)
    assert spectrum.min() > -1e-12 and spectrum.max() < 2


@pytest.mark.parametrize(
    ("kind", "d"),
    [
        (kind, d)
        for kind in KINDS
        for d in ([2] if kind == "rotation" else [2, 3, 5])
        if KINDS[kind].orthogonal and kind != "identity"
    ],
)
def test_maps_of_the_orthogonal_group_are_orthogonal(kind, d):
    numbers = (3 * torch.randn(50, KINDS[kind].numbers(d))).tanh()
    maps = KINDS[kind].make(numbers, d)
    assert (maps.mT @ maps - torch.eye(d)).abs().max() < 1e-6
    assert maps.std(dim=0).max() > 0.3, "they differ"


@pytest.mark.parametrize("d", [2, 3, 4])
def test_rotations_are_exponentials(d):
    """Also that of 0, with its derivative."""
    numbers = torch.randn(5, d * (d - 1) // 2, dtype=DOUBLE).tanh()
    numbers[0] = 0
    numbers.requires_grad_()
    skew, (i, j) = torch.zeros(5, d, d, dtype=DOUBLE), torch.tril_indices(d, d, -1)
    skew[:, i, j] = numbers
    wanted = torch.linalg.matrix_exp(skew - skew.mT)
    found = KINDS["exponential"].make(numbers, d)
    torch.testing.assert_close(found, wanted, atol=1e-7, rtol=0)
    weights = torch.randn(5, d, d, dtype=DOUBLE)
    grads = [torch.autograd.grad((weights * f).sum(), numbers)[0] for f in (found, wanted)]
    torch.testing.assert_close(*grads, atol=1e-6, rtol=0)


def test_chebyshev_polynomials_of_a_matrix(graph):
    links, maps = sheaf("diagonal", 2, graph, 9)
    laplacian = SheafLaplacian.normalised(maps, links)
    values, vectors = torch.linalg.eigh(matrix_of(laplacian, links, 2))
    c = torch.randn(6, dtype=DOUBLE)
    response = sum(c[k] * torch.cos(k * torch.acos((values - 1).clamp(-1, 1))) for k in range(6))
    x = torch.randn(9, 2, 3, dtype=DOUBLE)
    wanted = (vectors @ (response[:, None] * (vectors.T @ x.reshape(18, 3)))).reshape(9, 2, 3)
    found = chebyshev(lambda y: laplacian.apply(y, links), x, c)
    torch.testing.assert_close(found, wanted)


def test_a_polynomial_begins_as_the_laplacian(graph):
    x = torch.randn(9, 6)
    plain = SheafDiffusion(2, 3, maps="diagonal")
    other = SheafDiffusion(2, 3, maps="diagonal", degree=5)
    other.load_state_dict(plain.state_dict(), strict=False)
    torch.testing.assert_close(other(x, graph), plain(x, graph))


@pytest.mark.parametrize("stochastic", ["row", "column", "symmetric"])
@pytest.mark.parametrize("itself", [True, False])
def test_linear_grand_is_the_matrix_exponential(stochastic, itself, graph):
    attention = {"stochastic": stochastic, "itself": itself}
    errors = []
    x = torch.randn(9, 4, dtype=DOUBLE)
    for step in (0.5, 0.25):
        torch.manual_seed(1)
        layer = GRAND(4, 2.0, source=False, attention=attention, integration={"step": step})
        layer = layer.double()
        links = links_of(graph, 9)
        weights = layer.field.attention(x, links)
        matrix = dense(weights.edges, links) - torch.diag(weights.leaves[:, 0])
        wanted = torch.linalg.matrix_exp(0.5 * 2.0 * matrix) @ x
        errors.append(float((layer(x, graph) - wanted).abs().max().detach()))
    assert errors[0] < 1e-3 and errors[0] / errors[1] > 2**3.5, errors
    exact = GRAND(4, 2.0, source=False, attention=attention,
                  integration={"method": "dopri5", "rtol": 1e-10, "atol": 1e-12}).double()  # fmt: skip
    exact.load_state_dict(layer.state_dict())
    pytest.importorskip("torchdiffeq", reason="needs the extra 'graph'")
    torch.testing.assert_close(exact(x, graph), wanted, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("positive", ["softmax", "squareplus"])
@pytest.mark.parametrize("stochastic", STOCHASTIC)
def test_what_attention_weights_add_up_to(score, positive, stochastic, graph):
    links, x = links_of(graph, 9), 3 * torch.randn(9, 4, dtype=DOUBLE)
    for itself in (True, False):
        attention = Attention(4, 8, 2, score, positive, stochastic, itself, pairs=9).double()
        weights = attention(x, links)
        a = dense(weights.edges, links)
        assert (a[links.receiver, links.source] > 0).all()
        if stochastic == "degree":
            degree = links.degree(DOUBLE)
            wanted = (degree[links.receiver] * degree[links.source]).rsqrt()
            torch.testing.assert_close(weights.edges, wanted)
            assert (weights.leaves[:, 0] == (degree > 0)).all()
            continue
        if stochastic == "symmetric":
            torch.testing.assert_close(a, a.T)
            whole = a + torch.eye(9) - torch.diag(weights.leaves[:, 0])
            torch.testing.assert_close(whole.sum(1), torch.ones(9, dtype=DOUBLE))
            continue
        axis = 1 if stochastic == "row" else 0
        torch.testing.assert_close(a.sum(axis), weights.leaves[:, 0])
        assert weights.leaves[-1] == 0, "a node without edges stays"
        rest = weights.leaves[:-1][links.degree(DOUBLE)[:-1] > 0]
        assert ((rest < 1) if itself else (rest - 1).abs() < 1e-12).all()


@pytest.mark.parametrize("nonlinear", [True, False])
@pytest.mark.parametrize("stochastic", ["row", "column", "symmetric"])
def test_maximum_principle_and_mass(stochastic, nonlinear):
    """Each for what promises it; and that it is not what all of them do."""
    edges = random_graph(30, 60)
    x = torch.rand(30, 5, dtype=DOUBLE)
    layer = GRAND(5, 3.0, nonlinear, False, {"stochastic": stochastic}).double()
    found = layer(x, edges)
    drift = (found.sum(0) - x.sum(0)).abs().max()
    within = bool(
        (found.max(0).values <= x.max(0).values).all()
        and (found.min(0).values >= x.min(0).values).all()
    )
    assert (drift < 1e-12) == (stochastic != "row"), drift
    assert within or stochastic == "column"
    assert (found - x)[:-1].abs().max() > 0.1


@torch.no_grad()
def test_energies_fall():
    """Σ w (x_u − x_v)² under symmetric GRAND; |δx|² under dx/dt = −Δ x."""
    edges = random_graph(20, 40)
    links, x = links_of(edges, 20), torch.randn(20, 4, dtype=DOUBLE)
    weights = Attention(4, stochastic="symmetric").double()(x, links)
    links, maps = sheaf("general", 2, edges, 20)
    laplacian = SheafLaplacian.normalised(maps, links)
    fields = {
        "grand": lambda t, y, state: weights.change(y, links),
        "sheaf": lambda t, y, state: -laplacian.apply(y.view(20, 2, 2), links).view(20, 4),
    }
    for name, field in fields.items():
        energies = [float(-(x * field(0, x, {})).sum())]
        for time in (0.5, 1.0, 2.0, 4.0):
            y = Integration(time, 0.25)(field, x, {})
            energies.append(float(-(y * field(0, y, {})).sum()))
        assert all(b < 0.9 * a for a, b in pairwise(energies)), (
            name,
            energies,
        )
        assert energies[-1] >= 0


def test_numbers_of_nodes_do_not_matter(layer, graph):
    x, moved = torch.randn(9, 6), torch.randperm(9)
    places = torch.empty(9, dtype=torch.long)
    places[moved] = torch.arange(9)
    shuffled = graph[:, torch.randperm(graph.shape[1])]
    torch.testing.assert_close(
        layer(x[moved], places[shuffled]), layer(x, graph)[moved], atol=1e-5, rtol=1e-4
    )


def test_graphs_of_a_batch_do_not_see_each_other(layer, graph):
    other, x, y = random_graph(7, 9), torch.randn(9, 6), torch.randn(7, 6)
    both = layer(torch.cat([x, y]), torch.cat([graph, other + 9], dim=1))
    torch.testing.assert_close(both[:9], layer(x, graph), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(both[9:], layer(y, other), atol=1e-6, rtol=1e-5)


def test_gradients_reach_all(layer, graph):
    layer(torch.randn(9, 6), graph).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        if "beta" not in name and not name.endswith("bias"):
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("nonlinear", [True, False])
def test_no_gradient_goes_through_a_source_that_is_detached(nonlinear, graph):
    """The same field, a gradient of β still, and one of x(0) without β x(0)'s own."""
    layers = []
    for detached in (False, True):
        layers.append(GRAND(6, 1.0, nonlinear, detached=detached))
        layers[-1].load_state_dict(layers[0].state_dict())
    x, found, slopes = torch.randn(9, 6, requires_grad=True), [], []
    for layer in layers:
        with torch.no_grad():
            layer.field.beta.fill_(0.7)
        found.append(layer(x, graph))
        slopes.append(torch.autograd.grad(found[-1].sum(), (x, layer.field.beta)))
    torch.testing.assert_close(*found)
    torch.testing.assert_close(slopes[0][1], slopes[1][1])
    alone = [s[0][-1] for s in slopes]  # a node without edges: x(0) + β T x(0)
    torch.testing.assert_close(alone[0], torch.full((6,), 1.7))
    torch.testing.assert_close(alone[1], torch.ones(6))


@pytest.mark.parametrize(
    "name", ["grand-nl", "gread-blurring_sharpening", "sheaf-general", "sheaf-directed", "flux"]
)
def test_derivatives_are_those_of_differences(name):
    layer = LAYERS[name]().double()
    edges = undirected(torch.tensor([[0, 1, 1, 2], [1, 2, 3, 3]]))
    x = torch.randn(5, 6, dtype=DOUBLE, requires_grad=True)
    some = [p for p in layer.parameters() if p.numel() < 20][:3]
    assert torch.autograd.gradcheck(lambda x, *_: layer(x, edges), (x, *some))


@pytest.mark.parametrize("kind", ["householder", "cayley", "exponential"])
def test_derivatives_of_orthogonal_maps(kind):
    numbers = torch.randn(2, KINDS[kind].numbers(3), dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(lambda n: KINDS[kind].make(n, 3), (numbers,))


def test_directed_edges_carry_one_way():
    """0 → 1: node 0 is not changed by node 1, under GRAND and under a directed sheaf."""
    edge = torch.tensor([[0], [1]])
    layers = [
        GRAND(6, source=False),
        SheafDiffusion(2, 3, directed=True),
    ]
    for layer in layers:
        x = torch.randn(2, 6, requires_grad=True)
        out = layer(x, edge)
        [to_source] = torch.autograd.grad(out[0].sum(), x, retain_graph=True)
        [to_receiver] = torch.autograd.grad(out[1].sum(), x)
        assert to_source[1].abs().max() == 0 and to_receiver[0].abs().max() > 1e-4


@pytest.mark.parametrize("directed", [False, True])
def test_in_the_high_pass_dimension_neighbours_are_pulled_apart(directed, graph):
    options = {"low_pass": True, "high_pass": True}
    sheaf = SheafDiffusion(2, 1, maps="identity", directed=directed, options=options)
    links = links_of(graph, 9)
    delta = sheaf.layers[0].laplacian(torch.randn(9, 4, 1), links, None)
    assert (delta.blocks[:, :3] > 0).all() and (delta.blocks[:, 3] < 0).all()


def test_fluxes_keep_mass_to_rounding(graph):
    head = FluxHead(4, 2, 16, edge_channels=3)
    h, along = 100 * torch.randn(9, 4), torch.randn(graph.shape[1], 3)
    out = head(h, graph, along)
    assert out.abs().max() > 1 and out.sum(0).abs().max() < 1e-5 * out.abs().sum()
    assert (out[-1] == 0).all()


def test_values_of_edges_follow_their_edges(graph):
    """Edges may come in any order, their values with them."""
    x, along = torch.randn(9, 6), torch.randn(graph.shape[1], 2)
    shuffled = torch.randperm(graph.shape[1])
    for layer in (
        GRAND(6, attention={"edge_channels": 2}),
        SheafDiffusion(2, 3, options={"edge_channels": 2, "hidden": 5}),
        GraphNetwork(6, 6, GCN((6, 6)), 6, head="flux", edge_channels=2),
    ):
        found = layer(x, graph[:, shuffled], along[shuffled])
        torch.testing.assert_close(found, layer(x, graph, along), atol=1e-5, rtol=1e-4)
        assert (layer(x, graph, 2 * along) - found).abs().max() > 1e-4


def test_rewired_pairs_are_those_of_the_dense_formula():
    edges = random_graph(20, 25)
    pairs = {tuple(p) for p in rewired(edges.numpy(), 20, 0.2, 0.03).T.tolist()}
    a = dense(torch.ones(edges.shape[1], dtype=DOUBLE), links_of(edges, 20))
    over = a.sum(1).clamp(min=1).rsqrt()
    walk = over[:, None] * a * over
    s = 0.2 * torch.linalg.inv(torch.eye(20, dtype=DOUBLE) - 0.8 * walk)
    s.fill_diagonal_(0)
    sure = {tuple(p) for p in (s > 0.032).nonzero().tolist()}
    possible = {tuple(p) for p in (s > 0.0299).nonzero().tolist()}
    assert sure <= pairs <= possible and len(pairs) > edges.shape[1]
    with pytest.raises(InputError, match=r"threshold=1.5; expected a number between 0 and 1"):
        rewired(edges.numpy(), 20, threshold=1.5)


@pytest.mark.parametrize("symmetric", [True, False])
def test_sums_over_edges_are_those_of_gathering(symmetric, graph):
    """With their derivatives: compressed rows against adding at places."""
    links = links_of(graph if symmetric else graph[:, ::2], 9)
    edges, shapes = len(links.source), [(3, 3, 4), (1, 1, 5)]
    assert links.symmetric == symmetric
    for d, _, f in shapes:
        blocks = torch.randn(edges, d, d, dtype=DOUBLE, requires_grad=True)
        x, k = (torch.randn(9, d, f, dtype=DOUBLE, requires_grad=True) for _ in range(2))
        there = torch.bmm(blocks, x[links.source])
        pairs = [
            (
                links.block_sum(blocks, x),
                there.new_zeros(9, d, f).index_add(0, links.receiver, there),
            ),
            (links.sum(blocks), there.new_zeros(9, d, d).index_add(0, links.receiver, blocks)),
            (links.dots(x, k), (x[links.receiver] * k[links.source]).sum(-1)),
        ]
        for found, wanted in pairs:
            torch.testing.assert_close(found, wanted)
            above, given = torch.randn_like(found), [blocks, x, k]
            grads = [
                torch.autograd.grad(v, given, above, retain_graph=True, allow_unused=True)
                for v in (found, wanted)
            ]
            torch.testing.assert_close(*grads)


# The engine


@pytest.mark.parametrize("method", TABLEAUX)
def test_orders_of_the_methods(method):
    start = torch.tensor([1.0, 0.5], dtype=DOUBLE)

    def field(t, x, state):
        return torch.stack([x[1], -x[0] + 0.3 * t]) * state["rate"]

    errors = []
    fine = Integration(1.0, 1e-3)(field, start, {"rate": 1.5})
    for step in (0.1, 0.05):
        found = Integration(1.0, step, method)(field, start, {"rate": 1.5})
        errors.append((found - fine).norm())
    rate = torch.log2(errors[0] / errors[1])
    assert abs(rate - TABLEAUX[method].order) < 0.2, (method, errors)


@pytest.mark.parametrize("method", ["euler", "rk4", "dopri5", "implicit_adams"])
@pytest.mark.parametrize("name", ["linear", "nonlinear", "sheaf"])
def test_the_adjoint_reaches_attention_weights(method, name, graph):
    """Gradients of all weights are those of backpropagation; those of queries and keys by way of A."""
    if method not in TABLEAUX:
        pytest.importorskip("torchdiffeq", reason="needs the extra 'graph'")
    x, grads = torch.randn(9, 6, dtype=DOUBLE), []
    for adjoint in (False, True):
        torch.manual_seed(2)
        how = {"method": method, "step": 0.1, "adjoint": adjoint, "rtol": 1e-6, "atol": 1e-8}
        layer = (
            SheafDiffusion(2, 3, maps="general", time=1.0, frozen=True, integration=how)
            if name == "sheaf"
            else GRAND(6, 1.0, name == "nonlinear", integration=how)
        ).double()
        layer(x, graph).square().sum().backward()
        grads.append({n: p.grad for n, p in layer.named_parameters()})
    plain, by_adjoint = grads
    for n, grad in plain.items():
        tight = 1e-12 if method in TABLEAUX else 1e-3
        assert (by_adjoint[n] - grad).norm() <= tight * (1 + grad.norm()), n
    seen = [n for n in plain if "query" in n or "at_source" in n]
    assert seen and all(plain[n].norm() > 1e-6 for n in seen)


def test_the_adjoint_keeps_less():
    """Of 50 steps, memory for the states alone."""
    edges, x, kept = random_graph(50, 200), torch.randn(50, 6), []
    for adjoint in (False, True):
        layer = GRAND(6, 50.0, nonlinear=True, integration={"method": "euler", "adjoint": adjoint})
        kept.append(0)

        def keep(tensor):
            kept[-1] += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            layer(x, edges)
    assert kept[1] < kept[0] / 20, kept


@pytest.mark.parametrize("method", ["euler", "dopri5"])
def test_what_diverges_is_refused_with_time_and_norm(method):
    def field(t, x, state):
        return x**3

    if method == "dopri5":
        pytest.importorskip("torchdiffeq", reason="needs the extra 'graph'")
    finer = r"step \(0.5\)" if method == "euler" else "rtol, atol"
    said = rf"a test: .*: norm \S+ at t=\S+ of 20, 2 at the start; lower {finer}"
    with pytest.raises(DivergedError, match=said):
        Integration(20.0, 0.5, method)(field, torch.ones(4, requires_grad=True), {}, "a test")
    layer = GREAD(2, 60.0, "fisher", integration={"step": 1.0, "method": "euler"})
    with torch.no_grad():
        layer.field.beta.fill_(3.0)
    with pytest.raises(DivergedError, match=r"GREAD: the integration diverges: norm .* at t="):
        layer(-torch.ones(3, 2), torch.tensor([[0, 1], [1, 2]]))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"time": 0.5, "step": 1.0}, r"step=1 is larger than time=0.5; expected a part of it"),
        ({"time": 0.0}, "time=0.0; expected a time above 0"),
        ({"time": float("inf")}, "time=inf; expected a time above 0"),
        ({"time": 1.0, "step": 0.0}, r"step=0.0; expected a time above 0"),
        ({"time": 1.0, "method": "rk45"}, "unknown method 'rk45'; did you mean 'rk4'"),
    ],
)
def test_times_and_methods_that_cannot_be(given, said):
    with pytest.raises(InputError, match=said):
        Integration(**given)


def test_a_step_that_does_not_divide_the_time():
    assert (Integration(1.0, 0.3).steps, Integration(1.0, 0.1).steps) == (4, 10)
    assert Integration(0.4).step == 0.4


# Bad input


def lone(edges):
    return edges[:, :-1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda e: torch.cat([e, e[:, 2:4]], 1),
            r"2 are there twice, \d → \d first; .*unique\(dim=1\)",
        ),
        (lambda e: e + 5, r"nodes \d to 12 are named; there are 9"),
        (lambda e: e - 1, r"nodes -1 to \d are named; there are 9"),
        (lambda e: e.T, r"got torch.int64 \(\d+, 2\); expected whole numbers \(2, E\)"),
        (lambda e: e.float(), r"got torch.float32 .*expected whole numbers"),
    ],
)
def test_edges_that_cannot_be(change, said):
    edges, x = random_graph(9, 14, alone=1), torch.randn(9, 6)
    for make in (LAYERS["grand"], LAYERS["sheaf-general"], LAYERS["gcn"]):
        with pytest.raises(InputError, match=said):
            make()(x, change(edges))


def test_a_symmetric_operator_needs_both_directions(graph):
    x, symmetric = torch.randn(9, 6), ("sheaf-general", "sheaf-nn", "grand-symmetric", "flux")
    for name in symmetric:
        with pytest.raises(InputError, match=r"the edge \d → \d without the reverse.*undirected"):
            LAYERS[name]()(x, graph[:, :-1])
    for name in ("grand", "gread-source", "gcn", "sheaf-directed"):
        LAYERS[name]()(x, graph[:, :-1])
    torch.testing.assert_close(undirected(graph[:, :-1]), undirected(graph))
    links = links_of(graph[:, :-1], 9)
    with pytest.raises(InputError, match="without the reverse"):
        SheafNN(2, 3)(x, links)


def test_a_sheaf_has_no_loops(graph):
    looped = torch.cat([graph, torch.tensor([[4], [4]])], dim=1)
    for name in ("sheaf-general", "sheaf-nn", "sheaf-directed"):
        with pytest.raises(InputError, match="node 4 is joined with itself"):
            LAYERS[name]()(torch.randn(9, 6), looped)
        with pytest.raises(InputError, match="node 4 is joined with itself"):
            LAYERS[name]()(torch.randn(9, 6), links_of(looped, 9))
    with pytest.raises(InputError, match="node 4 is joined with itself"):
        GraphNetwork(5, 1, LAYERS["sheaf-general"](), 6)(torch.randn(9, 5), looped)
    assert LAYERS["grand"]()(torch.randn(9, 6), looped).isfinite().all()


def test_values_of_edges_and_links_that_cannot_be(graph):
    edges, x = graph.shape[1], torch.randn(9, 6)
    bad = torch.randn(edges, 2)
    bad[3, 1] = torch.nan
    seen = {"edge_channels": 2}
    for layer in (
        GRAND(6, attention=seen),
        GREAD(6, attention=seen),
        SheafDiffusion(2, 3, options=seen),
        FluxHead(6, 1, 4, 2),
        MeshGraphNet(6, 1, 2, 8, 1),
    ):
        for values, said in (
            (torch.randn(edges + 2, 2), rf"\({edges + 2}, 2\); expected \({edges}, 2\)"),
            (torch.randn(edges), rf"\({edges},\); expected \({edges}, 2\)"),
            (None, f"none; expected .{edges}, 2"),
            (bad, "1 values of edges are not finite, the first at edge 3"),
        ):
            with pytest.raises(InputError, match=said):
                layer(x, graph, values)
        with pytest.raises(InputError, match="links of 9 nodes; there are 5"):
            layer(x[:5], links_of(graph, 9), torch.randn(edges, 2))


def test_features_that_cannot_be(layer, graph):
    x = torch.randn(9, 6)
    x[3, 1], x[4, 2] = torch.nan, torch.inf
    with pytest.raises(
        InputError, match="2 features are not finite, the first is nan at node 3, channel 1"
    ):
        layer(x, graph)
    with pytest.raises(InputError, match=r"features \(9, 5\); expected \(nodes, 6\)"):
        layer(torch.randn(9, 5), graph)
    for given, said in ((np.ones((9, 6)), "ndarray"), (torch.ones(9, 6).long(), "torch.int64")):
        with pytest.raises(InputError, match=rf"features are {said}.*expected a tensor of real"):
            layer(given, graph)


def test_features_in_another_precision(layer, graph):
    x = torch.randn(9, 6)
    for given in (x.double(), x.bfloat16()):
        words = (
            rf"features are {given.dtype}, and weights torch.float32; .* layer.to\({given.dtype}\)"
        )
        with pytest.raises(InputError, match=words):
            layer(given, graph)
    again = layer.double()(x.double(), graph)
    assert again.dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
def test_values_of_edges_in_another_precision(graph, dtype):
    values = torch.zeros(graph.shape[1], 2, dtype=dtype)
    for layer in (
        GRAND(6, 1.0, attention={"edge_channels": 2}),
        SheafDiffusion(3, 2, 1, options={"edge_channels": 2}),
    ):
        with pytest.raises(
            InputError, match=f"values of edges are {dtype}, and weights torch.float"
        ):
            layer(torch.randn(9, 6), graph, values)


def test_layers_work_in_lower_precision(layer, graph):
    x = torch.randn(9, 6, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        layer(x, graph).float().sum().backward()
    assert x.grad.isfinite().all()


def test_nodes_without_edges_and_graphs_without_any(layer):
    edges = undirected(torch.tensor([[0], [1]]))
    x = torch.randn(4, 6)
    found = layer(x, edges)
    assert found.isfinite().all()
    torch.testing.assert_close(layer(x, edges[:, :0])[2:], found[2:])
    if isinstance(layer, GRAND | SheafDiffusion):
        torch.testing.assert_close(found[2:], x[2:])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SheafDiffusion(0, 3), "stalk=0; expected a dimension of 1 or more"),
        (lambda: SheafDiffusion(1, 3), r"stalk=1: O\(1\) is 1 and −1, which cannot be learned"),
        (lambda: SheafDiffusion(2, 0), "features=0"),
        (
            lambda: SheafDiffusion(2, 3, maps="diagonl"),
            "unknown maps 'diagonl'; did you mean 'diagonal'",
        ),
        (lambda: SheafDiffusion(2, 3, degree=2, directed=True), "expected one of the two"),
        (lambda: SheafNN(2, 3, 0), "layers=0; expected 1 or more"),
        (lambda: GREAD(3, reaction="fischer"), "did you mean 'fisher'"),
        (lambda: GRAND(3, attention={"score": "dots"}), "unknown score 'dots'; did you mean 'dot'"),
        (lambda: GRAND(3, attention={"heads": 3}), "width=32 for heads=3; expected a multiple"),
        (lambda: GRAND(0), "channels=0; expected 1 or more"),
        (lambda: GCN((3, 3), "rulu"), "GCN: unknown activation 'rulu'; did you mean 'relu'"),
        (lambda: GCN((3,)), r"channels=\(3,\); expected two numbers"),
        (lambda: GraphNetwork(3, 1, nn.Identity(), head="fluxes"), "did you mean 'flux'"),
    ],
)
def test_options_that_cannot_be(make, said):
    with pytest.raises(InputError, match=said):
        make()


# Together with torch_geometric


def test_links_are_made_once_and_go_with_their_edges(graph):
    links = links_of(graph, 9)
    assert links_of(graph, 9) is links and links_of(graph, 10) is not links
    graph[:, 0] = torch.tensor([0, 8])
    assert links_of(graph.unique(dim=1), 9) is not links
    shared = graph.clone()
    links, values = links_of(shared, 9), shared.numpy()
    assert links_of(shared, 9) is links
    values[:, 1] = values[:, 0]  # written by numpy, which torch does not see
    with pytest.raises(InputError, match="are there twice"):
        links_of(shared, 9)
    gone, edges = None, graph.clone().unique(dim=1)
    gone = weakref.ref(links_of(edges, 9).order)
    del edges
    gc.collect()
    assert gone() is None


def test_layers_stand_in_networks_of_torch_geometric(layer, graph):
    geometric = pytest.importorskip("torch_geometric", reason="needs the extra 'graph'")
    from torch_geometric.data import Batch, Data

    net = geometric.nn.Sequential(
        "x, edge_index",
        [
            (geometric.nn.GCNConv(3, 6), "x, edge_index -> x"),
            (layer, "x, edge_index -> x"),
            (geometric.nn.Linear(6, 2), "x -> x"),
        ],
    )
    data = [Data(torch.randn(9, 3), graph), Data(torch.randn(7, 3), random_graph(7, 8))]
    batch = Batch.from_data_list(data)
    found = net(batch.x, batch.edge_index)
    alone = net(data[1].x, data[1].edge_index)
    torch.testing.assert_close(found[9:], alone, atol=1e-5, rtol=1e-4)
    one = Data(torch.randn(9, 6), graph)
    torch.testing.assert_close(layer(one), layer(one.x, one.edge_index))


def test_what_is_known_of_edges_is_not_passed_over(layer, graph):
    """Weights by no layer, values by none that was not built to see them."""
    x, weights = torch.randn(9, CHANNELS), torch.rand(graph.shape[1])
    said = "built to see none; expected one with edge_channels|as weights are"
    with pytest.raises(InputError, match=said):
        layer(x, graph, weights)
    if not isinstance(layer, GCN | SheafNN):
        with pytest.raises(InputError, match="built to see none"):
            layer(x, graph, weights[:, None])
    data = pytest.importorskip("torch_geometric.data")
    with pytest.raises(InputError, match="as weights are"):
        layer(data.Data(x=x, edge_index=graph, edge_weight=weights))


def test_data_without_edges_are_named():
    with pytest.raises(InputError, match=r"got Tensor alone; expected model\(x, edge_index\)"):
        GRAND(3)(torch.randn(4, 3))


def test_without_the_extra_adaptive_methods_alone_are_refused(monkeypatch, graph):
    monkeypatch.setitem(sys.modules, "torchdiffeq", None)
    x, said = (
        torch.randn(9, 6),
        r"pip install 'sciml-surrogates\[graph\]', or take one of euler, midpoint, rk4",
    )
    GRAND(6, integration={"adjoint": True})(x, graph).sum().backward()
    for method in ("dopri5", "implicit_adams"):
        with pytest.raises(InputError, match=said):
            GRAND(6, integration={"method": method})(x, graph)
    for path in Path(family.__file__).parent.glob("*.py"):
        assert "import torch_geometric" not in path.read_text(), path
        assert "from torch_geometric" not in path.read_text(), path


@pytest.mark.slow
@pytest.mark.parametrize("name", ["grand", "grand-nl", "sheaf-general", "sheaf-flow", "gcn"])
def test_compiled_in_one_graph(name, graph):
    layer, x = LAYERS[name](), torch.randn(9, 6)
    links = links_of(graph, 9)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, links), layer(x, graph))
