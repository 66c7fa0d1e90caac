"""Allen–Cahn: exact growth, energy, a disc that shrinks, and a cube without aliasing."""

import numpy as np
import pytest
import truths
from programs import march, started

from sciml.equations import allen_cahn


def test_uniform_states_grow_as_they_must():
    flags = {"shape": (8, 8), "initial": "wave", "mode": (0, 0), "amplitude": 0.1}
    run = march("allen_cahn", rate=1.5, dt=0.01, steps=200, **flags)
    wanted = truths.allen_cahn_uniform(0.1, run.times[-1], 1.5)
    assert np.abs(run.fields["u"][-1] - wanted).max() < 1e-8 and wanted > 0.8


def test_small_waves_grow_at_their_rate():
    flags = {"initial": "wave", "mode": (2, 1), "amplitude": 1e-8, "diffusivity": 2e-3}
    run = march("allen_cahn", shape=(32, 32), dt=0.05, steps=40, **flags)
    growth = np.log(np.ptp(run.fields["u"][-1]) / np.ptp(run.fields["u"][0])) / run.times[-1]
    k = 2 * np.pi * np.sqrt(5.0)
    assert growth == pytest.approx(allen_cahn.growth_rate(k, 2e-3, 1.0), abs=1e-10)


def test_the_energy_falls():
    run = march("allen_cahn", shape=(64, 64), steps=100, every=10, dt=0.1, seed=2)
    k = 2 * np.pi * np.fft.fftfreq(64, 1 / 64)
    total = []
    for u in run.fields["u"]:
        c = np.fft.fft2(u)
        slopes = [np.fft.ifft2(1j * q * c).real for q in (k[:, None], k)]
        total.append(truths.allen_cahn_energy(u, slopes[0] ** 2 + slopes[1] ** 2, 1e-3, 1.0).mean())
    assert (np.diff(total) < 0.0).all() and total[-1] < 0.5 * total[0]


def test_a_disc_of_ones_own_shrinks_by_its_curvature(tmp_path):
    """R² = R₀² − 2Dt, for fronts that are thin beside the disc."""
    d, n = 4e-4, 128
    x = (np.arange(n) + 0.0) / n - 0.5
    radius = np.hypot(x[:, None], x)
    start = truths.allen_cahn_front(0.3 - radius, d, 1.0)
    np.save(tmp_path / "u.npy", start)
    flags = {"shape": (n, n), "diffusivity": d, "dt": 0.1}
    run = march("allen_cahn", initial=tmp_path / "u.npy", steps=400, every=100, **flags)
    # The area where u = 1, from the mean.
    squared = (run.fields["u"].mean(axis=(1, 2)) + 1.0) / 2.0 / np.pi
    rate = np.diff(squared)[1:] / np.diff(run.times)[1:]
    np.testing.assert_allclose(rate, -2 * d, rtol=0.03)


def test_the_cube_has_no_aliasing():
    """Of waves below n/4 the modes kept are those that a much finer grid gives."""
    coarse = started("allen_cahn", "--shape 24 20 --modes 4 --amplitude 1.0 --seed 5")
    fine = started("allen_cahn", "--shape 96 80 --modes 4 --amplitude 1.0 --seed 5")
    assert coarse.fourier.keep == (5, 4)
    rates = []
    for run in (coarse, fine):
        out = np.empty_like(run.u)
        run.nonlinear(0.0, run.u, out)
        rates.append(out[0])
    m, k = coarse.fourier.keep
    picked = rates[1][np.r_[0 : m + 1, -m:0], : k + 1]
    np.testing.assert_allclose(rates[0], picked, atol=1e-13)
