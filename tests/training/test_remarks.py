"""A training that came to nothing does not end like any other."""

import logging

import numpy as np
import pytest
import xarray as xr

import sciml
from sciml.training.figures import remarks

GOOD = {"vrmse": 0.01, "vrmse_persistence": 0.3, "step": 100}


@pytest.mark.parametrize(
    ("found", "before", "words"),
    [
        (GOOD, [{**GOOD, "vrmse": 0.1, "step": 50}, GOOD], []),
        ({}, [], []),
        ({"vrmse": 0.5}, [], []),
        ({**GOOD, "vrmse": 0.3}, [], ["no better than leaving the fields as they are"]),
        ({**GOOD, "vrmse": 0.05}, [{"step": 10}, GOOD], ["VRMSE 1.00e-02 at step 100, 5.00e-02"]),
        ({**GOOD, "vrmse": 0.025}, [GOOD], []),  # by so much validations differ
        ({**GOOD, "fields": {"u": GOOD, "p": {"vrmse": 0.9}}}, [], []),
        (
            {"fields": {"u": {**GOOD, "vrmse": 0.4}, "p": {"vrmse": 0.1}}, "vrmse": 0.25},
            [],
            ["leaving u as they are (VRMSE 4.00e-01, 3.00e-01)"],
        ),
        ({**GOOD, "vrmse": 1.0}, [GOOD], ["no better", "lost what it had learned"]),
    ],
)
def test_what_is_wrong_by_the_figures(found, before, words):
    told = remarks(found, before)
    assert len(told) == len(words)
    assert all(word in line for word, line in zip(words, told, strict=True))


def test_fit_says_that_nothing_was_learned(caplog):
    x, t = np.arange(16) / 16, np.arange(6) * 1e-3
    p = np.linspace(0, 5, 6)[:, None, None]
    ds = xr.Dataset(
        {"u": (("sample", "time", "x"), np.sin(2 * np.pi * (x - t[:, None]) + p))},
        {"time": t, "x": x},
    )
    with caplog.at_level(logging.WARNING, "sciml.fit"):
        sciml.fit("mlp", ds, inputs=["u"], targets=["u"], epochs=1, increment=False)
    assert "no better than leaving the fields as they are" in caplog.text
