"""Drag, lift and Strouhal number of fields at nodes, beside the solver's own."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from programs import march

from sciml.domain import Field, Grid
from sciml.domain.dataset import to_dataset
from sciml.errors import InputError

PATH = Path(__file__).parents[2] / "workflows" / "cylinder_flow" / "forces.py"


@pytest.fixture(scope="module")
def module():
    spec = importlib.util.spec_from_file_location("forces_of_fields", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def flow():
    """A flow that starts, off the middle of the channel: the lift falls from 2.4 to −1."""
    pytest.importorskip("ngsolve")
    off = {"cylinder_y": 0.15, "spacing": 0.06}
    run = march("cylinder", **off, speed=1.5, dt=0.01, steps=8, spinup=0.05, every=1)
    fields = [Field("velocity", components=2), Field("pressure")]
    values = {field.name: run.fields[field.name] for field in fields}
    truth = np.stack([run.fields["drag"], run.fields["lift"]])
    return to_dataset(run.program.domain(), fields, values, run.times.tolist()), truth


def off(found, truth):
    """Root mean square; without the ends, where derivatives in time are less accurate."""
    return np.sqrt(np.mean((np.stack(found) - truth)[:, 1:-1] ** 2, axis=1))


@pytest.mark.parametrize(
    ("without", "drag", "lift"), [((), 0.015, 0.009), (("pressure",), 0.15, 0.08)]
)
def test_forces_are_those_of_the_solver(module, flow, without, drag, lift):
    """Viscosity is 0.5 of the drag, pressure 3; without it, inertia is 3.6 and the start 0.6."""
    ds, truth = flow
    found = module.forces(ds.drop_vars(without), 1e-3, 1.0, 0.1)
    assert (off(found, truth) < (drag, lift)).all(), off(found, truth)
    assert np.ptp(truth[0]) > 0.5 and np.ptp(truth[1]) > 3.0


def test_forces_are_those_of_a_rollout_that_ends(module, flow):
    ds, _ = flow
    velocity = ds["velocity"].astype(np.float32)
    broken = {"velocity": velocity.where(ds["time"] < 0.045), "pressure": ds["pressure"]}
    broken = ds.assign({name: array.expand_dims("sample") for name, array in broken.items()})
    drag, lift = module.forces(broken, 1e-3, 1.0, 0.1)
    whole, _ = module.forces(ds.isel(time=slice(5)), 1e-3, 1.0, 0.1)
    np.testing.assert_allclose(drag[:5], whole, rtol=1e-4)
    assert np.isnan(drag[5:]).all() and np.isnan(lift[5:]).all()


def test_times_may_be_dates(module, flow):
    ds, _ = flow
    since = np.datetime64("2020-01-01", "ns") + (1e9 * ds.time.values).astype("m8[ns]")
    found = module.forces(ds.assign_coords(time=since), 1e-3, 1.0, 0.1)
    np.testing.assert_allclose(found, module.forces(ds, 1e-3, 1.0, 0.1), rtol=1e-6)


def test_forces_of_a_flow_that_cannot_be_are_one_line(module, flow):
    ds, _ = flow
    grid = to_dataset(
        Grid((4, 4), ((0, 1), (0, 1)), ("open", "open")),
        [Field("velocity")],
        {"velocity": np.ones((4, 4))},
        None,
    )
    for bad, body, line in (
        (ds, "wing", "no group of nodes 'wing'; there are wall, outflow, inflow, cylinder"),
        (ds.isel(time=[0, 1]), "cylinder", "forces of 2 frames; expected three or more"),
        (ds.drop_vars("velocity"), "cylinder", "no 'velocity'; there are"),
        (grid, "cylinder", "forces on a grid; expected a mesh of triangles in a plane"),
    ):
        with pytest.raises(InputError, match=line):
            module.forces(bad, 1e-3, 1.0, 0.1, body)


def test_rates_are_exact_to_second_order_within(module):
    times = np.array([0.0, 0.1, 0.3, 0.35, 0.6, 0.7])
    values = np.stack([times**2, 3.0 - times], axis=1)
    np.testing.assert_allclose(
        module._rates(values, times), np.stack([2 * times, -1 + 0 * times], 1), atol=1e-12
    )
    times = np.linspace(0.0, 2.0, 33)  # sixteen a period, as a lift
    found = module._rates(np.sin(2 * np.pi * times)[:, None], times)[4:-4, 0] / (2 * np.pi)
    np.testing.assert_allclose(found, np.cos(2 * np.pi * times[4:-4]), atol=2e-3)


def test_the_strouhal_number_is_that_of_the_swing(module):
    times = 0.02 * np.arange(70)
    swing = np.sin(2 * np.pi * 3.1 * times + 0.4)
    assert module.strouhal(swing - 0.3, 0.02, 1.0, 0.1) == pytest.approx(0.31, rel=3e-3)
    trembling = swing + 0.1 * np.random.default_rng(0).uniform(-1, 1, 70)
    assert module.strouhal(trembling, 0.02, 2.0, 0.1) == pytest.approx(0.155, rel=2e-2)
    for none in (
        0.01 * swing,
        swing * np.exp(-2.0 * times),
        np.where(times > 1.0, np.nan, swing),
        swing[:25],
        np.random.default_rng(0).normal(size=70),
        np.cumsum(times),
        [],
    ):
        assert np.isnan(module.strouhal(none, 0.02, 1.0, 0.1)), none
