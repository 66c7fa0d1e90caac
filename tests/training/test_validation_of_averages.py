"""A surrogate that is averaged over symmetries is validated with and without; worse is said."""

import numpy as np
import pytest
import torch
from torch import nn

from sciml.domain import Field, Grid
from sciml.samples import Frame, Simulation, Task
from sciml.surrogates import Surrogate
from sciml.training import Validation
from sciml.training.figures import lines, table

GRID = Grid((16,), ((0.0, 1.0),), ("periodic",))
TASK = Task(("a",), ("a",))


class Moved(nn.Module):
    """u(x − k h), and an error that is no symmetry's."""

    def __init__(self, points, error=0.0):
        super().__init__()
        self.points, self.error = points, error

    def forward(self, x):
        place = torch.arange(x.shape[-1]) / x.shape[-1]
        return x.roll(self.points, -1) + self.error * place


def held_out(points):
    """Fields that move to the right."""
    rng, found = np.random.default_rng(0), []
    for number in range(3):
        u = rng.standard_normal(16).astype(np.float32)
        frames = [Frame(number, s, 0.1 * s, {"a": np.roll(u, points * s)}) for s in range(5)]
        found.append((Simulation(number, GRID, (Field("a"),)), frames))
    return found


def surrogate(points, error=0.0):
    return Surrogate(Moved(points, error), TASK, domain=GRID, fields=(Field("a", parity="scalar"),))


def test_of_a_law_that_does_not_hold_the_average_is_said_to_be_worse():
    own = surrogate(1, 0.01)
    found = Validation(held_out(1), rollout=3)(own.symmetrized("flips"))
    plain = Validation(held_out(1), rollout=3)(own)
    for key in ("one_step", "vrmse", "rollout", "vrmse_rollout_last"):
        assert found[f"{key}_unsymmetrized"] == pytest.approx(plain[key])
        assert found["fields"]["a"][f"{key}_unsymmetrized"] == pytest.approx(plain[key])
        assert found[key] > 5 * plain[key] and f"{key}_unsymmetrized" not in plain
    [said] = found["findings"]
    assert said.startswith("averaging over flips makes it worse: VRMSE one step ahead")
    told = lines(found)
    assert any("without averaging over symmetries: VRMSE" in line for line in told)
    assert f"warning: {said}" in told
    assert any("vrmse_unsymmetrized" in line for line in table(found))
    assert not any("symmetr" in line for line in (*lines(plain), *table(plain)))


def test_of_one_that_holds_it_is_better_and_nothing_is_said():
    mean = surrogate(0, 0.1).symmetrized("flips")
    found = Validation(held_out(0), rollout=3)(mean)
    assert found["vrmse"] < 0.99 * found["vrmse_unsymmetrized"] and "findings" not in found
    assert mean.symmetrization is not None
