"""A small model that gives an energy of pairs, and surrogates around it."""

import numpy as np
import torch
from torch import nn

from sciml.domain import Field, Particles
from sciml.samples import Task
from sciml.surrogates import Surrogate, Traits
from sciml.surrogates.particles.edges import bessel, envelope, lengths, summed, vectors
from sciml.surrogates.particles.neighbours import Neighbours

TASK = Task(("positions",), ("energy", "forces"), lead=0)
FIELDS = (
    Field("positions", "Å", components=3),
    Field("energy", "eV", on="global"),
    Field("forces", "eV/Å", components=3),
)


class PairEnergy(nn.Module):
    """E = Σ over pairs closer than the cutoff of f(r, both species)."""

    def __init__(self, species=(1, 6, 8), cutoff=4.0, width=8):
        super().__init__()
        self.traits = Traits(structures=(Neighbours(cutoff),))
        self.register_buffer("known", torch.tensor(species))
        self.cutoff = cutoff
        self.pair = nn.Sequential(
            nn.Linear(4 + len(species), width), nn.SiLU(), nn.Linear(width, 1)
        )

    def forward(self, positions, *, species, ptr, owner, neighbours, shift=None, **_):
        r = lengths(vectors(positions, neighbours, shift))
        kinds = (species[:, None] == self.known).to(r.dtype)
        source, receiver = neighbours
        seen = torch.cat([bessel(r, self.cutoff, 4), kinds[source] + kinds[receiver]], dim=1)
        each = summed(self.pair(seen) * envelope(r, self.cutoff), receiver, positions.shape[0])
        return {"energy": summed(each, owner, ptr.shape[0] - 1)[:, 0]}


def build(setting, *, width: int = 8, cutoff: float = 4.0):
    return PairEnergy(setting.scope.species, cutoff, width)


def surrogate(seed=0, task=TASK, dtype=torch.float64, **options):
    """Random weights; trained on H, C and O, as far as it says."""
    torch.manual_seed(seed)
    domain = Particles(np.array([1, 6, 8]), units="Å")
    return Surrogate(PairEnergy(**options), task, None, domain, fields=FIELDS).to(dtype)
