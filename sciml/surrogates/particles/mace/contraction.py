"""The product of features up to some order, contracted to irreps: what makes MACE many-body."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sciml.surrogates.particles.mace.constants import Constants
from sciml.surrogates.particles.mace.coupling import symmetric
from sciml.surrogates.particles.mace.irreps import Irreps, size


class SymmetricContraction(nn.Module):
    """B_m = Σ_ν Σ_η W^{νη}_z Σ_{i ≤ j ≤ k} U^{νη}_{m ijk} A_i A_j A_k, of each node and channel.

    All channels alike, weights of each species z. U are those of :func:`~.coupling.symmetric`: each
    monomial is there once, and each polynomial. Monomials that a component m needs are products of rows
    of A, and one product of matrices gives all polynomials of all orders, before weights: a hundred
    monomials and sixteen polynomials are cheaper than contracting 16 × 16 × 16 from one side, and what
    is kept for the gradient is small. Differentiable as often as one likes.

    Shapes: ``A (components of given, node, channel)``, kinds ``(node,)``; gives
    ``(components of wanted, node, channel)``.

    Args:
        given, wanted: irreps.
        channels: of each.
        kinds: how many species.
        correlation: 1, 2 or 3.

    Source: I. Batatia and others, NeurIPS 2022, arXiv 2206.07697, eq. 10 and 11.
    """

    def __init__(
        self, given: Irreps, wanted: Irreps, channels: int, kinds: int, correlation: int
    ) -> None:
        super().__init__()
        self.correlation = correlation
        one = size(given)  # the row of ones, by which monomials of all orders are as long
        rows: list[tuple[np.ndarray, np.ndarray]] = []  # of each component
        counts: list[int] = []
        owner: list[np.ndarray] = []
        for out in wanted:
            found = [symmetric(given, out, nu + 1) for nu in range(correlation)]
            numbers = np.arange(sum(len(c) for _, c in found)) + sum(counts)
            counts += [len(c) for _, c in found]
            for m in range(out.dim):
                rows.append(_of_component(found, m, correlation, one))
                owner.append(numbers)
        terms, paths = max(len(t) for t, _ in rows), max(len(c) for _, c in rows)
        monomials = np.full((len(rows), terms, correlation), one)
        table = np.zeros((len(rows), paths, terms))
        path = np.zeros((len(rows), paths), np.int64)
        for k, (monomial, c) in enumerate(rows):
            monomials[k, : len(monomial)] = monomial
            table[k, : len(c), : len(monomial)] = c
            path[k, : len(c)] = owner[k]
        pairs, place = np.unique(
            monomials[..., :2].reshape(-1, min(correlation, 2)), axis=0, return_inverse=True
        )
        self.shape = path.shape
        self.constants = Constants(
            table=table,
            first=pairs[:, 0],
            second=pairs[:, -1],
            pair=place.reshape(-1),
            third=monomials[..., -1].reshape(-1),
            path=path.reshape(-1),
        )
        # As many as there are polynomials of an order share its size.
        weights = [torch.randn(n, kinds, channels) / max(n, 1) for n in counts]
        self.weight = nn.Parameter(torch.cat(weights))

    def forward(
        self, x: Float[Tensor, "component node channel"], kind: Int[Tensor, " node"]
    ) -> Float[Tensor, "out node channel"]:
        held: Any = self.constants
        # In two axes: what follows turns the first around, and a program knows no strides of three.
        each = torch.cat([x, torch.ones_like(x[:1])]).flatten(1)
        terms = each.index_select(0, held.first)
        if self.correlation > 1:
            terms = terms * each.index_select(0, held.second)
        terms = terms.index_select(0, held.pair)
        if self.correlation > 2:
            terms = terms * each.index_select(0, held.third)
        outs, paths = self.shape
        basis = torch.bmm(held.table, terms.view(outs, -1, each.shape[1]))
        weight = self.weight.index_select(1, kind).index_select(0, held.path)
        return (basis.view(outs, paths, *x.shape[1:]) * weight.view(outs, paths, *x.shape[1:])).sum(
            1
        )


def _of_component(
    found: list[tuple[np.ndarray, np.ndarray]], m: int, order: int, one: int
) -> tuple[np.ndarray, np.ndarray]:
    """Monomials of all orders that component ``m`` needs, and polynomials in them."""
    monomials, blocks = [], []
    for monomial, c in found:
        needed = (c[:, m] != 0).any(axis=0)
        monomials.append(
            np.pad(monomial[needed], ((0, 0), (0, order - monomial.shape[1])), constant_values=one)
        )
        blocks.append(c[:, m][:, needed])
    total = np.zeros((sum(len(b) for b in blocks), sum(b.shape[1] for b in blocks)))
    row = column = 0
    for block in blocks:
        total[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return np.concatenate(monomials), total
