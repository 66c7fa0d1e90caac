"""Pairs of particles: each is computed once, and taken to both its ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from sciml.surrogates.particles.edges import lengths, vectors
from sciml.surrogates.particles.mace.irreps import o3
from sciml.surrogates.particles.mace.summation import NeighbourSum, Terms
from sciml.surrogates.particles.neighbours import TOO_NEAR, Neighbours
from sciml.surrogates.structure import FrameStructure, Part


@final
@dataclass(frozen=True, slots=True)
class PairedNeighbours(FrameStructure):
    """:class:`~sciml.surrogates.particles.neighbours.Neighbours`, and ``reverse (E,)``: which of them is
    each the other way round.

    Args:
        cutoff, positions, near: as there.
    """

    cutoff: float
    positions: str = "positions"
    near: float = TOO_NEAR

    def __post_init__(self) -> None:
        Neighbours(self.cutoff, self.positions)

    def parts(
        self, positions: np.ndarray, cell: np.ndarray | None, periodic: Sequence[bool]
    ) -> dict[str, Part]:
        found = Neighbours(self.cutoff, self.positions).parts(positions, cell, periodic)
        reverse = opposite(found["neighbours"].values, found["shift"].values)
        return found | {"reverse": Part(reverse, counts="reverse")}

    def wrong(self, positions: np.ndarray, parts: Mapping[str, Part]) -> str:
        return Neighbours(self.cutoff, self.positions, self.near).wrong(positions, parts)


def opposite(neighbours: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Of each pair the number of the one from its receiver to its source."""
    source, receiver = neighbours
    # Sorted both ways, the k-th pair is the opposite of the k-th; −0.0 is 0.0 here.
    there = np.lexsort((*shift.T, source, receiver))
    back = np.lexsort((*-shift.T, receiver, source))
    reverse = np.empty(len(source), np.int64)
    reverse[there] = back
    return reverse


@dataclass(frozen=True, slots=True)
class Edges:
    """Pairs once each, and slots: as many for each receiver as the one with most neighbours has.

    A sum over neighbours is then a product of matrices, a receiver each. A slot that is empty has
    harmonics of 0. Where receivers have very different numbers of neighbours many are. In a program,
    whose sizes must not depend on values, pairs are there both ways, and slots are pairs.

    Args:
        length: of each pair, ``(P, 1)``.
        one, other: its receiver and source.
        harmonics: in slots, ``(N, slots, components)``; of a program ``(E, components)``.
        pair, source: of each slot, ``(N · slots,)``.
        receiver: of each slot of a program; ``None``: the N-th slots are of the N-th.
    """

    length: Float[Tensor, "pair 1"]
    one: Int[Tensor, " pair"]
    other: Int[Tensor, " pair"]
    harmonics: Float[Tensor, "*slot component"]
    pair: Int[Tensor, " slots"]
    source: Int[Tensor, " slots"]
    receiver: Int[Tensor, " slots"] | None = None

    @property
    def repeats(self) -> float:
        """How often each of these pairs counts."""
        return 1.0 if self.receiver is None else 0.5

    def summed(
        self,
        r: Float[Tensor, "pair path channel"],
        h: Float[Tensor, "node given channel"],
        terms: Terms,
    ) -> Float[Tensor, "node row channel"]:
        """Sums over the slots of each receiver; see :class:`~.summation.NeighbourSum`."""
        if self.receiver is None:
            y = self.harmonics
            # Differentiated where no autocast is: all three are of one dtype.
            with torch.autocast(y.device.type, enabled=False):
                r, h = r.to(y.dtype), h.to(y.dtype)
                return NeighbourSum.apply(y, r, h, self.pair, self.source, terms)
        sent, sums = h.index_select(0, self.source), []
        for t in terms:
            product = r[:, t.paths].unsqueeze(2) * sent[:, t.given].unsqueeze(1)
            each = self.harmonics[:, t.around, None, None, None] * product.unsqueeze(1)
            each = each.flatten(1, 3)
            empty = each.new_zeros((h.shape[0], *each.shape[1:]))
            sums.append(empty.index_add(0, self.receiver, each))
        return torch.cat(sums, dim=1)


def edges_of(
    positions: Float[Tensor, "node 3"],
    neighbours: Int[Tensor, "2 edge"],
    shift: Float[Tensor, "edge 3"],
    reverse: Int[Tensor, " edge"],
    degree: int,
) -> Edges:
    """Those of neighbours sorted by receiver, with spherical harmonics up to ``degree``."""
    n, (source, receiver) = positions.shape[0], neighbours
    number = torch.arange(neighbours.shape[1], device=neighbours.device)
    if torch.compiler.is_compiling():
        apart = vectors(positions, neighbours, shift)
        around = _harmonics(degree, apart)
        return Edges(lengths(apart), receiver, source, around, number, source, receiver)
    forth = reverse > number
    once = forth.nonzero().squeeze(1)
    pair = torch.empty_like(number)
    pair[once] = number[: once.shape[0]]
    pair[reverse[once]] = number[: once.shape[0]]
    there = neighbours.index_select(1, once)
    apart = vectors(positions, there, shift.index_select(0, once))
    count = torch.bincount(receiver, minlength=n)
    width = int(count.max()) if len(number) else 0
    start = count.cumsum(0) - count
    slot = receiver * width + number - start.index_select(0, receiver)
    # Turned around, harmonics of odd degree change sign; empty slots take those of any pair times 0.
    sign = apart.new_zeros(n * width, 2)
    sign[slot, 0] = 1.0
    sign[slot, 1] = 2.0 * forth.to(sign.dtype) - 1.0
    pairs, sources = (torch.zeros(n * width, dtype=torch.int64, device=slot.device) for _ in "12")
    pairs[slot], sources[slot] = pair, source
    parity = [l % 2 for l in range(degree + 1) for _ in range(2 * l + 1)]
    odd = torch.tensor(parity, device=slot.device)
    around = _harmonics(degree, apart).index_select(0, pairs) * sign.index_select(1, odd)
    around = around.view(n, width, len(parity))
    return Edges(lengths(apart), there[1], there[0], around, pairs, sources)


def _harmonics(degree: int, apart: Float[Tensor, "pair 3"]) -> Float[Tensor, "pair component"]:
    return o3().spherical_harmonics(
        list(range(degree + 1)), apart, normalize=True, normalization="component"
    )
