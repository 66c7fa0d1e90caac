"""Plain message passing between particles: what equivariant networks are measured by."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.particles.edges import envelope, lengths, summed, vectors
from sciml.surrogates.particles.egnn import mlp
from sciml.surrogates.particles.fields import ParticleFields
from sciml.surrogates.particles.neighbours import neighbourhood
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits


class MPNN(nn.Module):
    """m_ij = φ_e(h_i, h_j, x_j − x_i, |x_j − x_i|², a_ij); h_i ← h_i + φ_h(h_i, Σ_j m_ij); y_i = φ(h_i).

    Vectors are taken and given component by component: moved along, what comes out moves along;
    rotated, it is another. :class:`~sciml.surrogates.particles.frame_averaging.FrameAveraging` mends
    that.

    Shapes: positions ``(N, d)``, further fields, ``neighbours (2, E)`` → a dict by target, ``(N, d)``,
    ``(N,)``, ``(B,)``. Vectors are changes: targets that are inputs too are learned as increments.

    Args:
        fields: of the task.
        hidden, layers: channels; layers.
        cutoff, nearest: whom a particle sees; neither: all.

    When it fails: it has to learn what rotations do from examples, of which augmentation is a
    substitute.

    Source: the graph network that EGNN is compared with, V. Satorras, E. Hoogeboom, M. Welling, ICML
    2021, arXiv 2102.09844, section 5.1; it sees differences along edges where that one sees positions
    at nodes, so that it does not depend on the origin.
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
            raise InputError(f"MPNN: hidden={hidden}, layers={layers}; expected 1 or more")
        self.fields, self.cutoff = fields, cutoff
        self.traits = Traits(structures=(neighbourhood("mpnn", cutoff, nearest, fields.positions),))
        d, (numbers, velocities) = fields.ndim, fields.counts
        edge = d + 1 + len(fields.paired)
        self.embed = nn.Linear(numbers + d * velocities, hidden)
        self.messages = nn.ModuleList(
            mlp(2 * hidden + edge, hidden, hidden, last=True) for _ in range(layers)
        )
        self.updates = nn.ModuleList(mlp(2 * hidden, hidden, hidden) for _ in range(layers))
        self.readout = mlp(hidden, hidden, fields.numbers_out + d * fields.vectors_out)

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
        length, count = self.cutoff or 1.0, self.fields.numbers_out
        r = vectors(seen.x, neighbours, shift)
        away = lengths(r)
        edge = [r / length, (away / length) ** 2, seen.pairing[source] * seen.pairing[receiver]]
        edge = torch.cat(edge, dim=1)
        fades = None if self.cutoff is None else envelope(away, self.cutoff)
        h = self.embed(torch.cat([seen.numbers, seen.vectors.flatten(1)], dim=1))
        for message, update in zip(self.messages, self.updates, strict=True):
            m = message(torch.cat([h[receiver], h[source], edge], dim=1))
            m = m if fades is None else m * fades
            h = h + update(torch.cat([h, summed(m, receiver, h.shape[0])], dim=1))
        found = self.readout(h)
        vector = found[:, count:].reshape(h.shape[0], -1, self.fields.ndim)
        return self.fields.given(found[:, :count], vector, seen)


def build(
    setting: Setting,
    *,
    hidden: int = 64,
    layers: int = 4,
    cutoff: float | None = None,
    nearest: int | None = None,
    species: Sequence[int] | None = None,
) -> MPNN:
    """Plain message passing for particles.

    Args:
        cutoff, nearest: whom a particle sees; neither: all.
        species: those that may come; ``None``: those of the data, or of the first simulation of a
            stream.

    Raises:
        InputError: no particles; options that cannot be.
    """
    fields = ParticleFields.of("mpnn", setting, species)
    return MPNN(fields, hidden, layers, cutoff, nearest)
