"""Relative L2 and VRMSE of each field: against their formulas, whatever the units."""

import numpy as np
import pytest
import torch

from sciml.surrogates import Batch
from sciml.training.figures import lines, short, table
from sciml.training.losses import LOSSES, Comparison
from sciml.training.metrics import Tally, measure


def fields(seed=0, shape=(3, 2, 6, 5)):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape), rng.standard_normal(shape)


def grid(n, periodic=False):
    geometry = {"spacing": torch.full((3, 2), 1 / n), "periodic": torch.tensor([periodic] * 2)}
    return Batch(inputs={}, geometry=geometry, size=3)


def tally(output, target, batch=None, weights=None):
    found = Tally()
    found.add(measure(torch.as_tensor(output), torch.as_tensor(target), batch or grid(6), weights))
    return found


@pytest.mark.parametrize("unit", [1e-25, 1e-18, 1.0, 1e19, 1e25])
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_vrmse_is_its_formula_in_any_unit(unit, offset):
    u, noise = fields()
    truth, guess = unit * (u + offset), unit * (u + offset + 0.1 * noise)
    found, space = tally(guess, truth), (2, 3)
    error = np.sqrt(((guess - truth) ** 2).mean(space))
    wanted = (error / truth.std(space)).mean()
    assert found.vrmse() == pytest.approx(wanted, rel=1e-6)
    relative = (error / np.sqrt((truth**2).mean(space))).mean()
    assert found.relative_l2() == pytest.approx(relative, rel=1e-6)
    last = (error / truth.std(space))[:, -1].mean()
    assert found.vrmse(-1) == pytest.approx(last, rel=1e-6)
    # In float32, where the squares of these are infinite or nothing.
    short = tally(guess.astype(np.float32), truth.astype(np.float32))
    assert short.vrmse() == pytest.approx(wanted, rel=1e-3)


def test_the_mean_of_a_snapshot_scores_one():
    u, _ = fields()
    mean = np.broadcast_to(u.mean((2, 3), keepdims=True), u.shape).copy()
    assert tally(mean + 280, u + 280).vrmse() == pytest.approx(1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_snapshots_that_cannot_be_divided_by_are_left_out_and_counted(dtype):
    u, noise = fields()
    u[0] = 0.0
    plain = tally((u + 0.1 * noise).astype(dtype), u.astype(dtype))
    assert (plain.without_norm, plain.without_variance, plain.snapshots) == (2, 2, 6)
    others = tally((u + 0.1 * noise)[1:], u[1:])
    assert plain.vrmse() == pytest.approx(others.vrmse(), rel=1e-5)
    assert plain.relative_l2() == pytest.approx(others.relative_l2(), rel=1e-5)
    warm = tally((u + 1e5 + noise).astype(dtype), (u + 1e5).astype(dtype))
    assert (warm.without_norm, warm.without_variance) == (0, 2)
    # Constant but for rounding.
    u[0] = 1e-3 * noise[0]
    rough = tally((u + 1e5).astype(np.float32), (u + 1e5).astype(np.float32))
    assert rough.without_variance == 2
    nothing = tally(np.ones((3, 2, 4)), np.zeros((3, 2, 4)))
    assert nothing.vrmse() is None and nothing.relative_l2() is None


def test_a_number_a_sample_varies_over_the_samples():
    rng = np.random.default_rng(0)
    truth = -400 + rng.standard_normal((8, 1))
    found = tally(truth + 0.1, truth)
    assert found.vrmse() == pytest.approx(0.1 / truth.std())


def test_points_of_samples_that_lie_one_after_the_other():
    u, noise = (torch.as_tensor(v) for v in fields(shape=(5, 1, 3)))
    owner = torch.tensor([0, 0, 1, 1, 1])
    batch = Batch(inputs={}, geometry={"owner": owner}, size=2, kind="mesh")
    found = tally(u + noise, u, batch)
    wanted = [
        (noise[owner == k].square().sum() / (u[owner == k] - u[owner == k].mean(0)).square().sum())
        for k in (0, 1)
    ]
    assert found.vrmse() == pytest.approx(float(torch.stack(wanted).sqrt().mean()))


@pytest.mark.parametrize("name", ["relative_l2", "h1", "mse"])
def test_points_without_weight_do_not_count(name):
    """The field cut off where they begin is the same field, one column of differences apart."""
    u, noise = (torch.as_tensor(v) for v in fields())
    weights = torch.ones(6, 5, dtype=torch.float64)
    weights[:, 3:] = 0.0
    error, wrong = 0.1 * noise, 0.1 * noise
    wrong[..., 3:] = 1e3
    target = u.clone()
    target[..., 3:] = -1e4
    seen = Comparison(wrong, target, grid(6), 1.0, weights)
    cut = Comparison(error[..., :3].contiguous(), u[..., :3].contiguous(), grid(6), 1.0)
    assert LOSSES[name](seen)[0].item() == pytest.approx(LOSSES[name](cut)[0].item(), rel=1e-9)
    found = tally(target + wrong, target, grid(6), weights)
    part = tally((u + error)[..., :3], u[..., :3])
    assert found.vrmse() == pytest.approx(part.vrmse(), rel=1e-9)


def test_weights_that_are_all_alike_change_nothing():
    u, noise = (torch.as_tensor(v) for v in fields())
    weights = torch.full((6, 1), 0.7, dtype=torch.float64)
    for name in ("relative_l2", "h1", "mse"):
        one = LOSSES[name](Comparison(0.1 * noise, u, grid(6), 1.0))[0]
        other = LOSSES[name](Comparison(0.1 * noise, u, grid(6), 1.0, weights))[0]
        assert one.item() == pytest.approx(other.item(), rel=1e-9)
    assert tally(noise, u, weights=weights).vrmse() == pytest.approx(tally(noise, u).vrmse())


FOUND = {
    "one_step": 3e-2, "persistence": 0.3, "vrmse": 0.33, "vrmse_persistence": 0.61,
    "rollout": 0.04, "rollout_steps": 5, "vrmse_rollout": 0.5, "vrmse_rollout_last": 0.7,
    "vrmse_persistence_last": 1.2,
    "fields": {
        "wind": {"vrmse": 0.05, "vrmse_persistence": 0.6, "one_step": 0.06, "persistence": 0.6},
        "temp": {"vrmse": 0.61, "vrmse_persistence": 0.62, "one_step": 0.001, "persistence": 0.001,
                 "without_variance": 2, "snapshots": 9},
    },
}  # fmt: skip


def test_a_person_is_not_deceived_by_an_offset():
    told = "\n".join(lines(FOUND, "on 4 unseen simulations"))
    assert "VRMSE 3.30e-01 (persistence 6.10e-01), relative L2 3.00e-02" in told
    assert "on 4 unseen simulations" in told.splitlines()[0]
    assert "temp: VRMSE 6.10e-01 (persistence 6.20e-01)" in told
    assert "2 of 9 snapshots of 'temp' have no variance" in told
    assert "VRMSE 7.00e-01 (persistence 1.20e+00) at the last" in told
    assert lines({}) == [] and "nothing" in short({})
    rows = table(FOUND)
    assert rows[0].split() == ["mean", "wind", "temp"]
    [row] = [r.split() for r in rows if r.split()[0] == "vrmse"]
    assert row[:4] == ["vrmse", "0.33", "0.05", "0.61"] and "deviation" in row  # and what it is


def test_a_shock_is_told_as_one_only_where_characteristics_meet():
    found = {"least_jacobian": 0.175, "shock_time": 1.33}
    [ahead] = lines(found)
    assert ahead.endswith("least J 0.175; if it went on falling they would meet at t=1.33")
    met = lines({**found, "findings": ["characteristics meet from t=1.33 on"]})[0]
    assert met.endswith("; they meet at t=1.33")
