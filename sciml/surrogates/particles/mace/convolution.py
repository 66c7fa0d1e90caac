"""Sums over neighbours of their features times radial functions times spherical harmonics."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.surrogates.particles.mace.constants import Constants
from sciml.surrogates.particles.mace.coupling import wigner
from sciml.surrogates.particles.mace.edges import Edges
from sciml.surrogates.particles.mace.irreps import Irreps, harmonics, size, slices
from sciml.surrogates.particles.mace.summation import Term

#: √E[silu(z)²] of normal z, by which activations are divided so that they are as large as what came.
SILU_NORM = 0.5964692111227132


class RadialNetwork(nn.Module):
    """R(r): perceptron without biases, silu(x W / √width) / ‖silu‖ in hidden layers.

    Args:
        widths: of what comes in, of hidden layers, of what comes out.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(torch.randn(a, b) for a, b in pairwise(widths))

    def forward(self, x: Float[Tensor, "pair given"]) -> Float[Tensor, "pair wanted"]:
        for k, weight in enumerate(self.weights):
            # Scales of weights, of which there are fewer.
            x = x @ (weight * (len(weight) ** -0.5 / (SILU_NORM if k else 1.0)))
            if k < len(self.weights) - 1:
                x = nn.functional.silu(x)
        return x


class Convolution(nn.Module):
    """A_i^{l₃} = Σ_{l₁ l₂} W C^{l₃}_{l₁ l₂} Σ_j R_{l₁ l₂ l₃}(r_ij) Y_{l₂}(r_ij) ⊗ h_j^{l₁}

    Summed over neighbours first, for all m₁ and m₂, as a product of matrices for each l₁ and l₂; what is
    as long as there are edges is then R h alone. Couplings and W follow on nodes, of which there are
    fewer.

    Args:
        given: irreps of h.
        degree: of the spherical harmonics.
        wanted: irreps; those that are not reached are 0.
        channels: of each.
        radial: widths of the network of R, what comes in first.

    Source: I. Batatia and others, NeurIPS 2022, arXiv 2206.07697, eq. 8 and 9.
    """

    def __init__(
        self, given: Irreps, degree: int, wanted: Irreps, channels: int, radial: Sequence[int]
    ) -> None:
        super().__init__()
        around = harmonics(degree)
        places = [*slices(wanted)]
        #: Irrep of h, degree, and the irreps that come of both.
        paths = [
            (a, b, outs)
            for a, ir in enumerate(given)
            for b, y in enumerate(around)
            if (outs := [k for k, out in enumerate(wanted) if ir.couples(y, out)])
        ]
        self.channels = channels
        parts, degrees = [*slices(given)], [*slices(around)]
        into = np.bincount([k for *_, outs in paths for k in outs], minlength=len(wanted))
        coupling, path, terms = [], [], []
        number = row = 0
        for a, b, outs in paths:
            # By m₂, path, m₁, as products of matrices give them.
            block = np.zeros((around[b].dim, len(outs), given[a].dim, size(wanted)))
            for k, out in enumerate(outs):
                w = wigner(given[a].l, around[b].l, wanted[out].l) * wanted[out].dim ** 0.5
                block[:, k, :, places[out]] = w.transpose(1, 0, 2) / np.sqrt(into[out] * channels)
            coupling.append(block.reshape(-1, size(wanted)))
            numbers = np.arange(number, number + len(outs))
            path.append(np.broadcast_to(numbers[:, None], block.shape[:3]).ravel())
            paths_of, rows = slice(number, number + len(outs)), slice(row, row + len(path[-1]))
            terms.append(Term(parts[a], degrees[b], paths_of, rows))
            number, row = paths_of.stop, rows.stop
        self.paths, self.terms, self.number = paths, tuple(terms), number
        self.radial = RadialNetwork([*radial, number * channels])
        self.weight = nn.Parameter(torch.randn(number, channels, channels))
        self.constants = Constants(coupling=np.concatenate(coupling).T, path=np.concatenate(path))

    def forward(
        self,
        h: Float[Tensor, "given node channel"],
        edges: Edges,
        radial: Float[Tensor, "pair basis"],
    ) -> Float[Tensor, "wanted node channel"]:
        held: Any = self.constants
        r = self.radial(radial).view(-1, self.number, self.channels)
        sums = edges.summed(r, h.transpose(0, 1).contiguous(), self.terms)
        mixed = torch.bmm(sums.transpose(0, 1), self.weight.index_select(0, held.path))
        return (held.coupling @ mixed.flatten(1)).view(-1, h.shape[1], self.channels)
