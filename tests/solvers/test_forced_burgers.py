"""The forced Burgers family: exact linear solutions, and two discretizations that agree."""

import logging

import numpy as np
import pytest

from sciml.equations import forced_burgers as equation
from sciml.equations.cells import cell_means
from sciml.errors import InputError
from sciml.solver.integrators import Integrator


def test_forcing_is_drawn_as_stated():
    drawn = [equation.Forcing.draw(seed) for seed in range(400)]
    values = {
        name: np.concatenate([getattr(f, name) for f in drawn])
        for name in ("amplitude", "rate", "waves", "phase")
    }
    assert set(values["waves"]) == {1, 2, 3} and len(values["phase"]) == 2000
    for name, low, high in (
        ("amplitude", -0.5, 0.5), ("rate", -0.4, 0.4), ("phase", 0.0, 2 * np.pi),
    ):  # fmt: skip
        assert low <= values[name].min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values[name].max() <= high
        assert values[name].mean() == pytest.approx((low + high) / 2, abs=0.03 * (high - low))
    f, x = drawn[0], np.linspace(0.0, 16.0, 7)
    wanted = sum(
        a * np.sin(w * 1.3 + 2 * np.pi * l * x / 16 + p)
        for a, w, l, p in zip(f.amplitude, f.rate, f.waves, f.phase, strict=True)
    )
    np.testing.assert_allclose(f(1.3, x), wanted, atol=1e-14)
    np.testing.assert_allclose(f(1.3, x, 2.0), cell_means(lambda s: f(1.3, s), x, 2.0), atol=1e-9)


@pytest.mark.parametrize(("beta", "gamma"), [(0.0, 0.0), (0.2, 0.0), (0.1, 0.7)])
def test_the_linear_solution_solves_the_equation(beta, gamma):
    f, h = equation.Forcing.draw(3), 1e-2
    x = np.linspace(0.0, 16.0, 33)
    u = lambda t, s=0.0: equation.linear_solution(f, t, x + s, beta, gamma)  # noqa: E731
    np.testing.assert_allclose(u(0.0), f(0.0, x), atol=1e-14)
    u_t = (u(1.0 + h) - u(1.0 - h)) / (2 * h)
    u_xx = (u(1.0, h) - 2 * u(1.0) + u(1.0, -h)) / h**2
    u_xxx = (u(1.0, 2 * h) - 2 * u(1.0, h) + 2 * u(1.0, -h) - u(1.0, -2 * h)) / (2 * h**3)
    np.testing.assert_allclose(u_t, beta * u_xx - gamma * u_xxx + f(1.0, x), atol=1e-4)


def test_both_programs_find_the_linear_solution(simulated):
    flags = {"steps": 100, "dt": 0.02, "seed": 3, "alpha": 0.0}
    states, times, program = simulated("forced_burgers", points=64, beta=0.2, **flags)
    x = program.grid.coordinates(0)
    wanted = cell_means(
        lambda s: equation.linear_solution(program.forcing, times[-1], s, 0.2, 0.0), x, 0.25
    )
    assert np.abs(states[-1]["u"] - wanted).max() < 2e-5
    states, times, program = simulated(
        "korteweg_de_vries_burgers", shape=64, beta=0.1, gamma=0.7, **flags
    )
    wanted = equation.linear_solution(program.forcing, times[-1], x, 0.1, 0.7)
    assert np.abs(states[-1]["u"] - wanted).max() < 1e-10


def test_finite_volumes_and_fourier_agree(simulated):
    """Two discretizations that share the forcing alone; at t = 4, with fronts."""
    flags = {"dt": 0.0016, "steps": 2500, "beta": 0.2, "seed": 1}
    fourier, _, program = simulated("korteweg_de_vries_burgers", shape=512, gamma=0.0, **flags)
    volumes, _, _ = simulated("forced_burgers", points=512, **flags)
    h = program.grid.spacing[0]
    # Means over cells from the Fourier coefficients.
    means = program.fourier.inverse(program.u * np.sinc(program.fourier.k[0] * h / (2 * np.pi)))[0]
    assert np.abs(fourier[-1]["u"]).max() > 0.5
    assert np.abs(volumes[-1]["u"] - means).max() < 5e-5


def test_shocks_of_the_first_family(simulated):
    """E1: the mean stays zero, as the forcing's; fine and coarse runs agree on either side."""
    runs = {}
    for n in (128, 384):
        states, _, _ = simulated(
            "forced_burgers", points=n, dt=2.56 / n, steps=200 * n // 128, seed=1
        )
        u = runs[n] = states[-1]["u"]
        assert abs(u.mean()) < 1e-12
        # A jump between neighbors, not a slope.
        assert np.abs(np.diff(u)).max() > 0.2
    # Cells lie around the points, so three fine ones make a coarse one.
    means = np.roll(runs[384], 1).reshape(128, 3).mean(1)
    apart = np.abs(means - runs[128])
    assert np.median(apart) < 2e-4 and apart.mean() < 0.01


def test_what_is_refused_and_warned_of(simulated, caplog):
    with pytest.raises(InputError, match=r"dt=0\.5 exceeds 0\.\d+, the stable limit at t=0 with"):
        simulated("forced_burgers", dt=0.5)
    with pytest.raises(InputError, match=r"take forced_burgers\.py"):
        simulated("korteweg_de_vries_burgers", beta=0, gamma=0)
    with pytest.raises(InputError, match=r"beta=-0\.1 is out of range"):
        simulated("forced_burgers", beta=-0.1)
    with caplog.at_level(logging.WARNING):
        simulated("forced_burgers", beta=0.001, steps=1)
    assert "cell Péclet number" in caplog.text


def test_diffusion_is_stable_up_to_the_limit(simulated):
    """α = 0 and points that alternate, the fastest mode of the differences."""
    limit = equation.stable_step(0.0, 0.5, 0.25)
    growth = {}
    for factor in (0.99, 1.05):
        _, _, program = simulated(
            "forced_burgers", alpha=0.0, beta=0.5, points=64, steps=0, dt=1e-3
        )
        program.u[:] = (-1.0) ** np.arange(64)
        program.sines[:] = program.cosines[:] = 0.0
        stepper = Integrator("ssp-rk3", program.rate, factor * limit)
        for n in range(60):
            stepper.advance(n * limit, program.u)
        growth[factor] = np.abs(program.u).max()
    assert growth[0.99] < 1.0 < growth[1.05]
