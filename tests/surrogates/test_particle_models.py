"""What holds for every model of particles: a family adds a line to a table."""

import numpy as np
import pytest
import torch
from particle_data import ENERGY, MOVES, batch_of, bodies, molecules, sample, surrogate_of

from sciml.samples import Task
from sciml.surrogates.particles.equivariance import equivariance_errors

CUTOFF = 2.5
LOCAL = {"cutoff": CUTOFF}
MACE = {"hidden": "3x0e + 3x1o", "degree": 2, "radial": [8]}
PONITA = {"hidden": 8, "basis": 8, "layers": 2, "layer_scale": 0.5}
#: Of bodies that move: options, motions that are not kept.
MOVING = {
    "egnn": ({"hidden": 8, "layers": 2}, ()),
    "fa_gnn": ({"channels": 4, "layers": 2}, ()),
    "frame_averaging": ({"options": {"hidden": 8, "layers": 2}}, ()),
    "mace": (MACE, ()),
    "mpnn": ({"hidden": 8, "layers": 2}, ("rotation", "reflection")),
    "ponita": (PONITA, ()),
}
#: Of energies that are sums over particles which see as far as the cutoff.
ENERGIES = {
    "egnn": ({"hidden": 8, "layers": 2, **LOCAL}, ()),
    "mace": ({**MACE, **LOCAL}, ()),
    "mpnn": ({"hidden": 8, "layers": 2, **LOCAL}, ("rotation", "reflection")),
    "ponita": ({**PONITA, **LOCAL}, ()),
}
#: Largest error of motions that are kept, where it is no rounding: of few directions.
TOLERANCE = {"ponita": {"rotation": 0.2, "reflection": 0.2}}
ROUNDING = 1e-10


def assert_equivariant(name, surrogate, batch, without=()):
    errors = equivariance_errors(surrogate, batch)
    for motion, error in errors.items():
        if motion in without:
            assert error > 1e-6, f"{name} keeps {motion}s after all"
        else:
            assert error < TOLERANCE.get(name, {}).get(motion, ROUNDING), (name, motion, error)


@pytest.fixture(params=sorted(ENERGIES))
def energies(request):
    """A model, its options and a call ``(samples, task) → surrogate, batch``."""
    options, without = ENERGIES[request.param]

    def made(samples, task=ENERGY):
        return surrogate_of({"name": request.param, **options}, samples, task)

    return request.param, made, without


@pytest.mark.parametrize(
    ("name", "d"),
    [(name, d) for name in sorted(MOVING) for d in (2, 3) if (name, d) != ("mace", 2)],
)
def test_bodies_that_move_move_alike_however_they_are_turned(name, d):
    options, without = MOVING[name]
    surrogate, batch = surrogate_of({"name": name, **options}, bodies(d=d), MOVES)
    assert_equivariant(name, surrogate, batch, without)


@pytest.mark.parametrize("periodic", [False, True])
def test_energies_and_forces_are_equivariant(energies, periodic):
    name, made, without = energies
    targets = ("energy", "forces", *(("stress",) if periodic else ()))
    task = Task(("positions",), targets, lead=0)
    assert_equivariant(name, *made(molecules(periodic=periodic), task), without)


def test_forces_are_differences(energies):
    _, made, _ = energies
    given = molecules(1)
    surrogate, batch = made(given)
    forces, x, h = surrogate(batch)["forces"][:, 0], batch.inputs["positions"], 1e-5
    for particle, axis in ((0, 0), (3, 2)):
        energy = []
        for step in (h, -h):
            moved = given[0].inputs[0].fields["positions"].copy()
            moved[particle, axis] += step
            one = sample(moved, given[0].simulation.domain.species)
            energy.append(float(surrogate(batch_of(surrogate, [one]))["energy"].detach()))
        slope = (energy[0] - energy[1]) / (2 * h)
        assert float(forces[particle, axis]) == pytest.approx(-slope, rel=1e-6, abs=1e-9)
    assert torch.isfinite(x).all() and forces.abs().max() > 1e-6


def test_energies_of_copies_far_apart_add_up(energies):
    _, made, _ = energies
    one = molecules(1)[0]
    x, species = one.inputs[0].fields["positions"], one.simulation.domain.species
    two = sample(np.concatenate([x, x + 50.0 * np.eye(3)[0]]), np.tile(species, 2), number=1)
    surrogate, batch = made([one, two])
    out = surrogate(batch)
    alone, both = out["energy"][:, 0].tolist()
    assert both == pytest.approx(2 * alone, rel=1e-12)
    n = len(x)
    torch.testing.assert_close(out["forces"][:n], out["forces"][2 * n :], rtol=1e-9, atol=1e-12)


def test_at_the_cutoff_all_is_smooth(energies):
    """The second derivative by a distance is the same on both sides; and beyond, nothing is felt."""
    _, made, _ = energies
    surrogate, _ = made([sample(np.eye(3), [1, 6, 8])])

    def curvature(r):
        one = batch_of(surrogate, [sample([[0.0, 0, 0], [r, 0.0, 0.0]], [1, 8])])
        x = one.inputs["positions"].requires_grad_()
        energy = surrogate(one)["energy"].sum()
        [slope] = torch.autograd.grad(energy, x, create_graph=True)
        if not slope.requires_grad:
            return float(slope[1, 0, 0]), 0.0
        [second] = torch.autograd.grad(slope[1, 0, 0], x, allow_unused=True)
        return float(slope[1, 0, 0]), 0.0 if second is None else float(second[1, 0, 0])

    inside, outside = curvature(CUTOFF - 1e-5), curvature(CUTOFF + 1e-5)
    middle = curvature(0.6 * CUTOFF)
    assert outside == (0.0, 0.0) and min(map(abs, middle)) > 1e-7
    assert abs(inside[0]) < 1e-6 * abs(middle[0])
    assert abs(inside[1]) < 1e-2 * abs(middle[1])


def test_a_crystal_is_what_it_repeats(energies):
    """A cell twice as large has twice the energy; particles may leave the cell through its walls."""
    _, made, _ = energies
    one = molecules(1, periodic=True)[0]
    x, domain = one.inputs[0].fields["positions"], one.simulation.domain
    large = domain.cell * np.array([[2.0], [1.0], [1.0]])
    twice = np.concatenate([x, x + domain.cell[0]])
    left = x + np.array([[3, -1, 0]] * len(x)) * np.arange(len(x))[:, None] @ domain.cell
    surrogate, batch = made(
        [
            one,
            sample(twice, np.tile(domain.species, 2), large, 1),
            sample(left, domain.species, domain.cell, 2),
        ]
    )
    out, n = surrogate(batch), len(x)
    small, double, moved = out["energy"][:, 0].tolist()
    assert double == pytest.approx(2 * small, rel=1e-10)
    assert moved == pytest.approx(small, rel=1e-10)
    forces = out["forces"].split([n, n, n, n])
    for other in forces[1:]:
        torch.testing.assert_close(other, forces[0], rtol=1e-8, atol=1e-11)


def test_a_particle_alone_has_an_energy_and_no_force(energies):
    _, made, _ = energies
    species = [1, 6, 8]
    surrogate, batch = made([sample(10 * np.eye(3), species), *molecules(1)])
    out = surrogate(batch)
    assert torch.isfinite(out["energy"]).all() and not out["forces"][:3].any()
    alone = [batch_of(surrogate, [sample([[1.0, 2, 3]], [kind])]) for kind in species]
    total = sum(float(surrogate(b)["energy"].detach()) for b in alone)
    assert float(out["energy"][0].detach()) == pytest.approx(total, rel=1e-12)
