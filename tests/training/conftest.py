import numpy as np
import pytest
import torch
from torch import nn

from sciml.domain import Field, Grid
from sciml.samples import Frame, Simulation, Task, Windower
from sciml.surrogates import Normalizer, Surrogate
from sciml.training import DatasetSource


@pytest.fixture
def task():
    return Task(("u",), ("u",), parameters=("kappa",))


@pytest.fixture
def trajectories():
    """Heat on a periodic grid, exact in Fourier space."""

    def make(count=6, steps=6, n=8, seed=0):
        rng = np.random.default_rng(seed)
        k = np.fft.fftfreq(n, 1 / n)
        k2 = k[:, None] ** 2 + k[None] ** 2
        grid = Grid((n, n), ((0, 1), (0, 1)), ("periodic", "periodic"))
        found = []
        for i in range(count):
            kappa = rng.uniform(0.5, 2.0)
            u0 = np.fft.fft2(rng.standard_normal((n, n))) / (1 + k2)
            simulation = Simulation(i, grid, (Field("u", "K"),), {"kappa": kappa})
            frames = [
                Frame(i, s, 0.1 * s, {"u": np.fft.ifft2(u0 * np.exp(-0.02 * kappa * k2 * s)).real})
                for s in range(steps + 1)
            ]
            found.append((simulation, frames))
        return found

    return make


@pytest.fixture
def samples(trajectories, task):
    windower = Windower(task)
    found = []
    for simulation, frames in trajectories():
        windower.open(simulation)
        found += [s for frame in frames for s in windower.push(frame)]
    return found


class Convolutions(nn.Module):
    """Small and quick; has dropout, so that runs depend on the state of the generator."""

    def __init__(self, dropout=0.0, width=8):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(2, width, 3, padding=1, padding_mode="circular"),
            nn.Tanh(),
            nn.Dropout(dropout),
            nn.Conv2d(width, 1, 3, padding=1, padding_mode="circular"),
        )

    def forward(self, x):
        return self.layers(x)


@pytest.fixture
def surrogate(task, samples):
    def make(seed=0, **kwargs):
        torch.manual_seed(seed)
        made = Surrogate(Convolutions(**kwargs), task, Normalizer(task), increment=True)
        made.normalizer.update(samples)
        made.normalizer.fix()
        return made

    return make


@pytest.fixture
def source(task, samples):
    def make(batch_size=4, **kwargs):
        return DatasetSource(samples, task, batch_size, **kwargs)

    return make


@pytest.fixture
def same():
    """Whether two modules have the very same weights."""

    def check(a, b):
        left, right = a.state_dict(), b.state_dict()
        return left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)

    return check
