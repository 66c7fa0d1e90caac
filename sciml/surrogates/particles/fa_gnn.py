"""FA-GNN: message passing whose features are vectors, in frames that each layer takes from them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.particles.edges import envelope, lengths, summed, vectors
from sciml.surrogates.particles.egnn import mlp
from sciml.surrogates.particles.fields import SUM, ParticleFields
from sciml.surrogates.particles.frame_averaging import turned
from sciml.surrogates.particles.frames import frames_of
from sciml.surrogates.particles.neighbours import neighbourhood
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits


class FAGNN(nn.Module):
    """h ← mean over frames V of h of V φ(Vᵀ h), layer by layer; h is ``channels`` vectors a particle.

    φ passes messages, m_ij = φ_e(z_i, z_j, |x_i − x_j|², a_ij), z_i ← z_i + φ_h(z_i, Σ_j m_ij), on all
    components z = Vᵀ h as channels. The first frames are those of the positions, and z is a linear map
    of positions from their centre, further vectors and numbers; the last layer's frames are those of
    what comes out, too.

    Shapes: positions ``(N, d)``, further fields, ``neighbours (2, E)`` → a dict by target, ``(N, d)``,
    ``(N,)``. Vectors are changes: targets that are inputs too are learned as increments.

    Args:
        fields: of the task; numbers a sample, such as energies, are none of its targets.
        channels: vectors of a particle.
        layers: of messages.
        group: ``E(n)``, ``SE(n)`` or ``translation``.
        cutoff, nearest: whom a particle sees; neither: all.

    When it fails: where eigenvalues of a covariance cross, what is computed jumps. No gradient goes
        through
    frames of features, where it would be infinite: no energies.

    Source: O. Puny and others, ICLR 2022, arXiv 2110.03336, section 5.3: 4 layers, 60 channels of 20
    vectors.
    """

    def __init__(
        self,
        fields: ParticleFields,
        channels: int = 20,
        layers: int = 4,
        group: str = "E(n)",
        cutoff: float | None = None,
        nearest: int | None = None,
    ) -> None:
        super().__init__()
        if channels < 2 or layers < 1:
            raise InputError(
                f"FAGNN: channels={channels}, layers={layers}; expected two vectors and one layer"
            )
        if SUM in fields.wanted.values():
            names = ", ".join(n for n, kind in fields.wanted.items() if kind == SUM)
            raise InputError(
                f"FAGNN: target {names}, a number a frame; expected values of particles: "
                "'frame_averaging' gives such"
            )
        self.fields, self.group, self.cutoff = fields, group, cutoff
        structure = neighbourhood("fa_gnn", cutoff, nearest, fields.positions)
        self.traits = Traits(structures=(structure,))
        d, (numbers, arrows) = fields.ndim, fields.counts
        hidden, edge = d * channels, 1 + len(fields.paired)
        self.embed = nn.Linear(d * (1 + arrows) + numbers, hidden)
        self.messages = nn.ModuleList(
            mlp(2 * hidden + edge, hidden, hidden, last=True) for _ in range(layers)
        )
        # A constant vector is the same in all frames, whose mean it is not: it would be lost.
        self.updates = nn.ModuleList(
            mlp(2 * hidden, hidden, hidden, bias=n == layers - 1) for n in range(layers)
        )
        wanted = fields.numbers_out + d * fields.vectors_out
        self.readout = mlp(hidden, hidden, wanted, bias=fields.numbers_out > 0)

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
        if periodic is not None and not periodic.is_meta and bool(periodic.any()):
            raise InputError("FAGNN: particles in a periodic cell; expected open space")
        seen = self.fields.seen(inputs, species, ptr, owner, parameters, others)
        source, receiver = neighbours
        away = lengths(vectors(seen.x, neighbours, shift))
        square = (away / (self.cutoff or 1.0)) ** 2
        edge = torch.cat([square, seen.pairing[source] * seen.pairing[receiver]], dim=1)
        fades = None if self.cutoff is None else envelope(away, self.cutoff)
        frames = frames_of(seen.x, owner, seen.samples, self.group, seen.vectors)
        centred = (seen.x - frames.origin[owner])[:, None]
        h = torch.cat([centred, seen.vectors], dim=1)  # (N, 1 + V, d)
        last, d = len(self.messages) - 1, seen.x.shape[1]
        for n, (message, update) in enumerate(zip(self.messages, self.updates, strict=True)):
            numbers, arrows = 0.0, 0.0
            for axes, weights in zip(frames.axes, frames.weights, strict=True):
                axes, weight = axes[owner], weights[owner, None]
                z = turned(h, axes).flatten(1)
                z = self.embed(torch.cat([z, seen.numbers], dim=1)) if n == 0 else z
                m = message(torch.cat([z[receiver], z[source], edge], dim=1))
                m = m if fades is None else m * fades
                z = z + update(torch.cat([z, summed(m, receiver, len(z))], dim=1))
                z = (self.readout(z) if n == last else z) * weight
                count = self.fields.numbers_out if n == last else 0
                numbers = numbers + z[:, :count]
                arrows = arrows + turned(z[:, count:].unflatten(1, (-1, d)), axes.mT)
            h = arrows
            if n < last:
                frames = self._of_features(h.detach(), owner, seen.samples)
        return self.fields.given(numbers, arrows, seen)

    def _of_features(self, h: Tensor, owner: Tensor, samples: int):
        """Frames of all vectors of a sample's features, each a point."""
        each = owner.repeat_interleave(h.shape[1])
        return frames_of(h.flatten(0, 1), each, samples, self.group)


def build(
    setting: Setting,
    *,
    channels: int = 20,
    layers: int = 4,
    group: str = "E(n)",
    cutoff: float | None = None,
    nearest: int | None = None,
) -> FAGNN:
    """An FA-GNN for particles in open space.

    Args:
        cutoff, nearest: whom a particle sees; neither: all.

    Raises:
        InputError: no particles, energies among the targets; options that cannot be.
    """
    fields = ParticleFields.of("fa_gnn", setting)
    return FAGNN(fields, channels, layers, group, cutoff, nearest)
