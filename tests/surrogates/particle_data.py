"""Particles for models: bodies that move, molecules and crystals, in float64."""

import numpy as np
import torch

from sciml.domain import Field, Particles
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import Surrogate, collate

MOVES = Task(("positions", "velocities"), ("positions", "velocities"), static=("charge",))
ENERGY = Task(("positions",), ("energy", "forces"), lead=0)


def fields(d=3):
    return (
        Field("positions", components=d),
        Field("velocities", components=d),
        Field("energy", on="global"),
        Field("forces", components=d),
        Field("stress", on="global", components=6),
        Field("dipole", on="global", components=d),
    )


def sample(x, species=None, cell=None, number=0, charge=None, seed=0):
    """One of a frame, periodic where there is a cell."""
    x = np.asarray(x, float)
    n, d = x.shape
    rng = np.random.default_rng(seed)
    species = np.zeros(n, int) if species is None else np.asarray(species)
    static = {"charge": rng.choice([-1.0, 1.0], n) if charge is None else charge}
    domain = Particles(species, cell, (cell is not None,) * d)
    simulation = Simulation(number, domain, fields(d), {}, static, static_fields=(Field("charge"),))
    values = {"positions": x, "velocities": rng.normal(size=(n, d)), "energy": np.array(0.0)}
    values |= {"forces": np.zeros((n, d)), "stress": np.zeros(6), "dipole": np.zeros(d)}
    frame = Frame(number, 0, 0.0, values)
    return Sample(simulation, 0, (frame,), (frame,))


def bodies(count=3, d=3):
    draws = (np.random.default_rng(n).normal(size=(4 + n, d)) for n in range(count))
    return [sample(x, number=n, seed=n) for n, x in enumerate(draws)]


def molecules(count=3, d=3, periodic=False):
    """Of three species; periodic ones in a skewed cell narrower than twice the cutoff of the tests."""
    found = []
    for n in range(count):
        rng = np.random.default_rng(n)
        x = rng.normal(size=(4 + n, d)) * 1.2
        cell = 3.5 * np.eye(d) + 0.2 * np.tri(d) if periodic else None
        found.append(sample(x, [1, 6, 8, 1, 6, 8][: len(x)], cell, n))
    return found


def surrogate_of(config, samples, task, seed=0):
    """In float64, its outputs unscaled; the batch of the samples."""
    torch.manual_seed(seed)
    domains = [s.simulation.domain for s in samples]
    first = max(domains, key=lambda domain: len({*getattr(domain, "species", ())}))
    made = Surrogate.build(
        config, task, first, fields=samples[0].simulation.fields, normalizer=None
    )
    made.increment = task.continues
    made.double().eval()
    return made, batch_of(made, samples)


def batch_of(surrogate, samples):
    return collate(samples, surrogate.task, surrogate.structures).to("cpu", torch.float64)
