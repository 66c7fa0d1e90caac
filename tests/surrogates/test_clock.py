"""Dates, units and order of what comes out of a surrogate."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from torch import nn

import sciml
from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import Step, Surrogate

TASK = Task(("u",), ("u",))
#: Keys of the first cards.


class Same(nn.Module):
    def forward(self, x):
        return 1.0 * x[:, :1]


class Seen(nn.Module):
    """The last channel: the time of the target."""

    def forward(self, x):
        return 0 * x[:, :1] + x[:, -1:]


def data(times, units=None):
    values = np.arange(len(times), dtype=np.float32)[:, None] + np.zeros(8, np.float32)
    notes = {} if units is None else {"units": units}
    return xr.Dataset(
        {"u": (("time", "x"), values)}, {"time": ("time", times, notes), "x": np.arange(8.0)}
    )


def trained(ds, **task):
    """Fitted on data, with a model that gives back what it sees."""
    surrogate = sciml.fit("mlp", ds, Task(("u",), ("u",), **task), epochs=1, validation=0)
    return Surrogate(Same(), surrogate.task, dt=surrogate.step)


def numbers(n, step=6.0, units="h"):
    return data(step * np.arange(n), units)


def dates(n, freq, start="2000-01-01"):
    return data(pd.date_range(start, periods=n, freq=freq))


@pytest.mark.parametrize("freq", ["MS", "ME", "QS", "YE", "6h", "D"])
def test_predictions_are_found_under_their_dates(freq):
    whole = dates(30, freq)
    surrogate = trained(whole.isel(time=slice(16)))
    for given in (whole.isel(time=slice(16)), whole.isel(time=[15])):
        rolled = surrogate.rollout(given, 14)
        np.testing.assert_array_equal(rolled.time, whole.time[16:])
        assert rolled.time.dtype == whole.time.dtype
    ahead = surrogate.predict(whole.isel(time=slice(16)))
    np.testing.assert_array_equal(ahead.time, whole.time[1:17])


def test_numbers_in_other_units_are_converted():
    surrogate = trained(numbers(9))
    assert surrogate.step == Step(6, "hours")
    for units, step in (("h", 6), ("hours", 6), ("d", 0.25), ("seconds", 21600), ("minutes", 360)):
        ds = numbers(4, step, units)
        np.testing.assert_allclose(surrogate.rollout(ds, 2).time, step * np.array([4.0, 5.0]))
        assert surrogate.rollout(ds, 2).time.attrs["units"] == units
        np.testing.assert_allclose(surrogate.rollout(ds.isel(time=[0]), 2).time, [step, 2 * step])
    with pytest.raises(InputError, match=r"time step of 6 d; the surrogate was trained with 6 h"):
        surrogate.rollout(numbers(4, 6, "days"), 2)
    with pytest.raises(InputError, match=r"step of 6 orbits; the surrogate was trained with 6 h"):
        surrogate.rollout(numbers(4, 6, "orbits"), 2)
    # Nothing is said of numbers alone: they are taken for hours.
    np.testing.assert_allclose(surrogate.rollout(data(6.0 * np.arange(3)), 1).time, [18.0])


def test_dates_and_durations_go_by_the_unit_of_the_training():
    surrogate = trained(numbers(9))
    one = dates(1, "D")
    found = surrogate.rollout(one, 2).time.values
    assert [str(t)[:13] for t in found] == ["2000-01-01T06", "2000-01-01T12"]
    np.testing.assert_array_equal(
        surrogate.rollout(dates(4, "6h"), 1).time, dates(5, "6h").time[4:]
    )
    with pytest.raises(InputError, match="time step of 1 d; the surrogate was trained with 6 h"):
        surrogate.rollout(dates(4, "D"), 1)
    spans = data(pd.to_timedelta(6 * np.arange(4), "h"))
    assert surrogate.rollout(spans, 2).time.values[-1] == np.timedelta64(30, "h")
    other = trained(spans)
    assert other.step == Step(21600, "s", dates=True)
    np.testing.assert_allclose(other.rollout(numbers(3), 2).time, [18, 24])
    assert other.rollout(spans.isel(time=[1]), 1).time.values[0] == np.timedelta64(12, "h")


def test_numbers_without_units_and_dates_do_not_go_together():
    bare, monthly, hourly = data(np.arange(9.0)), dates(9, "MS"), dates(9, "h")
    for given in (hourly, hourly.isel(time=[0]), data(pd.to_timedelta(np.arange(3), "h"))):
        with pytest.raises(
            InputError, match=r"trained on numbers without units.*surrogates\.Step\(1, 's'\)"
        ):
            trained(bare).rollout(given, 2)
    for ds in (monthly, hourly):
        for given in (bare, bare.isel(time=[0])):
            with pytest.raises(InputError, match=r"holds numbers without units.*trained on dates"):
                trained(ds).rollout(given, 2)
    surrogate = trained(bare)
    surrogate.dt = Step(1, "h")
    assert str(surrogate.rollout(hourly, 1).time.values[0])[:13] == "2000-01-01T09"
    with pytest.raises(InputError, match=r"time step of 1 d.*was trained with 1 month"):
        trained(monthly).rollout(numbers(3, 1, "d"), 1)
    np.testing.assert_allclose(trained(monthly).rollout(numbers(3, 1, "months"), 1).time, [3])


def test_a_few_middles_of_months_are_months():
    starts = pd.date_range("2000-01-01", periods=15, freq="MS")
    middles = starts[:-1] + (starts[1:] - starts[:-1]) / 2
    surrogate = trained(data(middles))
    some = data(middles[3:6])  # 30.5 days apart
    assert len({*np.diff(middles[3:6])}) == 1
    assert str(surrogate.rollout(some, 1).time.values[0])[:10] == "2000-07-16"
    with pytest.raises(InputError, match="trained with 1 month"):
        surrogate.predict(data(pd.date_range("2000-01-11", periods=3, freq="31D")))


def test_months_are_no_month_of_31_days():
    months, spans = trained(dates(14, "MS")), trained(dates(14, "31D"))
    two = dates(2, "MS")
    assert str(months.rollout(two, 1).time.values[0])[:10] == "2000-03-01"
    assert str(spans.rollout(two, 1).time.values[0])[:10] == "2000-03-03"
    with pytest.raises(
        InputError, match="time step of 1 month; the surrogate was trained with 31 d"
    ):
        spans.rollout(dates(6, "MS"), 1)
    with pytest.raises(
        InputError, match="time step of 3 months; the surrogate was trained with 1 month"
    ):
        months.rollout(dates(6, "QS"), 1)
    with pytest.raises(
        InputError, match="time step of 30 d; the surrogate was trained with 1 month"
    ):
        months.rollout(dates(6, "30D"), 1)


def test_a_date_alone_needs_a_step():
    with pytest.raises(InputError, match=r"holds one date.*does not know how far it goes"):
        Surrogate(Same(), TASK).rollout(dates(1, "D"), 2)
    np.testing.assert_allclose(Surrogate(Same(), TASK).rollout(numbers(1), 2).time, [1, 2])


def test_a_state_without_time_gets_the_unit_of_the_training():
    state = numbers(1).isel(time=0, drop=True)
    rolled = trained(numbers(9)).rollout(state, 2)
    np.testing.assert_allclose(rolled.time, [6, 12])
    assert rolled.time.attrs["units"] == "h"


@pytest.mark.parametrize("order", [[3, 2, 1, 0], [2, 0, 3, 1]])
@pytest.mark.parametrize(
    "whole", [dates(4, "MS"), data(np.arange(4) * 0.5)], ids=["dates", "numbers"]
)
def test_what_comes_newest_first_is_given_back_so(whole, order):
    surrogate = trained(whole)
    given = whole.isel(time=order)
    out, right = surrogate.predict(given), surrogate.predict(whole)
    xr.testing.assert_identical(out, right.isel(time=order))
    rolled = surrogate.rollout(given, 3)
    last = surrogate.rollout(whole, 3)
    xr.testing.assert_identical(rolled, last.isel(time=[2, 1, 0] if order[0] == 3 else [0, 1, 2]))
    assert (rolled.u == 3).all()  # from the latest state, wherever it lies


def test_times_that_a_model_sees_are_in_the_unit_of_its_training():
    task = Task((), ("u",), history=0, static=("k",), time=True)
    surrogate = Surrogate(Seen(), task, dt=Step(6, "h"))
    at = xr.Dataset({"k": ("x", np.zeros(8, np.float32))}, {"x": np.arange(8.0)})
    for times, units in (([0.0, 12.0], "h"), ([0.0, 0.5], "d"), ([0.0, 43200.0], "seconds")):
        out = surrogate.predict(at.assign_coords(time=("time", times, {"units": units})))
        np.testing.assert_allclose(out.u.isel(x=0), [0, 12])
        np.testing.assert_allclose(out.time, times)
    with pytest.raises(InputError, match="'time' is in orbits, and the surrogate saw times in h"):
        surrogate.predict(at.assign_coords(time=("time", [0.0, 1.0], {"units": "orbits"})))
    advance = Surrogate(Seen(), Task(("u",), ("u",), time=True), dt=Step(6, "h"))
    out = advance.rollout(numbers(3, 0.25, "d"), 2)
    np.testing.assert_allclose(out.u.isel(x=0), [18, 24])
    np.testing.assert_allclose(out.time, [0.75, 1.0])


def test_the_step_is_saved_with_its_unit(tmp_path):
    ds = dates(30, "ME")
    surrogate = sciml.fit("mlp", ds, targets=["u"], epochs=1)
    surrogate.save(tmp_path / "saved")
    loaded = sciml.load(tmp_path / "saved")
    assert loaded.step == surrogate.step == Step(1, "month", 31, dates=True)
    np.testing.assert_array_equal(
        loaded.rollout(ds.isel(time=[1]), 2).time.values.astype("M8[D]"),
        np.array(["2000-03-31", "2000-04-30"], "M8[D]"),
    )


def test_a_step_may_be_a_number_alone():
    loaded = sciml.fit("mlp", dates(30, "6h"), targets=["u"], epochs=1)
    loaded.dt = 21600
    assert loaded.step == Step(21600, None)
    # Seconds, where data say as much themselves; else nobody knows.
    assert str(loaded.rollout(dates(3, "6h"), 1).time.values[0])[:13] == "2000-01-01T18"
    with pytest.raises(InputError, match="time step of 1 d; the surrogate was trained with 21600"):
        loaded.rollout(dates(3, "D"), 1)
    with pytest.raises(InputError, match="say what they are"):
        loaded.rollout(dates(1, "D"), 1)
    np.testing.assert_allclose(loaded.rollout(data(21600 * np.arange(3.0)), 1).time, [64800])


def test_a_file_of_360_day_years_goes_through_to_a_file(tmp_path):
    pytest.importorskip("cftime")
    time = xr.date_range("2000-01-16", periods=36, freq="MS", calendar="360_day", use_cftime=True)
    time = [t.replace(day=16) for t in time]
    x = np.arange(16) / 16
    u = np.sin(2 * np.pi * x - 0.1 * np.arange(36)[:, None]).astype(np.float32)
    whole = xr.Dataset({"u": (("time", "x"), u)}, {"time": time, "x": x})
    whole.isel(time=slice(24)).to_netcdf(tmp_path / "in.nc", engine="h5netcdf")
    surrogate = sciml.fit("mlp", tmp_path / "in.nc", targets=["u"], epochs=1)
    with xr.open_dataset(tmp_path / "in.nc") as ds:
        ahead, rolled = surrogate.predict(ds), surrogate.rollout(ds, 12)
        one = surrogate.rollout(ds.isel(time=-1), 12)
    assert list(ahead.time.values) == time[1:25]
    assert list(rolled.time.values) == list(one.time.values) == time[24:]
    rolled.to_netcdf(tmp_path / "out.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "out.nc") as opened:
        assert list(opened.time.values) == time[24:]
        assert opened.time.dt.calendar == "360_day"


def test_a_calendar_without_cftime_is_one_line(tmp_path, monkeypatch):
    import sys

    notes = {"units": "days since 2000-01-01", "calendar": "360_day"}
    ds = data(30.0 * np.arange(6)).assign_coords(time=("time", 30.0 * np.arange(6), notes))
    ds.to_netcdf(tmp_path / "in.nc", engine="h5netcdf")
    monkeypatch.setitem(sys.modules, "cftime", None)
    with pytest.raises(
        InputError, match=r"in\.nc: its dates.*pip install 'sciml-surrogates\[climate\]'"
    ):
        sciml.fit("mlp", tmp_path / "in.nc", targets=["u"], epochs=1)


def test_years_beyond_nanoseconds_are_read_without_cftime(tmp_path, monkeypatch):
    import sys

    time = np.datetime64("2290-01-01", "s") + np.arange(6) * np.timedelta64(1, "D")
    data(time).to_netcdf(tmp_path / "in.nc", engine="h5netcdf")
    monkeypatch.setitem(sys.modules, "cftime", None)
    surrogate = sciml.fit("mlp", tmp_path / "in.nc", targets=["u"], epochs=1)
    assert surrogate.step == Step(86400, "s", dates=True)
    rolled = surrogate.rollout(data(time).isel(time=[5]), 2)
    assert str(rolled.time.values[-1]) == "2290-01-08T00:00:00"
