"""``fit`` by sources and objectives: an equation alone, data beside it, and what is refused."""

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import sciml
from sciml.errors import InputError
from sciml.surrogates.bounds import TIME
from sciml.surrogates.traits import Traits
from sciml.training import CollocationSource, DatasetSource, Mix, Phase, Residual
from sciml.training.precision import set_dtype


class Net(nn.Module):
    """u(y, t, parameters)."""

    traits = Traits(pointwise=True)

    def __init__(self, scalars, width=16):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(1 + scalars, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(),
            nn.Linear(width, 1),
        )  # fmt: skip

    def forward(self, scalars, y=None):
        if y is None:
            y = torch.linspace(0, 1, 33, dtype=scalars.dtype)[:, None]
        y = y.expand(len(scalars), *y.shape[-2:])
        seen = torch.cat([2 * y - 1, scalars[:, None].expand(-1, y.shape[1], -1)], dim=2)
        return self.layers(seen).movedim(2, 1)


INSIDE = {
    "kind": "collocation",
    "domain": {"x": {"low": 0.0, "high": 1.0, "points": 33}},
    "time": [0.0, 0.2],
    "batch_size": 64,
    "initial": 32,
    "boundary": 32,
}
HEAT = {"kind": "residual", "source": "inside", "equation": "heat", "solution": "mode"}
ALONE = {"physics": {**HEAT, "parameters": {"kappa": 0.5}}}


def exact(kappa, n=33, steps=9):
    """sin πx exp(−κπ²t) on [0, 1], and t up to 0.2."""
    x, t = np.linspace(0, 1, n), np.linspace(0, 0.2, steps)
    kappa = np.asarray(kappa)
    u = np.sin(np.pi * x) * np.exp(-kappa[:, None, None] * np.pi**2 * t[:, None])
    return xr.Dataset(
        {"u": (("sample", "time", "x"), u), "kappa": ("sample", kappa)}, {"x": x, "time": t}
    )


def test_an_equation_alone_is_learned_by_adam_and_then_in_float64(tmp_path):
    torch.manual_seed(0)
    plan = [
        {"optimizer": "adam", "lr": 1e-2, "steps": 60},
        {"optimizer": "lbfgs", "lr": 1.0, "steps": 5, "dtype": "float64", "batch_size": 128},
    ]
    given = {"sources": {"inside": INSIDE}, "objectives": ALONE, "phases": plan}
    made = sciml.fit(Net(1), targets=["u"], **given)
    steps = made.history.steps
    assert {*steps[0].losses} == {"physics.equation", "physics.initial", "physics.boundary"}
    assert [s.samples for s in steps][59:61] == [64, 128]
    assert next(made.parameters()).dtype == torch.float64
    assert steps[-1].loss < 1e-2 * steps[0].loss
    truth = exact([0.5])
    begin = truth.isel(sample=0).drop_vars(["u", "kappa"])
    found = made.predict(begin).u
    assert np.abs(found - truth.u[0]).max() < 0.05
    made.save(tmp_path)
    again = sciml.load(tmp_path, Net(1))
    assert next(again.parameters()).dtype == torch.float64
    np.testing.assert_array_equal(again.predict(begin).u, found)


def test_the_training_goes_on_bitwise_in_each_phase(tmp_path, same):
    plan = [
        {"optimizer": "adam", "lr": 5e-3, "steps": 6},
        {"optimizer": "lbfgs", "lr": 1.0, "steps": 3, "iterations": 2, "dtype": "float64"},
        {"optimizer": "adam", "lr": 1e-3, "steps": 3, "batch_size": 16},
    ]

    def fitted(seed, **more):
        torch.manual_seed(seed)
        sources = {"inside": {**INSIDE, "batch_size": 32}}
        return sciml.fit(
            Net(1), targets=["u"], sources=sources, objectives=ALONE, phases=plan,
            checkpoint_every=1, **more,
        )  # fmt: skip

    class Stop(Exception):
        pass

    whole = fitted(0)
    for step in (4, 8, 11):
        directory = tmp_path / str(step)

        def stop(self, found, history, step=step):
            if found.step == step:
                raise Stop

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sciml.training.fit_display.FitDisplay.on_step", stop)
            with pytest.raises(Stop):
                fitted(0, directory=directory)
        resumed = fitted(0, directory=directory, resume=True)
        assert same(resumed.model, whole.model), step


@pytest.mark.filterwarnings("error")
def test_data_and_the_equation_of_them_are_learned_at_once():
    """Data of large κ alone; the equation says what happens at small ones."""
    torch.manual_seed(0)
    ds = exact(np.linspace(0.3, 1.0, 8))
    task = {"targets": ["u"], "history": 0, "time": True, "parameters": ["kappa"]}
    inside = {"kind": "collocation", "parameters": {"kappa": [0.1, 1.0]}, "initial": 32}
    made = sciml.fit(
        Net(2), ds, task,
        sources={"fields": {"kind": "data", "batch_size": 8}, "inside": {**inside, "boundary": 32}},
        objectives={"fit": {"kind": "supervised", "source": "fields", "loss": "mse"}, "physics": HEAT},
        phases=Phase("adam", lr=5e-3, steps=150, weights={"physics": 0.1}),
    )  # fmt: skip
    losses = made.history.steps[-1].losses
    assert {*losses} == {"fit.mse", "physics.equation", "physics.initial", "physics.boundary"}
    weighed = losses.pop("fit.mse") + 0.1 * sum(losses.values())
    assert made.history.steps[-1].loss == pytest.approx(weighed, rel=1e-5)
    assert made.history.validations[-1]["vrmse"] < 0.3
    begin = exact([0.15]).isel(sample=0)  # outside of the data, and not of the points
    guess = made.predict(begin.drop_vars("u")).u
    assert float(np.abs(guess - begin.u).max()) < 0.25


def test_objectives_of_the_data_alone_go_by_their_names():
    ds = exact([0.3, 0.6, 0.9])
    task = {"targets": ["u"], "history": 0, "time": True, "parameters": ["kappa"]}
    both = {
        "rough": {"kind": "supervised", "loss": "relative_l2"},
        "fine": {"kind": "supervised", "loss": "mse"},
    }
    made = sciml.fit(Net(2), ds, task, objectives=both, epochs=1)
    assert {*made.history.steps[-1].losses} == {"rough.relative_l2", "fine.mse"}


def test_objects_of_ones_own_stand_beside_keys():
    def zero(model, batch):
        return {"norm": sum(p.square().sum() for p in model.model.parameters())}

    points = CollocationSource(lambda rng, n: {"x": rng.uniform(size=(n, 1))}, 4)
    made = sciml.fit(
        Net(1), targets=["u"], sources={"inside": INSIDE, "own": points},
        objectives={**ALONE, "own": Residual(zero)},
        phases=Phase("adam", steps=2, weights={"own.norm": 1e-6}),
    )  # fmt: skip
    assert "own.norm" in made.history.steps[-1].losses


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sources": {"inside": {**INSIDE, "kind": "colocation"}}}, "unknown kind 'colocation'; did"),
        ({"sources": {"inside": {**INSIDE, "tims": 1}}}, "source 'inside' has no key 'tims'; did"),
        ({"sources": {"inside": {**INSIDE, "domain": {"r": [0, 1]}}}}, "expected x, or x and y"),
        ({"sources": {"inside": {**INSIDE, "domain": {"x": [1, 0]}}}}, r"expected \[low, high\]"),
        ({"sources": {"inside": {**INSIDE, "time": None}}}, "time is missing: task.time is true"),
        ({"sources": {"inside": {k: v for k, v in INSIDE.items() if k != "domain"}}}, "none says where"),
        ({"sources": {"data": {"kind": "data"}}}, "data, and none are given"),
        ({"objectives": {"physics": {**HEAT, "source": "insid"}}}, "no source 'insid'; did you mean"),
        ({"objectives": {"physics": {**HEAT, "equation": "heet"}}}, "unknown equation 'heet'; did you"),
        ({"objectives": {"physics": HEAT}}, "needs 'kappa'"),
        ({"objectives": {"physics": {**HEAT, "solution": None}}}, "'initial', and no solution in obj"),
        ({"objectives": {"physics": {"kind": "residul"}}}, "unknown objective 'residul'; did you mean"),
        ({"objectives": {"physics": {"kind": "residual"}}}, "without equation; expected a value"),
        ({"objectives": {"physics": "supervised"}}, "supervised on 'inside', which is of kind coll"),
        ({"targets": ["v"]}, "about 'u', which is no target"),
        ({"targets": None}, "no targets; expected targets="),
        ({"phases": Phase(steps=1, weights={"phisics": 2.0})}, "unknown loss 'phisics'; did you"),
        ({"phases": Phase(steps=1, batch_size={"outside": 2})}, "no source 'outside'; did you mean"),
        ({"epochs": 3}, "epochs of points"),
        ({"inputs": ["u"]}, "fit: inputs without data"),
        ({"task": {"inputs": ["u"]}}, "a task that sees u, and no data"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(change, said):
    usual = {"targets": ["u"], "sources": {"inside": INSIDE}, "objectives": ALONE}
    usual |= {"phases": None if "epochs" in change else Phase(steps=1)}
    if "task" in change:
        usual.pop("targets")
    with pytest.raises(InputError, match=said) as caught:
        sciml.fit(Net(1), **{**usual, **change})
    assert "\n" not in str(caught.value)


def test_a_source_that_nobody_learns_from_is_refused():
    sources = {"fields": {"kind": "data"}, "inside": {"kind": "collocation"}}
    task = {"targets": ["u"], "history": 0, "time": True}
    with pytest.raises(InputError, match="source 'inside': no objective names it"):
        sciml.fit(
            Net(1), exact([0.5]), task, sources=sources, objectives={"a": {"source": "fields"}}
        )
    with pytest.raises(InputError, match="sources: none of kind data"):
        sciml.fit(Net(1), exact([0.5]), task, sources={"inside": INSIDE}, objectives=ALONE)
    with pytest.raises(InputError, match=r"residual on 'data', .* expected a source of kind coll"):
        sciml.fit(Net(1), exact([0.5]), task, objectives={"physics": {**HEAT, "source": "data"}})


def test_a_mix_goes_on_with_the_sources_that_it_had(samples, task):
    def mix(*names):
        return Mix({name: DatasetSource(samples, task, 4) for name in names})

    state = mix("a", "b").state_dict()
    mix("b", "a").load_state_dict(state)
    with pytest.raises(InputError, match="source 'c' is new: the checkpoint has a, b"):
        mix("a", "c").load_state_dict(state)
    with pytest.raises(InputError, match="source 'b' is gone"):
        mix("a").load_state_dict(state)


def test_complex_weights_stay_complex_in_float64():
    model = nn.ParameterList([torch.ones(2), torch.ones(2, dtype=torch.complex64) * 1j])
    set_dtype(model, "float64")
    assert [p.dtype for p in model] == [torch.float64, torch.complex128]
    assert model[1].imag.tolist() == [1.0, 1.0]


def test_bounds_are_those_of_the_box_and_not_of_drawn_points():
    made = sciml.fit(
        Net(1),
        targets=["u"],
        sources={"inside": {**INSIDE, "initial": 0, "boundary": 0}},
        objectives=ALONE,
        phases=Phase(steps=1),
    )
    assert made.bounds.of(TIME, TIME) == pytest.approx((0.0, 0.2))
