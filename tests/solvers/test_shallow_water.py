"""Shallow water: Stoker's dam break, a vortex that stays, what is conserved, what is refused."""

import numpy as np
import pytest
import truths

from sciml.equations.cells import cell_means
from sciml.errors import InputError, ScimlError
from sciml.solver.simulate import simulate


def dam(simulated, n, height=2.0, depth=1.0, **flags):
    given = {"initial": "dam", "boundary": "open", "length": 4.0, "height": height, "depth": depth}
    states, times, program = simulated(
        "shallow_water", shape=(6, n), dt=0.8 / n, steps=n // 2, **given | flags
    )
    x, h = program.grid.coordinates(1), program.grid.spacing[1]
    exact = [
        cell_means(
            lambda x, i=i: truths.shallow_water_dam_break(x, times[-1], height, depth, 1.0)[i],
            x,
            h,
        )
        for i in (0, 1)
    ]
    return states, exact, x


@pytest.mark.parametrize("depth", [1.0, 0.2])
def test_stoker(simulated, depth):
    apart = []
    for n in (100, 400):
        states, (h, u), x = dam(simulated, n, depth=depth)
        end = states[-1]
        assert np.ptp(end["h"], axis=0).max() < 1e-12 and np.abs(end["v"]).max() < 1e-12
        apart.append((np.abs(end["h"][0] - h).mean(), np.abs(end["u"][0] - u).mean()))
        assert end["h"].max() < 2.002 and end["h"].min() > depth - 0.01
    assert max(apart[1]) < 0.006 and max(b / a for a, b in zip(*apart, strict=True)) < 0.4, apart
    # The plateau and the place of the bore.
    plateau = (x > 0.08) & (x < 0.3)
    np.testing.assert_allclose(end["h"][0][plateau], h[plateau], rtol=1e-2)
    np.testing.assert_allclose(end["u"][0][plateau], u[plateau], rtol=1e-2)


def test_stoker_satisfies_the_jump_conditions():
    x = np.linspace(-2.0, 3.0, 20001)
    h, u = truths.shallow_water_dam_break(x, 1.0, 2.0, 0.5, 9.81 / 9.81)
    at = np.argmin(np.diff(h))
    (h1, u1), (h2, u2) = (h[at], u[at]), (h[at + 1], u[at + 1])
    speed = x[at]
    assert h1 * u1 - h2 * u2 == pytest.approx(speed * (h1 - h2), abs=1e-3)
    momentum = h1 * u1**2 + 0.5 * h1**2 - 0.5 * h2**2
    assert momentum == pytest.approx(speed * h1 * u1, abs=1e-3)
    # Water is conserved, and u + 2c is constant through the fan.
    assert np.trapezoid(h - np.where(x < 0, 2.0, 0.5), x) == pytest.approx(0.0, abs=1e-3)
    fan = (x > -np.sqrt(2.0)) & (x < -0.1)
    np.testing.assert_allclose((u + 2 * np.sqrt(h))[fan], 2 * np.sqrt(2.0), rtol=1e-12)
    with pytest.raises(InputError, match="expected left > right > 0"):
        truths.shallow_water_dam_break(x, 1.0, 0.5, 2.0, 1.0)


@pytest.mark.parametrize("boundary", ["periodic", "wall"])
def test_water_is_kept(simulated, boundary):
    states, _, program = simulated(
        "shallow_water", shape=(32, 40), dt=0.02, steps=200, initial="smooth", boundary=boundary,
        amplitude=0.15, seed=4,
    )  # fmt: skip
    water = [state["h"].sum() for state in states]
    assert max(abs(w - water[0]) for w in water) < 1e-12 * water[0]
    cell = np.prod(program.grid.spacing)
    energy = [
        0.5 * cell * (s["h"] * (s["u"] ** 2 + s["v"] ** 2) + s["h"] ** 2).sum() for s in states
    ]
    assert max(energy) < energy[0] * (1 + 1e-5)
    assert np.abs(states[-1]["u"]).max() > 0.02
    if boundary == "periodic":
        momentum = (states[-1]["h"] * states[-1]["u"]).sum()
        assert abs(momentum) < 1e-11 * water[0]


@pytest.mark.parametrize("initial", ["radial", "dam", "vortex"])
def test_the_start_goes_round_a_periodic_square(simulated, initial):
    """Wherever its center is, it is the one in the middle, moved."""
    flags = {
        "shape": (20, 20),
        "initial": initial,
        "boundary": "periodic",
        "radius": 0.3,
        "steps": 0,
    }
    [there], [middle] = (
        simulated("shallow_water", **flags, x0=x0, y0=y0)[0] for x0, y0 in ((2.25, -2.0), (0, 0))
    )
    for name in "huv":
        moved = np.roll(middle[name], (-8, 9), (0, 1))
        np.testing.assert_allclose(there[name], moved, atol=1e-12)


@pytest.mark.parametrize("boundary", ["wall", "open"])
def test_a_smooth_start_is_the_same_water_on_any_grid(simulated, boundary):
    """Depths are means over cells that fill the square: those of four cells are that of one twice as
    large."""
    flags = {"initial": "smooth", "boundary": boundary, "steps": 0, "seed": 3}
    [fine], [coarse] = (
        simulated("shallow_water", shape=shape, **flags)[0] for shape in ((24, 32), (12, 16))
    )
    means = fine["h"].reshape(12, 2, 16, 2).mean((1, 3))
    np.testing.assert_allclose(means, coarse["h"], rtol=1e-13)
    assert np.ptp(coarse["h"]) > 0.2


@pytest.mark.parametrize("boundary", ["periodic", "wall", "open"])
def test_a_lake_at_rest_stays(simulated, boundary):
    states, _, _ = simulated(
        "shallow_water", shape=(12, 10), steps=50, initial="smooth", amplitude=0.0,
        boundary=boundary,
    )  # fmt: skip
    np.testing.assert_allclose(states[-1]["h"], 1.0, rtol=1e-13)
    assert max(np.abs(states[-1][name]).max() for name in "uv") < 1e-13


def test_a_round_dam_breaks_round(simulated):
    states, times, program = simulated("shallow_water", shape=(64, 64), dt=0.02, steps=50)
    h, y = states[-1]["h"], program.grid.coordinates(0)
    assert times[-1] == pytest.approx(1.0)
    for turned in (h.T, h[::-1], h[:, ::-1]):
        np.testing.assert_allclose(turned, h, atol=1e-10)
    # Along the diagonal as along an axis.
    radius = np.hypot(*np.meshgrid(y, y))
    ring = (radius > 1.0) & (radius < 1.05)
    assert np.ptp(h[ring]) < 0.15 * (h.max() - h.min())
    # The bore outruns waves of still water, √(g h) = 1, and falls behind that of a straight dam.
    front = radius[h > 1.02].max()
    assert 1.5 - 0.08 < front < 0.5 + 1.6
    assert states[0]["h"].max() == pytest.approx(2.0) and h.max() < 1.9


def test_what_is_refused(simulated):
    with pytest.raises(
        InputError, match=r"dt=0\.1 s exceeds 0\.0138\d* s, the stable limit at t=0"
    ):
        simulated("shallow_water", dt=0.1)
    with pytest.raises(ScimlError, match=r"expected a wet bed: raise --depth$"):
        simulate(
            "solvers/shallow_water.py",
            initial="vortex",
            strength=1.6,
            radius=0.5,
            length=5.0,
            steps=1,
            dt=1e-3,
        )
    with pytest.raises(InputError, match=r"gravity=-1 is out of range"):
        simulated("shallow_water", gravity=-1.0)
