"""Threads of torch: one for small tensors, what the caller has for large ones, and his setting after."""

import os

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import sciml
from sciml.surrogates import threads
from sciml.surrogates.threads import MANY, threads_for, values_of


@pytest.fixture
def two_cores(monkeypatch):
    """As on a machine of two cores where nobody said how many threads there are."""
    for name in threads.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Watching(nn.Module):
    """Notes with how many threads it is called."""

    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(1, width, 1), nn.Conv1d(width, 1, 1))
        self.seen = set()

    def forward(self, x):
        self.seen.add(torch.get_num_threads())
        return self.layers(x)


def line(points):
    u = np.random.default_rng(0).standard_normal((3, 4, points)).astype(np.float32)
    return xr.Dataset({"u": (("sample", "time", "x"), u)}, {"time": np.arange(4.0)})


@pytest.mark.parametrize(("points", "expected"), [(16, {1}), (MANY // 8, {2})])
def test_fit_predict_and_rollout_choose_by_size(two_cores, points, expected):
    model = Watching(4)
    surrogate = sciml.fit(model, line(points), epochs=1, batch_size=4)
    assert model.seen == expected and torch.get_num_threads() == 2
    model.seen.clear()
    ds = line(points)
    surrogate.predict(ds, batch_size=4)
    assert model.seen == expected and torch.get_num_threads() == 2
    model.seen.clear()
    surrogate.rollout(ds, 2)  # one sample at a time
    assert model.seen == {1} and torch.get_num_threads() == 2


def test_the_setting_comes_back_after_an_error(two_cores):
    with pytest.raises(ValueError, match="no"), threads_for(0):
        assert torch.get_num_threads() == 1
        raise ValueError("no")
    assert torch.get_num_threads() == 2


def test_what_is_said_stays(two_cores, monkeypatch):
    torch.set_num_threads(3)
    with threads_for(0):
        assert torch.get_num_threads() == 3
    torch.set_num_threads(1)
    with threads.threads(2), threads_for(0):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 1
    torch.set_num_threads(2)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with threads_for(0):
        assert torch.get_num_threads() == 2


def test_values_are_samples_points_channels():
    assert values_of(nn.Conv2d(2, 24, 3), 100, 16) == 100 * 16 * 24
    assert values_of(nn.Linear(4096, 64), 4096, 16) == 4096 * 16 * 64
    body = nn.Sequential(nn.Conv2d(2, 24, 3), nn.Conv2d(24, 24, 3), nn.Conv2d(24, 1, 1))
    assert values_of(body, 100, 16) == 100 * 16 * 24
    assert values_of(nn.Identity(), 100, 16) == 1600
    for shape, batch, large in (((16,), 16, False), ((32, 32), 4, False), ((128, 128), 16, True)):
        assert (values_of(body, int(np.prod(shape)), batch) >= MANY) == large
