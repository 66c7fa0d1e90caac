"""Bodies: orbits, what is kept, the benchmark's own loop, and what is warned of."""

from types import SimpleNamespace

import numpy as np
import pytest
import truths
from programs import load, made, march, started

from sciml.errors import DivergedError, InputError
from sciml.solver.flags import parse

FREE = {"clip": 0.0}
SMOOTH = {"law": "gravity", "bodies": 8, "softening": 0.3, **FREE}


def circle(distance=2.0, part=1.0):
    """Two charges of opposite sign that circle each other; slower than that, on ellipses."""

    def initial(run):
        speed = part * truths.n_body_circular_speed(distance, 1.0, run.given.strength)
        r = np.array([[0.5 * distance, 0.0, 0.0], [-0.5 * distance, 0.0, 0.0]])
        v = np.array([[0.0, speed, 0.0], [0.0, -speed, 0.0]])
        return lambda: (r.copy(), v.copy(), np.array([1.0, -1.0]), np.ones(2))

    return {"initial": initial}


def momenta(run):
    """Momentum and angular momentum, (time, 3) each."""
    m = run.fields["mass"][..., None]
    r, v = run.fields["positions"], run.fields["velocities"]
    return (m * v).sum(1), np.cross(r, m * v).sum(1)


def test_two_charges_circle():
    period = np.pi * 2.0 / truths.n_body_circular_speed(2.0, 1.0, 1.0)
    run = march("n_body", bodies=2, replaced=circle(), dt=period / 2000, steps=2000, **FREE)
    r = run.fields["positions"]
    np.testing.assert_allclose(r[-1], r[0], atol=3e-5)
    apart = march(
        "n_body", bodies=2, replaced=circle(), dt=period / 2000, steps=500, every=100, **FREE
    ).fields["positions"]
    np.testing.assert_allclose(np.linalg.norm(apart[:, 0] - apart[:, 1], axis=1), 2.0, rtol=1e-5)
    np.testing.assert_allclose(apart[-1, 0], [0.0, 1.0, 0.0], atol=1e-5)  # a quarter of the way


@pytest.mark.parametrize("scheme", ["leapfrog", "symplectic-euler"])
@pytest.mark.parametrize("law", ["charged", "gravity"])
def test_momenta_stay(scheme, law):
    options = {**SMOOTH, "law": law, "scheme": scheme, "dt": 0.01, "steps": 1000, "every": 100}
    run = march("n_body", **options)
    for momentum in momenta(run):
        assert np.abs(momentum - momentum[0]).max() < 1e-11, "drift of a momentum"
        assert np.abs(momentum[0]).max() > 0.1


def test_the_energy_does_not_drift():
    """It swings about the true one by dt², as far in the second half of a long run as in the first."""
    swings = []
    for dt in (0.02, 0.01):
        ellipse = {"bodies": 2, "replaced": circle(2.0, 0.7), "dt": dt, **FREE}
        run = march("n_body", **ellipse, steps=int(100 / dt), every=1)
        off = np.abs(run.fields["energy"] / run.fields["energy"][0] - 1.0)
        first, second = off[: len(off) // 2].max(), off[len(off) // 2 :].max()
        assert second < 1.01 * first, (dt, first, second)
        swings.append(off.max())
    assert 3.8 < swings[0] / swings[1] < 4.2 and swings[1] < 1e-3, swings


def test_leapfrog_runs_backward():
    run = started("n_body", **SMOOTH, dt=0.01)
    start = run.r.copy()
    for n in range(200):
        run.step(n)
    assert np.abs(run.r - start).max() > 0.5
    run.v *= -1.0
    for n in range(200):
        run.step(n)
    np.testing.assert_allclose(run.r, start, atol=1e-12)


@pytest.mark.parametrize("law", ["charged", "gravity"])
def test_forces_are_the_slope_of_the_energy(law):
    run = started("n_body", **{**SMOOTH, "law": law}, seed=2)
    forces, h = run.f.copy(), 1e-6
    for body, axis in ((0, 0), (3, 1), (7, 2)):
        energies = []
        for sign in (1.0, -1.0):
            run.r[body, axis] += sign * h
            run.act()
            energies.append(run.energy())
            run.r[body, axis] -= sign * h
        slope = (energies[0] - energies[1]) / (2.0 * h)
        assert abs(slope + forces[body, axis]) < 1e-6 * np.abs(forces).max()


def test_the_benchmark_by_its_own_loop():
    """As arXiv:2102.09844 has it: forces by a matrix, each component held at 100, kick, drift."""
    options = {"scheme": "symplectic-euler", "steps": 400, "every": 100, "seed": 11}
    run = march("n_body", **options)
    fresh = started("n_body", **options)
    r, v, c = fresh.r.copy(), fresh.v.copy(), fresh.charge
    assert set(np.abs(c)) == {1.0}
    np.testing.assert_allclose(np.linalg.norm(v, axis=1), 0.5)
    for n in range(1, 401):
        apart = r[:, None] - r[None]
        cubed = np.linalg.norm(apart, axis=-1) ** 3
        np.fill_diagonal(cubed, np.inf)
        f = (np.outer(c, c)[..., None] * apart / cubed[..., None]).sum(1).clip(-100.0, 100.0)
        v = v + 1e-3 * f
        r = r + 1e-3 * v
        if n % 100 == 0:
            np.testing.assert_allclose(run.fields["positions"][n // 100], r, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(run.fields["velocities"][n // 100], v, rtol=1e-9, atol=1e-9)


def test_encounters_that_are_too_close_are_warned_of():
    hit = started("n_body", bodies=2, replaced=circle(0.05), dt=0.01)
    for n in range(20):
        hit.step(n)
    kinds = {warned.kind: warned for warned in hit.warnings.all()}
    assert set(kinds) == {"forces clipped", "energy drift"}
    assert kinds["forces clipped"].value == pytest.approx(400.0)
    assert "lower --dt" in kinds["energy drift"].message
    calm = started("n_body", **SMOOTH)
    calm.step(0)
    assert not calm.warnings.all()


def test_bodies_in_one_place_end_the_run():
    def initial(run):
        return lambda: (np.zeros((2, 3)), np.zeros((2, 3)), np.array([1.0, -1.0]), np.ones(2))

    with pytest.raises(DivergedError), np.errstate(all="ignore"):
        started("n_body", bodies=2, replaced={"initial": initial}, **FREE).step(0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--bodies 1", "bodies=1; expected 2 or more"),
        ("--law strong", "law=strong; expected one of charged, gravity"),
        ("--scheme rk4", "scheme=rk4; expected one of leapfrog"),
        ("--softening -1", "softening=-1 is out of range"),
    ],
)
def test_bad_input_is_one_line(words, message):
    cls = load("n_body")
    with pytest.raises(InputError) as caught:
        cls(parse(cls, words.split()))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_more_ranks_than_bodies_are_refused():
    with pytest.raises(InputError, match=r"6 ranks for 5 points \(particles\); use 5"):
        made("n_body").start(SimpleNamespace(rank=0, size=6))
