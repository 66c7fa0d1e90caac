"""Exact solutions of advection and diffusion satisfy the equation; steps said to be stable are."""

import numpy as np
import pytest

from sciml.equations import advection_diffusion as equation
from sciml.equations.stability import EXTENT, stable_step
from sciml.errors import InputError
from sciml.solver.integrators import METHODS, Integrator

KAPPA, H, DT = 0.02, 1e-3, 1e-4
Y, X = np.ix_(np.linspace(0.1, 0.9, 9), np.linspace(0.15, 0.95, 8))


def left_over(solution, velocity):
    """Largest residual by centered differences, relative to ∂u/∂t."""
    at = lambda dy=0.0, dx=0.0, dt=0.0: solution((Y + dy, X + dx), 0.3 + dt)  # noqa: E731
    u_t = (at(dt=DT) - at(dt=-DT)) / (2 * DT)
    u_y, u_x = (at(dy=H) - at(dy=-H)) / (2 * H), (at(dx=H) - at(dx=-H)) / (2 * H)
    laplacian = (at(dy=H) + at(dy=-H) + at(dx=H) + at(dx=-H) - 4 * at()) / H**2
    v_y, v_x = velocity
    rest = equation.residual(u_t, v_y * u_y + v_x * u_x, laplacian, KAPPA)
    return np.abs(rest).max() / np.abs(u_t).max()


def test_a_carried_gaussian():
    def solution(points, t):
        return equation.gaussian(points, t, (0.4 + 0.3 * t, 0.9 + 0.7 * t), 0.1, KAPPA, (1.0, 1.0))

    assert left_over(solution, (0.3, 0.7)) < 1e-3


def test_a_turned_gaussian():
    def solution(points, t):
        at = equation.rotated((0.5, 0.7), 2.0 * t, (0.5, 0.5))
        return equation.gaussian(points, t, at, 0.1, KAPPA)

    assert left_over(solution, equation.rotation((Y, X), 2.0, (0.5, 0.5))) < 1e-3


def test_a_carried_wave():
    def solution(points, t):
        return equation.wave(points, t, (1, -2), (1.0, 1.0), (0.3, 0.7), KAPPA)

    assert left_over(solution, (0.3, 0.7)) < 1e-3


def test_images_make_the_gaussian_periodic():
    def value(y, at, width=0.3):
        return equation.gaussian((np.array([y]),), 0.0, (at,), width, KAPPA, (1.0,))

    for y in (0.1, 0.4, 0.77):
        np.testing.assert_allclose(value(y, 0.2), value(y + 3.0, 0.2), rtol=1e-6)
        np.testing.assert_allclose(value(y, 0.2), value(y, 5.2), rtol=1e-6)


def growth(method, z):
    """|R(z)|: one step of u' = z u."""
    u = np.ones(z.shape, complex)

    def nothing(t, u, out):
        out[:] = 0.0

    Integrator(method, nothing, 1.0, linear=z).advance(0.0, u)
    return np.abs(u)


@pytest.mark.parametrize("method", EXTENT)
def test_the_stability_region_is_as_wide_as_stated(method):
    assert method in METHODS
    real, imaginary = EXTENT[method]
    assert growth(method, np.array([-real + 0j]))[0] <= 1.0 + 1e-9
    assert growth(method, np.array([-1.001 * real + 0j]))[0] > 1.0
    if imaginary:
        edge = growth(method, 1j * np.linspace(0.01, imaginary, 50))
        assert edge.max() <= 1.0 + 1e-9
        assert growth(method, np.array([1.001j * imaginary]))[0] > 1.0
        # The diamond between those two ends.
        share = np.linspace(0.0, 1.0, 101)
        for depth in (0.1, 0.5, 0.9, 1.0):
            rim = depth * (-real * share + 1j * imaginary * (1.0 - share))
            assert growth(method, rim).max() <= 1.0 + 1e-9


def test_what_cannot_be_stable_gets_no_step():
    assert stable_step("euler", 1.0, 1.0) == 0.0
    assert stable_step("rk4", 0.0, 0.0) == np.inf
    with pytest.raises(InputError, match="did you mean 'rk4'"):
        stable_step("rk", 1.0)


def test_centers_need_as_many_axes_as_points():
    with pytest.raises(InputError, match="expected as many"):
        equation.gaussian((X,), 0.0, (0.5, 0.5), 0.1, KAPPA)
