"""The heat program: exact solutions, and what diffusion keeps."""

import numpy as np
import pytest
import truths

from sciml.equations import heat
from sciml.errors import InputError
from sciml.parallel.laplacian import WORTH_COMPILING

KAPPA, END = 0.05, 0.2


@pytest.fixture
def march(simulated):
    """Temperatures after each step, times, the program."""

    def run(**options):
        states, times, program = simulated("heat", **options)
        return [state["u"] for state in states], times, program

    return run


@pytest.mark.parametrize("boundary", ["periodic", "dirichlet"])
@pytest.mark.parametrize("scheme", ["explicit", "crank-nicolson"])
def test_exact_fourier_solution(march, scheme, boundary):
    n = 64 + (boundary == "dirichlet")
    states, times, program = march(
        shape=(n, n), steps=100, dt=END / 100, scheme=scheme, boundary=boundary,
        initial="mode", mode=(2, 1), kappa=KAPPA / 2,
    )  # fmt: skip
    kappa, wall = KAPPA / 2, boundary == "dirichlet"
    wave = heat.dirichlet_mode if wall else heat.periodic_mode
    numbers = heat.dirichlet_wavenumbers if wall else heat.periodic_wavenumbers
    points = np.ix_(*(program.grid.coordinates(axis) for axis in (0, 1)))
    k = numbers((2, 1), (1.0, 1.0))
    # The stencil lets k decay too slowly by κ k⁴h²/12; forward Euler too fast by (κ k²)² dt/2.
    late = kappa * sum(ki**4 * h**2 for ki, h in zip(k, program.grid.spacing, strict=True)) / 12
    early = heat.decay_rate(kappa, k) ** 2 * program.dt / 2 if scheme == "explicit" else 0.0
    for i in (0, 50, 100):
        wanted = wave(points, times[i], (2, 1), (1.0, 1.0), kappa)
        got = np.vdot(states[i] - 1.0, wanted) / np.vdot(wanted, wanted)
        assert np.abs(states[i] - 1.0 - got * wanted).max() < 1e-12
        assert got - 1.0 == pytest.approx((late - early) * times[i], rel=0.05, abs=1e-12)


def test_exact_solution_of_a_random_series(march):
    from sciml.parallel import SmoothField

    states, times, program = march(shape=(64, 64), steps=60, dt=2e-3, modes=4, seed=3, kappa=0.02)
    points = np.ix_(*(program.grid.coordinates(axis) for axis in (0, 1)))
    series = SmoothField(3, 2, modes=4).series
    wanted = 1.0 + truths.heat_fourier_solution(series, points, times[-1], (1.0, 1.0), 0.02)
    assert np.abs(states[-1] - wanted).max() < 0.01 * np.abs(wanted - 1.0).max()


@pytest.mark.parametrize("scheme", ["explicit", "crank-nicolson"])
@pytest.mark.parametrize("initial", ["smooth", "piecewise"])
def test_periodic_runs_conserve_the_mean(march, scheme, initial):
    states, _, _ = march(shape=(20, 24), steps=50, scheme=scheme, initial=initial, mean=2.0)
    means = [u.mean() for u in states]
    assert max(abs(m - means[0]) for m in means) < 1e-13 * 50
    assert states[-1].std() < states[0].std()
    if initial == "smooth":
        assert means[0] == pytest.approx(2.0)


@pytest.mark.parametrize("scheme", ["explicit", "crank-nicolson"])
@pytest.mark.parametrize("initial", ["smooth", "piecewise", "uniform"])
def test_maximum_principle_and_held_walls(march, scheme, initial):
    # At 0.9 of the stable step; forward Euler keeps the maximum principle up to there.
    dt = 0.9 * heat.stable_step(0.01, (1 / 19, 1 / 23))
    states, _, _ = march(
        shape=(20, 24), steps=50, dt=dt, scheme=scheme, boundary="dirichlet", initial=initial,
        t_left=450, t_top=120,
    )  # fmt: skip
    first = states[0]
    slack = 1e-12 * np.abs(first).max()
    for u in states:
        assert first.min() - slack <= u.min() and u.max() <= first.max() + slack
        for wall in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
            np.testing.assert_array_equal(u[wall], first[wall])
    assert np.abs(states[-1] - first).max() > 1e-3 * np.ptp(first)


def test_five_temperatures(march):
    temperatures = {"t0": 200, "t_left": 300, "t_right": 350, "t_bottom": 400, "t_top": 450}
    states, _, _ = march(
        shape=(17, 17), steps=120, dt=0.01, scheme="crank-nicolson", boundary="dirichlet",
        initial="uniform", kappa=1.0, **temperatures,
    )  # fmt: skip
    u = states[0]
    assert (u[1:-1, 1:-1] == 200).all() and (u[1:-1, 0] == 300).all() and (u[1:-1, -1] == 350).all()
    assert (u[0] == 400).all() and (u[-1] == 450).all()
    # Harmonic in the end; in the center of a square, the mean of the walls.
    assert states[-1][8, 8] == pytest.approx((300 + 350 + 400 + 450) / 4, rel=1e-6)


def test_a_field_at_rest_stays(march):
    states, _, _ = march(shape=(8, 8), steps=5, amplitude=0.0, scheme="crank-nicolson")
    np.testing.assert_allclose(states[-1], 1.0, rtol=1e-15)


def test_unstable_step_is_refused_with_the_limit(march):
    limit = heat.stable_step(0.01, (1 / 64, 1 / 64))
    with pytest.raises(InputError, match=rf"exceeds {limit:.4g} s, .*crank-nicolson"):
        march(dt=1.01 * limit)
    march(dt=0.99 * limit, steps=1)
    march(dt=10 * limit, steps=1, scheme="crank-nicolson")


def test_five_temperatures_need_walls(march):
    with pytest.raises(InputError, match="--boundary dirichlet"):
        march(initial="uniform")


def test_heat_takes_the_way_that_pays(march):
    import sciml.parallel.laplacian as module

    states = []
    for worth in (WORTH_COMPILING, 1.0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "WORTH_COMPILING", worth)
            run, _, program = march(shape=(20, 24), steps=30, initial="piecewise", seed=2)
        assert program.laplacian.compiled == (worth == 1.0)
        states.append(run[-1])
    np.testing.assert_array_equal(states[0], states[1])
