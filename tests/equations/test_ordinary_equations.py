"""Riccati, pendulum, Lorenz: what is stated about them, against what defines it."""

import numpy as np
import pytest
import truths
from scipy.integrate import solve_ivp
from scipy.special import ellipk

from sciml.equations import diffusion_reaction, lorenz, pendulum
from sciml.errors import InputError


@pytest.mark.parametrize("u, start", [(2.0, -0.7), (0.0, 1.5), (-1.5, 0.4), (-3.0, -1.0)])
def test_riccati_solves_its_equation(u, start):
    t, h = np.linspace(0.02, 0.3, 9), 1e-4
    s = truths.riccati_constant_input(t, u, start)
    s_t = (
        truths.riccati_constant_input(t + h, u, start)
        - truths.riccati_constant_input(t - h, u, start)
    ) / (2.0 * h)
    assert np.abs(truths.riccati_residual(s, s_t, u)).max() < 1e-5
    assert truths.riccati_constant_input(np.zeros(1), u, start) == start


@pytest.mark.parametrize("u, start", [(2.0, -2.0), (0.0, -1.5), (-1.5, 0.4), (-1.5, -2.0)])
def test_riccati_blows_up_when_it_says(u, start):
    end = truths.riccati_blow_up(u, start)
    before, after = truths.riccati_constant_input(np.array([end - 1e-6, end + 1e-6]), u, start)
    assert before < -9e5 and after > 9e5


@pytest.mark.parametrize("u, start", [(2.0, -1.4), (0.0, 0.0), (2.0, 5.0)])
def test_riccati_without_blow_up(u, start):
    assert truths.riccati_blow_up(u, start) == np.inf
    assert np.isfinite(truths.riccati_constant_input(np.linspace(0.0, 20.0, 99), u, start)).all()


@pytest.mark.parametrize("angle", [1e-3, 1.0, -2.0, 3.1])
def test_period_is_the_elliptic_integral(angle):
    wanted = 4.0 * ellipk(np.sin(angle / 2) ** 2) / np.sqrt(2.5)
    assert abs(truths.pendulum_period(angle, 2.5) - wanted) < 1e-13 * wanted


@pytest.mark.parametrize("angle, k", [(np.pi, 1.0), (-4.0, 1.0), (1.0, 0.0)])
def test_no_period(angle, k):
    with pytest.raises(InputError, match=r"expected \|angle\| < π and k > 0"):
        truths.pendulum_period(angle, k)


def test_energy_changes_by_the_torque():
    s1, s2, u, k, h = 0.8, -1.3, 0.6, 2.0, 1e-5
    d1, d2 = pendulum.rate(s1, s2, u, k)
    up, down = (truths.pendulum_energy(s1 + e * d1, s2 + e * d2, k) for e in (h, -h))
    assert abs((up - down) / (2.0 * h) - u * s2) < 1e-9


@pytest.mark.parametrize("rho", [0.5, 10.0, 28.0])
def test_lorenz_rests_at_its_fixed_points(rho):
    for point in truths.lorenz_fixed_points(rho, 2.5):
        assert np.abs(lorenz.rate(*point, 10.0, rho, 2.5)).max() < 1e-12


def jacobian(point, *numbers):
    """By differences; the rate is a polynomial of second degree: exact."""
    steps = np.eye(3)
    return np.stack(
        [
            (np.array(lorenz.rate(*(point + e), *numbers)) - lorenz.rate(*(point - e), *numbers))
            / 2
            for e in steps
        ],
        axis=1,
    )


def test_lorenz_divergence_and_rates():
    numbers = (10.0, 28.0, 8.0 / 3.0)
    point = np.array([1.0, -2.0, 17.0])
    assert (
        abs(np.trace(jacobian(point, *numbers)) - truths.lorenz_divergence(10.0, 8.0 / 3.0)) < 1e-12
    )
    found = np.sort(np.linalg.eigvals(jacobian(np.zeros(3), *numbers)).real)
    np.testing.assert_allclose(np.sort(truths.lorenz_rates_at_rest(*numbers)), found, rtol=1e-12)


def test_a_mode_of_diffusion_solves_its_equation():
    t = np.linspace(0.0, 2.0, 5)
    decay = 0.02 * (3 * np.pi) ** 2
    wanted = solve_ivp(
        lambda t, s: 1.0 - decay * s, (0, 2), [0.0], t_eval=t, rtol=1e-10, atol=1e-12
    )
    found = diffusion_reaction.linear_mode(0.5, t, 3, 0.02)
    np.testing.assert_allclose(found, -wanted.y[0], atol=1e-9)
