"""E(n)-equivariant graph network: invariant messages that move positions along differences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.particles.edges import envelope, lengths, summed, vectors
from sciml.surrogates.particles.fields import ParticleFields
from sciml.surrogates.particles.neighbours import neighbourhood
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits


def mlp(*widths: int, last: bool = False, bias: bool = True) -> nn.Sequential:
    """Linear layers with SiLU in between, and after the last if so said; that one may have no bias."""
    layers: list[nn.Module] = []
    for given, wanted in pairwise(widths):
        layers += [nn.Linear(given, wanted, bias or len(layers) < 2 * len(widths) - 4), nn.SiLU()]
    return nn.Sequential(*(layers if last else layers[:-1]))


class EGNNLayer(nn.Module):
    """m_ij = φ_e(h_i, h_j, |x_i − x_j|², a_ij); h_i ← h_i + φ_h(h_i, Σ_j m_ij).

    Gives also s_i^k = mean over j of (x_i − x_j) φ_x(m_ij)^k + φ_v(h_i)^k · v_i, by which positions
    move.

    Args:
        hidden: channels of h and of m.
        pair: channels of a.
        moves: vectors k that it gives; 0: none.
        velocities: vectors v that come in.
        last: whether nobody asks for h afterwards.
    """

    def __init__(
        self, hidden: int, pair: int, moves: int, velocities: int, last: bool = False
    ) -> None:
        super().__init__()
        self.moves, self.velocities = moves, velocities
        self.message = mlp(2 * hidden + 1 + pair, hidden, hidden, last=True)
        self.update = None if last else mlp(2 * hidden, hidden, hidden)
        if moves:
            self.along = mlp(hidden, hidden, moves, bias=False)
            nn.init.xavier_uniform_(self.along[-1].weight, gain=1e-3)  # positions stay at first
            if velocities:
                self.drift = mlp(hidden, hidden, moves * velocities)

    def forward(
        self,
        h: Float[Tensor, "particle hidden"],
        r: Float[Tensor, "edge d"],
        v: Float[Tensor, "particle velocity d"],
        a: Float[Tensor, "edge pair"],
        fades: Float[Tensor, "edge 1"] | None,
        length: float,
        neighbours: Tensor,
        count: Float[Tensor, "particle 1"],
    ) -> tuple[Tensor, Tensor | None]:
        source, receiver = neighbours
        square = (r * r).sum(dim=1, keepdim=True) / length**2
        m = self.message(torch.cat([h[receiver], h[source], square, a], dim=1))
        moved = None
        if self.moves:
            w = self.along(m)  # (E, K)
            w = w if fades is None else w * fades
            moved = summed(-r[:, None] * w[..., None], receiver, h.shape[0]) / count[..., None]
            if self.velocities:
                drift = self.drift(h).unflatten(1, (self.moves, self.velocities))
                moved = moved + drift @ v
        if self.update is None:
            return h, moved
        m = m if fades is None else m * fades
        return h + self.update(torch.cat([h, summed(m, receiver, h.shape[0])], dim=1)), moved


class EGNN(nn.Module):
    """Layers of invariant messages, each of which moves the positions.

    x_i ← x_i + mean over j of (x_i − x_j) φ_x(m_ij) + φ_v(h_i) v_i. Vectors are what positions have
    moved by; numbers are an MLP of h at last. Of numbers alone, as of an energy, nothing moves.

    Shapes: positions ``(N, d)``, further fields, ``neighbours (2, E)`` → a dict by target, ``(N, d)``,
    ``(N,)``, ``(B,)``. Vectors are changes: targets that are inputs too are learned as increments.

    Args:
        fields: of the task.
        hidden, layers: channels; layers.
        cutoff: beyond which particles do not see each other, in the units of the positions; ``None``:
            all see all, or the ``nearest``.

    When it fails: distances are all that it sees of a configuration, so that some it cannot tell apart;
    nearest neighbours change from one moment to the next, and with them what comes out.

    Source: V. Satorras, E. Hoogeboom, M. Welling, ICML 2021, arXiv 2102.09844, eqs. 3–7; hidden 64 and
    four layers for bodies that move. Squared distances at the start and products of charges are what is
    known of pairs, as there.
    """

    def __init__(
        self,
        fields: ParticleFields,
        hidden: int = 64,
        layers: int = 4,
        cutoff: float | None = None,
        nearest: int | None = None,
    ) -> None:
        super().__init__()
        if hidden < 1 or layers < 1:
            raise InputError(f"EGNN: hidden={hidden}, layers={layers}; expected 1 or more")
        self.fields, self.cutoff = fields, cutoff
        self.traits = Traits(structures=(neighbourhood("egnn", cutoff, nearest, fields.positions),))
        numbers, velocities = fields.counts
        pair, wanted = 1 + len(fields.paired), fields.vectors_out
        self.embed = nn.Linear(numbers + velocities, hidden)
        moves = [min(wanted, 1)] * (layers - 1) + [wanted]
        read = fields.numbers_out > 0
        self.layers = nn.ModuleList(
            EGNNLayer(hidden, pair, k, velocities, last=not read and n == layers - 1)
            for n, k in enumerate(moves)
        )
        self.readout = mlp(hidden, hidden, fields.numbers_out) if read else None

    def forward(
        self,
        *inputs: Tensor,
        species: Tensor,
        ptr: Tensor,
        owner: Tensor,
        neighbours: Tensor,
        shift: Tensor | None = None,
        parameters: Tensor | None = None,
        **others: Tensor,
    ) -> dict[str, Tensor]:
        seen = self.fields.seen(inputs, species, ptr, owner, parameters, others)
        source, receiver = neighbours
        length = self.cutoff or 1.0
        x, v = seen.x, seen.vectors
        r = vectors(x, neighbours, shift)
        square = (r * r).sum(dim=1, keepdim=True) / length**2
        a = torch.cat([square, seen.pairing[source] * seen.pairing[receiver]], dim=1)
        ones = x.new_ones(source.shape[0], 1)
        count = summed(ones, receiver, x.shape[0]).clamp(min=1)
        h = self.embed(torch.cat([seen.numbers, lengths(v).squeeze(-1)], dim=1))
        moved = None
        for n, layer in enumerate(self.layers):
            if n and moved is not None:
                r = vectors(x + moved[:, 0], neighbours, shift)
            fades = None if self.cutoff is None else envelope(lengths(r), self.cutoff)
            h, step = layer(h, r, v, a, fades, length, neighbours, count)
            if step is not None:
                moved = step if moved is None else moved + step
        return self.fields.given(None if self.readout is None else self.readout(h), moved, seen)


def build(
    setting: Setting,
    *,
    hidden: int = 64,
    layers: int = 4,
    cutoff: float | None = None,
    nearest: int | None = None,
    species: Sequence[int] | None = None,
) -> EGNN:
    """An EGNN for particles.

    Args:
        cutoff, nearest: whom a particle sees; neither: all.
        species: those that may come; ``None``: those of the data, or of the first simulation of a
            stream.

    Raises:
        InputError: no particles; options that cannot be.
    """
    fields = ParticleFields.of("egnn", setting, species)
    return EGNN(fields, hidden, layers, cutoff, nearest)
