"""An axis that is marked periodic and has walls is told of: by a jump, or by a kink."""

import logging

import numpy as np
import pytest
import xarray as xr

import sciml
from sciml.domain import Field, Grid
from sciml.samples import Frame, Simulation
from sciml.samples.seams import seams, spread

GRID = Grid((32,), ((0.0, 1.0),), ("periodic",))
X, RING = np.linspace(0, 1, 32), np.arange(32) / 32


def told(make, grid=GRID, scale=1.0):
    rng = np.random.default_rng(0)
    frames = [Frame(0, s, 0.1 * s, {"u": scale * make(rng)}) for s in range(6)]
    return seams([(Simulation(0, grid, (Field("u"),)), frames)])


def waves(rng, x=RING):
    return sum(rng.normal() * np.sin(2 * np.pi * k * x + rng.uniform(0, 6)) for k in (1, 2, 3))


@pytest.mark.parametrize("scale", [1.0, 1e-60, 1e60])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda rng: np.sin(np.pi * X) * rng.uniform(1, 2), "'u' has a kink"),
        (lambda rng: X + np.sin(np.pi * X) * rng.uniform(0, 0.1), "'u' jumps"),
        (lambda rng: np.cos(np.pi * X) * rng.normal(), "'u' jumps"),
    ],
)
def test_walls_are_told_of(make, said, scale):
    [line] = told(make, scale=scale)
    assert line.startswith("axis 'x' is marked periodic, yet " + said)


@pytest.mark.parametrize(
    "make",
    [
        waves,
        lambda rng: rng.normal(size=32),
        lambda rng: np.sign(waves(rng)),
        lambda rng: np.where(RING < 0.3, np.nan, waves(rng)),
        lambda rng: np.zeros(32),
    ],
)
def test_rings_are_not(make):
    assert told(make) == []


def test_axes_without_the_mark_are_not_looked_at():
    assert told(lambda rng: X, Grid((32,), ((0.0, 1.0),), ("open",))) == []


def test_some_are_chosen_evenly():
    assert spread(range(10), 3) == [0, 4, 9] and spread([1, 2], 3) == [1, 2]


def test_fit_says_so_and_flips_need_no_mark(caplog):
    """A wall along y, a ring along x."""
    rng = np.random.default_rng(0)
    walls = np.sin(np.pi * np.linspace(0, 1, 16))[:, None]
    values = [[walls * waves(rng, np.arange(16) / 16) for _ in range(4)] for _ in range(3)]
    ds = xr.Dataset({"q": (("sample", "time", "y", "x"), np.array(values))})
    for dim in ("y", "x"):
        ds[dim] = (dim, np.arange(16.0), {"boundary": "periodic"})
    model = {"name": "cnn", "width": 2, "blocks": 1}
    with caplog.at_level(logging.WARNING):
        sciml.fit(model, ds, epochs=1)
    [line] = [r.getMessage() for r in caplog.records if "periodic" in r.getMessage()]
    assert line.startswith("axis 'y' is marked periodic, yet 'q' has a kink")
    caplog.clear()
    del ds.y.attrs["boundary"], ds.x.attrs["boundary"]
    sciml.fit(model, ds, epochs=1, augment="square")
    assert not [r for r in caplog.records if "periodic" in r.getMessage()]
