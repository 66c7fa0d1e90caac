"""Plain message passing between particles: what equivariant networks are measured by."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sciml.surrogates.particles.fields import ParticleInputs
from sciml.surrogates.particles.particle_model import (
    MessageLayer,
    ParticleModel,
    ParticlePairs,
    mlp,
)
from sciml.surrogates.setting import Setting


class MPNN(ParticleModel):
    """m_ij = φ_e(h_i, h_j, x_j − x_i, |x_j − x_i|², a_ij); h_i ← h_i + φ_h(h_i, Σ_j m_ij); y_i = φ(h_i).

    Vectors are taken and given component by component: moved along, what comes out moves along;
    rotated, it is another. :class:`~sciml.surrogates.particles.frame_averaging.FrameAveraging` mends
    that.

    Shapes: positions ``(N, d)``, further fields, ``neighbours (2, E)`` → a dict by target, ``(N, d)``,
    ``(N,)``, ``(B,)``. Vectors are changes: targets that are inputs too are learned as increments.

    Args:
        hidden, layers: channels; layers.
        cutoff, nearest: whom a particle sees; neither: all.
        species: those that may come; ``None``: those of the data; of a stream those of the first
            simulation, and that its program expects.

    Raises:
        InputError: no particles; options that cannot be.

    When it fails: it has to learn what rotations do from examples, of which augmentation is a
    substitute.

    Source: the graph network that EGNN is compared with, V. Satorras, E. Hoogeboom, M. Welling, ICML
    2021, arXiv 2102.09844, section 5.1; it sees differences along edges where that one sees positions
    at nodes, so that it does not depend on the origin.
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
        super().__init__("mpnn", setting, cutoff, nearest, species, hidden=hidden, layers=layers)
        fields, d = self.fields, self.fields.ndim
        numbers, velocities = fields.counts
        self.embed = nn.Linear(numbers + d * velocities, hidden)
        self.layers = nn.ModuleList(
            MessageLayer(hidden, d + 1 + len(fields.paired)) for _ in range(layers)
        )
        self.readout = mlp(hidden, hidden, fields.numbers_out + d * fields.vectors_out)

    def computed(self, seen: ParticleInputs, pairs: ParticlePairs) -> tuple[Tensor, Tensor]:
        r = pairs.vectors(seen.x)
        a = torch.cat([r / pairs.unit, pairs.squares(r), pairs.products], dim=1)
        h = self.embed(torch.cat([seen.numbers, seen.vectors.flatten(1)], dim=1))
        for layer in self.layers:
            h, _ = layer(h, a, r, pairs)
        found, count = self.readout(h), self.fields.numbers_out
        return found[:, :count], found[:, count:].reshape(h.shape[0], -1, self.fields.ndim)


build = MPNN
