"""KdV against its solitons, Kuramoto–Sivashinsky against its growth rates and energy budget."""

import numpy as np
import pytest
import truths
from programs import made, march, rates

from sciml.equations import korteweg_de_vries as kdv
from sciml.equations import kuramoto_sivashinsky as ks
from sciml.errors import InputError


def test_a_soliton_travels_unchanged():
    run = march("korteweg_de_vries", shape=(256,), dt=2e-3, steps=500)
    wanted = kdv.soliton(run.x() - 20.0, run.times[-1], 4.0)
    assert np.abs(run.fields["u"][-1] - wanted).max() < 2e-6


def test_two_solitons_pass_through_each_other():
    run = march(
        "korteweg_de_vries", shape=(384,), dt=1e-3, steps=2000, initial="solitons", every=1000
    )
    for i, t in enumerate((-1.0, 0.0, 1.0)):
        wanted = kdv.two_solitons(run.x() - 20.0, t, (4.0, 1.0))
        assert np.abs(run.fields["u"][i] - wanted).max() < 5e-6


@pytest.mark.parametrize(
    ("steepness", "mode", "dt"), [(0.3, 2, 5e-3), (0.9, 1, 5e-3), (0.99, 2, 1e-3)]
)
def test_a_cnoidal_wave_travels_unchanged(steepness, mode, dt):
    flags = {"steepness": steepness, "mode": mode, "length": 20.0, "shape": (192,)}
    run = march("korteweg_de_vries", initial="cnoidal", dt=dt, steps=1000, **flags)
    x = run.x() - 10.0
    wanted = kdv.cnoidal(x, run.times[-1], steepness, mode, 20.0)
    assert np.abs(run.fields["u"][-1] - wanted).max() < 1e-7 * np.abs(wanted).max()
    assert np.abs(kdv.cnoidal(x, 0.0, steepness, mode, 20.0) - run.fields["u"][0]).max() < 1e-12
    # As far as it has gone, and as often on the line as it was told.
    assert np.abs(run.fields["u"][0] - wanted).max() > 0.1 * np.abs(wanted).max()
    np.testing.assert_allclose(np.roll(wanted, 192 // mode), wanted, atol=1e-9)


def test_cnoidal_waves_are_cosines_or_solitons_at_their_ends():
    x = np.linspace(-10.0, 10.0, 201)
    small = kdv.cnoidal(x, 0.0, 1e-8, 1, 20.0)
    a = np.pi / 20.0
    np.testing.assert_allclose(small, 2e-8 * a * a * np.cos(a * x) ** 2, rtol=1e-6, atol=1e-16)
    steep = kdv.cnoidal(x, 0.0, 1.0 - 1e-12, 1, 20.0)
    np.testing.assert_allclose(steep, kdv.soliton(x, 0.0, 2.0 * steep.max()), atol=1e-4)


def test_a_plain_wave_begins_as_it_is_told():
    run = march("korteweg_de_vries", initial="wave", mode=2, amplitude=0.7, steps=0)
    np.testing.assert_allclose(
        run.fields["u"][0], 0.7 * np.cos(4 * np.pi * (run.x() - 20.0) / 40.0), atol=1e-14
    )
    with pytest.raises(InputError, match="mode=200"):
        made("korteweg_de_vries", initial="wave", mode=200)


def test_a_soliton_with_a_kink_where_the_line_closes_is_refused():
    with pytest.raises(InputError, match=r"would have a kink there; expected 47\.4 or more"):
        made("korteweg_de_vries", speed=0.1)
    with pytest.raises(InputError, match="would have a kink there"):
        made("korteweg_de_vries", initial="solitons", slower=0.1)
    made("korteweg_de_vries", speed=0.1, length=100.0)


def test_solitons_solve_the_equation():
    x, t, h = np.array([-0.4, 0.3, 1.1]), 0.2, 2e-3
    for u in (
        lambda dx, dt: kdv.soliton(x + dx, t + dt, 3.0),
        lambda dx, dt: kdv.two_solitons(x + dx, t + dt, (4.0, 1.0)),
    ):
        u_t = (u(0, h) - u(0, -h)) / (2 * h)
        u_x = (u(h, 0) - u(-h, 0)) / (2 * h)
        u_xxx = (u(2 * h, 0) - 2 * u(h, 0) + 2 * u(-h, 0) - u(-2 * h, 0)) / (2 * h**3)
        assert np.abs(u_t + 6 * u(0, 0) * u_x + u_xxx).max() < 1e-2 * np.abs(u_t).max()


def test_fast_solitons_far_apart_are_two_and_finite():
    """Their exponentials alone are larger than any number."""
    x = np.linspace(-300.0, 300.0, 12001)
    with np.errstate(all="raise", under="ignore"):
        u = kdv.two_solitons(x, -2.0, (100.0, 1.0))
    assert u.max() == pytest.approx(50.0, rel=1e-3)
    # Each has moved by 2 √c but for what the encounter shifts.
    assert x[u.argmax()] == pytest.approx(-200.0, abs=0.1)
    assert u[np.abs(x + 2.0) < 3.0].max() == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ({"speed": 36.0}, r"starts 36 behind the middle of a line of 40; expected --before 0\.556"),
        ({"slower": 36.0}, "a soliton of speed 36 starts 36 behind"),
        ({"slower": 4.0}, "speed=4 and slower=4; expected two speeds"),
    ],
)
def test_solitons_that_are_not_two_on_the_line_are_refused(flags, line):
    with pytest.raises(InputError, match=line):
        made("korteweg_de_vries", initial="solitons", **flags)
    made("korteweg_de_vries", initial="soliton", **flags)
    longer = {"before": 0.5, "length": 100.0, "slower": 1.0}
    made("korteweg_de_vries", initial="solitons", **longer | {"speed": 36.0})


def test_mass_momentum_and_hamiltonian_are_conserved():
    run = march(
        "korteweg_de_vries", shape=(256,), initial="smooth", dt=1e-3, steps=1000, every=100, seed=2
    )
    u, k = run.fields["u"], run.program.fourier.k[0]
    spectrum = np.fft.rfft(u, axis=1)[:, : len(k)]
    u_x = np.fft.irfft(1j * k * spectrum, 256, axis=1)
    for density, drift in (
        (u, 1e-13),
        (u**2, 1e-7),
        (truths.korteweg_de_vries_hamiltonian(u, u_x), 1e-6),
    ):
        total = density.mean(axis=1)
        scale = np.abs(density).mean()
        assert np.ptp(total) < drift * scale, (np.ptp(total) / scale, drift)
    assert np.abs(u[-1] - u[0]).max() > 0.5


def test_small_waves_grow_at_their_rate():
    run = march(
        "kuramoto_sivashinsky",
        initial="wave",
        mode=4,
        amplitude=1e-8,
        length=40.0,
        steps=100,
        nu=1.5,
    )
    k = 2 * np.pi * 4 / 40.0
    growth = np.log(np.ptp(run.fields["u"][-1]) / np.ptp(run.fields["u"][0])) / run.times[-1]
    assert abs(growth - ks.growth_rate(k, 1.5)) < 1e-6


def test_energy_budget_of_chaos():
    """⟨u²/2⟩ changes at the rate that the equation says; by differences in time, second order."""
    errors = []
    for dt in (0.04, 0.02, 0.01):
        run = march("kuramoto_sivashinsky", dt=dt, steps=round(40 / dt) + 1, every=1, seed=7)
        u = run.fields["u"][-3:]
        k = 2 * np.pi * np.arange(129) / 64.0
        spectrum = np.fft.rfft(u[1])
        u_x, u_xx = (np.fft.irfft(spectrum * f, 256) for f in (1j * k, -(k**2)))
        rate = ((u[2] ** 2).mean() - (u[0] ** 2).mean()) / (4 * dt)
        errors.append(
            abs(
                rate
                - truths.kuramoto_sivashinsky_energy_rate((u_x**2).mean(), (u_xx**2).mean(), 1.0)
            )
        )
    assert rates(errors).min() > 1.8, (errors, rates(errors))
    assert np.abs(run.fields["u"][-1].mean()) < 1e-13
    assert 0.8 < run.fields["u"][-1].std() < 2.0, "the attractor has a standard deviation near 1.3"
