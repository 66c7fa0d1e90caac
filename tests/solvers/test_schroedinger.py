"""Nonlinear Schrödinger: a soliton, a plane wave, what is conserved, and the pair of fields."""

import numpy as np
import pytest
import truths
from programs import made, march

from sciml.equations import schroedinger
from sciml.errors import InputError
from sciml.solver import COMPLEX


def psi_of(run, at=-1):
    return run.fields["p"][at] + 1j * run.fields["q"][at]


@pytest.mark.parametrize(("mode", "kappa"), [(3, 1.0), (-5, 1.4)])
def test_a_soliton_travels_unchanged(mode, kappa):
    flags = {"shape": (512,), "dt": 2e-3, "steps": 800, "amplitude": 1.2}
    run = march("schroedinger", mode=mode, kappa=kappa, **flags)
    velocity = 2 * np.pi * mode / 40.0
    x = run.x() - 20.0
    wanted = schroedinger.soliton(x, run.times[-1], 1.2, velocity, kappa)
    assert np.abs(psi_of(run) - wanted).max() < 1e-7
    assert np.abs(psi_of(run) - psi_of(run, 0)).max() > 0.5


@pytest.mark.parametrize("kappa", [1.5, -2.0])
def test_a_plane_wave_turns_at_its_frequency(kappa):
    run = march(
        "schroedinger", initial="wave", mode=4, kappa=kappa, amplitude=0.8, shape=(64,),
        length=10.0, dt=1e-3, steps=500,
    )  # fmt: skip
    wanted = schroedinger.plane_wave(run.x() - 5.0, run.times[-1], 0.8, 2 * np.pi * 4 / 10.0, kappa)
    assert np.abs(psi_of(run) - wanted).max() < 1e-10


def test_norm_and_energy_are_conserved():
    run = march("schroedinger", initial="smooth", amplitude=0.5, steps=800, every=80, seed=4)
    psi, k = run.fields["p"] + 1j * run.fields["q"], 2 * np.pi * np.fft.fftfreq(256, 40.0 / 256)
    slope = np.fft.ifft(1j * k * np.fft.fft(psi))
    for density in (np.abs(psi) ** 2, truths.schroedinger_energy(psi, slope, 1.0)):
        total = density.mean(axis=1)
        assert np.ptp(total) < 1e-6 * np.abs(density).mean(), np.ptp(total)
    assert np.abs(np.abs(psi[-1]) - np.abs(psi[0])).max() > 0.1


def test_the_pair_is_the_complex_field_on_both_signs_of_k():
    rng = np.random.default_rng(0)
    psi = rng.standard_normal(16) + 1j * rng.standard_normal(16)
    whole = np.fft.fft(psi)
    c = np.stack([np.fft.rfft(psi.real), np.fft.rfft(psi.imag)])
    u = COMPLEX.combined(c.copy())
    np.testing.assert_allclose(u[0], whole[:9], atol=1e-13)
    np.testing.assert_allclose(u[1, :8], whole[-np.arange(8)].conj(), atol=1e-13)
    np.testing.assert_allclose(COMPLEX.fields(u), c, atol=1e-13)


def test_a_soliton_that_meets_itself_is_refused():
    with pytest.raises(InputError, match="kink where it meets itself; expected 30 or more"):
        made("schroedinger", length=20.0)
    with pytest.raises(InputError, match="kink"):
        made("schroedinger", kappa=-1.0)
    made("schroedinger", kappa=-1.0, initial="wave")


def test_fields_are_taken_as_real_and_imaginary_part(tmp_path):
    """A complex array is refused, its two parts are taken."""
    x = 2 * np.pi * np.arange(64) / 64
    psi = np.exp(2j * x)
    np.save(tmp_path / "psi.npy", psi)
    flags = {"shape": (64,), "length": 2 * np.pi, "steps": 100, "dt": 1e-3}
    with pytest.raises(InputError, match="real and imaginary part by themselves"):
        march("schroedinger", initial=tmp_path / "psi.npy", **flags | {"steps": 0})
    np.save(tmp_path / "psi.npy", np.stack([psi.real, psi.imag]))
    run = march("schroedinger", initial=tmp_path / "psi.npy", **flags)
    wanted = schroedinger.plane_wave(x, 0.1, 1.0, 2.0, 1.0)
    assert np.abs(psi_of(run) - wanted).max() < 1e-11
