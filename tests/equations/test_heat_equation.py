"""Exact solutions satisfy the equation that they are said to solve."""

import subprocess
import sys

import numpy as np
import pytest
import truths

from sciml.equations import heat
from sciml.errors import InputError

LENGTH, KAPPA = (2.0, 3.0), 0.3


def points(periodic):
    axes = [np.linspace(0.0, side, 301)[: 300 if periodic else 301] for side in LENGTH]
    return np.ix_(*axes)


def derivative(f, axis, h):
    """Second derivative, fourth order, away from the ends."""
    at = [np.roll(f, -s, axis) for s in (-2, -1, 0, 1, 2)]
    second = (-at[0] + 16 * at[1] - 30 * at[2] + 16 * at[3] - at[4]) / (12 * h * h)
    return second[2:-2, 2:-2]


@pytest.mark.parametrize("kind", ["periodic", "dirichlet", "series"])
def test_exact_solutions_satisfy_the_equation(kind):
    solution = {
        "periodic": lambda t: heat.periodic_mode(points(True), t, (2, -1), LENGTH, KAPPA, 0.4),
        "dirichlet": lambda t: heat.dirichlet_mode(points(False), t, (1, 3), LENGTH, KAPPA),
        "series": lambda t: truths.heat_fourier_solution(
            {(0, 0): 1.0 + 0j, (1, 2): 0.5 - 0.2j, (0, 3): 0.1j}, points(True), t, LENGTH, KAPPA
        ),
    }[kind]
    t, dt = 0.2, 1e-4
    h = [side / 300 for side in LENGTH]
    u_t = ((solution(t + dt) - solution(t - dt)) / (2 * dt))[2:-2, 2:-2]
    laplacian = sum(derivative(solution(t), axis, h[axis]) for axis in (0, 1))
    left = np.abs(heat.residual(u_t, laplacian, KAPPA)).max()
    assert left < 1e-5 * np.abs(u_t).max()


def test_series_starts_at_its_coefficients():
    x = np.ix_(np.arange(8) / 8 * LENGTH[0], np.arange(6) / 6 * LENGTH[1])
    u = truths.heat_fourier_solution({(1, 2): 0.5 - 0.2j}, x, 0.0, LENGTH, KAPPA)
    spectrum = np.fft.fft2(u) / u.size
    assert spectrum[1, 2] == pytest.approx((0.5 - 0.2j) / 2)


def test_dirichlet_mode_vanishes_on_the_boundary():
    u = heat.dirichlet_mode(points(False), 0.0, (2, 1), LENGTH, KAPPA)
    edges = np.concatenate([u[0], u[-1], u[:, 0], u[:, -1]])
    assert np.abs(edges).max() < 1e-14 < np.abs(u).max()


def test_stable_step_is_the_edge_of_stability():
    h = (0.1, 0.2)
    dt = heat.stable_step(KAPPA, h)
    # The checkerboard is the fastest mode of the stencil; |growth| = 1 at the limit.
    growth = 1.0 - dt * KAPPA * sum(4.0 / hi**2 for hi in h)
    assert growth == pytest.approx(-1.0)


def test_tensors_give_the_same():
    torch = pytest.importorskip("torch")
    x = np.ix_(np.linspace(0, 2, 5), np.linspace(0, 3, 4))
    tensors = [torch.from_numpy(xi) for xi in x]
    for mode in (heat.periodic_mode, heat.dirichlet_mode):
        expected = mode(x, 0.1, (1, 2), LENGTH, KAPPA)
        got = mode(tensors, torch.tensor(0.1, dtype=torch.float64), (1, 2), LENGTH, KAPPA)
        np.testing.assert_allclose(got.numpy(), expected, atol=1e-15)


def test_wrong_number_of_axes_is_refused():
    with pytest.raises(InputError, match="one number an axis"):
        heat.periodic_mode((np.zeros(3),), 0.0, (1,), LENGTH, KAPPA)


def test_equations_import_no_torch():
    code = "import sciml.equations.heat, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_manufactured_solution_solves_its_equation():
    """By centered differences: ∂u/∂t − ∂x(κ ∂x u) − ∂y(κ ∂y u) = q."""
    x, y, t, h = np.array([0.2, 0.7]), np.array([0.9, 0.4]), 0.3, 1e-3
    u, kappa = (
        truths.heat_manufactured_solution,
        truths.heat_manufactured_conductivity,
    )
    rate = (u(x, y, t + h) - u(x, y, t - h)) / (2 * h)

    def flux_balance(ex, ey):
        ahead, behind = (x + ex / 2, y + ey / 2), (x - ex / 2, y - ey / 2)
        forward = kappa(*ahead) * (u(x + ex, y + ey, t) - u(x, y, t))
        backward = kappa(*behind) * (u(x, y, t) - u(x - ex, y - ey, t))
        return (forward - backward) / h**2

    found = rate - flux_balance(h, 0.0) - flux_balance(0.0, h)
    np.testing.assert_allclose(
        found, truths.heat_manufactured_heating(x, y, t), rtol=1e-4, atol=1e-6
    )
