"""PINN and LPINN as models: shapes, starts held exactly, the map back to the box, where J is lost."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from analytic import Analytic

import sciml
from sciml.domain import Grid
from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import Batch, Surrogate, registry
from sciml.surrogates.pinn.inverse import nearest, wrapped
from sciml.surrogates.pinn.watch import watched
from sciml.surrogates.scales import Scales
from sciml.surrogates.setting import Setting

TIMED = Task((), ("u",), history=0, time=True)
SINE = {"equation": "burgers", "solution": "sine"}
SMALL = {
    "pinn": {"hidden": [8, 8], "fourier": 3, "harmonics": 2},
    "lpinn": {"state": [8, 8], "characteristics": [6], "labels": 32},
}
PLAIN = Scales((0.0, 1.0), (), ((0.0, 1.0),))


def line(n=16, ends="periodic"):
    return Grid((n,), ((0.0, 2 * math.pi),), (ends,))


def plane(n=8, ends="open"):
    return Grid((n, n), ((-1.0, 1.0),) * 2, (ends,) * 2)


def built(name, task=TIMED, grid=None, **options):
    torch.manual_seed(0)
    grid = grid or line()
    surrogate = Surrogate.build({"name": name, **SMALL[name], **options}, task, grid)
    scaling = {("time", "time"): np.linspace(0, 1, 99), ("field", "u"): np.array([-1.0, 1.0])}
    scaling |= {("parameter", name): np.linspace(1, 3, 9) for name in task.parameters}
    surrogate.normalizer.take(scaling)
    surrogate.bounds.take(scaling)
    surrogate.normalizer.fix()
    return surrogate.double().eval()


def moved(surrogate, scale=0.1):
    """With a displacement that is not zero."""
    with torch.no_grad():
        surrogate.model.places.layers[-1].weight.normal_(0, scale)
    return surrogate


@pytest.mark.parametrize("name", sorted(SMALL))
def test_at_points_and_on_the_grid(name, tmp_path):
    task = Task((), ("u",), history=0, time=True, parameters=("nu",))
    surrogate = built(name, task)
    if name == "lpinn":
        moved(surrogate)
    ds = xr.Dataset(coords={"time": [0.0, 0.5, 1.0], "nu": 2.0})
    whole = surrogate.predict(ds)
    assert whole.u.dims == ("time", "x") and whole.u.shape == (3, 16)
    some = surrogate.predict(ds, at={"x": whole.x.values[[3, 8]]})
    np.testing.assert_allclose(some.u, whole.u[:, [3, 8]], atol=1e-10)
    # Periodic by itself.
    ends = surrogate.predict(ds, at={"x": [0.0, 2 * math.pi]})
    np.testing.assert_allclose(ends.u[:, 0], ends.u[:, 1], atol=1e-9)
    surrogate.save(tmp_path)
    assert Surrogate.load(tmp_path).predict(ds).identical(whole)
    # Points that nothing looks at are not passed over in silence, but for those of a truth.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert surrogate.predict(ds.assign_coords(x=whole.x)).identical(whole)
    other = ds.assign_coords(x=np.linspace(0, 6, 7))
    with pytest.warns(UserWarning, match=r"7 points along x.*not the 16.*at=\{'x': ds.x\}"):
        assert surrogate.predict(other).identical(whole)
    assert surrogate.predict(other, at={"x": other.x.values}).u.shape == (3, 7)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_each_says_what_it_is(name):
    page, options = registry.page(name), registry.described(name)
    assert "Shapes:" in page and "Source:" in page
    assert {key: option["default"] for key, option in options.items()} == registry.options(name)


@pytest.mark.parametrize("ndim", [1, 2])
def test_what_is_at_a_place_came_from_a_label(ndim):
    """Places of labels lead back to these, in float64 to rounding, whatever the network."""
    grid = line() if ndim == 1 else plane(ends="periodic")
    model = moved(built("lpinn", grid=grid), 0.05).model
    labels = torch.rand(3, 40, ndim, dtype=torch.float64)
    scalars = torch.tensor([[-1.5], [0.0], [1.5]], dtype=torch.float64)
    repeated = scalars.repeat_interleave(40, 0)
    places, slope = model.carried(labels.flatten(0, 1), repeated, PLAIN)
    det = torch.linalg.det(slope)
    assert det.min() > 0.1 and (det.max() - det.min()) > 0.05
    found = model.feet(scalars, places.reshape(3, 40, ndim).detach(), PLAIN)
    assert wrapped(found - labels, model.periodic).abs().max() < 1e-12


def test_the_way_back_knows_its_gradient():
    model = moved(built("lpinn")).model
    scalars = torch.tensor([[0.7]], dtype=torch.float64)
    y = torch.linspace(0.05, 0.95, 7, dtype=torch.float64)[None, :, None]
    weight = model.places.layers[0].weight

    def total():
        return model(scalars, y, scales=PLAIN).sin().sum()

    (gradient,) = torch.autograd.grad(total(), weight)
    h = 1e-6
    with torch.no_grad():
        weight[1, 0] += h
        above = total()
        weight[1, 0] -= 2 * h
        below = total()
        weight[1, 0] += h
    assert gradient[1, 0].item() == pytest.approx(((above - below) / (2 * h)).item(), rel=1e-6)
    assert abs(gradient[1, 0]) > 1e-3


def test_a_speed_may_be_that_of_a_parameter():
    task = Task((), ("u",), history=0, time=True, parameters=("nu", "c"))
    model = built("lpinn", task, speed={"c": 0.25}).model
    assert model.pace == 0.25 and model.proportional.tolist() == [0.0, 1.0]
    for speed in ({"v": 0.25}, {"c": "fast"}, {"c": 1.0, "nu": 1.0}, {}):
        with pytest.raises(InputError, match=r"one parameter of the task \(nu, c\)"):
            built("lpinn", task, speed=speed)


def test_u_of_a_wave_that_is_carried_far():
    """X = ξ + 11 t: eleven times around the box."""
    surrogate = built("lpinn", labels=16)
    surrogate.model.places = Analytic(lambda z: 11.0 * z[:, -1:])
    surrogate.model.state = Analytic(lambda z: torch.sin(2 * math.pi * z[:, :1]))
    surrogate.normalizer = None
    out = surrogate.predict(xr.Dataset(coords={"time": [0.0, 0.3, 1.0]}))
    wanted = np.sin(out.x.values - 2 * math.pi * 11 * out.time.values[:, None])
    np.testing.assert_allclose(out.u, wanted, atol=1e-11)


@pytest.mark.parametrize("options", [{}, {"initial": SINE}])
def test_places_begin_at_their_labels(options):
    model = built("lpinn", **options).model
    z = torch.rand(9, 1, dtype=torch.float64)
    start = torch.full((9, 1), -math.sqrt(3.0), dtype=torch.float64)
    scales = Scales((0.5, 0.5 / math.sqrt(3.0)), (), ((0.0, 0.5),))
    torch.testing.assert_close(model.places_at(z, start, scales), z)
    if options:  # and with the initial field held, the state at it, whatever the networks
        moved(Surrogate(model, TIMED, None, line()))
        model.state.layers[-1].weight.data.normal_()
        torch.testing.assert_close(model.places_at(z, start, scales), z)
        wanted = 2.0 * torch.sin(2 * math.pi * z)
        torch.testing.assert_close(model.state_at(z, start, scales), wanted)
        later = model.state_at(z, start + 1, scales)
        assert (later - wanted).abs().max() > 0.01


def test_numbers_of_the_initial_field_are_inputs():
    task = Task((), ("u",), history=0, time=True, parameters=("amplitude",))
    model = built("lpinn", task, initial=SINE, first=0.5).model
    model.state.layers[-1].weight.data.normal_()
    z, amplitude = torch.rand(2, 7, 1, dtype=torch.float64)
    scales = Scales((1.0, 0.25), ((2.0, 0.5),), ((0.0, 1.0),))
    scalars = torch.cat([(amplitude - 2.0) / 0.5, torch.full_like(z, -2.0)], dim=1)  # at t = 0.5
    found = model.state_at(z, scalars, scales)
    torch.testing.assert_close(found, amplitude * torch.sin(2 * math.pi * z))


@pytest.mark.parametrize("options", [{}, {"initial": {**SINE, "mode": 2}}])
def test_its_derivatives_are_those_of_places_and_state(options):
    model = moved(built("lpinn", **options)).model
    model.state.layers[-1].weight.data.normal_()
    z = torch.rand(5, 2, dtype=torch.float64)
    scales = Scales((0.5, 0.3), (), ((0.1, 0.5),))
    jets = model.jets(z[:, :1], z[:, 1:], scales, bent=True)

    def check(function, found):
        wanted = Analytic(lambda z: function(z[:, :1], z[:, 1:], scales)).jet(z, found)
        for word in found:
            torch.testing.assert_close(found[word], wanted[word], rtol=1e-10, atol=1e-10)

    check(model.places_at, jets.places)
    check(model.state_at, jets.state)


def test_nearest_across_the_seam():
    places = torch.tensor([[[0.02], [0.5], [0.97]]])
    asked = torch.tensor([[[0.995], [0.7]]])
    assert nearest(places, asked, (True,)).tolist() == [[0, 1]]
    assert nearest(places, asked, (False,)).tolist() == [[2, 1]]


def carrying(rate, times=(0.0, 1.0)):
    """X = ξ + rate t sin(2πξ)/2π: J = 1 + rate t cos 2πξ, 0 first at ξ = 0.5, t = 1/rate."""
    surrogate = built("lpinn")
    surrogate.normalizer = None
    surrogate.bounds.take({("time", "time"): np.array(times)})
    surrogate.model.places = Analytic(
        lambda z: rate * z[:, 1:] * torch.sin(2 * math.pi * z[:, :1]) / (2 * math.pi)
    )
    return surrogate


def test_where_characteristics_meet():
    lost = watched(carrying(2.0))
    assert lost.lost == pytest.approx(0.49, abs=0.005) and lost.shock == lost.lost
    assert lost.time == 1.0 and lost.place["x"] == pytest.approx(math.pi, abs=0.2)
    assert lost.least == pytest.approx(-1.0)
    [line] = lost.words
    assert "characteristics meet from t=0.49 on: J = -1 at x=3.14, t=1" in line
    # Before it, the shock is seen ahead; without one there is none.
    ahead = watched(carrying(0.8))
    assert ahead.lost is None and ahead.shock == pytest.approx(1.25) and not ahead.words
    assert watched(carrying(0.1)).shock is None
    assert watched(carrying(0.0)).figures == {"least_jacobian": 1.0}
    assert watched(built("pinn")) is None


@pytest.mark.parametrize(("margin", "axes"), [(0.0, 1), (0.2, 1), (0.5, 1), (0.0, 2)])
def test_where_no_characteristic_arrives_is_said(margin, axes):
    """All are carried by 0.4 of a side along x: what comes in behind them is not known."""
    grid = line(ends="open") if axes == 1 else plane()
    surrogate = built("lpinn", grid=grid, margin=margin)
    surrogate.normalizer = None
    surrogate.model.places = Analytic(
        lambda z: torch.cat([*[0.0 * z[:, 1:]] * (axes - 1), 0.4 * z[:, -1:]], dim=1)[:, -axes:]
    )
    found = watched(surrogate)
    if margin == 0.5:
        assert found.apart is None and not found.words
        return
    place, away, since = found.apart
    assert away == pytest.approx(0.4 - margin, abs=1e-6) and place["x"] == grid.extent[-1][0]
    assert since == pytest.approx((margin + 0.02) / 0.4, abs=0.026)
    [words] = found.words
    assert f"margin: {0.4 - margin:.2g} more, or take model 'pinn'" in words


def test_of_parameters_the_ends_are_looked_at():
    task = Task((), ("u",), history=0, time=True, parameters=("nu",))
    surrogate = built("lpinn", task)
    surrogate.normalizer = None
    surrogate.model.places = Analytic(
        lambda z: z[:, 1:2] * z[:, 2:] * torch.sin(2 * math.pi * z[:, :1]) / (4 * math.pi)
    )
    found = watched(surrogate)  # nu from 1 to 3
    assert found.parameters == {"nu": 3.0} and found.lost == pytest.approx(0.653, abs=0.01)


@pytest.mark.parametrize(
    ("name", "task", "grid", "options", "says"),
    [
        ("lpinn", TIMED, line(), {"displacement": "wall"}, "expected periodic, free or null"),
        ("lpinn", TIMED, line(), {"margin": -0.1}, "expected a part of a side, 0 or more"),
        ("lpinn", TIMED, line(), {"labels": 2}, "labels=2; expected 4 or more"),
        (
            "lpinn",
            Task((), ("u",), history=0, parameters=("a",)),
            line(),
            {},
            "set task.time: true",
        ),
        (
            "lpinn",
            TIMED,
            Grid((4,) * 3, ((0.0, 1.0),) * 3, ("periodic",) * 3),
            {},
            "3 axes; expected 1 or 2",
        ),
        ("pinn", Task(("u",), ("u",)), line(), {}, "expected a task with history: 0"),
        ("pinn", TIMED, None, {}, "got no domain; expected a grid"),
        ("lpinn", TIMED, line(), {"initial": {"equation": "burgers"}}, "expected {equation: …"),
        ("lpinn", TIMED, line(), {"initial": {**SINE, "mod": 2}}, "did you mean 'mode'"),
        (
            "lpinn",
            Task((), ("v",), history=0, time=True),
            line(),
            {"initial": SINE},
            "'burgers' says nothing of 'v'",
        ),
    ],
)
def test_what_cannot_be_is_a_line(name, task, grid, options, says):
    with pytest.raises(InputError, match=says) as refused:
        registry.build(name, Setting(task, grid), **options)
    assert "\n" not in str(refused.value)


def test_characteristics_on_request():
    task = Task((), ("u",), history=0, time=True, parameters=("nu",))
    surrogate = moved(built("lpinn", task), 0.05)
    ds = xr.Dataset(coords={"time": [0.0, 0.5, 1.0], "nu": ("sample", [1.0, 2.0, 2.5])})
    found = surrogate.characteristics(ds)
    assert {*found.data_vars} == {"u", "place_x", "jacobian"}
    assert found.u.dims == ("sample", "time", "x") and found.nu.identical(ds.nu)
    # What is at a place is what its characteristic has brought there.
    for sample, time in ((0, 2), (2, 1)):
        along = found.isel(sample=sample, time=time)
        there = surrogate.predict(
            ds.isel(sample=[sample], time=[time]), at={"x": along.place_x.values}
        )
        np.testing.assert_allclose(there.u[0, 0], along.u, atol=2e-7)  # asked in float32
    h = 1e-2
    places = surrogate.characteristics(ds, at={"x": [2.0 - h, 2.0, 2.0 + h]})
    slope = places.place_x.diff("x").mean("x") / h
    np.testing.assert_allclose(slope, places.jacobian[..., 1], rtol=1e-3)
    assert "characteristics meet" in places.jacobian.attrs["long_name"]
    with pytest.raises(InputError, match="model PINN has no characteristics; expected 'lpinn'"):
        built("pinn").characteristics(xr.Dataset(coords={"time": [0.0]}))


def test_it_learns_from_data_alone():
    """Through the map back, on whole fields."""
    x, time = np.arange(16) / 16 * 2 * math.pi, np.linspace(0, 1, 9)
    u = np.sin(x - 2.0 * time[:, None])
    ds = xr.Dataset({"u": (("time", "x"), u)}, {"time": time, "x": x})
    ds.x.attrs |= {"boundary": "periodic", "extent": [0.0, 2 * math.pi]}
    surrogate = sciml.fit(
        {"name": "lpinn", **SMALL["lpinn"]},
        ds,
        {"targets": ["u"], "history": 0, "time": True},
        phases=[{"optimizer": "adam", "lr": 2e-2, "steps": 60}],
        validation=0,
        progress=False,
    )
    assert np.linalg.norm(surrogate.predict(ds).u - u) < 0.3 * np.linalg.norm(u)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SMALL))
def test_the_exported_program_gives_the_same(name, tmp_path):
    surrogate = built(name)
    few, more = (
        Batch({}, parameters=torch.zeros(n, 0), time=torch.rand(n, 1), size=n).to(
            "cpu", torch.float64
        )
        for n in (2, 3)
    )
    geometry = {"spacing": torch.ones(2, 1), "periodic": torch.tensor([True])}
    surrogate.export(tmp_path / "model.pt2", replace(few, geometry=geometry))
    program = torch.export.load(tmp_path / "model.pt2").module()
    found = program({}, more.parameters, more.time, {})
    torch.testing.assert_close(found["u"], surrogate(more)["u"])
