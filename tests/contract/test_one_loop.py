"""The one loop trains every family. Models here are stand-ins; what they are called with is not."""

import contextlib
import threading

import numpy as np
import pytest
import torch
from patience import PATIENCE
from torch import nn

from sciml.buffer import FIFO, Reservoir, Stopped
from sciml.domain import Field, Grid, Mesh, Particles
from sciml.samples import Frame, Sample, Simulation, Task, Windower
from sciml.surrogates import Normalizer, Surrogate
from sciml.training import (
    CollocationSource,
    DatasetSource,
    EnergyForces,
    Mix,
    Phase,
    Residual,
    StreamSource,
    Sum,
    Supervised,
    train,
)

STEPS = 20


def heat(count, n=12, steps=8, seed=0):
    """Frames of heat on a torus, exact."""
    rng = np.random.default_rng(seed)
    k = np.fft.fftfreq(n, 1 / n)
    k2 = k[:, None] ** 2 + k[None] ** 2
    grid = Grid((n, n), ((0, 1), (0, 1)), ("periodic", "periodic"))
    for i in range(count):
        kappa = rng.uniform(0.5, 2.0)
        u0 = np.fft.fft2(rng.standard_normal((n, n))) / (1 + k2)
        simulation = Simulation(i, grid, (Field("u"),), {"kappa": kappa})
        yield (
            simulation,
            [
                Frame(i, s, 0.1 * s, {"u": np.fft.ifft2(u0 * np.exp(-0.05 * kappa * k2 * s)).real})
                for s in range(steps)
            ],
        )


def cut(trajectories, task):
    windower = Windower(task)
    for simulation, frames in trajectories:
        windower.open(simulation)
        for frame in frames:
            yield from windower.push(frame)


def with_statistics(model, task, samples, **kwargs):
    surrogate = Surrogate(model, task, Normalizer(task), **kwargs)
    surrogate.normalizer.update(samples)
    surrogate.normalizer.fix()
    return surrogate


def test_a_grid(fell):
    task = Task(("u",), ("u",), parameters=("kappa",))
    samples = list(cut(heat(10), task))
    surrogate = Surrogate.build(
        {"name": "fno", "modes": 6, "hidden_channels": 8, "n_layers": 2},
        task,
        samples[0].simulation.domain,
        increment=True,
    )
    surrogate.normalizer.update(samples)
    source = DatasetSource(samples, task, 35)
    objective = Supervised("mse")
    history = train(surrogate, source, objective, Phase(lr=3e-2, warmup=2, steps=STEPS))
    assert len(history.steps) == STEPS
    assert fell(history.losses) > 2


class MessagePassing(nn.Module):
    """x_i += φ(x_i, mean over neighbors of ψ(x_i, x_j, r_j − r_i)), twice."""

    def __init__(self, channels, width=24):
        super().__init__()
        self.lift = nn.Linear(channels, width)
        self.messages = nn.ModuleList(nn.Linear(2 * width + 2, width) for _ in range(2))
        self.updates = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(2))
        self.head = nn.Linear(width, 1)

    def forward(self, x, points, edges, owner):
        source, receiver = edges
        x = self.lift(x)
        degree = torch.zeros(len(x)).index_add(0, receiver, torch.ones(len(receiver)))
        for message, update in zip(self.messages, self.updates, strict=True):
            given = torch.cat([x[receiver], x[source], points[source] - points[receiver]], 1)
            received = torch.zeros_like(x).index_add(0, receiver, torch.tanh(message(given)))
            x = x + torch.tanh(update(torch.cat([x, received / degree[:, None]], 1)))
        return self.head(x)


def triangles(nx, ny):
    points = np.array([[i, j] for i in range(nx) for j in range(ny)], dtype=float)
    node = np.arange(nx * ny).reshape(nx, ny)
    a, b, c, d = (
        part.ravel() for part in (node[:-1, :-1], node[1:, :-1], node[1:, 1:], node[:-1, 1:])
    )
    return Mesh(points, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]))


def test_meshes_of_changing_size(fell):
    """One step of diffusion along the edges: u_i += a · mean_j (u_j − u_i)."""
    rng = np.random.default_rng(0)
    task = Task(("u",), ("u",), parameters=("a",))
    samples = []
    for i in range(40):
        mesh = triangles(*rng.integers(3, 8, 2))
        a = rng.uniform(0.2, 0.8)
        source, receiver = mesh.edges
        u = rng.standard_normal(mesh.size)
        change = np.bincount(receiver, u[source] - u[receiver]) / np.bincount(receiver)
        frames = [Frame(i, s, float(s), {"u": u + s * a * change}) for s in (0, 1)]
        simulation = Simulation(i, mesh, (Field("u"),), {"a": a})
        samples.append(Sample(simulation, 0, (frames[0],), (frames[1],)))
    assert len({s.simulation.domain.size for s in samples}) > 5
    surrogate = with_statistics(MessagePassing(2), task, samples, increment=True)
    source = DatasetSource(samples, task, 20)
    objective = Supervised("mse")
    history = train(surrogate, source, objective, Phase(lr=2e-2, steps=STEPS))
    assert fell(history.losses) > 2


class PairEnergy(nn.Module):
    """E = Σ over pairs in a molecule of s_i s_j f(|r_i − r_j|)."""

    def __init__(self):
        super().__init__()
        self.pair = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))

    def forward(self, positions, *, species, ptr, owner, parameters, cell, periodic):
        assert cell is None and not periodic.any()
        i, j = torch.nonzero(owner[:, None] == owner[None]).unbind(1)
        i, j = i[i < j], j[i < j]
        r = (positions[i] - positions[j]).norm(dim=1, keepdim=True)
        pairs = (species[i] * species[j])[:, None] * self.pair(r)
        return {"energy": torch.zeros(len(ptr) - 1).index_add(0, owner[i], pairs[:, 0])}


def test_molecules_with_a_force_loss(fell):
    """Springs of rest length 1; two-stage weights: energies first, then forces."""
    rng = np.random.default_rng(0)
    task = Task(("positions",), ("energy", "forces"), lead=0)
    fields = (
        Field("positions", "Å", components=3),
        Field("energy", "eV", on="global"),
        Field("forces", "eV/Å", components=3),
    )
    samples = []
    for n in rng.integers(2, 6, 60):
        x, species = rng.standard_normal((n, 3)), rng.integers(1, 3, n)
        gap = x[:, None] - x[None]
        r = np.linalg.norm(gap, axis=-1) + np.eye(n)
        weight = species[:, None] * species[None] * (1 - np.eye(n))
        energy = 0.25 * (weight * (r - 1) ** 2).sum()
        forces = -(weight * (r - 1) / r)[..., None] * gap
        values = {"positions": x, "energy": np.array(energy), "forces": forces.sum(1)}
        simulation = Simulation(len(samples), Particles(species), fields)
        frame = Frame(len(samples), 0, 0.0, values)
        samples.append(Sample(simulation, 0, (frame,), (frame,)))
    plan = [
        Phase(lr=4e-2, steps=STEPS // 2, weights={"energy": 1.0, "forces": 0.1}),
        Phase(lr=4e-2, steps=STEPS // 2, weights={"energy": 1.0, "forces": 10.0}),
    ]
    surrogate = Surrogate(PairEnergy(), task)
    history = train(surrogate, DatasetSource(samples, task, 30), EnergyForces(), plan)
    assert [s.phase for s in history.steps] == [0] * 10 + [1] * 10
    assert fell([s.losses["forces"] for s in history.steps]) > 2
    assert fell([s.losses["energy"] for s in history.steps]) > 1.5


class Tanh(nn.Module):
    def __init__(self, inputs, width=16):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(),
            nn.Linear(width, 1),
        )  # fmt: skip

    def forward(self, x):
        return self.layers(x)


def poisson(model, batch):
    """u'' = −π² sin πx on [0, 1], u(0) = u(1) = 0."""
    x = batch.inputs["interior"]
    u = model(x)
    [slope] = torch.autograd.grad(u.sum(), x, create_graph=True)
    [curvature] = torch.autograd.grad(slope.sum(), x, create_graph=True)
    source = torch.pi**2 * torch.sin(torch.pi * x)
    return {"equation": curvature + source, "boundary": model(batch.inputs["boundary"])}


def unit_interval(rng, n):
    return {"interior": rng.uniform(size=(n, 1)), "boundary": np.array([[0.0], [1.0]])}


def test_a_residual_without_data_and_lbfgs(fell):
    model = Tanh(1)
    plan = [
        Phase("adam", lr=5e-3, steps=STEPS // 2, weights={"boundary": 100.0}),
        Phase("lbfgs", lr=1.0, steps=STEPS // 2, weights={"boundary": 100.0}),
    ]
    history = train(model, CollocationSource(unit_interval, 64), Residual(poisson), plan)
    assert fell(history.losses) > 100
    x = torch.linspace(0, 1, 50)[:, None]
    exact = torch.sin(torch.pi * x)
    assert ((model(x) - exact).norm() / exact.norm()).item() < 5e-2


def test_a_mix_of_stream_and_residual():
    """A stream fills the buffer while the loop draws; the sum of the change must vanish as well."""
    task = Task(("u",), ("u",), parameters=("kappa",))
    buffer = FIFO(capacity=64, watermark=16)  # draws that do not depend on the clock

    def stream():
        with contextlib.suppress(Stopped):
            for sample in cut(heat(100, seed=3), task):
                buffer.put(sample)

    producer = threading.Thread(target=stream)
    surrogate = with_statistics(
        nn.Conv2d(2, 1, 3, padding=1, padding_mode="circular"),
        task,
        list(cut(heat(2, seed=4), task)),
        increment=True,
    )

    with torch.no_grad():
        surrogate.model.bias.fill_(0.5)  # a source of heat that is not there

    class Points:
        """Grid states that no simulation produced, as the residual's own batches."""

        def __init__(self):
            self.inner = DatasetSource(list(cut(heat(4, seed=5), task)), task, 8)

        def next_batch(self):
            return self.inner.next_batch()

    def conserved(model, batch):
        return {"heat": (model(batch)["u"] - batch.inputs["u"]).mean((2, 3))}

    source = Mix({"stream": StreamSource(buffer, task, 8), "physics": Points()})
    objective = Sum({"stream": Supervised("mse"), "physics": Residual(conserved)})
    # Batches of a stream are neighbors in time; what was learned is measured on fixed data.
    fixed = {
        "stream": DatasetSource(list(cut(heat(10, seed=6), task)), task, 70).next_batch(),
        "physics": DatasetSource(list(cut(heat(10, seed=7), task)), task, 70).next_batch(),
    }
    before = objective(surrogate, fixed)
    producer.start()
    history = train(
        surrogate,
        source,
        objective,
        Phase(lr=0.1, schedule="cosine", steps=STEPS, weights={"physics.heat": 10.0}),
    )
    buffer.stop()
    producer.join(PATIENCE)
    assert set(history.steps[0].losses) == {"stream.mse", "physics.heat"}
    after = objective(surrogate, fixed)
    assert before["stream.mse"] / after["stream.mse"] > 1.5
    assert before["physics.heat"] / after["physics.heat"] > 2
    # It ended while the stream went on.
    assert len(history.steps) == STEPS


@pytest.mark.parametrize("capacity", [16, 64])
def test_a_stream_alone_is_trained_to_its_end(capacity):
    task = Task(("u",), ("u",), parameters=("kappa",))
    samples = list(cut(heat(4), task))
    buffer = Reservoir(capacity=capacity, watermark=8)

    def stream():
        for sample in samples:
            buffer.put(sample)
        buffer.close()

    producer = threading.Thread(target=stream)
    surrogate = with_statistics(nn.Conv2d(2, 1, 1), task, samples, increment=True)
    producer.start()
    history = train(surrogate, StreamSource(buffer, task, 4), Supervised(), Phase(lr=1e-3))
    producer.join(PATIENCE)
    assert history.ended == "source"
    assert history.samples >= len(samples)
