"""Exact solutions satisfy Darcy's equation; coefficients are what they are said to be."""

import numpy as np
import pytest
import truths

from sciml.equations import darcy
from sciml.errors import InputError


def derivative(f, axis, h):
    """First derivative, fourth order; wrong within two points of the ends."""
    at = {s: np.roll(f, -s, axis) for s in (-2, -1, 1, 2)}
    return (at[-2] - 8 * at[-1] + 8 * at[1] - at[2]) / (12 * h)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_manufactured_solution_satisfies_the_equation(ndim):
    n = 81
    x = np.ix_(*[np.linspace(0.0, 1.0, n)] * ndim)
    a, u = (
        truths.darcy_manufactured_coefficient(x),
        truths.darcy_manufactured_solution(x),
    )
    assert a.min() >= 0.5 - 1e-12
    gradient = [derivative(u, axis, 1 / (n - 1)) for axis in range(ndim)]
    q = truths.darcy_flux(a, gradient)
    divergence = sum(derivative(qi, axis, 1 / (n - 1)) for axis, qi in enumerate(q))
    left = truths.darcy_residual(divergence, truths.darcy_manufactured_source(x))
    inside = (slice(4, -4),) * ndim
    assert np.abs(left[inside]).max() < 2e-4 * np.abs(divergence[inside]).max()
    for axis in range(ndim):
        edges = np.take(u, [0, -1], axis)
        assert np.abs(edges).max() < 1e-15 < np.abs(u).max()


def test_layers_carry_one_flux():
    values, widths = (1.0, 10.0, 0.2), (0.3, 0.5, 0.2)
    mean = truths.darcy_harmonic_mean(values, widths)
    assert mean == pytest.approx(1.0 / (0.3 / 1.0 + 0.5 / 10.0 + 0.2 / 0.2))
    edges = np.array([0.0, 0.3, 0.8, 1.0])
    u = truths.darcy_layered_solution(edges, values, widths, (2.0, 1.0))
    assert u[0] == 2.0 and u[-1] == pytest.approx(1.0)
    fluxes = -np.array(values) * np.diff(u) / np.diff(edges)
    np.testing.assert_allclose(fluxes, mean * (2.0 - 1.0), rtol=1e-13)
    with pytest.raises(InputError, match="one width for each layer"):
        truths.darcy_harmonic_mean((1.0, 2.0), (1.0,))


def test_two_phases_have_two_values():
    a = darcy.two_phase(np.array([-1.0, 0.0, 2.0]), 12.0, 3.0)
    np.testing.assert_array_equal(a, [3.0, 12.0, 12.0])


def test_multiscale_coefficient_at_known_points():
    # At the origin each cosine is 1 and each sine 0; along x + y = 1 / a₁ the first cosine is −1.
    k = np.array([1.2, 2.5, 5.0, 9.0, 20.0, 40.0])
    assert darcy.multiscale(np.array(0.0), np.array(0.0), k) == pytest.approx(1.5**6)
    x, y = np.array(0.25 / 1.2), np.array(0.75 / 1.2)
    assert darcy.multiscale(x, y, k[:1]) == pytest.approx(0.5)
    points = np.linspace(0.0, 1.0, 200)
    a = darcy.multiscale(points[None, :], points[:, None], k)
    assert a.min() > 0.0 and a.max() < 2.25**6


def test_tensors_give_the_same():
    torch = pytest.importorskip("torch")
    x = np.ix_(np.linspace(0, 1, 5), np.linspace(0, 1, 4))
    tensors = [torch.from_numpy(xi) for xi in x]
    functions = (
        truths.darcy_manufactured_coefficient,
        truths.darcy_manufactured_solution,
        truths.darcy_manufactured_source,
        lambda p: darcy.multiscale(p[1], p[0], (1.3, 2.7)),
        lambda p: darcy.two_phase(p[0] - 0.5 + 0.0 * p[1], 12.0, 3.0),
        lambda p: truths.darcy_layered_solution(p[0], (1.0, 4.0), (0.5, 0.5), (0.0, 1.0)),
    )
    for function in functions:
        np.testing.assert_allclose(function(tensors).numpy(), function(x), atol=1e-14)
