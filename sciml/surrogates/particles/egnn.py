"""E(n)-equivariant graph network: invariant messages that move positions along differences."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.surrogates.particles.edges import lengths
from sciml.surrogates.particles.fields import ParticleInputs
from sciml.surrogates.particles.particle_model import (
    MessageLayer,
    ParticleModel,
    ParticlePairs,
    mlp,
)
from sciml.surrogates.setting import Setting


class EGNNLayer(nn.Module):
    """Messages, and s_i^k = mean over j of (x_i − x_j) φ_x(m_ij)^k + φ_v(h_i)^k · v_i.

    By the latter positions move.

    Args:
        hidden: channels of h and of m.
        pair: of what is known of a pair besides its distance.
        moves: vectors k that it gives; 0: none.
        velocities: vectors v that come in.
        last: whether nobody asks for h afterwards.
    """

    def __init__(
        self, hidden: int, pair: int, moves: int, velocities: int, last: bool = False
    ) -> None:
        super().__init__()
        self.moves, self.velocities = moves, velocities
        self.messages = MessageLayer(hidden, 1 + pair, last=last)
        if moves:
            self.along = mlp(hidden, hidden, moves, bias=False)
            nn.init.xavier_uniform_(self.along[-1].weight, gain=1e-3)  # positions stay at first
            if velocities:
                self.drift = mlp(hidden, hidden, moves * velocities)

    def forward(
        self,
        h: Float[Tensor, "particle hidden"],
        x: Float[Tensor, "particle d"],
        v: Float[Tensor, "particle velocity d"],
        a: Float[Tensor, "edge pair"],
        count: Float[Tensor, "particle 1 1"],
        pairs: ParticlePairs,
    ) -> tuple[Tensor, Tensor | None]:
        r = pairs.vectors(x)
        after, m = self.messages(h, torch.cat([pairs.squares(r), a], dim=1), r, pairs)
        if not self.moves:
            return after, None
        steps = pairs.faded(-r[:, None] * self.along(m)[..., None], r)  # (E, K, d)
        moved = pairs.summed(steps, h.shape[0]) / count
        if self.velocities:
            moved = moved + self.drift(h).unflatten(1, (self.moves, self.velocities)) @ v
        return after, moved


class EGNN(ParticleModel):
    """Layers of invariant messages, each of which moves the positions.

    m_ij = φ_e(h_i, h_j, |x_i − x_j|², a_ij); h_i ← h_i + φ_h(h_i, Σ_j m_ij);
    x_i ← x_i + mean over j of (x_i − x_j) φ_x(m_ij) + φ_v(h_i) v_i. Vectors are what positions have
    moved by; numbers are an MLP of h at last. Of numbers alone, as of an energy, nothing moves.

    Shapes: positions ``(N, d)``, further fields, ``neighbours (2, E)`` → a dict by target, ``(N, d)``,
    ``(N,)``, ``(B,)``. Vectors are changes: targets that are inputs too are learned as increments.

    Args:
        hidden, layers: channels; layers.
        cutoff: beyond which particles do not see each other, in the units of the positions; ``None``:
            all see all, or the ``nearest``.
        species: those that may come; ``None``: those of the data; of a stream those of the first
            simulation, and that its program expects.

    Raises:
        InputError: no particles; options that cannot be.

    When it fails: distances are all that it sees of a configuration, so that some it cannot tell apart;
    nearest neighbours change from one moment to the next, and with them what comes out.

    Source: V. Satorras, E. Hoogeboom, M. Welling, ICML 2021, arXiv 2102.09844, eqs. 3–7; hidden 64 and
    four layers for bodies that move. Squared distances at the start and products of charges are what is
    known of pairs, as there.
    """

    def __init__(
        self,
        setting: Setting,
        *,
        hidden: int = 64,
        layers: int = 4,
        cutoff: float | None = None,
        nearest: int | None = None,
        species: Sequence[int] | None = None,
    ) -> None:
        super().__init__("egnn", setting, cutoff, nearest, species, hidden=hidden, layers=layers)
        fields = self.fields
        (numbers, velocities), wanted = fields.counts, fields.vectors_out
        self.embed = nn.Linear(numbers + velocities, hidden)
        moves = [min(wanted, 1)] * (layers - 1) + [wanted]
        read = fields.numbers_out > 0
        self.layers = nn.ModuleList(
            EGNNLayer(
                hidden, 1 + len(fields.paired), k, velocities, last=not read and n == layers - 1
            )
            for n, k in enumerate(moves)
        )
        self.readout = mlp(hidden, hidden, fields.numbers_out) if read else None

    def computed(
        self, seen: ParticleInputs, pairs: ParticlePairs
    ) -> tuple[Tensor | None, Tensor | None]:
        x, v = seen.x, seen.vectors
        a = torch.cat([pairs.squares(pairs.vectors(x)), pairs.products], dim=1)
        count = pairs.summed(a.new_ones(a.shape[0], 1, 1), x.shape[0]).clamp(min=1)
        h = self.embed(torch.cat([seen.numbers, lengths(v).squeeze(-1)], dim=1))
        moved = None
        for layer in self.layers:
            h, step = layer(h, x if moved is None else x + moved[:, 0], v, a, count, pairs)
            if step is not None:
                moved = step if moved is None else moved + step
        return None if self.readout is None else self.readout(h), moved


build = EGNN
