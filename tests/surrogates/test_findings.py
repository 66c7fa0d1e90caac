"""What a prediction is warned of: once a call, with where and how far."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from torch import nn

import sciml
from sciml.run.evaluation import evaluate
from sciml.samples import Task
from sciml.samples.dataset import samples_of, simulations_of
from sciml.surrogates import Statistics, Surrogate
from sciml.training.figures import table
from sciml.training.validation import Validation


class Doubling(nn.Module):
    """Grows without end."""

    def forward(self, x):
        return 1e9 * x[:, :1]


class Times(nn.Module):
    """u ↦ by · u."""

    def __init__(self):
        super().__init__()
        self.by = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.by * x[:, :1]


def data(kappa=(0.1, 0.2, 0.3), times=4, scale=1.0):
    rng = np.random.default_rng(0)
    u = rng.uniform(-1, 1, (len(kappa), times, 8)).astype(np.float32)
    return xr.Dataset(
        {"u": (("sample", "time", "x"), scale * u)},
        {
            "time": pd.date_range("2000-01-01", periods=times),
            "x": np.arange(8.0),
            "kappa": ("sample", np.array(kappa)),
        },
    )


TASK = Task(("u",), ("u",), parameters=("kappa",))


@pytest.fixture(scope="module")
def surrogate():
    return sciml.fit("mlp", data(), TASK, epochs=1, validation=0)


def told(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [str(w.message) for w in caught if w.category is UserWarning]


def test_times_of_all_targets_of_a_window_were_trained_on():
    ds = data().assign_coords(time=("time", np.arange(4.0), {"units": "s"}))
    made = sciml.fit("mlp", ds, Task(("u",), ("u",), time=True, unroll=3), epochs=1, validation=0)
    assert made.bounds.of("time", "time") == (1.0, 3.0)
    assert told(lambda: made.predict(ds.isel(time=slice(0, 3)))) == []


def test_nothing_is_said_of_what_was_trained_on(surrogate):
    assert told(lambda: surrogate.predict(data())) == []
    # A tenth of the range is no matter, nor are values a little larger.
    near = data((0.085, 0.2, 0.315), scale=1.5)
    assert told(lambda: surrogate.rollout(near, 2)) == []


@pytest.mark.parametrize("how", ["predict", "rollout", "loaded"])
def test_parameters_far_outside_are_named(surrogate, how, tmp_path):
    given = data((0.2, 0.7, 0.4, 0.05))
    if how == "loaded":
        surrogate.save(tmp_path / "saved")
        surrogate = sciml.load(tmp_path / "saved")
    call = (
        (lambda: surrogate.rollout(given, 2))
        if how == "rollout"
        else (lambda: surrogate.predict(given))
    )
    [text] = told(call)
    assert (
        "parameter 'kappa' is 0.7 (sample 1); trained on 0.1 to 0.3: 2 of that range outside"
        in text
    )
    assert text.endswith("and in 2 other samples")
    assert text.startswith("rollout: " if how == "rollout" else "predict: ")


def test_a_parameter_that_was_constant_in_training():
    surrogate = sciml.fit("mlp", data((0.2,) * 3), TASK, epochs=1, validation=0)
    assert told(lambda: surrogate.predict(data((0.2, 0.21, 0.2)))) == []
    [text] = told(lambda: surrogate.predict(data((0.2, 0.3, 0.2))))
    assert "is 0.3 (sample 1); trained on 0.2: 0.5 times its size outside" in text


def test_fields_many_deviations_off_are_named(surrogate):
    given = data()
    given.u[2, 1, 3] = -40.0
    [text] = told(lambda: surrogate.predict(given))
    assert "'u' is -40 (sample 2, time 2000-01-02T00:00:00" in text
    assert "deviations from the mean of what it was trained on, -0.9" in text
    # In other units: everywhere.
    [text] = told(lambda: surrogate.predict(100 * given))
    assert text.count("'u' is") == 1 and text.endswith("and in 2 other samples")


def test_a_field_at_the_edge_of_what_was_seen_is_no_news():
    """Of a field that decays the first values are many deviations from the mean, in training too."""
    decaying = data(kappa=np.linspace(0.1, 0.3, 10), times=40, scale=0.01)
    decaying.u[0, 0, 0] = 5.0
    surrogate = sciml.fit("mlp", decaying, inputs=["u"], epochs=1, validation=0)
    given = decaying.copy(deep=True)
    given.u[1, 0, 0] = 5.2
    assert told(lambda: surrogate.predict(given)) == []
    given.u[1, 0, 0] = 6.0
    [text] = told(lambda: surrogate.predict(given))
    assert "'u' is 6" in text


def test_outputs_that_are_not_finite_are_named():
    surrogate = Surrogate(Doubling(), Task(("u",), ("u",)))
    assert told(lambda: surrogate.rollout(data(), 4)) == []
    [text] = told(lambda: surrogate.rollout(data(), 6))
    assert text.startswith("rollout: 'u' is not finite from step 5 on (sample ")
    assert "time 2000-01-09" in text and text.endswith("and in 2 other samples")


def test_rollouts_that_leave_what_was_trained_on_are_told_before_they_break(surrogate):
    grows = sciml.fit(Times(), data(), targets=["u"], increment=False, epochs=1, validation=0)
    grows.model.by.data.fill_(4.0)
    assert told(lambda: grows.rollout(data(), 1)) == []
    [text] = told(lambda: grows.rollout(data(), 5))
    assert text.startswith(
        "rollout: 'u' comes out more than 10 deviations from the mean of what it"
    )
    assert "from step 2 on (sample 0, time 2000-01-06" in text
    assert text.endswith("and in 2 other samples")
    # What comes in far off is told as such, and not twice.
    far = data()
    far.u[0] += 100
    texts = told(lambda: grows.predict(far))
    assert len(texts) == 1 and "comes out" not in texts[0]


def test_simulations_that_have_ended_are_not_broken(surrogate):
    given = data()
    given.u[1, 2:] = np.nan
    assert told(lambda: surrogate.predict(given)) == []


def test_times_that_a_model_sees_have_a_range_too():
    task = Task((), ("u",), history=0, parameters=("kappa",), time=True)
    ds = data().assign_coords(time=("time", np.arange(4.0), {"units": "s"}))
    surrogate = sciml.fit("mlp", ds, task, epochs=1, validation=0)
    at = ds[["kappa"]].assign_coords(time=("time", [1.0, 9.0], {"units": "s"}))
    [text] = told(lambda: surrogate.predict(at))
    assert "the time is 9 (sample 0); trained on 0 to 3: 2 of that range outside" in text


def test_bounds_stay_where_they_are_and_go_with_the_weights(surrogate, tmp_path):
    assert surrogate.bounds.of("parameter", "kappa") == (0.1, 0.3)
    surrogate.save(tmp_path / "saved")
    loaded = sciml.load(tmp_path / "saved").bfloat16()
    assert loaded.bounds.of("parameter", "kappa") == (0.1, 0.3)
    fresh = Surrogate(Doubling(), TASK)
    assert fresh.bounds.of("field", "u") is None
    assert all(not torch.isnan(b).any() for b in fresh.bounds.buffers())


def test_evaluation_says_so_in_lines(surrogate, tmp_path):
    surrogate.save(tmp_path / "saved")
    given = data((0.2, 0.7))
    given.u[0, 1, 3] = -40.0
    given.to_netcdf(tmp_path / "given.nc", engine="h5netcdf")
    found = evaluate(tmp_path / "saved", [tmp_path / "given.nc"])
    parameter, field = sorted(found["findings"], key=lambda line: line.startswith("'u'"))
    assert parameter.startswith("parameter 'kappa' is 0.7 (sample 1); trained on 0.1 to 0.3")
    assert field.startswith("'u' is -40 (sample 0, time 86400)")
    assert [line for line in table(found) if line.startswith("warning: ")] == [
        f"warning: {line}" for line in found["findings"]
    ]
    data().to_netcdf(tmp_path / "near.nc", engine="h5netcdf")
    assert "findings" not in evaluate(tmp_path / "saved", [tmp_path / "near.nc"])


def test_validation_names_the_first_step_that_is_not_finite():
    broken = Surrogate(Doubling(), Task(("u",), ("u",)))
    trajectories = simulations_of(data(times=8), fields=["u"])
    [line] = Validation(trajectories, rollout=7)(broken)["findings"]
    assert (
        line == "'u' is not finite from step 5 on (sample 0, time 432000), and in 2 other samples"
    )


def test_bounds_go_on_when_the_scaling_is_fixed(surrogate):
    """In a stream, most of what is trained on comes after the first step."""
    fresh = Surrogate.build("mlp", TASK, surrogate.domain)
    statistics = Statistics(fresh)
    statistics.update(samples_of(data(), TASK))
    statistics.fix()
    mean = fresh.normalizer.mean.clone()
    statistics.update(samples_of(data((0.5, 0.6, 0.7)), TASK))
    assert fresh.bounds.of("parameter", "kappa") == (0.1, 0.7)
    assert torch.equal(fresh.normalizer.mean, mean)
