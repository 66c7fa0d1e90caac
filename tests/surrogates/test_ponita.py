"""PONITA: directions, how its equivariance depends on them, and scaled kernels."""

import numpy as np
import pytest
import torch
from particle_data import ENERGY, MOVES, bodies, molecules, surrogate_of

from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates.particles.equivariance import equivariance_errors
from sciml.surrogates.particles.orientations import rotation, spread
from sciml.training import Phase, Supervised, train

SMALL = {"name": "ponita", "hidden": 8, "basis": 8, "layers": 2, "layer_scale": 0.5}


def test_directions_are_spread_and_the_same_each_time():
    twelve = spread(12, 3)
    assert torch.equal(twelve, spread(12, 3)) and not torch.equal(twelve, spread(12, 3, seed=1))
    torch.testing.assert_close(twelve.norm(dim=1), torch.ones(12, dtype=torch.float64))
    # Thomson's problem: twelve charges sit on an icosahedron, of energy 49.165253.
    gaps = torch.pdist(twelve)
    assert float((1 / gaps).sum()) == pytest.approx(49.165253, abs=1e-4)
    assert float(gaps.min()) == pytest.approx(1.051462, abs=1e-3)
    circle = spread(8, 2)
    assert float(torch.pdist(circle).min()) == pytest.approx(2 * np.sin(np.pi / 8))
    for like in (twelve, circle):
        q = rotation(like)
        torch.testing.assert_close(q @ q.mT, torch.eye(like.shape[1], dtype=torch.float64))
        assert torch.linalg.det(q) > 0


@pytest.mark.parametrize("d", [2, 3])
def test_more_directions_are_more_equivariant(d):
    errors = []
    for count in (8, 32) if d == 2 else (12, 80):
        config = {**SMALL, "orientations": count}
        found = equivariance_errors(*surrogate_of(config, bodies(d=d), MOVES), trials=2)
        assert max(found["translation"], found["permutation"]) < 1e-10
        errors.append(max(found["rotation"], found["reflection"]))
    assert errors[1] < errors[0] / 3 and errors[0] > 1e-6, errors


def test_kernels_are_scaled_once_and_directions_turned_in_training_alone():
    surrogate, batch = surrogate_of({**SMALL, "orientations": 6}, molecules(), ENERGY)
    layers = surrogate.model.layers
    before = layers[0].convolution.kernel.weight.clone()
    surrogate(batch)
    assert torch.equal(layers[0].convolution.kernel.weight, before)
    surrogate.train()
    one, two = (surrogate(batch)["energy"] for _ in range(2))
    after = layers[0].convolution.kernel.weight.clone()
    assert not torch.equal(after, before) and not torch.equal(one, two)
    surrogate(batch)
    assert torch.equal(layers[0].convolution.kernel.weight, after)
    assert all(bool(layer.convolution.calibrated) for layer in layers)
    again, _ = surrogate_of({**SMALL, "orientations": 6}, molecules(), ENERGY)
    again.load_state_dict(surrogate.state_dict())
    again.train()(batch)
    assert torch.equal(again.model.layers[0].convolution.kernel.weight, after)


class Repeated:
    """A source of one batch again and again."""

    def __init__(self, batch):
        self.batch = batch

    def next_batch(self):
        return self.batch

    def state_dict(self):
        return {}


def test_directions_stay_while_one_step_searches_a_line(monkeypatch):
    """L-BFGS asks many times; of other directions it would learn another loss each time."""
    seen = []

    def drawn(like):
        seen.append(rotation(like))
        return seen[-1]

    monkeypatch.setattr("sciml.surrogates.particles.ponita.rotation", drawn)
    surrogate, batch = surrogate_of({**SMALL, "orientations": 6}, bodies(), MOVES)
    train(surrogate, Repeated(batch), Supervised("mse"), Phase("lbfgs", steps=2))
    different = {tuple(q.flatten().tolist()) for q in seen}
    assert len(different) == 2 < len(seen) - 2


def test_a_vector_of_all_particles_is_a_sum():
    """Such as a dipole; beside an energy, whose forces are derived."""
    task = Task(("positions",), ("energy", "forces", "dipole"), lead=0)
    surrogate, batch = surrogate_of({**SMALL, "orientations": 60}, molecules(), task)
    out = surrogate(batch)
    assert out["dipole"].shape == (3, 1, 3) and out["dipole"].norm() > 0
    errors = equivariance_errors(surrogate, batch)
    assert errors["translation"] < 1e-10 and errors["rotation"] < 0.15


def test_what_cannot_be_built_is_one_line():
    with pytest.raises(InputError, match="orientations=0, degree=3, basis=8; expected 1 or more"):
        surrogate_of({**SMALL, "orientations": 0}, bodies(), MOVES)
    with pytest.raises(
        InputError, match="cutoff=1.0 and nearest=3; expected one of them".replace(".", r"\.")
    ):
        surrogate_of({**SMALL, "cutoff": 1.0, "nearest": 3}, bodies(), MOVES)
    stress = Task(("positions",), ("stress",), lead=0)
    with pytest.raises(InputError, match="target 'stress' with 6 components; expected numbers or"):
        surrogate_of(SMALL, molecules(1), stress)
    with pytest.raises(InputError, match="inputs energy without a vector of 3 components"):
        surrogate_of(SMALL, molecules(1), Task(("energy",), ("positions",), lead=0))
    with pytest.raises(InputError, match="history=2, bundle=1, time=False; expected one frame in"):
        surrogate_of(SMALL, bodies(), Task(("positions",), ("positions",), history=2))
    surrogate, batch = surrogate_of({**SMALL, "species": [1, 6]}, molecules(1)[:1], ENERGY)
    with pytest.raises(
        InputError, match="species 8 of particles; the model was built for 1, 6: name"
    ):
        surrogate(batch)
