"""What ``sciml.fit`` does in a step, for any model on periodic fields."""

from __future__ import annotations

import numpy as np
import torch

from sciml.domain import Field, Grid
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import Surrogate, collate
from sciml.training.objective import Supervised, weighted

BATCH = 8


class Ours:
    """A surrogate around a registered model, which scales what goes in and comes out, and its
    objective, a relative H1 loss."""

    name = "sciml"

    def __init__(self, config: dict[str, object], n: int) -> None:
        task = Task(("u",), ("u",))
        samples = fields(n)
        self.surrogate = Surrogate.build(config, task, samples[0].simulation.domain)
        self.surrogate.normalizer.update(samples)
        self.surrogate.normalizer.fix()
        self.batch = collate(samples, task)
        self.objective = Supervised("h1")
        self.optimizer = torch.optim.AdamW(self.surrogate.parameters(), lr=1e-3)

    def step(self) -> float:
        self.optimizer.zero_grad()
        loss = weighted(self.objective(self.surrogate, self.batch), {})
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def predict(self) -> None:
        with torch.no_grad():
            self.surrogate(self.batch)


def fields(n: int) -> list[Sample]:
    """Pairs of random periodic fields with waves up to 5."""
    rng = np.random.default_rng(0)
    grid = Grid((n, n), ((0.0, 1.0),) * 2, ("periodic",) * 2)
    samples = []
    for i in range(BATCH):
        spectrum = np.zeros((2, n, n // 2 + 1), complex)
        spectrum[:, :6, :6] = rng.standard_normal((2, 6, 6)) + 1j * rng.standard_normal((2, 6, 6))
        u = np.fft.irfft2(spectrum, (n, n), norm="forward").astype(np.float32)
        simulation = Simulation(i, grid, (Field("u"),))
        frames = [Frame(i, s, float(s), {"u": u[s]}) for s in (0, 1)]
        samples.append(Sample(simulation, 0, (frames[0],), (frames[1],)))
    return samples
