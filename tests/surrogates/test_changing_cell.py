"""Periodic boxes that change from frame to frame reach models, neighbour lists and rollouts."""

import numpy as np
import torch
from torch import nn

from sciml.domain import Field, Particles
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import Surrogate, Traits, collate
from sciml.surrogates.particles.neighbours import Neighbours

FIELDS = (
    Field("positions", components=3),
    Field("lattice", on="global", components=9),
    Field("volume", on="global"),
)


class Volume(nn.Module):
    """Gives the volume of the cell that it is given, and keeps what it sees."""

    traits = Traits(structures=(Neighbours(1.0),))

    def forward(self, positions, *, cell, neighbours, shift, **_):
        self.cell, self.shift, self.pairs = cell, shift, neighbours
        return {"volume": torch.linalg.det(cell)}


def frames(sides):
    x = np.array([[0.1, 0.0, 0.0], [1.0, 0.0, 0.0]])
    box = Particles([1, 1], 3.0 * np.eye(3), (True, True, True))
    simulation = Simulation(0, box, FIELDS)
    found = []
    for step, side in enumerate(sides):
        lattice = (side * np.eye(3)).ravel()
        values = {"positions": x, "lattice": lattice, "volume": np.array(side**3)}
        found.append(Frame(0, step, float(step), values))
    return simulation, found


def test_each_frame_has_its_cell():
    task = Task(("positions", "lattice"), ("volume",), lead=0)
    simulation, found = frames((3.0, 1.5))
    samples = [Sample(simulation, f.step, (f,), (f,)) for f in found]
    model = Volume()
    surrogate = Surrogate(model, task, None, simulation.domain, fields=FIELDS)
    batch = collate(samples, task, surrogate.structures)
    out = surrogate(batch)["volume"]
    np.testing.assert_allclose(out[:, 0], [27.0, 3.375], rtol=1e-6)
    # In the small box the second is a neighbour through the wall as well.
    owner = batch.geometry["owner"][model.pairs[0]]
    assert owner.bincount().tolist() == [2, 4]
    assert model.shift.abs().max().item() == 1.5


class Shrinks(nn.Module):
    """The box and all in it become smaller by a tenth."""

    traits = Traits(structures=(Neighbours(1.0),))

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, positions, *, cell, shift, **_):
        self.seen.append((float(cell[0, 0, 0]), float(shift.abs().max()) if len(shift) else 0.0))
        return {"positions": 0.9 * positions, "lattice": 0.9 * cell.flatten(1)}


def test_a_rollout_goes_on_in_the_cell_that_it_gave():
    names = ("positions", "lattice")
    task = Task(names, names, unroll=3)
    simulation, found = frames((1.6, 1.6, 1.6, 1.6))
    sample = Sample(simulation, 0, (found[0],), tuple(found[1:]))
    surrogate = Surrogate(Shrinks(), task, None, simulation.domain, fields=FIELDS)
    out = surrogate(collate([sample], task, surrogate.structures))
    sides = [1.6 * 0.9**k for k in range(3)]
    np.testing.assert_allclose([s for s, _ in surrogate.model.seen], sides, rtol=1e-5)
    np.testing.assert_allclose([s for _, s in surrogate.model.seen], sides, rtol=1e-5)
    np.testing.assert_allclose(out["lattice"][0, -1, 0], 1.6 * 0.9**3, rtol=1e-5)
