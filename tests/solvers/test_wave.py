"""The wave program: modes, energy in any medium, reversal in time, reflection, what is refused."""

import logging

import numpy as np
import pytest

from sciml.equations import wave as equation
from sciml.errors import InputError
from sciml.parallel import face_means


def energy(program, state):
    """½ Σ v² + ½ Σ c² (Δu/h)² over faces, which the differences keep in continuous time."""
    u, v = state["u"], state["v"]
    c2 = face_means(program.halo, program.grid, program.c**2)
    total = 0.5 * (v**2).sum()
    for axis, (c, h) in enumerate(zip(c2, program.grid.spacing, strict=True)):
        if program.periodic:
            slope, c = (
                np.diff(u, axis=axis, append=np.take(u, [0], axis)) / h,
                np.delete(c, 0, axis),
            )
        else:
            slope, c = np.diff(u, axis=axis) / h, np.delete(c, [0, -1], axis)
        total += 0.5 * (c * slope**2).sum()
    return total


@pytest.mark.parametrize("boundary", ["periodic", "dirichlet"])
@pytest.mark.parametrize("scheme", ["leapfrog", "rk4"])
def test_a_mode_swings_at_its_frequency(simulated, scheme, boundary):
    n = 64 + (boundary == "dirichlet")
    states, times, program = simulated(
        "wave", shape=(n, n), initial="mode", mode=(2, 1), speed=0.7, dt=5e-3, steps=300,
        boundary=boundary, scheme=scheme,
    )  # fmt: skip
    points = np.ix_(program.grid.coordinates(0), program.grid.coordinates(1))
    worst = 0.0
    for state, t in zip(states[::50], times[::50], strict=True):
        u, v = equation.standing(
            points, t, (2, 1), (1.0, 1.0), 0.7, periodic=boundary == "periodic"
        )
        worst = max(worst, np.abs(state["u"] - u).max(), np.abs(state["v"] - v).max() / 10.0)
    assert worst < 0.02
    if boundary == "dirichlet":
        edges = [states[-1]["u"][side] for side in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1])]
        assert all((edge == 0.0).all() for edge in edges)


@pytest.mark.parametrize("boundary", ["periodic", "dirichlet"])
@pytest.mark.parametrize("medium", ["constant", "layers", "smooth"])
def test_energy_is_bounded_in_any_medium(simulated, medium, boundary):
    flags = {
        "shape": (32, 35), "medium": medium, "boundary": boundary, "contrast": 0.4, "width": 0.1,
        "x0": 0.4, "seed": 2,
    }  # fmt: skip
    held = []
    for dt in (8e-3, 4e-3):
        states, _, program = simulated("wave", dt=dt, steps=round(8.0 / dt), **flags)
        energies = np.array([energy(program, state) for state in states])
        held.append(np.abs(energies / energies[0] - 1.0).max())
    # It swings, by the square of the step, and does not drift.
    assert held[1] < 0.05 and 3.0 < held[0] / held[1] < 5.0, held
    late, early = np.array_split(energies, 2)[1].mean(), np.array_split(energies, 2)[0].mean()
    assert abs(late / early - 1.0) < 0.01
    assert np.ptp(program.c) > 0.1 or medium == "constant"


def test_rk4_loses_energy_slowly(simulated):
    states, _, program = simulated(
        "wave", shape=(32, 32), dt=8e-3, steps=500, scheme="rk4", medium="smooth", width=0.1
    )
    energies = np.array([energy(program, state) for state in states])
    assert (np.diff(energies) <= 1e-12 * energies[0]).all()
    assert 0.98 < energies[-1] / energies[0] < 1.0


def test_leapfrog_runs_backwards(simulated):
    states, _, program = simulated(
        "wave", shape=(24, 24), dt=0.01, steps=200, medium="smooth", initial="smooth", seed=1
    )
    program.uv[1] *= -1.0
    for n in range(200):
        program.step(n)
    np.testing.assert_allclose(program.uv[0], states[0]["u"], atol=1e-11)
    np.testing.assert_allclose(program.uv[1], 0.0, atol=1e-9)


def test_a_faster_layer_sends_part_of_a_pulse_back(simulated):
    """A plane pulse meets a step of c from 1 to 2: (c₁ − c₂) / (c₁ + c₂) of it comes back, and
    2c₁ / (c₁ + c₂) goes on."""
    _, _, program = simulated(
        "wave", shape=(800, 5), dt=5e-4, steps=0, medium="layers", contrast=np.log(2.0)
    )
    y = program.grid.coordinates(0)[:, None] - 0.25
    pulse = np.exp(-(y**2) / (2 * 0.02**2))
    # Moving up: v = −c ∂u/∂y.
    program.uv[0], program.uv[1] = pulse, y / 0.02**2 * pulse
    program.force(program.uv[0], program.work[0])
    for n in range(800):
        program.step(n)
    u = program.uv[0][:, 2]
    back, on = u[:400], u[400:]
    assert back[np.abs(back).argmax()] == pytest.approx(-1 / 3, rel=0.02)
    assert on[np.abs(on).argmax()] == pytest.approx(2 / 3, rel=0.02)
    assert abs(y[np.abs(back).argmax(), 0] - (0.25 - 0.15)) < 0.01
    assert abs(y[400 + np.abs(on).argmax(), 0] - (0.25 + 0.3)) < 0.01


def test_the_medium_is_drawn_for_itself(simulated):
    """With seed + 1 it would be the initial field of the next run."""
    flags = {"shape": (32, 32), "dt": 1e-3, "steps": 0, "medium": "smooth", "initial": "smooth"}
    runs = [simulated("wave", seed=seed, **flags)[0][0] for seed in (4, 5)]
    fields = [f.ravel() for run in runs for f in (np.log(run["c"]), run["u"])]
    apart = np.corrcoef(fields) - np.eye(4)
    assert np.abs(apart).max() < 0.5


@pytest.mark.parametrize("place", [0.05, 1.0, -3.95])
def test_a_pulse_goes_round_a_periodic_box(simulated, place):
    """Wherever it is, it is the pulse in the middle, moved."""
    flags = {"shape": (40, 40), "dt": 1e-3, "steps": 0}
    [there], [middle] = (simulated("wave", **flags | {"x0": x0})[0] for x0 in (place, 0.5))
    moved = np.roll(middle["u"], round((place - 0.5) * 40), axis=1)
    np.testing.assert_allclose(there["u"], moved, atol=1e-12)


def test_unstable_steps_are_refused_and_the_limit_is_one(simulated):
    for scheme in ("leapfrog", "rk4"):
        limit = equation.stable_step(scheme, 2.0, (1 / 32, 1 / 32))
        flags = {"shape": (32, 32), "speed": 2.0, "scheme": scheme, "initial": "smooth"}
        with pytest.raises(
            InputError, match=rf"exceeds {limit:.4g} s, the stable limit of {scheme}"
        ):
            simulated("wave", dt=1.01 * limit, **flags)
        states, _, _ = simulated("wave", dt=0.99 * limit, steps=500, modes=16, slope=0, **flags)
        assert np.abs(states[-1]["u"]).max() < 10.0
    # What the medium adds counts too.
    with pytest.raises(InputError, match="stable limit"):
        simulated("wave", shape=(32, 32), dt=0.9 / (32 * 2**0.5), medium="smooth", contrast=1.0)
    with pytest.raises(InputError, match="did you mean 'leapfrog'"):
        equation.stable_step("leapfog", 1.0, (1.0,))


def test_few_points_a_wave_are_told(simulated, caplog):
    with caplog.at_level(logging.WARNING):
        simulated("wave", shape=(64, 64), dt=2e-3, initial="mode", mode=(0, 8), steps=0)
    assert "8 points across the shortest wave" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        simulated("wave", shape=(64, 64), dt=2e-3, initial="mode", mode=(0, 4), steps=0)
    assert caplog.text == ""
