"""The inviscid Burgers program: Riemann problems, conservation, bounds, what it refuses."""

import numpy as np
import pytest

from sciml.equations import burgers_inviscid as equation
from sciml.equations.cells import cell_means
from sciml.errors import InputError


def riemann(simulated, n, left, right, end=0.3, boundary="open"):
    steps = 3 * n // 2
    states, times, program = simulated(
        "burgers_inviscid", points=n, initial="riemann", left=left, right=right, steps=steps,
        dt=end / steps, boundary=boundary, step_at=0.3,
    )  # fmt: skip
    x, h = program.grid.coordinates(0), 1.0 / n
    exact = cell_means(lambda x: equation.riemann(x - 0.3, times[-1], left, right), x, h)
    return states, exact, h


@pytest.mark.parametrize(
    ("left", "right"), [(1.0, 0.0), (2.0, 0.5), (1.0, -0.4), (0.0, 1.0), (-0.5, 1.5)]
)
def test_shocks_and_fans(simulated, left, right):
    apart = []
    for n in (100, 400):
        states, exact, h = riemann(simulated, n, left, right)
        u = states[-1]["u"]
        apart.append(np.abs(u - exact).mean())
        low, high = min(left, right), max(left, right)
        overshoot = max(low - u.min(), u.max() - high)
        assert overshoot < 0.01 * (high - low)
        if left > right:
            # The place of the shock from the mass behind it.
            place = ((u - right).sum() * h) / (left - right)
            assert place == pytest.approx(0.3 + 0.5 * (left + right) * 0.3, abs=0.5 * h)
            inside = (u > right + 0.05 * (left - right)) & (u < left - 0.05 * (left - right))
            assert inside.sum() <= 4
    # First order in the mean where the solution is not smooth, give or take a part of a cell.
    assert apart[1] < 0.5 * apart[0] and apart[1] < 0.003, apart


@pytest.mark.parametrize("points", [8, 50])
def test_both_jumps_of_a_periodic_line_are_where_they_should_be(simulated, points):
    """The first cell lies on both sides of the end: the mean does not depend on the grid."""
    flags = {"initial": "riemann", "boundary": "periodic", "step_at": 0.5, "steps": 0, "dt": 1e-3}
    [state], _, _ = simulated("burgers_inviscid", points=points, left=2.0, right=1.0, **flags)
    assert state["u"].mean() == pytest.approx(1.5, abs=1e-12)
    assert 1.0 < state["u"][0] < 2.0


def test_mass_is_conserved_and_variation_does_not_grow(simulated):
    states, _, _ = simulated("burgers_inviscid", points=128, steps=800, dt=1.5e-3, mean=0.4, seed=2)
    u = np.array([state["u"] for state in states])
    assert np.abs(u.sum(1) - u[0].sum()).max() < 1e-12 * np.abs(u[0]).sum()
    assert u[0].mean() == pytest.approx(0.4, abs=1e-12)
    variation = np.abs(u - np.roll(u, 1, axis=1)).sum(1)
    assert variation.max() < variation[0] * 1.01
    assert variation[-1] < 0.8 * variation[0]
    energy = (u**2).sum(1)
    # Shocks dissipate; a numerical solution may not gain.
    assert np.diff(energy).max() < 1e-4 * energy[0] and energy[-1] < 0.9 * energy[0]


def test_shocks_form_when_they_should(simulated):
    """Before the breaking time the exact solution holds, to a small error."""
    states, times, program = simulated(
        "burgers_inviscid", points=400, steps=300, dt=4e-4, initial="smooth", modes=2, seed=5
    )
    x = np.linspace(0.0, 1.0, 4001)
    slope = np.gradient(program.initial(x), x)
    breaking = equation.breaking_time(slope)
    assert 0.0 < breaking < 0.2
    n = int(0.8 * breaking / 4e-4)

    def derivative(x):
        return (program.initial(x + 1e-6) - program.initial(x - 1e-6)) / 2e-6

    def exact(x):
        return equation.smooth(x, times[n], program.initial, derivative)

    wanted = cell_means(exact, program.grid.coordinates(0), 1 / 400)
    assert np.abs(states[n]["u"] - wanted).max() < 1e-3


def test_unstable_step_is_refused_with_the_limit(simulated):
    flags = {"initial": "wave", "mean": 1.0, "points": 100}
    with pytest.raises(InputError, match=r"dt=0\.006 s exceeds 0\.005 s, in which waves at 2 m"):
        simulated("burgers_inviscid", dt=0.006, **flags)
    simulated("burgers_inviscid", dt=0.00499, steps=2, **flags)


def test_exact_solution_ends_with_the_first_shock():
    def sine(x):
        return np.sin(2 * np.pi * x)

    def slope(x):
        return 2 * np.pi * np.cos(2 * np.pi * x)

    x = np.linspace(0.0, 1.0, 200)
    assert equation.breaking_time(slope(x)) == pytest.approx(1 / (2 * np.pi), rel=1e-3)
    u = equation.smooth(x, 0.15, sine, slope)
    np.testing.assert_allclose(u, sine(x - 0.15 * u), atol=1e-12)
    h = 1e-5
    u_t = (equation.smooth(x, 0.1 + h, sine, slope) - equation.smooth(x, 0.1 - h, sine, slope)) / (
        2 * h
    )
    u_x = (equation.smooth(x + h, 0.1, sine, slope) - equation.smooth(x - h, 0.1, sine, slope)) / (
        2 * h
    )
    left = equation.residual(u_t, equation.smooth(x, 0.1, sine, slope), u_x)
    assert np.abs(left).max() < 1e-5 * np.abs(u_t).max()
