"""What networks on particles share: how they are called, their pairs, and messages along them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.particles.edges import envelope, lengths, summed, vectors
from sciml.surrogates.particles.fields import ParticleFields, ParticleInputs
from sciml.surrogates.particles.neighbours import neighbourhood
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits


@dataclass(frozen=True, slots=True)
class ParticlePairs:
    """Pairs of a batch, both ways each.

    Args:
        neighbours: sources and receivers.
        shift: by which sources are moved, where particles repeat.
        cutoff: at which what is computed fades, and the unit of lengths; ``None``: it does not, and 1.
        products: of the static numbers of both ends.
        periodic: along which axes particles repeat, where that is known.
    """

    neighbours: Int[Tensor, "2 edge"]
    shift: Float[Tensor, "edge d"] | None
    cutoff: float | None
    products: Float[Tensor, "edge paired"]
    periodic: Tensor | None

    @property
    def unit(self) -> float:
        return self.cutoff or 1.0

    def vectors(self, x: Float[Tensor, "particle d"]) -> Float[Tensor, "edge d"]:
        """x_source + shift − x_receiver."""
        return vectors(x, self.neighbours, self.shift)

    def squares(self, r: Float[Tensor, "edge d"]) -> Float[Tensor, "edge 1"]:
        """|r|², in units of the cutoff."""
        return (r * r).sum(dim=1, keepdim=True) / self.unit**2

    def faded(
        self, values: Float[Tensor, "edge *channel"], r: Float[Tensor, "edge d"]
    ) -> Float[Tensor, "edge *channel"]:
        """Values that vanish at the cutoff with their first and second derivative by |r|."""
        if self.cutoff is None:
            return values
        fades = envelope(lengths(r), self.cutoff)
        return values * fades.reshape(-1, *(1,) * (values.ndim - 1))

    def summed(
        self, values: Float[Tensor, "edge *channel"], size: int
    ) -> Float[Tensor, "particle *channel"]:
        """Σ of the values of each receiver."""
        return summed(values, self.neighbours[1], size)


class ParticleModel(nn.Module, ABC):
    """Fields in, targets out, sorted by how they turn; a network computes in between.

    Args:
        name: of the model, for messages.
        setting: with particles.
        cutoff, nearest: whom a particle sees; neither: all.
        species: those that may come; ``None``: those of the setting.
        sizes: options that are numbers of something, 1 or more.

    Raises:
        InputError: no particles, or options that cannot be.
    """

    def __init__(
        self,
        name: str,
        setting: Setting,
        cutoff: float | None,
        nearest: int | None,
        species: Sequence[int] | None = None,
        **sizes: int,
    ) -> None:
        super().__init__()
        if min(sizes.values(), default=1) < 1:
            given = ", ".join(f"{key}={value}" for key, value in sizes.items())
            raise InputError(f"{name}: {given}; expected 1 or more")
        self.fields, self.cutoff = ParticleFields.of(name, setting, species), cutoff
        structure = neighbourhood(name, cutoff, nearest, self.fields.positions, self.fields.near)
        self.traits = Traits(species=self.fields.species or None, structures=(structure,))

    def forward(
        self,
        *inputs: Tensor,
        species: Tensor,
        ptr: Tensor,
        owner: Tensor,
        neighbours: Tensor,
        shift: Tensor | None = None,
        periodic: Tensor | None = None,
        parameters: Tensor | None = None,
        **others: Tensor,
    ) -> dict[str, Tensor]:
        seen = self.fields.seen(inputs, species, ptr, owner, parameters, others)
        source, receiver = neighbours
        products = seen.pairing[source] * seen.pairing[receiver]
        pairs = ParticlePairs(neighbours, shift, self.cutoff, products, periodic)
        return self.fields.given(*self.computed(seen, pairs), seen)

    @abstractmethod
    def computed(
        self, seen: ParticleInputs, pairs: ParticlePairs
    ) -> tuple[Tensor | None, Tensor | None]:
        """``numbers (N, numbers_out)`` and ``vectors (N, vectors_out, d)``; ``None`` where there are
        none."""


def mlp(*widths: int, last: bool = False, bias: bool = True) -> nn.Sequential:
    """Linear layers with SiLU in between, and after the last if so said; that one may have no bias."""
    layers: list[nn.Module] = []
    for given, wanted in pairwise(widths):
        layers += [nn.Linear(given, wanted, bias or len(layers) < 2 * len(widths) - 4), nn.SiLU()]
    return nn.Sequential(*(layers if last else layers[:-1]))


class MessageLayer(nn.Module):
    """m_ij = φ_e(h_i, h_j, a_ij); h_i ← h_i + φ_h(h_i, Σ_j m_ij).

    What φ_e is linear in first is computed once a particle, not once a pair.

    Args:
        hidden: channels of h and of m.
        pair: channels of a.
        bias: of the last layer of φ_h.
        last: whether nobody asks for h afterwards.
    """

    def __init__(self, hidden: int, pair: int, bias: bool = True, last: bool = False) -> None:
        super().__init__()
        self.message = mlp(2 * hidden + pair, hidden, hidden, last=True)
        self.update = None if last else mlp(2 * hidden, hidden, hidden, bias=bias)

    def forward(
        self,
        h: Float[Tensor, "particle hidden"],
        a: Float[Tensor, "edge pair"],
        r: Float[Tensor, "edge d"],
        pairs: ParticlePairs,
    ) -> tuple[Float[Tensor, "particle hidden"], Float[Tensor, "edge hidden"]]:
        """h, and the messages; what a particle sums of them fades where |r| is the cutoff."""
        (source, receiver), width = pairs.neighbours, h.shape[1]
        first, *others = self.message
        own, other, between = first.weight.split([width, width, a.shape[1]], dim=1)
        m = nn.functional.linear(a, between, first.bias)
        m = m + (h @ own.mT).index_select(0, receiver) + (h @ other.mT).index_select(0, source)
        for layer in others:
            m = layer(m)
        if self.update is None:
            return h, m
        near = pairs.summed(pairs.faded(m, r), h.shape[0])
        return h + self.update(torch.cat([h, near], dim=1)), m
