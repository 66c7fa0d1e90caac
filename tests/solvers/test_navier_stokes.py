"""Navier–Stokes: Taylor–Green vortices in a mean flow, conserved quantities, and the force."""

import numpy as np
import pytest
from programs import march

from sciml.equations import navier_stokes as ns


@pytest.mark.parametrize("drift", [0.0, 1.0])
def test_taylor_green(drift):
    run = march(
        "navier_stokes", initial="vortices", forcing="none", waves=2, nu=1e-2, drift=drift,
        dt=2.5e-3, steps=160,
    )  # fmt: skip
    y, x = np.ix_(run.x(0), run.x(1))
    wanted = ns.taylor_green(x, y, run.times[-1], 1e-2, length=1.0, waves=2, speed=drift)
    error = np.abs(run.fields["w"][-1] - wanted).max() / np.abs(wanted).max()
    assert error < (1e-5 if drift else 1e-12)
    assert np.abs(wanted).max() < 0.9 * np.abs(run.fields["w"][0]).max()


def test_energy_and_enstrophy_without_viscosity():
    """At the smallest viscosity allowed, over a time in which vortices move but hardly decay."""
    run = march(
        "navier_stokes", shape=(48, 48), forcing="none", nu=1e-7, dt=2e-2, steps=100, every=50,
        modes=6, seed=3,
    )  # fmt: skip
    f, w = run.program.fourier, run.fields["w"]
    spectra = [f.forward(state) for state in w]
    inverse = np.divide(1.0, f.k2, out=np.zeros(f.shape), where=f.k2 > 0)
    enstrophy = [f.mean_square(c) for c in spectra]
    energy = [f.dot(c, c * inverse) for c in spectra]
    assert np.ptp(enstrophy) < 1e-4 * enstrophy[0], enstrophy
    assert np.ptp(energy) < 1e-4 * energy[0], energy
    assert np.abs(w[-1] - w[0]).max() > 0.3 * np.abs(w[0]).max()


def test_the_nonlinear_term_is_minus_u_grad_w():
    run = march("navier_stokes", shape=(40, 36), forcing="none", modes=5, steps=0, drift=0.3)
    p, f = run.program, run.program.fourier
    out = np.empty_like(p.u)
    p.nonlinear(0.0, p.u, out)
    ky, kx = f.k
    psi = p.u[0] * np.divide(1.0, f.k2, out=np.zeros(f.shape), where=f.k2 > 0)
    u, v = 0.3 + f.inverse(1j * ky * psi), 0.3 - f.inverse(1j * kx * psi)
    wanted = -(u * f.inverse(1j * kx * p.u[0]) + v * f.inverse(1j * ky * p.u[0]))
    np.testing.assert_allclose(f.inverse(out)[0], wanted, atol=1e-12 * np.abs(wanted).max())


def test_the_force_of_the_fno_data():
    run = march("navier_stokes", amplitude=0.0, dt=1e-3, steps=1)
    y, x = np.ix_(run.x(0), run.x(1))
    np.testing.assert_allclose(run.fields["w"][-1], 1e-3 * ns.fno_force(x, y), rtol=2e-4, atol=1e-9)


def test_the_force_of_kolmogorov_keeps_its_laminar_flow():
    """ν k² ω = f: the flow −A/(νk) cos ky is steady."""
    run = march(
        "navier_stokes", amplitude=0.0, nu=1.0, force=1.0, forcing="kolmogorov", waves=2,
        dt=1e-2, steps=50,
    )  # fmt: skip
    k = 4 * np.pi
    wanted = ns.kolmogorov_force(run.x(0), 2, 1.0, 1.0) / k**2
    np.testing.assert_allclose(
        run.fields["w"][-1], wanted[:, None] + np.zeros(64), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize(("generator", "deviation"), [(2022, 0.185), (2020, 0.262)])
def test_the_start_varies_as_the_authors_generator_draws_it(generator, deviation):
    starts = [
        march("navier_stokes", generator=generator, seed=seed, steps=0).fields["w"][0]
        for seed in range(100)
    ]
    assert np.std(starts) == pytest.approx(deviation, rel=0.05)
