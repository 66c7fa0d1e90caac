"""Lorenz equations: volumes, states of rest, growth rates, means, and the ensemble."""

import numpy as np
import pytest
import truths
from programs import ALONE, load, march

from sciml.errors import DivergedError, InputError
from sciml.solver.flags import parse

SIGMA, RHO, BETA = 10.0, 28.0, 8.0 / 3.0


def states(run):
    """(time, member, 3)."""
    return np.stack([run.fields[name] for name in "XYZ"], axis=-1)


def test_volumes_shrink_at_their_rate():
    """Of a small tetrahedron whose corners are four members."""
    run = march("lorenz", shape=(4,), spread=1e-5, x0=2, y0=3, z0=20, dt=2e-3, steps=250, every=50)
    volumes = [np.linalg.det(corners[1:] - corners[0]) for corners in states(run)]
    rate = np.log(volumes[-1] / volumes[0]) / run.times[-1]
    assert abs(rate - truths.lorenz_divergence(SIGMA, BETA)) < 0.02, rate


@pytest.mark.parametrize("rho, number", [(10.0, 0), (10.0, 1), (10.0, 2), (0.5, 0)])
def test_states_of_rest_stay(rho, number):
    point = truths.lorenz_fixed_points(rho, BETA)[number]
    x0, y0, z0 = point
    run = march("lorenz", rho=rho, x0=x0, y0=y0, z0=z0, spread=0, steps=10)
    np.testing.assert_allclose(states(run)[-1], [point] * 16, atol=1e-12)
    assert len(truths.lorenz_fixed_points(rho, BETA)) == (3 if rho > 1 else 1)


def test_below_onset_all_members_come_to_rest():
    run = march("lorenz", rho=0.5, steps=3000)
    assert np.abs(states(run)[-1]).max() < 1e-4 < np.abs(states(run)[0]).max()


def test_small_disturbances_grow_at_their_rate():
    growth, decay, _ = truths.lorenz_rates_at_rest(SIGMA, RHO, BETA)
    for rate in (growth, decay):
        run = march(
            "lorenz", shape=(2,), spread=0, x0=1e-7, y0=1e-7 * (1.0 + rate / SIGMA), z0=0,
            dt=1e-3, steps=100,
        )  # fmt: skip
        start, end = run.fields["X"][:, 0]
        assert abs(np.log(end / start) / run.times[-1] - rate) < 1e-3


def test_the_vertical_axis_is_invariant():
    run = march("lorenz", x0=0, y0=0, z0=9, spread=0, steps=100)
    np.testing.assert_allclose(run.fields["Z"][-1], 9.0 * np.exp(-BETA), rtol=1e-7)
    assert not run.fields["X"].any() and not run.fields["Y"].any()


def test_turned_half_around_it_is_the_same():
    one, other = (
        states(march("lorenz", spread=0, x0=sign * 3.0, y0=sign * 4.0, steps=2000))
        for sign in (1.0, -1.0)
    )
    np.testing.assert_array_equal(other, one * [-1.0, -1.0, 1.0])


def test_the_attractor():
    """Means over the attractor: 0 = d⟨Z⟩/dt = ⟨X Y⟩ − β ⟨Z⟩, ⟨X⟩ = ⟨Y⟩, ⟨X²⟩ = ⟨X Y⟩."""
    run = march("lorenz", shape=(256,), spinup=1000, steps=4000, every=4)
    x, y, z = (run.fields[name] for name in "XYZ")
    assert abs((x * y).mean() - BETA * z.mean()) < 0.05
    assert abs((x * x).mean() - (x * y).mean()) < 0.05 and abs(x.mean() - y.mean()) < 0.02
    assert abs(z.mean() - 23.55) < 0.1 and abs(z.std() - 8.6) < 0.1


def test_members_are_the_same_in_an_ensemble_of_any_size():
    small, large = (
        states(march("lorenz", shape=(n,), steps=50, seed=4, spinup=20)) for n in (3, 40)
    )
    np.testing.assert_array_equal(large[:, :3], small)
    assert len(np.unique(large[0, :, 0])) == 40


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--shape 1", "shape=1; expected 2 or more"),
        ("--spread -1", "spread=-1 is out of range"),
        ("--scheme etdrk4", "scheme=etdrk4; expected one of rk4"),
        ("--members 4", "unknown flag --members"),
    ],
)
def test_bad_input_is_one_line(words, message):
    cls = load("lorenz")
    with pytest.raises(InputError) as caught:
        cls(parse(cls, words.split()))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_steps_that_are_too_long_are_noticed():
    cls = load("lorenz")
    run = cls(parse(cls, ["--dt", "0.5"]))
    run.start(ALONE)
    with pytest.raises(DivergedError), np.errstate(all="ignore"):
        for n in range(20):
            run.step(n)
