"""Samples at a temperature: of a parabola all is known; velocity Verlet is friction left out."""

from functools import partial

import numpy as np
import pytest

from sciml.equations.canonical import Langevin, NormalModes, at_rest, hessian
from sciml.errors import InputError

MASSES = np.array([1.0, 12.0, 16.0])
START = np.array([[0.0, 0.1, 0], [1.2, 0, 0], [1.9, 1.3, 0.1]])
SPRINGS = ((0, 1, 30.0, 1.1), (1, 2, 20.0, 1.4), (0, 2, 5.0, 2.0))


def springs(x, constants=SPRINGS):
    """Three bodies on springs that are at rest at once: a molecule whose modes are known."""
    energy, forces = 0.0, np.zeros_like(x)
    for i, j, k, length in constants:
        apart = x[i] - x[j]
        r = np.linalg.norm(apart)
        energy += 0.5 * k * (r - length) ** 2
        pull = -k * (r - length) * apart / r
        forces[i] += pull
        forces[j] -= pull
    return energy, forces


def wells(x):
    """Bodies in parabolas of their own: variance kT / k."""
    return 2.0 * float((x**2).sum()), -4.0 * x


def test_dynamics_keep_variance_and_temperature():
    bath = Langevin(wells, np.zeros((400, 3)), np.full(400, 2.0), 0.7, 1.0, 0.1,
                    np.random.default_rng(0))  # fmt: skip
    bath.advance(200)
    spread, speed = [], []
    for _ in range(60):
        bath.advance(20)
        spread.append((bath.x**2).mean())
        speed.append((bath.v**2).mean())
    assert np.mean(spread) == pytest.approx(0.7 / 4.0, rel=0.02)
    assert np.mean(speed) == pytest.approx(0.7 / 2.0, rel=0.02)


def test_without_friction_the_energy_stays():
    start = at_rest(springs, START, 1e-8)
    bath = Langevin(springs, start, MASSES, 0.02, 0.0, 0.01, np.random.default_rng(1))

    def total():
        return bath.energy + 0.5 * float((MASSES[:, None] * bath.v**2).sum())

    before, off = total(), []
    for _ in range(200):
        bath.advance(5)
        off.append(abs(total() / before - 1.0))
    assert max(off) < 1e-3, max(off)


def test_modes_have_their_share_of_the_energy():
    """kT / 2 a mode: three of three bodies in space; and frequencies by the Hessian of springs."""
    rest = at_rest(springs, START, 1e-9)
    modes = NormalModes(springs, rest, MASSES, 1e-6, np.random.default_rng(2))
    b = []
    for i, j, k, _ in SPRINGS:
        row = np.zeros((3, 3))
        row[i], row[j] = (rest[i] - rest[j]), (rest[j] - rest[i])
        b.append(np.sqrt(k) * row.ravel() / np.linalg.norm(rest[i] - rest[j]))
    root = np.repeat(np.sqrt(MASSES), 3)
    known = np.linalg.svd(np.array(b) / root)[1][::-1]
    np.testing.assert_allclose(modes.frequencies, known, rtol=1e-4)
    energies = []
    for _ in range(4000):
        modes.advance(1)
        energies.append(modes.energy)
    assert np.mean(energies) == pytest.approx(1.5e-6, rel=0.05)
    # What turns or moves the whole is left out.
    moved = modes.x - rest
    assert np.abs((MASSES[:, None] * moved).sum(0)).max() < 1e-12
    assert np.abs(np.cross(MASSES[:, None] * rest, moved).sum(0)).max() < 1e-9


def test_second_derivatives_of_a_parabola():
    found = hessian(wells, np.ones((2, 3)))
    np.testing.assert_allclose(found, 4.0 * np.eye(6), atol=1e-9)


def test_a_saddle_has_no_modes():
    rest = at_rest(springs, START, 1e-9)
    falling = [(i, j, -k if (i, j) == (0, 2) else k, length) for i, j, k, length in SPRINGS]
    with pytest.raises(InputError, match="does not rise along 1 of 3"):
        NormalModes(
            partial(springs, constants=falling), rest, MASSES, 1.0, np.random.default_rng(0)
        )
