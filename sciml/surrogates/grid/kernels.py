"""Weights of a spectral convolution, R_k for each kept mode k: dense, or as factors of a tensor.

Each kernel gives ``(enter, middle, leave)``: R_k = enter · middle_k · leave. ``middle`` is
``(K, p, q, 2)`` over all K kept modes, real and imaginary parts along the last axis; ``enter``
``(in, p)`` and ``leave`` ``(q, out)`` are real, ``None`` for the identity. The convolution changes
channels before and after it multiplies the modes, so that the tensor of all weights is never made
where its factors are smaller.

Everything is real: the weights are the real tensor ``(*modes, in, out, 2)`` whose last axis, of real
and imaginary parts, is not factorized.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor, nn

from sciml.errors import InputError, nearest

Factors = tuple[Tensor | None, Tensor, Tensor | None]


class DenseKernel(nn.Module):
    """R_k[i, o], every entry a weight."""

    def __init__(
        self, kept: Sequence[int], in_channels: int, out_channels: int, rank: float, std: float
    ) -> None:
        super().__init__()
        self.ranks: tuple[int, ...] = ()
        self.weight = nn.Parameter(std * torch.randn(*kept, in_channels, out_channels, 2))

    def forward(self) -> Factors:
        return None, self.weight.flatten(0, -4), None


class Tucker(nn.Module):
    """R_k[i, o] = Σ G[r_1, …, r_d, p, q] U_1[k_1, r_1] … U_d[k_d, r_d] A[i, p] B[q, o].

    The axes keep the proportions of their lengths: the ranks are the lengths times one number,
    such that there are ``rank`` times as many weights as in the dense tensor.
    """

    def __init__(
        self, kept: Sequence[int], in_channels: int, out_channels: int, rank: float, std: float
    ) -> None:
        super().__init__()
        shape = (*kept, in_channels, out_channels)

        def ranks(part: float) -> list[int]:
            return [max(1, round(part * n)) for n in shape]

        def size(r: Sequence[int]) -> int:
            return 2 * prod(r) + sum(a * b for a, b in zip(r, shape, strict=True))

        budget = rank * 2 * prod(shape)
        parts = sorted({(r + 0.5) / n for n in shape for r in range(n)})
        self.ranks = tuple(_largest([ranks(part) for part in parts], size, budget))
        each = _spread(std, len(shape) + 1, prod(self.ranks))
        self.core = nn.Parameter(each * torch.randn(*self.ranks, 2))
        self.factors = nn.ParameterList(
            each * torch.randn(n, r) for n, r in zip(shape, self.ranks, strict=True)
        )

    def forward(self) -> Factors:
        *along, enter, leave = self.factors
        middle = self.core
        for factor in along:
            # The first axis is contracted, its modes become the last one: after all, (p, q, 2, *k).
            rest = middle.shape[1:]
            middle = (middle.flatten(1).T @ factor.T).reshape(*rest, -1)
        return enter, middle.flatten(3).permute(3, 0, 1, 2), leave.T


class CP(nn.Module):
    """R_k[i, o] = Σ_r U_1[k_1, r] … U_d[k_d, r] A[i, r] B[o, r] c[r], with complex c."""

    def __init__(
        self, kept: Sequence[int], in_channels: int, out_channels: int, rank: float, std: float
    ) -> None:
        super().__init__()
        shape = (*kept, in_channels, out_channels, 2)
        terms = max(1, round(rank * prod(shape) / sum(shape)))
        self.ranks = (terms,)
        each = _spread(std, len(shape), terms)
        self.factors = nn.ParameterList(each * torch.randn(n, terms) for n in shape)

    def forward(self) -> Factors:
        *along, enter, leave, pair = self.factors
        modes = along[0]
        for factor in along[1:]:
            modes = torch.einsum("kr,lr->klr", modes, factor).flatten(0, 1)
        # A sum of many terms costs more term by term than the tensor that it makes.
        channels = torch.einsum("ir,or,cr->rioc", enter, leave, pair)
        shape = channels.shape[1:]
        return None, (modes @ channels.flatten(1)).unflatten(1, shape), None


class TensorTrain(nn.Module):
    """R_k[i, o] = A[i, :] G_1[:, k_1, :] … G_d[:, k_d, :] C B[:, o]: a product of matrices, of which
    C is complex.

    The ranks between two axes are one number, or as many as the axes on one side allow.
    """

    def __init__(
        self, kept: Sequence[int], in_channels: int, out_channels: int, rank: float, std: float
    ) -> None:
        super().__init__()
        shape = (in_channels, *kept, 2, out_channels)

        def ranks(bond: int) -> list[int]:
            cuts = range(1, len(shape))
            return [min(bond, prod(shape[:c]), prod(shape[c:])) for c in cuts]

        def size(r: Sequence[int]) -> int:
            return sum(a * n * b for a, n, b in zip((1, *r), shape, (*r, 1), strict=True))

        budget = rank * prod(shape)
        widest = max(ranks(prod(shape)))
        choices = [ranks(bond) for bond in range(1, widest + 1)]
        self.ranks = tuple(_largest(choices, size, budget))
        each = _spread(std, len(shape), prod(self.ranks))
        self.cores = nn.ParameterList(
            each * torch.randn(a, n, b)
            for a, n, b in zip((1, *self.ranks), shape, (*self.ranks, 1), strict=True)
        )

    def forward(self) -> Factors:
        first, *along, pair, last = self.cores
        middle = along[0]
        for core in along[1:]:
            middle = torch.einsum("pkr,rlq->pklq", middle, core).flatten(1, 2)
        middle = torch.einsum("pkr,rcq->kpqc", middle, pair)
        return first[0], middle, last[..., 0]


Kernel = DenseKernel | Tucker | CP | TensorTrain
KERNELS: dict[str, Callable[..., Kernel]] = {
    "dense": DenseKernel,
    "tucker": Tucker,
    "cp": CP,
    "tt": TensorTrain,
}


def kernel(
    factorization: str | None,
    kept: Sequence[int],
    in_channels: int,
    out_channels: int,
    rank: float,
    std: float,
) -> Kernel:
    """A kernel whose entries have standard deviation ``std``.

    Args:
        factorization: ``dense`` (or ``None``), ``tucker``, ``cp`` or ``tt``; case does not matter.
        kept: modes along each axis.
        rank: weights, as a part of those of the dense kernel; above 0, at most 1.

    Raises:
        InputError: an unknown factorization, a rank that is no such part.
    """
    name = "dense" if factorization is None else factorization.lower()
    if name not in KERNELS:
        raise InputError(f"unknown factorization '{factorization}'; {nearest(name, KERNELS)}")
    if not 0 < rank <= 1:
        raise InputError(
            f"rank={rank}; expected a part of the dense weights, above 0 and at most 1, such as 0.1"
        )
    return KERNELS[name](kept, in_channels, out_channels, rank, std)


def _largest(
    choices: Sequence[Sequence[int]], size: Callable[[Sequence[int]], int], budget: float
) -> Sequence[int]:
    """The last of growing choices within the budget, or the first."""
    fitting = [choice for choice in choices if size(choice) <= budget]
    return fitting[-1] if fitting else choices[0]


def _spread(std: float, factors: int, terms: int) -> float:
    """Deviation of each factor such that a sum of ``terms`` products of ``factors`` has ``std``."""
    return math.pow(std**2 / terms, 1 / (2 * factors))
