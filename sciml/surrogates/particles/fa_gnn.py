"""FA-GNN: message passing whose features are vectors, in frames that each layer takes from them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.particles.fields import SUM, ParticleInputs
from sciml.surrogates.particles.frame_averaging import turned
from sciml.surrogates.particles.frames import Frames, frames_of, require_open
from sciml.surrogates.particles.particle_model import (
    MessageLayer,
    ParticleModel,
    ParticlePairs,
    mlp,
)
from sciml.surrogates.setting import Setting


class FAGNN(ParticleModel):
    """h ← mean over frames V of h of V φ(Vᵀ h), layer by layer; h is ``channels`` vectors a particle.

    φ passes messages, m_ij = φ_e(z_i, z_j, |x_i − x_j|², a_ij), z_i ← z_i + φ_h(z_i, Σ_j m_ij), on all
    components z = Vᵀ h as channels. The first frames are those of the positions, and z is a linear map
    of positions from their centre, further vectors and numbers; the last layer's frames are those of
    what comes out, too.

    Shapes: positions ``(N, d)``, further fields, ``neighbours (2, E)`` → a dict by target, ``(N, d)``,
    ``(N,)``. Vectors are changes: targets that are inputs too are learned as increments.

    Args:
        channels: vectors of a particle.
        layers: of messages.
        group: ``E(n)``, ``SE(n)`` or ``translation``.
        cutoff, nearest: whom a particle sees; neither: all.

    Raises:
        InputError: no particles; options that cannot be; numbers a frame, such as energies, among the
            targets; in use: particles in a periodic cell.

    When it fails: where eigenvalues of a covariance cross, what is computed jumps. No gradient goes
    through frames of features, where it would be infinite: no energies.

    Source: O. Puny and others, ICLR 2022, arXiv 2110.03336, section 5.3: 4 layers, 60 channels of 20
    vectors.
    """

    def __init__(
        self,
        setting: Setting,
        *,
        channels: int = 20,
        layers: int = 4,
        group: str = "E(n)",
        cutoff: float | None = None,
        nearest: int | None = None,
    ) -> None:
        super().__init__("fa_gnn", setting, cutoff, nearest, channels=channels, layers=layers)
        fields, d = self.fields, self.fields.ndim
        if channels < 2:
            raise InputError(f"fa_gnn: channels={channels}; expected two vectors or more")
        if names := ", ".join(n for n, kind in fields.wanted.items() if kind == SUM):
            raise InputError(
                f"fa_gnn: target {names}, a number a frame; expected values of particles: "
                "'frame_averaging' gives such"
            )
        self.group, hidden, (numbers, arrows) = group, d * channels, fields.counts
        self.embed = nn.Linear(d * (1 + arrows) + numbers, hidden)
        # A constant vector is the same in all frames, whose mean it is not: it would be lost.
        self.layers = nn.ModuleList(
            MessageLayer(hidden, 1 + len(fields.paired), bias=n == layers - 1)
            for n in range(layers)
        )
        wanted = fields.numbers_out + d * fields.vectors_out
        self.readout = mlp(hidden, hidden, wanted, bias=fields.numbers_out > 0)

    def computed(self, seen: ParticleInputs, pairs: ParticlePairs) -> tuple[Tensor, Tensor]:
        require_open("fa_gnn", pairs.periodic)
        r = pairs.vectors(seen.x)
        a = torch.cat([pairs.squares(r), pairs.products], dim=1)
        owner, d = seen.owner, seen.x.shape[1]
        frames = frames_of(seen.x, owner, seen.samples, self.group, seen.vectors)
        centred = (seen.x - frames.origin[owner])[:, None]
        h = torch.cat([centred, seen.vectors], dim=1)  # (N, 1 + V, d)
        for n, layer in enumerate(self.layers):
            first, last = n == 0, n == len(self.layers) - 1
            numbers, arrows, count = 0.0, 0.0, self.fields.numbers_out if last else 0
            for axes, weights in zip(frames.axes, frames.weights, strict=True):
                axes, weight = axes[owner], weights[owner, None]
                z = turned(h, axes).flatten(1)
                z = self.embed(torch.cat([z, seen.numbers], dim=1)) if first else z
                z, _ = layer(z, a, r, pairs)
                z = (self.readout(z) if last else z) * weight
                numbers = numbers + z[:, :count]
                arrows = arrows + turned(z[:, count:].unflatten(1, (-1, d)), axes.mT)
            h = arrows
            if not last:
                frames = self._of_features(h.detach(), owner, seen.samples)
        return numbers, arrows

    def _of_features(self, h: Tensor, owner: Tensor, samples: int) -> Frames:
        """Frames of all vectors of a sample's features, each a point."""
        each = owner.repeat_interleave(h.shape[1])
        return frames_of(h.flatten(0, 1), each, samples, self.group)


build = FAGNN
