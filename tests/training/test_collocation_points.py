"""Points in regions, where the residual is large, and in a span of time that grows; balanced losses."""

import numpy as np
import pytest
import torch
from torch import nn

from sciml.errors import InputError
from sciml.training import Checkpoints, CollocationSource, Hooks, Phase, train
from sciml.training.adaptive import Adaptive
from sciml.training.balance import Balance
from sciml.training.collocation import SAMPLERS, BoxPoints
from sciml.training.step import Problem

SQUARE = {"y": (0.0, 1.0), "x": (0.0, 2.0)}
DISK = {"kind": "disk", "center": [0.5, 0.5], "radius": 0.25}
PLATE = {
    "kind": "difference",
    "of": [{"kind": "rectangle", "low": [0, 0], "high": [2, 1]}, DISK],
}


def region(keys, sides=SQUARE):
    pytest.importorskip("deepxde", reason="needs the extra 'pinn'")
    from sciml.training.region import region_of

    return region_of(keys, sides)


@pytest.mark.parametrize("sampler", [*SAMPLERS])
def test_each_sampler_fills_the_box(sampler):
    points = BoxPoints({"x": (0.0, 1.0)}, (0.0, 2.0), sampler=sampler)
    found = points(np.random.default_rng(0), 1000)["interior"]
    assert found.shape == (1000, 2) and (found >= 0).all() and found[:, 1].max() < 2
    counts, _, _ = np.histogram2d(found[:, 0], found[:, 1], 4)
    # Sets of low discrepancy fill each of 16 parts alike, random ones to about √n.
    within = 30 if sampler in ("uniform", "latin-hypercube") else 8
    assert np.abs(counts - 1000 / 16).max() < within
    other = points(np.random.default_rng(1), 1000)["interior"]
    assert not np.allclose(found, other)


def test_points_lie_in_a_region_and_on_its_boundary():
    """A plate with a hole; the first axis of points is y, that of a shape x."""
    points = BoxPoints(SQUARE, (0.0, 1.0), boundary=200, flux=200, region=region(PLATE))
    found = points(np.random.default_rng(0), 400)
    y, x, _ = found["interior"].T
    assert len(x) == 400 and (np.hypot(x - 0.5, y - 0.5) > 0.25).all()
    assert {*map(tuple, found["interior"])} != {
        *map(tuple, points(np.random.default_rng(1), 400)["interior"])
    }
    for group in ("boundary", "flux"):
        y, x = found[group].T[:2]
        hole = np.isclose(np.hypot(x - 0.5, y - 0.5), 0.25)
        edge = np.isclose(x, 0) | np.isclose(x, 2) | np.isclose(y, 0) | np.isclose(y, 1)
        assert (hole | edge).all() and hole.any() and edge.any()
    # The normal of a plate points into its hole.
    y, x, _, ny, nx = found["flux"].T
    hole = np.isclose(np.hypot(x - 0.5, y - 0.5), 0.25)
    inward = np.stack([0.5 - x, 0.5 - y])[:, hole] / 0.25
    assert np.allclose(np.stack([nx, ny])[:, hole], inward, atol=1e-5)
    again = points(np.random.default_rng(0), 400)
    assert all(np.array_equal(found[name], again[name]) for name in found)


def test_points_on_the_sides_of_a_box():
    points = BoxPoints(SQUARE, (0.0, 1.0), periodic=("x",), flux=6, seam=5)
    found = points(np.random.default_rng(0), 8)
    y, x, _, ny, nx = found["flux"].T
    assert np.array_equal(ny, 2 * y - 1) and not nx.any() and len({*x}) == 6
    assert found["seam"].shape == (5, 3) and not found["seam"][:, 1].any()


@pytest.mark.parametrize("sampler", [*SAMPLERS])
def test_each_side_has_points_all_along_it(sampler):
    """Not in one half of the times: every second point of a sequence would be."""
    box = BoxPoints(SQUARE, (0.0, 1.0), boundary=128, sampler=sampler)
    found = box(np.random.default_rng(0), 4)["boundary"] / [1.0, 2.0, 1.0]
    for axis in (0, 1):
        for side in (0.0, 1.0):
            [there] = np.nonzero(found[:, axis] == side)
            rest = np.delete(found[there], axis, axis=1)
            assert len(there) == 32 and (np.ptp(rest, axis=0) > 0.75).all()
    seams = BoxPoints(SQUARE, (0.0, 1.0), periodic=("x", "y"), seam=64, sampler=sampler)
    low = seams(np.random.default_rng(0), 4)["seam"]
    for axis, turn in ((0, 0), (1, 1)):  # in the order of the sides
        assert not low[turn::2, axis].any()
        assert (np.ptp(low[turn::2] / [1.0, 2.0, 1.0], axis=0).sum()) > 1.5
    one_side = region({"kind": "rectangle", "low": [0, 0], "high": [1, 1]})
    inside = BoxPoints(SQUARE, sampler=sampler, region=one_side)
    assert np.ptp(inside(np.random.default_rng(0), 64)["interior"][:, 0]) > 0.8


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"kind": "dsk"}, "unknown kind 'dsk'; did you mean 'disk'"),
        (
            {"kind": "disk", "center": [0.5, 0.5], "radius": 0},
            "radius=0; expected a number above 0",
        ),
        ({"kind": "disk", "center": 0.5, "radius": 0.1}, "center=0.5; expected 2 numbers"),
        ({"kind": "disk", "center": [0.5, 0.5]}, "without radius"),
        (DISK | {"radios": 1}, "disk has no key 'radios'; did you mean 'radius'"),
        (
            DISK | {"radius": 0.6},
            "reaches from -0.1 to 1.1 along x.*from 0 to 2; expected it inside",
        ),
        ({"kind": "cuboid", "low": [0, 0, 0], "high": [1, 1, 1]}, "domain of 2 axes; expected 3"),
        ({"kind": "union", "of": [DISK]}, "expected a list of two"),
        ({"kind": "polygon", "vertices": [[0, 0], [1, 1]]}, "three places"),
        ({"kind": "rectangle", "low": [1, 1], "high": [0, 0]}, "rectangle with"),
        ("disk", "got 'disk'; expected {kind: disk"),
    ],
)
def test_a_shape_that_cannot_be_is_refused_in_a_line(keys, says):
    with pytest.raises(InputError, match=says) as refused:
        region(keys)
    assert "\n" not in str(refused.value)


class Front(nn.Module):
    """u(x, t) = w, and a residual that is large near x = 0.7."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([0.3, -0.2]))


class Steep:
    """Residuals and losses of :class:`Front`."""

    def pointwise(self, model, group, points):
        near = torch.exp(-(((points[:, 0] - 0.7) / 0.02) ** 2))
        return {"equation": (near * (1.0 + model.w.square().sum())) ** 2}

    def __call__(self, model, batch):
        points = batch.inputs["interior"]
        return {
            "equation": self.pointwise(model, "interior", points)["equation"].mean(),
            "small": 1e-4 * (model.w - points.mean()).square().sum(),
        }


def line(**options):
    return CollocationSource(BoxPoints({"x": (0.0, 1.0)}, (0.0, 1.0)), 64, **options)


def test_points_go_where_the_residual_is():
    source, seen = line(adaptive=Adaptive(every=3, k=2.0, c=0.1)), []

    class Seen(Steep):
        def __call__(self, model, batch):
            seen.append(batch.inputs["interior"].detach().numpy().copy())
            return super().__call__(model, batch)

    train(Front(), source, Seen(), Phase(lr=1e-3, steps=7))
    near = [(np.abs(x[:, 0] - 0.7) < 0.05).mean() for x in seen]
    assert max(near[:3]) < 0.2 and min(near[3:]) > 0.5
    assert np.array_equal(seen[3], seen[5]) and not np.array_equal(seen[3], seen[6])
    # Added to those that there are.
    grown = line(adaptive=Adaptive(every=2, add=8))
    seen[:] = []
    train(Front(), grown, Seen(), Phase(lr=1e-3, steps=5))
    assert [len(x) for x in seen] == [64, 64, 72, 72, 80]
    assert np.array_equal(seen[4][:72], seen[3]) and (np.abs(seen[4][72:, 0] - 0.7) < 0.1).all()


def test_uniform_weights_leave_the_distribution():
    squares = np.zeros(1000)
    squares[:10] = 1e6
    flat = Adaptive(k=0.0).chosen(squares, 100, np.random.default_rng(0))
    assert len({*flat}) == 100 and (flat < 10).sum() < 5
    sharp = Adaptive(k=1.0, c=0.0).chosen(squares, 10, np.random.default_rng(0))
    assert {*sharp} == {*range(10)}
    assert len({*Adaptive(c=0.0).chosen(0 * squares, 10, np.random.default_rng(0))}) == 10


def test_time_grows_by_stages():
    source = line(curriculum=8, stages=4)
    source.sampler = BoxPoints({"x": (0.0, 1.0)}, (1.0, 3.0), initial=4)
    assert source.peek().inputs["interior"][:, 1].max() > 2.8  # scaling sees the whole span
    batches = [source.next_batch().inputs for _ in range(9)]
    last = [float(b["interior"][:, 1].max().detach()) for b in batches]
    for k, reached in enumerate(last):
        end = min(3.0, 1.0 + 0.5 * (k // 2 + 1))
        assert end - 0.1 < reached <= end
    assert all((b["initial"][:, 1] == 1.0).all() for b in batches)
    with pytest.raises(InputError, match="no time"):
        CollocationSource(BoxPoints({"x": (0.0, 1.0)}), 8, curriculum=3)


def test_balanced_losses_have_gradients_of_one_length():
    model, objective = Front(), Steep()
    lengths = []

    class Seen(torch.optim.SGD):
        pass

    balance = Balance()
    problem = Problem(model, objective, [line().next_batch()], {}, 1)
    balance.measure(problem)
    for name, loss in problem.separately().items():
        [gradient] = torch.autograd.grad(loss, [model.w], retain_graph=True)
        lengths.append(float(balance.factors[name] * gradient.norm()))
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-5)
    before = dict(balance.factors)
    with torch.no_grad():
        model.w.mul_(2.0)
    balance.measure(problem)
    assert balance.factors != before
    assert balance.factors["small"] == pytest.approx(before["small"], rel=0.2)


def test_a_loss_that_does_not_count_does_not_balance():
    factors = []
    for weights in ({}, {"small": 0.0}):
        balance = Balance()
        balance.measure(Problem(Front(), Steep(), [line().next_batch()], weights, 1))
        factors.append(balance.factors)
    alone = next(name for name in factors[0] if name != "small")
    assert {*factors[0]} == {"small", alone} and factors[1] == {alone: 1.0}


def test_a_curriculum_that_would_not_end_is_refused():
    """L-BFGS draws once, however many its steps."""
    plan = [Phase("adam", steps=5), Phase("lbfgs", lr=1.0, steps=100)]
    with pytest.raises(InputError, match="curriculum=20 draws, and there are 6 in all phases"):
        train(Front(), line(curriculum=20), Steep(), plan)
    train(Front(), line(curriculum=6), Steep(), [Phase("adam", steps=6)])


@pytest.mark.parametrize("stop", [4, 7])
def test_all_of_it_resumes_bitwise(stop, tmp_path):
    """In an Adam phase, and in the L-BFGS phase behind, whose batch is another size."""
    plan = [
        Phase("adam", lr=1e-2, steps=5, balance=2),
        Phase("lbfgs", lr=1.0, steps=4, iterations=2, redraw=2, batch_size=96, balance=1),
    ]

    def source():
        return line(adaptive=Adaptive(every=3, c=0.5), curriculum=6)

    whole, halted, resumed = Front(), Front(), Front()
    losses = train(whole, source(), Steep(), plan).losses
    hooks = Hooks(checkpoints=Checkpoints(tmp_path))
    hooks.on_step = lambda step, history: hooks.stop.set() if step.step == stop else None
    train(halted, source(), Steep(), plan, hooks=hooks)
    found = Checkpoints(tmp_path).newest()
    assert found.step == stop and found.state["balance"]
    again = train(resumed, source(), Steep(), plan, resume=found)
    assert torch.equal(whole.w, resumed.w) and again.losses == losses[stop:]


@pytest.mark.parametrize(
    ("do", "says"),
    [
        (lambda: Adaptive(every=0), "every=0; expected 1 or more"),
        (lambda: Adaptive.of({"evry": 3}), "no key 'evry'; did you mean 'every'"),
        (lambda: Phase(balance=-1), "balance=-1; expected"),
        (lambda: BoxPoints(SQUARE, seam=3), "seam=3 points, and no axis is periodic"),
        (
            lambda: train(
                Front(),
                line(adaptive=Adaptive(every=1)),
                lambda m, b: {"a": m.w.sum()},
                Phase(steps=3),
            ),
            "no residuals point by point",
        ),
    ],
)
def test_what_cannot_be(do, says):
    with pytest.raises(InputError, match=says):
        do()


@pytest.mark.parametrize(
    ("keys", "part"),
    [
        ({"kind": "interval", "low": 0.2, "high": 0.8}, 0.6),
        ({"kind": "ellipse", "center": [0.5, 0.5], "semimajor": 0.4, "semiminor": 0.2}, 0.08 * np.pi),
        ({"kind": "polygon", "vertices": [[0, 0], [1, 0], [0, 1]]}, 0.5),
        ({"kind": "polygon", "vertices": [[0, 0], [1, 0], [1, 0.5], [0, 0.5]]}, 0.5),
        ({"kind": "polygon", "vertices": [[0, 0], [1, 0], [1, 1], [0.5, 0.5], [0, 1]]}, 0.75),
        ({"kind": "intersection", "of": [DISK, {"kind": "rectangle", "low": [0.5, 0], "high": [1, 1]}]},
         np.pi / 32),
        ({"kind": "union", "of": [DISK, {"kind": "rectangle", "low": [0, 0], "high": [0.1, 1]}]},
         np.pi / 16 + 0.1),
        ({"kind": "sphere", "center": [0.5, 0.5, 0.5], "radius": 0.4}, 4 / 3 * np.pi * 0.4**3),
        ({"kind": "cuboid", "low": [0, 0, 0], "high": [1, 1, 0.5]}, 0.5),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)  # fmt: skip
def test_each_shape_holds_its_part_of_the_box(keys, part):
    ndim = {"interval": 1, "sphere": 3, "cuboid": 3}.get(keys["kind"], 2)
    sides = dict.fromkeys("zyx"[3 - ndim :], (0.0, 1.0))
    where = region(keys, sides)
    drawn = np.random.default_rng(0).random((20000, ndim))
    assert where.inside(drawn).mean() == pytest.approx(part, abs=0.02)
    points = where.boundary(np.random.default_rng(0), 50)
    if keys["kind"] == "ellipse":
        x, y = (points - 0.5).T[::-1]
        assert np.allclose((x / 0.4) ** 2 + (y / 0.2) ** 2, 1.0, atol=1e-4)
        with pytest.raises(InputError, match="no normals are known of an ellipse"):
            where.normals(points)
        return
    normals = where.normals(points)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-5)
    # A little inward is inside, a little outward is not.
    step = 1e-3 * normals
    assert where.inside(points - step).mean() > 0.9 and where.inside(points + step).mean() < 0.1
