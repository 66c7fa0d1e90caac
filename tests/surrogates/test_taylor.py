"""Derivatives in Taylor mode beside nested reverse mode, in float64."""

import pytest
import torch

from sciml.errors import InputError
from sciml.surrogates.pinn.activation import SMOOTH
from sciml.surrogates.pinn.network import Columns, JetNetwork
from sciml.surrogates.pinn.taylor import Orders, activated, product


def nested(network, z, words):
    z = z.detach().requires_grad_()
    found = {}
    for word in words:
        columns = []
        for value in network(z).unbind(1):
            for by in word:
                value = torch.autograd.grad(value.sum(), z, create_graph=True)[0][:, by]
            columns.append(value)
        found[word] = torch.stack(columns, dim=1)
    return found


def words_of(n):
    firsts = [(i,) for i in range(n)]
    return [(), *firsts, *((i, j) for i in range(n) for j in range(i, n))]


@pytest.mark.parametrize("fourier", [0, 4])
@pytest.mark.parametrize(
    ("periodic", "harmonics"), [((True,), 1), ((False, True), 3), ((True,), 0), ((), 1)]
)
@pytest.mark.parametrize("activation", sorted(SMOOTH))
def test_derivatives_and_their_gradients(activation, periodic, harmonics, fourier):
    columns = Columns(periodic, 2, harmonics)
    network = JetNetwork(columns, (9, 7), 2, activation, fourier, 1.3).double()
    z = torch.rand(5, len(periodic) + 2, dtype=torch.float64)
    words = words_of(z.shape[1])
    found, wanted = network.jet(z, words), nested(network, z, words)
    assert {*found} == {*words}
    for word in words:
        torch.testing.assert_close(found[word], wanted[word], rtol=1e-10, atol=1e-10)
    weights = list(network.parameters())
    gradients = [
        torch.autograd.grad(sum(v.square().sum() for v in jets.values()), weights)
        for jets in (found, wanted)
    ]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-8)


def test_only_what_is_asked_for_is_carried():
    """In any order of its letters, with the first derivatives that a second one needs."""
    assert Orders.of([(2, 0)]) == Orders((0, 2), ((0, 1),)) and len(Orders.of([(1, 1)])) == 3
    assert len(Orders.of([()])) == 1
    with pytest.raises(ValueError, match="order 2 at most"):
        Orders.of([(0, 0, 0)])


@pytest.mark.parametrize("activation", sorted(SMOOTH))
def test_the_gradient_by_hand_is_that_of_torch(activation):
    """Also of what no loss asks for: first derivatives alone."""
    a = torch.randn(5, 3, 4, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(4, dtype=torch.float64, requires_grad=True)
    for orders in (Orders((0, 1), ((0, 0), (0, 1))), Orders((0, 1, 2, 3)), Orders(())):
        part = a[: len(orders)].detach().requires_grad_()
        torch.autograd.gradcheck(
            lambda x, b, o=orders: activated(x, b, SMOOTH[activation], o), (part, bias)
        )
    form = Orders((0, 1), ((0, 1),), ((2,), (0, 0), (0, 1)))
    for weights in torch.randn(2, 3, 3, 1, dtype=torch.float64):
        torch.autograd.gradcheck(
            lambda x, b, w=weights: activated(x, b, SMOOTH[activation], form, w), (a, bias)
        )


def test_a_product_with_what_is_linear_in_a_column():
    z = torch.rand(6, 2, dtype=torch.float64, requires_grad=True)

    def inner(z):
        return torch.sin(2 * z[:, :1]) * torch.cos(z[:, 1:])

    def outer(z):
        return (0.5 + 3.0 * z[:, 1:]) * inner(z)

    words = words_of(2)
    found = product(0.5 + 3.0 * z[:, 1:], 3.0, 1, nested(inner, z, words))
    wanted = nested(outer, z, words)
    for word in words:
        torch.testing.assert_close(found[word], wanted[word], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("do", "says"),
    [
        (lambda: JetNetwork(Columns((), 1), (4,), 1, "tan"), "did you mean 'tanh'"),
        (lambda: JetNetwork(Columns((), 1), (), 1), "expected widths of 1 or more"),
        (lambda: JetNetwork(Columns((), 1), (4,), 1, fourier=-1), "fourier=-1; expected 0 or more"),
        (lambda: Columns((True,), 0, -1), "harmonics=-1; expected 0 or more"),
        (lambda: Columns((True,), 1)(torch.zeros(3, 3)), "3 columns; expected 1 coordinates"),
    ],
)
def test_what_no_network_can_be(do, says):
    with pytest.raises(InputError, match=says):
        do()


@pytest.mark.slow
def test_compiled_it_gives_the_same():
    """As one graph, traced, by torch's own derivatives."""
    network = JetNetwork(Columns((True,), 1), (8, 8), 1).double()
    z, words = torch.rand(20, 2, dtype=torch.float64), words_of(2)
    orders, weights = Orders.of(words, ((0, 0), (1,))), torch.rand(2, 20, 1, dtype=torch.float64)
    graph = torch.compile(network.carry, fullgraph=True, backend="aot_eager")
    gradients = []
    for carry in (network.carry, graph):
        network.zero_grad()
        found = carry(z, orders, weights)
        found.square().sum().backward()
        gradients.append([found.detach(), *(p.grad.clone() for p in network.parameters())])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
