"""The advection-diffusion program: exact solutions, conservation, what it refuses and warns of."""

import logging
from itertools import pairwise

import numpy as np
import pytest

from sciml.equations import advection_diffusion as equation
from sciml.errors import InputError


def test_the_gaussian_comes_round_and_has_spread(simulated):
    kappa, width = 1e-3, 0.06
    states, times, program = simulated(
        "advection_diffusion", shape=(96, 96), dt=1e-3, steps=1000, flow="rotation",
        rotation=2 * np.pi, kappa=kappa, width=width, x0=0.5, y0=0.7,
    )  # fmt: skip
    assert times[-1] == pytest.approx(1.0)
    points = np.ix_(program.grid.coordinates(0), program.grid.coordinates(1))
    for n in (250, 500, 1000):
        at = equation.rotated((0.7, 0.5), 2 * np.pi * times[n], (0.5, 0.5))
        wanted = equation.gaussian(points, times[n], at, width, kappa)
        apart = np.abs(states[n]["u"] - wanted).max()
        assert apart < 0.09 * wanted.max(), (n, apart)
    u = states[250]["u"]
    # A quarter turn from x towards y takes what was above the middle to its left.
    y, x = np.unravel_index(u.argmax(), u.shape)
    assert abs(program.grid.coordinates(1)[x] - 0.3) < 0.02
    assert abs(program.grid.coordinates(0)[y] - 0.5) < 0.02
    spread = (u * (points[0] - 0.5) ** 2).sum() / u.sum()
    assert spread == pytest.approx(width**2 + 2 * kappa * 0.25, rel=0.01)


@pytest.mark.parametrize("flow", ["constant", "rotation"])
@pytest.mark.parametrize("scheme", ["rk4", "ssp-rk3"])
def test_mass_is_conserved(simulated, flow, scheme):
    states, _, _ = simulated(
        "advection_diffusion", shape=(20, 24), dt=5e-3, steps=100, initial="smooth", flow=flow,
        scheme=scheme,
    )  # fmt: skip
    sums = [state["u"].sum() for state in states]
    assert max(abs(s - sums[0]) for s in sums) < 1e-12 * np.abs(states[0]["u"]).sum()
    assert states[-1]["u"].std() < 0.99 * states[0]["u"].std()


def test_unstable_step_is_refused_and_the_limit_is_one(simulated):
    flags = {"shape": (32, 32), "speed_x": 2.0, "speed_y": 1.0, "kappa": 0.02}
    limit = equation.stable_step("rk4", (1.0, 2.0), 0.02, (1 / 32, 1 / 32))
    with pytest.raises(InputError, match=rf"exceeds {limit:.4g} s, the stable limit of rk4"):
        simulated("advection_diffusion", dt=1.01 * limit, **flags)
    states, _, _ = simulated(
        "advection_diffusion", dt=0.99 * limit, steps=300, initial="smooth", modes=16, slope=0.0,
        **flags,
    )  # fmt: skip
    sizes = [np.linalg.norm(state["u"]) for state in states]
    assert all(b <= a * (1 + 1e-12) for a, b in pairwise(sizes))


def test_rotation_needs_a_plane(simulated):
    with pytest.raises(InputError, match="--dimensions 2"):
        simulated("advection_diffusion", dimensions=1, flow="rotation")


@pytest.mark.parametrize(("kappa", "warned"), [(1e-4, True), (0.05, False)])
def test_an_under_resolved_run_is_told(simulated, caplog, kappa, warned):
    with caplog.at_level(logging.WARNING):
        simulated("advection_diffusion", shape=(32, 32), speed_x=2.0, kappa=kappa, steps=1)
    said = [r.getMessage() for r in caplog.records if "Péclet" in r.getMessage()]
    assert bool(said) == warned
    if warned:
        assert f"{2.0 / 32 / kappa:.3g}" in said[0]


def test_kappa_cannot_be_negative(simulated):
    with pytest.raises(InputError, match=r"kappa=-0\.1 is out of range"):
        simulated("advection_diffusion", kappa=-0.1)
