"""E = Σ over pairs closer than the cutoff: a stand-in for models of particles."""

import torch
from torch import nn

from sciml.surrogates.particles.edges import bessel, envelope, lengths, summed, vectors
from sciml.surrogates.particles.neighbours import Neighbours
from sciml.surrogates.traits import Traits


class PairEnergy(nn.Module):
    """E = Σ_ij f(r_ij; s_i, s_j), smooth at the cutoff."""

    def __init__(self, species, width, cutoff):
        super().__init__()
        self.traits = Traits(structures=(Neighbours(cutoff),))
        self.register_buffer("known", torch.tensor(species))
        self.cutoff = cutoff
        self.pair = nn.Sequential(
            nn.Linear(8 + 2 * len(species), width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
            nn.Linear(width, 1),
        )  # fmt: skip

    def forward(self, positions, *, species, ptr, owner, neighbours, shift=None, **others):
        r = lengths(vectors(positions, neighbours, shift))
        kinds = (species[:, None] == self.known).to(r.dtype)
        source, receiver = neighbours
        seen = torch.cat([bessel(r, self.cutoff, 8), kinds[source], kinds[receiver]], dim=1)
        pairs = self.pair(seen) * envelope(r, self.cutoff)
        each = summed(pairs, receiver, len(positions))
        return {"energy": summed(each, owner, len(ptr) - 1)[:, 0]}


def build(setting, *, width: int = 32, cutoff: float = 4.0):
    return PairEnergy(setting.scope.species, width, cutoff)
