"""The step of dates, and what comes after them."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from sciml.errors import InputError
from sciml.samples.calendar import calendar_of
from sciml.samples.step import Step, calendar_step, go_ahead
from sciml.samples.times import Times


def dates(start, periods, freq, unit="ns"):
    return pd.date_range(start, periods=periods, freq=freq).values.astype(f"M8[{unit}]")


def onward(values, ahead):
    """Labels of ``ahead`` steps after the last one."""
    times = Times("time", values, "s")
    last = len(values) - 1
    return go_ahead(times.calendar, [last] * ahead, range(1, ahead + 1), times.step)


def middles(start, periods):
    """Of months, as CMIP has them: the 16th at noon, or the 15th or 16th at midnight."""
    edges = pd.date_range(start, periods=periods + 1, freq="MS").values
    return edges[:-1] + (edges[1:] - edges[:-1]) // 2


@pytest.mark.parametrize(
    ("freq", "months"), [("MS", 1), ("ME", 1), ("QS", 3), ("QE", 3), ("YS", 12), ("YE", 12)]
)
@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_dates_of_the_calendar_go_by_it(freq, months, unit):
    whole = dates("1999-01-01", 40, freq, unit)
    times = Times("time", whole[:20], "s")
    assert (times.step.value, times.step.units, times.step.dates) == (months, "month", True)
    found = onward(whole[:20], 20)
    np.testing.assert_array_equal(found, whole[20:])
    assert found.dtype == whole.dtype


def test_two_dates_are_enough():
    for freq in ("MS", "ME", "YS"):
        whole = dates("1999-01-01", 9, freq)
        np.testing.assert_array_equal(onward(whole[:2], 7), whole[2:])


def test_middles_of_months_and_periods():
    whole = middles("1999-01-01", 40)
    np.testing.assert_array_equal(onward(whole[:14], 26), whole[14:])
    days = whole.astype("M8[D]").astype("M8[ns]")
    np.testing.assert_array_equal(onward(days[:14], 26), days[14:])
    edges = pd.date_range("1999-01-01", periods=21, freq="YS").values
    years = edges[:-1] + (edges[1:] - edges[:-1]) // 2
    np.testing.assert_array_equal(onward(years[:6], 14), years[6:])


def test_months_elsewhere_are_as_a_year_before():
    """Monthly means of a satellite: a day that differs from month to month."""
    rng = np.random.default_rng(0)
    year = [f"{m:02d}-{d:02d}" for m, d in zip(range(1, 13), rng.integers(13, 19, 12), strict=True)]
    whole = np.array([f"{y}-{day}" for y in (2001, 2002, 2003) for day in year], "M8[ns]")
    np.testing.assert_array_equal(onward(whole[:24], 12), whole[24:])


def test_days_that_months_do_not_have_are_their_last():
    whole = np.array(["2001-01-30", "2001-02-28", "2001-03-30", "2001-04-30"], "M8[s]")
    np.testing.assert_array_equal(onward(whole[:3], 1), whole[3:])
    leap = np.array(["2000-02-29", "2001-02-28", "2002-02-28", "2003-02-28"], "M8[s]")
    assert str(onward(leap, 1)[0]) == "2004-02-29T00:00:00"


@pytest.mark.parametrize("freq", ["1D", "6h", "7D", "30D", "365D", "90s", "28D"])
def test_everything_else_goes_by_seconds(freq):
    whole = dates("1999-01-30", 30, freq)
    times = Times("time", whole[:20], "s")
    assert times.step == Step(pd.Timedelta(freq).total_seconds(), "s", dates=True)
    np.testing.assert_array_equal(onward(whole[:20], 10), whole[20:])


def test_years_beyond_nanoseconds_are_right():
    for start in ("2290-01-01", "0850-01-01", "12000-01-01"):
        days = np.datetime64(start, "s") + np.arange(9) * np.timedelta64(1, "D")
        np.testing.assert_array_equal(onward(days[:4], 5), days[4:])
    # Nanoseconds end in April 2262: what comes later is in microseconds.
    near = dates("2262-03-01", 40, "D", "us")
    found = onward(near[:20].astype("M8[ns]"), 60)
    np.testing.assert_array_equal(found[:20], near[20:])
    assert found.dtype == "M8[us]"
    months = onward(dates("2261-11-01", 4, "MS"), 14)
    assert str(months[-1]) == "2263-04-01T00:00:00.000000"


def test_steps_finer_than_the_unit_of_dates():
    calendar = calendar_of(np.array(["2290-01-01"], "M8[s]"))
    found = go_ahead(calendar, [0, 0], [1, 2], Step(0.5, "s"))
    assert [str(v)[-8:] for v in found] == ["0:00.500", "0:01.000"]
    third = go_ahead(calendar, [0], [3], Step(20, "min"))
    assert str(third[0]) == "2290-01-01T01:00:00"


def test_steps_that_dates_cannot_take():
    calendar = calendar_of(np.array(["2000-01-31"], "M8[s]"))
    with pytest.raises(InputError, match=r"a step of 0\.5 months is no whole number of months"):
        go_ahead(calendar, [0], [1], Step(0.5, "month"))
    with pytest.raises(InputError, match="a step of 2 orbits cannot be taken from dates"):
        go_ahead(calendar, [0], [1], Step(2, "orbits"))
    assert str(go_ahead(calendar, [0], [1], Step(1, "year"))[0]) == "2001-01-31T00:00:00"
    assert str(go_ahead(calendar, [0], [1], Step(1, "month", 31))[0]) == "2000-02-29T00:00:00"
    spans = calendar_of(np.array([6], "m8[h]"))
    with pytest.raises(InputError, match="a step of 1 month cannot be taken"):
        go_ahead(spans, [0], [1], Step(1, "month"))


def test_gaps_are_where_steps_are_another_number_of_months():
    whole = dates("2000-01-01", 30, "MS")
    times = Times("time", np.delete(whole, [7, 20, 21]), "s")
    assert times.step.value == 1
    np.testing.assert_array_equal(np.bincount(times.segments), [7, 12, 8])
    assert times.gap().startswith("'time' goes from 2000-07-01T00:00:00.000000000 to 2000-09-01")
    hours = Times("time", np.array([0.0, 6, 12, 24, 30, 36, 40]), "h")
    np.testing.assert_array_equal(hours.segments, [0, 0, 0, 1, 1, 1, 1])
    assert hours.step == Step((6 * 4 + 4) / 5, "h")


def test_cftime_calendars_have_months_of_their_own():
    cftime = pytest.importorskip("cftime")
    for calendar in ("noleap", "360_day", "julian", "all_leap", "standard"):
        first = cftime.datetime(1999, 11, 30, 12, calendar=calendar)
        ends = []
        for n in range(30):
            month = first.replace(year=1999 + (10 + n) // 12, month=(10 + n) % 12 + 1, day=1)
            ends.append(month.replace(day=month.daysinmonth))
        ends = np.array(ends)
        assert calendar_step(calendar_of(ends)).value == 1
        np.testing.assert_array_equal(onward(ends[:14], 16), ends[14:])
        days = np.array([first + n * timedelta(hours=18) for n in range(8)])
        np.testing.assert_array_equal(onward(days[:3], 5), days[3:])
