"""Exact solutions satisfy Helmholtz' equation; the phase error is that of the stencil."""

import numpy as np
import pytest
import truths

from sciml.equations import helmholtz


def second(f, axis, h):
    at = [np.roll(f, -s, axis) for s in (-2, -1, 0, 1, 2)]
    return (-at[0] + 16 * at[1] - 30 * at[2] + 16 * at[3] - at[4]) / (12 * h * h)


def test_manufactured_solution_satisfies_the_equation():
    x = np.ix_(np.linspace(0, 1, 201), np.linspace(0, 1, 201))
    k = 7.0 + np.sin(3.0 * x[0]) * x[1]
    u = truths.helmholtz_manufactured_solution(x, (2, 3))
    laplacian = sum(second(u, axis, 1 / 200) for axis in (0, 1))
    f = truths.helmholtz_manufactured_source(x, (2, 3), k)
    left = helmholtz.residual(laplacian, u, k, f)[2:-2, 2:-2]
    assert np.abs(left).max() < 1e-5 * np.abs(laplacian).max()
    assert np.abs(np.diff(u, axis=0)[0]).max() < 1e-3  # no slope at the wall


def test_standing_wave_satisfies_the_equation():
    y, k = np.linspace(0, 1, 401), 11.0
    u = truths.helmholtz_standing_wave(y, k)
    left = helmholtz.residual(second(u, 0, 1 / 400), u, k)[2:-2]
    assert np.abs(left).max() < 1e-5 * k * k * np.abs(u).max()
    slope = np.gradient(u, y, edge_order=2)
    assert slope[0] == pytest.approx(0.0, abs=2e-3) and slope[-1] == pytest.approx(1.0, abs=2e-3)


def test_phase_error_is_that_of_the_stencil():
    # The stencil carries waves exp(i p x) with s / (1 − s h²/12) = k², s = (2 − 2 cos p h) / h².
    k, h = 50.0, 0.01
    s = k * k / (1.0 + k * k * h * h / 12.0)
    p = np.arccos(1.0 - s * h * h / 2.0) / h
    assert truths.helmholtz_phase_error(k, h) == pytest.approx(p - k, rel=0.05)
    assert helmholtz.points_per_wavelength(k, h) == pytest.approx(12.566, rel=1e-4)


def test_tensors_give_the_same():
    torch = pytest.importorskip("torch")
    x = np.ix_(np.linspace(0, 1, 5), np.linspace(0, 1, 4))
    tensors = [torch.from_numpy(xi) for xi in x]
    for function in (
        lambda p: truths.helmholtz_manufactured_solution(p, (1, 2)),
        lambda p: truths.helmholtz_manufactured_source(p, (1, 2), 3.0),
        lambda p: truths.helmholtz_standing_wave(p[0], 5.0),
    ):
        np.testing.assert_allclose(function(tensors).numpy(), function(x), atol=1e-13)
