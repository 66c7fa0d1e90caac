"""Branch and trunk: aligned and unaligned, outputs, sensors, bases, points asked for."""

import numpy as np
import pytest
import torch
import xarray as xr

from sciml.domain import Field, Grid
from sciml.domain.dataset import to_dataset
from sciml.errors import InputError
from sciml.samples import Task
from sciml.samples.dataset import samples_of
from sciml.surrogates import (
    DeepONet,
    MIONet,
    Statistics,
    Surrogate,
    collate,
    registry,
)
from sciml.surrogates.batch import Batch
from sciml.surrogates.deeponet.combination import STRATEGIES, widths
from sciml.surrogates.deeponet.interpolation import interpolate
from sciml.surrogates.deeponet.sensors import Sensors
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits


def made(strategy="split_both", outputs=1, stacked=False, **options):
    left, right = widths(strategy, outputs, 6)
    return DeepONet([10, 8, left], [2, 8, right], outputs, strategy, stacked, **options)


def by_hand(net, u, y):
    """The formula, one function and one point at a time; a pair of networks for one output."""
    return torch.stack(
        [torch.stack([net.branch(f[None])[0] @ net.trunk(p) + net.bias[0] for p in y]) for f in u]
    )


def test_the_formula():
    net = made()
    torch.nn.init.ones_(net.bias)
    u, y = torch.randn(3, 10), torch.rand(5, 2)
    torch.testing.assert_close(net(u, y)[:, 0], by_hand(net, u, y))


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_aligned_and_unaligned_agree(strategy, outputs, stacked):
    net = made(strategy, outputs, stacked)
    u, y = torch.randn(4, 10), torch.rand(5, 2)
    aligned = net(u, y)
    assert aligned.shape == (4, outputs, 5)
    torch.testing.assert_close(net(u, y.expand(4, 5, 2)), aligned)
    one = net(u, y[[0, 2, 1, 4], None])
    torch.testing.assert_close(one[:, :, 0], aligned[range(4), :, [0, 2, 1, 4]])


def test_the_last_layer_of_the_trunk_is_activated_that_of_the_branch_is_not():
    net = made()
    assert net.trunk(torch.randn(100, 2)).min() == 0
    assert net.branch(torch.randn(100, 10)).min() < 0


def test_strategies_share_what_they_say():
    counts = {s: sum(p.numel() for p in made(s, 2).parameters()) for s in STRATEGIES}
    assert counts["independent"] == 2 * sum(p.numel() for p in made().parameters())
    assert counts["split_both"] > counts["split_branch"] > counts["split_trunk"] - 200
    assert len(made("independent", 2).branch) == 2


def test_stacked_is_a_network_for_each_coefficient():
    net = made(stacked=True)
    x = torch.randn(7, 10)
    w, b = net.branch.weights, net.branch.biases
    third = torch.relu(x @ w[0][2] + b[0][2]) @ w[1][2] + b[1][2]
    torch.testing.assert_close(net.branch(x)[:, 2], third[:, 0])


def test_last_layers_that_do_not_fit_are_named():
    with pytest.raises(InputError, match=r"40 \(branch\) and 41 \(trunk\)"):
        DeepONet([10, 40], [1, 41])
    with pytest.raises(InputError, match=r"expected p·3 and p·1"):
        DeepONet([10, 40], [1, 40], 3, "split_branch")
    with pytest.raises(InputError, match="did you mean 'split_both'"):
        DeepONet([10, 40], [1, 40], 2, "split_bot")


def test_periodic_coordinates_wrap():
    net = DeepONet([10, 6], [2, 8, 6], periodic=(True, False), harmonics=2)
    u, y = torch.randn(2, 10), torch.rand(5, 2)
    there = y + torch.tensor([1.0, 0.0])
    torch.testing.assert_close(net(u, y), net(u, there), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(net(u, y), net(u, y + torch.tensor([0.0, 1.0])))


def test_wrong_numbers_are_named():
    net = made()
    with pytest.raises(InputError, match=r"shape \(2, 9\); expected \(functions, 10\)"):
        net(torch.zeros(2, 9), torch.zeros(1, 2))
    with pytest.raises(InputError, match="points with 3 coordinates; expected 2"):
        net(torch.zeros(2, 10), torch.zeros(1, 3))
    with pytest.raises(InputError, match="no points y"):
        net(torch.zeros(2, 10))


def test_sensors_are_found_on_finer_grids_or_named():
    sensors = Sensors((9, 8), (False, True), (5, 4))
    u = torch.arange(72.0).view(1, 1, 9, 8)
    fields, _ = sensors.measure(u)
    torch.testing.assert_close(fields.view(5, 4), u[0, 0, ::2, ::2])
    finer = torch.nn.functional.interpolate(u, (17, 8), mode="bilinear", align_corners=True)
    finer = finer.repeat_interleave(2, 3)
    torch.testing.assert_close(sensors.measure(finer)[0], fields)
    message = (
        r"shape \(10, 8\) came, with no point at 3 of the 5 sensors along an axis, the first at "
        r"0.25 .*expected shape \(9, 8\)"
    )
    with pytest.raises(InputError, match=message):
        sensors.measure(torch.zeros(1, 1, 10, 8))
    with pytest.raises(InputError, match="2 channels; expected 1 fields"):
        sensors.measure(torch.zeros(1, 2, 9, 8))


def test_points_have_the_digits_of_the_dtype():
    sensors = Sensors((7,), (True,)).bfloat16().double()
    exact = torch.arange(7, dtype=torch.float64)[:, None] / 7
    for places in (sensors.points, sensors.asked(torch.zeros(1, 1, 7))[0]):
        assert torch.equal(places, exact)


def test_sensors_stay_with_the_weights(tmp_path, grid_samples, step_task):
    samples = grid_samples(step_task, (9, 8), 2)
    domain = samples[0].simulation.domain
    config = {"name": "deeponet", "branch": [4], "trunk": [4], "basis": 3}
    surrogate = Surrogate.build({**config, "sensors": [3, 4]}, step_task, domain)
    surrogate.save(tmp_path)
    loaded = Surrogate.load(tmp_path)
    assert loaded.model.sensors.counts == (3, 4)
    assert torch.equal(loaded.model.sensors.sensors, surrogate.model.sensors.sensors)
    other = registry.build(
        "deeponet", Setting(step_task, domain), branch=[4], trunk=[4], basis=3, sensors=[4, 3]
    )
    with pytest.raises(InputError, match="sensors lie elsewhere"):
        Surrogate.load(tmp_path, other)


def test_parameters_join_the_branch(grid_samples, step_task):
    samples = grid_samples(step_task, (6, 5), 2)
    for name in ("deeponet", "mionet"):
        model = registry.build(name, Setting(step_task, samples[0].simulation.domain), basis=4)
        given = model.inputs if name == "deeponet" else sum(model.inputs)
        assert given == 6 * 5 + 1
        batch = collate(samples, step_task)
        before = Surrogate(model, step_task)(batch)["u"]
        batch.parameters.add_(1.0)
        assert not torch.allclose(Surrogate(model, step_task)(batch)["u"], before)


@pytest.mark.parametrize("name", ["deeponet", "mionet"])
def test_parameters_and_time_alone(name, grid_samples):
    task = Task((), ("u",), history=0, parameters=("a", "b"), time=True)
    samples = grid_samples(task, (5, 4), 3)
    surrogate = Surrogate.build(name, task, samples[0].simulation.domain)
    assert surrogate(collate(samples, task))["u"].shape == (3, 1, 5, 4)


def test_mionet_multiplies_its_branches():
    net = MIONet([[4, 6], [3, 6]], [1, 6])
    u, v, y = torch.randn(2, 4), torch.randn(2, 3), torch.rand(5, 1)
    wanted = (net.branches[0](u) * net.branches[1](v)) @ net.trunk(y).T
    torch.testing.assert_close(net([u, v], y)[:, 0], wanted)
    torch.testing.assert_close(net([u, v], y.expand(2, 5, 1))[:, 0], wanted)
    with pytest.raises(InputError, match=r"expected 2 with 4, 3 values"):
        net([v, u], y)


@pytest.mark.parametrize("periodic", [False, True])
def test_interpolation_is_exact_for_linear_fields_and_at_points(periodic):
    n = 6
    x = torch.arange(n) / (n if periodic else n - 1)
    values = torch.stack([torch.sin(2 * torch.pi * x), x])
    torch.testing.assert_close(interpolate(values, x[:, None], [periodic]), values)
    y = torch.rand(20, 1) * (5 / 6 if periodic else 1)
    torch.testing.assert_close(interpolate(values, y, [periodic])[1], y[:, 0])
    if periodic:
        torch.testing.assert_close(
            interpolate(values, y + 1, [True]), interpolate(values, y, [True]), atol=1e-5, rtol=1e-5
        )


@pytest.fixture
def line():
    """u and its antiderivative on a line, our own names; exact."""
    x = np.linspace(0, 2, 21)
    a = np.random.default_rng(0).standard_normal((6, 2))
    grid = Grid((21,), ((0.0, 2.0),), ("open",), "s")
    values = {"u": a[:, :1] + a[:, 1:] * x, "s": a[:, :1] * x + a[:, 1:] * x**2 / 2}
    fields = (Field("u", "m s-1"), Field("s", "m"))
    return to_dataset(grid, fields, {n: v[:, None] for n, v in values.items()}, [0.0]).isel(
        time=0, drop=True
    )


@pytest.mark.parametrize("name", ["deeponet", "pod_deeponet"])
def test_predictions_at_other_coordinates(name, line):
    task = Task(("u",), ("s",), lead=0)
    samples = samples_of(line, task)
    config = {"name": name, "basis": 2}
    surrogate = Surrogate.build(
        config, task, samples[0].simulation.domain, fields=samples[0].simulation.fields
    )
    statistics = Statistics(surrogate)
    statistics.update(samples)
    statistics.fix()
    same = surrogate.predict(line)
    fine = surrogate.predict(line, at={"x": np.linspace(0, 2, 41)})
    assert fine.s.dims == ("sample", "x") and fine.s.shape == (6, 41)
    assert fine.s.attrs == same.s.attrs and fine.x.attrs == line.x.attrs
    np.testing.assert_allclose(fine.s[:, ::2], same.s, atol=1e-5)
    xr.testing.assert_allclose(surrogate.predict(line, at={}), same, atol=1e-5)
    for at, message in (
        ({"y": [0.0]}, "no axis 'y'"),
        ({"x": [0.0, 2.5]}, r"from 0 to 2.5; expected within \[0, 2\]"),
        ({"x": [np.nan]}, "line of finite numbers"),
    ):
        with pytest.raises(InputError, match=message):
            surrogate.predict(line, at=at)


def test_whole_fields_alone_cannot_be_asked_at_points(line):
    task = Task(("u",), ("s",), lead=0)
    domain = samples_of(line, task)[0].simulation.domain
    with pytest.raises(InputError, match="MLP gives whole fields"):
        Surrogate.build("mlp", task, domain).predict(line, at={"x": [1.0]})


@pytest.mark.slow
def test_it_is_exported(tmp_path, grid_samples, step_task):
    samples = grid_samples(step_task, (8, 6), 3)
    surrogate = Surrogate.build("deeponet", step_task, samples[0].simulation.domain)
    surrogate.normalizer.update(samples)
    batch = collate(samples, step_task)
    surrogate.export(tmp_path / "model.pt2", batch)
    program = torch.export.load(tmp_path / "model.pt2").module()
    out = program(batch.inputs, batch.parameters, batch.time, batch.static)
    torch.testing.assert_close(out["u"], surrogate(batch)["u"], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_the_last_layer_taken_into_the_basis_changes_nothing(strategy, outputs):
    net = made(strategy, outputs).double()
    torch.nn.init.normal_(net.bias)
    u, y = torch.randn(60, 10).double(), torch.rand(3, 2).double()
    assert net._folds(net.trunk(y).view(3, net.groups[1], -1), len(u)) == (
        strategy != "independent" or outputs == 1
    )
    apart = net(u, y.expand(60, 3, 2))
    torch.testing.assert_close(net(u, y), apart)
    assert not net._folds(net.trunk(y).view(3, net.groups[1], -1), 1)
    torch.testing.assert_close(net(u[:1], y), apart[:1])


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
@pytest.mark.parametrize("at", [None, "aligned", "unaligned"])
@pytest.mark.parametrize("count", [2, 40])
def test_it_scales_as_a_surrogate_would(strategy, at, count, monkeypatch):
    task = Task(("u", "v"), ("v", "w"), history=2, parameters=("a",), static=("m",))
    grid = Grid((4, 3), ((0.0, 1.0),) * 2, ("open", "periodic"))
    config = {"name": "deeponet", "branch": [8], "trunk": [8], "basis": 5, "strategy": strategy}
    # Changes are added to whole fields only.
    surrogate = Surrogate.build(config | {"sensors": [2, 3]}, task, grid, increment=at is None)
    with torch.no_grad():
        torch.nn.init.normal_(surrogate.model.bias)
        n = len(surrogate.normalizer.keys)
        surrogate.normalizer.count.fill_(1.0)
        surrogate.normalizer.mean.copy_(torch.arange(n) / 3)
        surrogate.normalizer.squares.copy_(torch.arange(n) + 0.5)
    y = {
        None: {},
        "aligned": {"at": torch.rand(6, 2)},
        "unaligned": {"at": torch.rand(count, 6, 2)},
    }
    batch = Batch(
        inputs={n: torch.randn(count, 2, 4, 3) for n in "uv"},
        static={"m": torch.randn(count, 4, 3)},
        parameters=torch.randn(count, 1),
        time=torch.zeros(count, 1),
        geometry=y[at],
        size=count,
    )
    found = surrogate(batch)
    monkeypatch.setattr(DeepONet, "traits", Traits(pointwise=True))
    wanted = surrogate(batch)
    for name in task.targets:
        torch.testing.assert_close(found[name], wanted[name], atol=1e-5, rtol=1e-5)


def test_the_trunk_is_asked_once_for_the_same_points_and_weights():
    net = made().eval()
    u, y = torch.randn(4, 10), torch.rand(5, 2)
    asked = []
    net.trunk[0].register_forward_hook(lambda *_: asked.append(1))
    with torch.no_grad():
        first = net(u, y)
        assert torch.equal(net(u, y), first) and len(asked) == 1
        assert torch.equal(net(u, y.clone()), first) and len(asked) == 1
        y[0] += 0.1
        assert not torch.equal(net(u, y), first) and len(asked) == 2
        before = net(u, y)
        for weights in (net.trunk[2].weight.data, net.trunk[0].bias.data):
            weights.add_(1.0)  # unseen by version counters
            after = net(u, y)
            assert not torch.equal(after, before)
            before = after
    assert len(asked) == 4
    net(u, y).sum().backward()
    assert len(asked) == 5 and net.trunk[0].weight.grad is not None


@pytest.mark.parametrize("periodic", [None, [True, False]])
@pytest.mark.parametrize("make", [DeepONet, MIONet])
def test_a_trunk_begins_with_its_bends_spread_over_the_box(make, periodic):
    torch.manual_seed(0)
    model = make([5, 8] if make is DeepONet else [[5, 8], [5, 8]], [2, 64, 8], periodic=periodic)
    first = model.trunk[0]
    points = model.features(torch.rand(4000, 2))
    before = points @ first.weight.T + first.bias
    # Each unit is at work on one part of the box and not on another.
    assert ((before > 0).any(0) & (before < 0).any(0)).all()
    torch.nn.init.zeros_(first.bias)
    before = points @ first.weight.T + first.bias
    assert periodic or not ((before > 0).any(0) & (before < 0).any(0)).all()


def test_what_is_remembered_of_autocast_is_not_used_without():
    net, u, y = DeepONet([5, 8], [1, 16, 8]).eval(), torch.randn(2, 5), torch.rand(7, 1)
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            net(u, y)
        found = net(u, y)
    torch.testing.assert_close(found, net(u, y).detach())


def test_a_foreign_file_need_not_say_that_an_axis_is_periodic():
    grid = Grid((8,), ((0.0, 4.0),), ("periodic",))
    values = {"u": np.random.default_rng(0).standard_normal((2, 1, 8))}
    own = to_dataset(grid, (Field("u"),), values, [0.0]).isel(time=0, drop=True)
    task = Task(("u",), ("u",), lead=0)
    surrogate = Surrogate.build("deeponet", task, grid, normalizer=None)
    foreign = own.assign_coords(x=("x", own.x.values))
    at = {"x": [0.5, 1.25, 3.75]}
    np.testing.assert_array_equal(
        surrogate.predict(foreign, at=at).u, surrogate.predict(own, at=at).u
    )
