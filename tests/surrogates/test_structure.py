"""Hops, neighbours that are found anew, and how those of several samples become one."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from sciml.domain import Field, Graph, Grid, Mesh, Particles
from sciml.errors import DomainError, InputError
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import Surrogate, Traits, collate
from sciml.surrogates.particles.neighbours import Neighbours
from sciml.surrogates.structure import DomainStructure, Hops, Part, structures_of


def test_hops_on_a_path():
    path = Graph(4, np.array([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]]))
    pairs = {tuple(p) for p in Hops(2).parts(path)["hops"].values.T.tolist()}
    assert pairs == {(a, b) for a in range(4) for b in range(4) if a != b and abs(a - b) <= 2}
    assert len(Hops(1, itself=True).parts(path)["hops"].values.T) == 6 + 4
    with pytest.raises(DomainError, match="hops on a grid"):
        Hops().parts(Grid((4,), ((0, 1),), ("open",)))


@dataclass(frozen=True)
class Halves(DomainStructure):
    """Every second node, and for each node, which of those is below it; none below the last."""

    asked = []

    def parts(self, domain):
        self.asked.append(domain)
        coarse = np.arange(0, domain.size, 2)
        below = np.arange(domain.size) // 2
        below[-1] = -1
        return {"coarse": Part(coarse, counts="point"), "below": Part(below, counts="coarse")}


def on_graph(graph, number):
    simulation = Simulation(number, graph, (Field("u"),))
    frame = Frame(number, 0, 0.0, {"u": np.ones(graph.nodes)})
    return Sample(simulation, 0, (frame,), (frame,))


def test_parts_count_points_or_each_other_and_are_made_once_a_domain():
    three, four = (Graph(n, np.array([[0], [1]])) for n in (3, 4))
    samples = [on_graph(three, 0), on_graph(four, 1), on_graph(three, 0)]
    found = structures_of(samples, (Halves(),))
    assert found["coarse"].tolist() == [0, 2, 3, 5, 7, 9]
    assert found["below"].tolist() == [0, 0, -1, 2, 2, 3, -1, 4, 4, -1]
    structures_of(samples, (Halves(),))
    assert [domain.nodes for domain in Halves.asked] == [3, 4]
    with pytest.raises(DomainError, match="two give 'hops'"):
        structures_of(samples, (Hops(1), Hops(2)))


class Count(nn.Module):
    """The number of neighbours of each node."""

    traits = Traits(structures=(Hops(2),))

    def forward(self, x, points, edges, owner, *, hops):
        return torch.zeros(len(x), 1).index_add(0, hops[1], torch.ones(hops.shape[1], 1))


def test_a_model_gets_what_its_traits_name():
    points = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    mesh = Mesh(points, [[0, 1, 2], [0, 2, 3]])
    simulation = Simulation(0, mesh, (Field("u"),))
    frame = Frame(0, 0, 0.0, {"u": np.ones(4)})
    task, sample = Task(("u",), ("u",)), Sample(simulation, 0, (frame,), (frame,))
    surrogate = Surrogate(Count(), task)
    batch = collate([sample] * 2, task, surrogate.structures)
    assert surrogate(batch)["u"][:, 0].tolist() == [3.0] * 8


class Springs(nn.Module):
    """Particles fall towards their neighbours; a gradient, so that predictions need one."""

    traits = Traits(structures=(Neighbours(1.0, "x"),), differentiates=True)

    def forward(self, x, *, neighbours, shift, **_):
        self.pairs = neighbours.shape[1]
        x = x.detach().requires_grad_()
        source, receiver = neighbours
        energy = ((x[source] + shift - x[receiver]) ** 2).sum() / 40
        return {"x": x - torch.autograd.grad(energy, x, create_graph=self.training)[0]}


def test_neighbours_are_found_anew_in_a_rollout_and_gradients_are_there():
    box = Particles([1, 1, 1], np.eye(3) * 4.0, (True,) * 3)
    field = Field("x", components=3)
    task = Task(("x",), ("x",), unroll=12)
    # Two fall together through the wall, and come near the third.
    x = np.array([[0.1, 0, 0], [3.6, 0, 0], [3.85, 0.985, 0]])
    frames = [Frame(0, s, float(s), {"x": x}) for s in range(13)]
    sample = Sample(Simulation(0, box, (field,)), 0, (frames[0],), tuple(frames[1:]))
    surrogate = Surrogate(Springs(), task, fields=(field,)).eval()
    with torch.no_grad():
        batch = collate([sample], task, surrogate.structures)
        assert batch.structure["neighbours"].shape == (2, 2)
        out = surrogate(batch)["x"]
    assert out.shape == (3, 12, 3) and not out.requires_grad
    gap = (out[0] - out[1]) - torch.tensor([-4.0, 0, 0])
    assert gap.norm(dim=1)[0] > gap.norm(dim=1)[-1]
    assert surrogate.model.pairs == 6
    with pytest.raises(InputError, match="by the field 'x'"):
        collate([on_graph(Graph(2, [[0], [1]]), 0)], Task(("u",), ("u",)), surrogate.structures)
