"""Stress is the derivative of an energy by strain, of cells that stay and of cells that change."""

import numpy as np
import pytest
import torch
from torch import nn

from sciml.domain import Field, Particles
from sciml.errors import InputError
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import Setting, Surrogate, Traits, collate
from sciml.surrogates.particles.edges import envelope, lengths, summed, vectors
from sciml.surrogates.particles.neighbours import Neighbours
from sciml.surrogates.potential import Potential
from sciml.training import EnergyForces

FIELDS = (
    Field("positions", "Å", components=3),
    Field("energy", "eV", on="global"),
    Field("forces", "eV/Å", components=3),
    Field("stress", "eV/Å3", on="global", components=6),
    Field("lattice", "Å", on="global", components=9),
)
TASK = Task(("positions",), ("energy", "forces", "stress"), lead=0)


class Wells(nn.Module):
    """E = Σ over pairs of (r − 1)² f(r); says nothing of forces and stress."""

    traits = Traits(structures=(Neighbours(2.5),))

    def __init__(self):
        super().__init__()
        self.depth = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, positions, *, owner, ptr, neighbours, shift, **_):
        r = lengths(vectors(positions, neighbours, shift))
        pairs = self.depth * (r - 1) ** 2 * envelope(r, 2.5)
        return {"energy": summed(pairs[:, 0], owner[neighbours[1]], len(ptr) - 1)}


def batch_of(strains, task=TASK):
    """A skewed cell of three particles, each time strained."""
    rng = np.random.default_rng(0)
    cell, x = 2.0 * np.eye(3) + 0.3 * rng.normal(size=(3, 3)), 2.0 * rng.uniform(size=(3, 3))
    samples = []
    for n, strain in enumerate(strains):
        grown = np.eye(3) + strain
        domain = Particles([1, 1, 8], cell @ grown, (True, True, False), "Å")
        values = {"positions": x @ grown, "energy": np.array(0.0), "forces": np.zeros((3, 3))}
        values |= {"stress": np.zeros(6), "lattice": (cell @ grown).ravel()}
        if "lattice" in task.inputs:
            domain = Particles([1, 1, 8], cell, domain.periodic, "Å")
        frame = Frame(n, 0, 0.0, values)
        samples.append(Sample(Simulation(n, domain, FIELDS), 0, (frame,), (frame,)))
    surrogate = Surrogate(Wells(), task, fields=FIELDS, domain=samples[0].simulation.domain)
    return surrogate, collate(samples, task, surrogate.structures), abs(np.linalg.det(cell))


@pytest.mark.parametrize("inputs", [("positions",), ("positions", "lattice")])
def test_it_is_the_difference_of_strained_cells(inputs):
    h, wanted = 1e-5, np.zeros(6)
    steps = np.zeros((6, 3, 3))
    for k, (i, j) in enumerate(zip((0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1), strict=True)):
        steps[k, i, j] += h / 2
        steps[k, j, i] += h / 2
    task = Task(inputs, TASK.targets, lead=0)
    surrogate, batch, volume = batch_of([np.zeros((3, 3)), *steps, *-steps], task)
    with torch.no_grad():
        out = surrogate(batch)
    energy = out["energy"][:, 0].numpy()
    wanted = (energy[1:7] - energy[7:]) / (2 * h) / volume
    np.testing.assert_allclose(out["stress"][0, 0], wanted, rtol=1e-8, atol=1e-9)
    assert np.abs(wanted).min() > 1e-3
    # Strains leave forces as they are.
    plain = Surrogate(Wells(), Task(inputs, ("energy", "forces"), lead=0), fields=FIELDS)
    plain.potential = Potential("energy", "positions", "forces")
    torch.testing.assert_close(plain(batch)["forces"], out["forces"], rtol=1e-10, atol=1e-10)


def test_it_is_learned_beside_energy_and_forces():
    surrogate, batch, _ = batch_of([np.zeros((3, 3))])
    losses = EnergyForces()(surrogate, batch)
    assert (
        tuple(losses) == EnergyForces().losses(surrogate.setting) == ("energy", "forces", "stress")
    )
    losses["stress"].backward()
    assert surrogate.model.depth.grad.abs() > 0
    assert losses["stress"].item() == pytest.approx(
        surrogate(batch)["stress"].square().mean().item()
    )


def test_without_a_cell_there_is_none():
    assert Potential.of(Setting(TASK, Particles([1]), FIELDS)).stress == "stress"
    frame = Frame(0, 0, 0.0, {"positions": np.eye(3), "stress": np.zeros(6)})
    sample = Sample(Simulation(0, Particles([1, 1, 8]), FIELDS), 0, (frame,), (frame,))
    surrogate = Surrogate(Wells(), TASK, fields=FIELDS, domain=sample.simulation.domain)
    with pytest.raises(InputError, match="stress of particles without a cell"):
        surrogate(collate([sample], TASK, surrogate.structures))
