"""Taylor mode: a value with its first and second derivatives, carried through a network together.

Of a layer a = W z + b, s = σ(a), with derivatives of z along columns i, j of the input:

    s_i = σ'(a) a_i,    s_ij = σ'(a) a_ij + σ''(a) a_i a_j,    a_i = W z_i,    a_ij = W z_ij.

One product of matrices a layer serves all of them, and what is left for reverse mode is one way back
through a network, where nested reverse mode goes three.

Source: A. Griewank and A. Walther, Evaluating Derivatives, 2nd ed., SIAM 2008, chapter 13.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.surrogates.pinn.activation import Activation

#: Columns of the input by which is differentiated: ``()`` the value, ``(0, 0)`` ∂²/∂z_0².
Word = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Orders:
    """Which derivatives are carried: the value, first ones, second ones.

    Args:
        first: columns of the input.
        second: pairs of positions in ``first``, the smaller one first.
    """

    first: tuple[int, ...]
    second: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, words: Iterable[Word]) -> Orders:
        """All that the derivatives ``words`` need.

        Raises:
            ValueError: one of third order or more.
        """
        words = [tuple(sorted(word)) for word in words]
        if any(len(word) > 2 for word in words):
            raise ValueError(f"derivatives {words}; expected order 2 at most")
        first = tuple(sorted({column for word in words for column in word}))
        pairs = sorted({word for word in words if len(word) == 2})
        return cls(first, tuple((first.index(i), first.index(j)) for i, j in pairs))

    def __len__(self) -> int:
        return 1 + len(self.first) + len(self.second)

    def split(self, jet: Float[Tensor, "order point width"]) -> dict[Word, Tensor]:
        """The parts of a jet by word."""
        value, *rest = jet.unbind(0)
        found = {(): value}
        k = len(self.first)
        found |= {(column,): part for column, part in zip(self.first, rest[:k], strict=True)}
        pairs = [(self.first[i], self.first[j]) for i, j in self.second]
        return found | dict(zip(pairs, rest[k:], strict=True))


def activated(
    a: Float[Tensor, "order point width"], bias: Tensor, activation: Activation, orders: Orders
) -> Tensor:
    """The jet of σ(a + b)."""
    if torch.compiler.is_compiling():
        return _plain(a, bias, activation, orders)
    return _Activated.apply(a, bias, activation, orders)


def _plain(a: Tensor, bias: Tensor, activation: Activation, orders: Orders) -> Tensor:
    """As :func:`activated`, by what a compiler can fuse."""
    k = 1 + len(orders.first)
    s, s1, s2, _ = activation.derivatives(a[0] + bias, 2 if orders.second else 1)
    parts = [s, *(s1 * a[i] for i in range(1, k))]
    parts += [s1 * a[k + n] + s2 * (a[1 + i] * a[1 + j]) for n, (i, j) in enumerate(orders.second)]
    return torch.stack(parts)


class _Activated(torch.autograd.Function):
    """The same with its gradient by hand: half the passes over memory that torch would make.

    Of a loss with gradients g, g_i, g_ij with respect to s, s_i, s_ij,

        a_ij: σ' g_ij,    a_i: σ' g_i + Σ_j (1 + δ_ij) σ'' a_j g_ij,
        a: σ' g + σ'' (Σ_i a_i g_i + Σ_ij a_ij g_ij) + σ''' Σ_ij a_i a_j g_ij.
    """

    @staticmethod
    def forward(ctx, a, bias, activation, orders):
        k = 1 + len(orders.first)
        value = a[0] + bias
        s, s1, s2, _ = activation.derivatives(value, 2 if orders.second else 1)
        out = torch.empty_like(a)
        out[0] = s
        torch.mul(a[1:], s1, out=out[1:])
        for n, (i, j) in enumerate(orders.second):
            out[k + n].addcmul_(s2 * a[1 + i], a[1 + j])
        ctx.save_for_backward(a, value, s)
        ctx.activation, ctx.orders = activation, orders
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        a, value, s = ctx.saved_tensors
        orders = ctx.orders
        k = 1 + len(orders.first)
        highest = 3 if orders.second else 2
        _, s1, s2, s3 = ctx.activation.derivatives(value, highest, s)
        back = g * s1
        if k > 1:
            along = a[1] * g[1]
            for part, slope in zip(a[2:], g[2:], strict=True):
                along.addcmul_(part, slope)
            back[0].addcmul_(s2, along)
        for n, (i, j) in enumerate(orders.second):
            bent = s2 * g[k + n]
            if i == j:
                back[1 + i].addcmul_(bent, a[1 + i], value=2.0)
            else:
                back[1 + i].addcmul_(bent, a[1 + j])
                back[1 + j].addcmul_(bent, a[1 + i])
            back[0].addcmul_(s3 * g[k + n], torch.mul(a[1 + i], a[1 + j], out=bent))
        return back, back[0].sum(0), None, None


def product(
    factor: Tensor, slope: float, column: int, jets: Mapping[Word, Tensor]
) -> dict[Word, Tensor]:
    """Derivatives of g v from those of v, where g is linear in one column, ∂g = ``slope``."""
    found = {}
    for word, values in jets.items():
        value = factor * values
        for position, by in enumerate(word):
            if by == column:
                value = value + slope * jets[word[:position] + word[position + 1 :]]
        found[word] = value
    return found
