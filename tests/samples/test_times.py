"""Times that a task cannot do with are refused; uneven months are not."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import sciml
from sciml.domain.layout import layout_of
from sciml.errors import InputError
from sciml.samples import Task
from sciml.samples.dataset import samples_of
from sciml.samples.times import require_times
from sciml.study.evaluation import evaluate

TASK = Task(("u",), ("u",))


def dataset(times):
    u = np.random.default_rng(0).standard_normal((2, len(times), 8))
    return xr.Dataset({"u": (("sample", "time", "x"), u)}, {"time": times, "x": np.arange(8.0)})


def check(times, **changes):
    ds = dataset(times)
    require_times(replace(TASK, **changes), ds, layout_of(ds, ("u",)))


def test_a_gap_is_refused_where_windows_would_go_across():
    gap = [0.0, 0.1, 0.2, 0.3, 0.7]
    with pytest.raises(InputError, match=r"'time' goes from 0\.3 to 0\.7, where steps are 0\.1"):
        check(gap)
    with pytest.raises(InputError, match=r"goes from 0 to 0, where steps are 1 elsewhere"):
        check([0.0, 0.0, 1.0, 2.0, 3.0])
    check(gap, lead=0)
    check(gap, time=True)
    check(gap[:4])
    check(gap[2:4])
    check(pd.date_range("2001-01-31", periods=14, freq="ME"))
    check([3.0, 2.0, 1.0])


def test_dates_are_refused_where_the_task_sees_the_time():
    with pytest.raises(InputError, match="'time' holds dates, and the task sees the time"):
        check(pd.date_range("2001-01-01", periods=5), time=True)


def test_training_prediction_and_studies_refuse_alike(tmp_path):
    gap = dataset([0.0, 0.1, 0.2, 0.3, 0.7, 0.8])
    with pytest.raises(InputError, match=r"goes from 0\.3 to 0\.7"):
        sciml.fit("mlp", gap, targets=["u"], epochs=1)
    even = dataset(np.arange(6) * 0.1)
    surrogate = sciml.fit("mlp", even, targets=["u"], epochs=1)
    for ask in (surrogate.predict, lambda ds: surrogate.rollout(ds, 2)):
        with pytest.raises(InputError, match=r"goes from 0\.3 to 0\.7"):
            ask(gap)
    with pytest.raises(InputError, match=r"goes from 0\.3 to 0\.7"):
        samples_of(gap, TASK)
    surrogate.save(tmp_path / "surrogate")
    gap.to_netcdf(tmp_path / "gap.nc", engine="h5netcdf")
    with pytest.raises(InputError, match=r"gap\.nc: 'time' goes from 0\.3 to 0\.7"):
        evaluate(tmp_path / "surrogate", [tmp_path / "gap.nc"])
    assert surrogate.rollout(gap.isel(time=[3]), 2).sizes["time"] == 2
