"""Times of datasets: order, gaps, text and dates where a task cannot do with them."""

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import sciml
from sciml.domain.layout import layout_of
from sciml.errors import InputError
from sciml.run.evaluation import evaluate
from sciml.samples import Task
from sciml.samples.dataset import samples_of, simulations_of
from sciml.samples.times import require_times

TASK = Task(("u",), ("u",))


def dataset(times, samples=2):
    u = np.random.default_rng(0).standard_normal((samples, len(times), 8))
    return xr.Dataset({"u": (("sample", "time", "x"), u)}, {"time": times, "x": np.arange(8.0)})


def check(times, **changes):
    ds = dataset(times)
    require_times(replace(TASK, **changes), ds, layout_of(ds, ("u",)))


def origins(ds, task=TASK):
    return [s.origin for s in samples_of(ds, task) if s.simulation.id == 0]


def test_no_window_goes_across_a_gap(caplog):
    gaps = dataset([0.0, 0.1, 0.2, 0.3, 0.7, 0.8, 1.5])
    with caplog.at_level(logging.INFO, "sciml.samples"):
        assert origins(gaps) == [0, 1, 2, 4]
    assert "goes from 0.3 to 0.7, where steps are 0.1 elsewhere: 3 segments of 7" in caplog.text
    assert origins(gaps, replace(TASK, lead=2)) == [0, 1]
    assert origins(gaps, replace(TASK, history=2)) == [1, 2]
    assert origins(gaps, replace(TASK, unroll=3)) == [0]
    # What matters not, or is seen.
    assert origins(gaps, replace(TASK, lead=0)) == list(range(7))
    assert origins(gaps, replace(TASK, time=True)) == list(range(6))
    months = np.delete(pd.date_range("2001-01-31", periods=14, freq="ME"), 6)
    assert origins(dataset(months)) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]


def test_times_that_jitter_are_no_gaps():
    assert len(origins(dataset([0.0, 0.9, 2.0, 3.2, 4.0]))) == 4
    assert len(origins(dataset(pd.date_range("2001-01-31", periods=14, freq="ME")))) == 13


def test_times_without_a_step_of_their_own_are_refused():
    uneven = dataset(np.logspace(-2, 1, 12))
    with pytest.raises(InputError, match=r"9 of the 11 .* differ .* ds\.interp\(time=\.\.\.\)"):
        sciml.fit("mlp", uneven, targets=["u"], epochs=1)


def test_a_time_that_comes_twice_is_refused():
    twice = pd.DatetimeIndex(["2001-01-01", "2001-01-02", "2001-01-02", "2001-01-03"])
    with pytest.raises(InputError, match=r"has 2001-01-02T.* twice.*ds\.drop_duplicates\('time'\)"):
        check(twice)
    with pytest.raises(InputError, match=r"'time' has 0\.0 twice"):
        check([1.0, 0.0, 0.5, 0.0])
    check([0.0, 0.0, 1.0], lead=0)


def test_dates_are_refused_where_the_task_sees_the_time():
    with pytest.raises(InputError, match="'time' holds dates, and the task sees the time"):
        check(pd.date_range("2001-01-01", periods=5), time=True)
    check(pd.to_timedelta(np.arange(5), "h"), time=True)


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ([f"2000-01-{i:02d}" for i in range(1, 7)], r"text \('2000-01-01', …\).*pd\.to_datetime"),
        (np.array([f"2000-{i}" for i in range(6)], object), "holds text"),
        (20000129 + np.array([0, 1, 2, 72, 73, 74]), r"20000129, 20000130, .*format='%Y%m%d'"),
        ([200011, 200012, 200101, 200102], r"dates as numbers.*format='%Y%m'"),
        (pd.DatetimeIndex(["2000-01-01", None, "2000-01-03"]), r"missing \(NaT, at 1\)"),
        ([0.0, np.nan, 2.0], "has a time that is nan"),
        ([True, False], "of type bool"),
    ],
)
def test_times_that_are_none_are_refused(times, said):
    ds = dataset(times)
    for ask in (
        lambda: sciml.fit("mlp", ds, targets=["u"], epochs=1),
        lambda: simulations_of(ds),
        lambda: samples_of(ds, TASK),
    ):
        with pytest.raises(InputError, match=said):
            ask()


def test_dates_as_numbers_that_say_so_are_refused():
    ds = dataset([20000101.0, 20000102.0, 20000103.0])
    ds.time.attrs["units"] = "day as %Y%m%d.%f"
    with pytest.raises(InputError, match=r"dates as numbers.*format='%Y%m%d'"):
        samples_of(ds, TASK)


@pytest.mark.parametrize(
    "times",
    [np.arange(6) * 0.1, pd.date_range("2001-01-01", periods=6), np.arange(6, dtype=np.uint8)],
    ids=["numbers", "dates", "counts"],
)
def test_any_order_teaches_what_the_right_one_does(times, caplog):
    right = dataset(times)
    [first, *_] = samples_of(right, TASK)
    for order in ([5, 4, 3, 2, 1, 0], [2, 0, 1, 5, 3, 4]):
        caplog.clear()
        with caplog.at_level(logging.INFO, "sciml.samples"):
            mixed = samples_of(right.isel(time=order), TASK)
        assert "'time' does not ascend" in caplog.text
        assert [s.key for s in mixed] == [s.key for s in samples_of(right, TASK)]
        np.testing.assert_array_equal(mixed[0].targets[0].fields["u"], first.targets[0].fields["u"])
        assert mixed[0].targets[0].time == first.targets[0].time


def test_simulations_say_the_unit_of_their_times():
    def units(ds):
        [(simulation, _), *_] = simulations_of(ds)
        return simulation.time_units, simulation.calendar

    ds = dataset(np.arange(4.0))
    assert units(ds) == ("1", "")
    ds.time.attrs["units"] = "hours"
    assert units(ds) == ("h", "")
    ds.time.attrs |= {"units": "days since 2000-01-01", "calendar": "noleap"}
    assert units(ds) == ("days since 2000-01-01", "noleap")
    assert units(dataset(pd.to_timedelta(np.arange(4), "h"))) == ("s", "")
    dates = pd.date_range("2000-01-01 06:00", periods=4)
    assert units(dataset(dates)) == ("seconds since 2000-01-01 06:00:00", "")


def test_training_prediction_and_evaluation_know_gaps(tmp_path, caplog):
    gap = dataset([0.0, 0.1, 0.2, 0.3, 0.7, 0.8])
    with caplog.at_level(logging.INFO):
        surrogate = sciml.fit("mlp", gap, targets=["u"], epochs=1)
    assert "2 segments of 6 times" in caplog.text
    assert "4 samples of 1 simulations" in caplog.text
    assert surrogate.dt == pytest.approx(0.1)
    assert surrogate.history.validations[-1]["rollout_steps"] == 3
    out = surrogate.predict(gap)
    np.testing.assert_allclose(out.time, [0.1, 0.2, 0.3, 0.4, 0.8, 0.9])
    np.testing.assert_allclose(
        out.u.isel(time=3),
        surrogate.predict(gap.isel(time=[3])).u.isel(time=0),
        rtol=1e-4,
        atol=1e-6,
    )
    np.testing.assert_allclose(surrogate.rollout(gap, 2).time, [0.9, 1.0])
    surrogate.save(tmp_path / "surrogate")
    gap.to_netcdf(tmp_path / "gap.nc", engine="h5netcdf")
    found = evaluate(tmp_path / "surrogate", [tmp_path / "gap.nc"])
    assert found["rollout_steps"] == 3


def test_history_comes_from_one_segment():
    gap = dataset([0.0, 0.1, 0.2, 0.3, 0.7, 0.8])
    surrogate = sciml.fit("mlp", gap, Task(("u",), ("u",), history=2), epochs=1, validation=0)
    np.testing.assert_allclose(surrogate.predict(gap).time, [0.2, 0.3, 0.4, 0.9])
    with pytest.raises(
        InputError, match=r"goes from 0\.3 to 0\.7.*give times from before the gap, or 2"
    ):
        surrogate.rollout(gap.isel(time=slice(5)), 2)


def test_the_last_frames_of_one_series_are_held_out_though_a_gap_is_there():
    times = np.delete(np.arange(20.0), [17, 19 - 1])  # behind the gap one frame is left
    surrogate = sciml.fit("mlp", dataset(times, 1), targets=["u"], epochs=1)
    assert "one_step" in surrogate.history.validations[-1]
