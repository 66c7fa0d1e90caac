"""Viscous Burgers: against Cole–Hopf, against a public file, and what it conserves."""

import os
from pathlib import Path

import numpy as np
import pytest
from programs import march

from sciml.equations import burgers

NU = 0.01 / np.pi


def series(run, x):
    """Values of u between the points, by its Fourier series."""
    c, k = run.program.u[0], run.program.fourier.k[0]
    return c[0].real + 2.0 * (np.exp(1j * np.outer(x, k[1:])) @ c[1:]).real


def test_cole_hopf():
    run = march("burgers", shape=(256,), initial="sine", nu=0.02, dt=2e-3, steps=150)
    wanted = burgers.cole_hopf(
        run.x(),
        run.times[-1],
        lambda y: np.sin(2 * np.pi * y),
        lambda y: -np.cos(2 * np.pi * y) / (2 * np.pi),
        0.02,
    )
    assert np.abs(run.fields["u"][-1] - wanted).max() < 1e-7
    assert np.abs(wanted).max() < 0.9, "the front has not formed yet"


def test_cole_hopf_itself_solves_the_equation():
    x, t, h = np.array([0.31, 0.5, 0.77]), 0.4, 1e-3

    def u(dx, dt):
        return burgers.cole_hopf(
            x + dx, t + dt, lambda y: np.sin(np.pi * y), lambda y: -np.cos(np.pi * y) / np.pi, 0.05
        )

    u_t = (u(0, h) - u(0, -h)) / (2 * h)
    u_x = (u(h, 0) - u(-h, 0)) / (2 * h)
    u_xx = (u(h, 0) - 2 * u(0, 0) + u(-h, 0)) / h**2
    assert np.abs(burgers.residual(u(0, 0), u_t, u_x, u_xx, 0.05)).max() < 1e-4
    assert np.abs(u_t).min() > 0.01


def test_the_public_file_of_a_sine_steepening():
    """u₀ = −sin πx on [−1, 1], ν = 0.01/π, to 1e-5 with 1024 modes (2048 points of line length 2)."""
    folder = os.environ.get("SCIML_DATA")
    if not folder or not (Path(folder) / "pinn/burgers.npz").exists():
        pytest.skip("SCIML_DATA names no folder with pinn/burgers.npz")
    data = np.load(Path(folder) / "pinn/burgers.npz")
    x, t, wanted = data["x"].ravel(), data["t"].ravel(), data["usol"]
    dt = 1e-3
    run = march(
        "burgers", shape=(3074,), length=2.0, initial="sine", nu=NU, dt=dt,
        steps=round(t[-1] / dt), every=10,
    )  # fmt: skip
    assert run.program.fourier.shape == (1025,)
    np.testing.assert_allclose(run.times, t, atol=1e-12)
    # sin π(x + 1) = −sin πx: our line begins where theirs does.
    last = np.abs(series(run, x + 1.0) - wanted[:, -1]).max()
    print(f"largest difference at t = {t[-1]}: {last:.2e}")
    assert last < 1e-5


def test_momentum_is_conserved_and_energy_falls():
    run = march("burgers", shape=(512,), nu=0.01, dt=1e-3, steps=200, every=20, seed=4, modes=16)
    u = run.fields["u"]
    assert np.ptp(u.mean(axis=1)) < 1e-14
    energy = (u**2).mean(axis=1)
    assert (np.diff(energy) < 0).all() and energy[-1] < 0.99 * energy[0]


def test_a_thin_front_is_said_to_be_under_resolved(capsys):
    march("burgers", shape=(64,), initial="sine", nu=5e-4, dt=1e-3, steps=300, every=50)
    said = capsys.readouterr().err
    assert said.count("under-resolved") == 1 and "64" in said


@pytest.mark.parametrize(
    ("mean", "smallest", "largest"), [("zero", 0.0, 1e-12), ("random", 0.01, 4.0)]
)
def test_a_random_field_with_and_without_its_mean(mean, smallest, largest):
    options = {"shape": (64,), "modes": 16, "seed": 3, "mean": mean, "steps": 20, "dt": 1e-3}
    run = march("burgers", **options)
    means = np.abs(np.mean(run.fields["u"], axis=-1))
    assert smallest <= means[0] <= largest and means[-1] == pytest.approx(means[0], abs=1e-12)
