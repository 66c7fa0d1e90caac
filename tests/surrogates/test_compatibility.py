"""What is said of datasets that a surrogate was not made for."""

import warnings

import numpy as np
import pytest
from torch import nn

from sciml.domain.dataset import domain_of, fields_of
from sciml.errors import InputError
from sciml.surrogates import Surrogate
from sciml.surrogates.query import Query


@pytest.fixture
def surrogate(heat_dataset, step_task):
    class First(nn.Module):
        def forward(self, x):
            return x[:, :1]

    fields = fields_of(heat_dataset, ["u"])
    return Surrogate(First(), step_task, domain=domain_of(heat_dataset), dt=0.5, fields=fields)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda ds: "heat.nc", "heat.nc: nothing there; expected a file of data"),
        (lambda ds: ds.u, r"got a DataArray.*array\.to_dataset\(name='u'\)"),
        (lambda ds: ds.drop_vars("y"), r"no coordinate 'y', so points are counted.*assign_coords"),
        (lambda ds: ds.drop_vars("time"), r"no coordinate 'time', so times are counted"),
        (
            lambda ds: ds.expand_dims(level=[0.0, 1.0]),
            r"3 axes in space, level, y, x of \(2, 12, 10\).*ds\.isel\(level=0\)",
        ),
    ],
    ids=["path", "array", "coordinate", "time", "level"],
)
def test_what_is_missing_is_named(surrogate, heat_dataset, change, said):
    with pytest.raises(InputError, match=said):
        surrogate.predict(change(heat_dataset))


def test_other_units_are_warned_of(surrogate, heat_dataset):
    other = heat_dataset.assign(u=heat_dataset.u.assign_attrs(units="degC"))
    with pytest.warns(UserWarning, match="'u' is in degC; the surrogate was trained on K") as found:
        surrogate.predict(other)
    assert found[0].filename == __file__
    silent = heat_dataset.assign(u=heat_dataset.u.drop_attrs())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        surrogate.predict(heat_dataset)
        surrogate.predict(silent)


def test_numbers_of_steps_and_samples_are_whole(surrogate, heat_dataset):
    with pytest.raises(InputError, match=r"batch_size=0; expected a whole number, at least 1"):
        surrogate.predict(heat_dataset, batch_size=0)
    with pytest.raises(InputError, match=r"steps=2\.0; expected a whole number"):
        surrogate.rollout(heat_dataset, 2.0)
    assert surrogate.rollout(heat_dataset, np.int64(2)).sizes["time"] == 2


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ([0.5], r"expected coordinates by axis, \{'x': \[\.\.\.\]\}"),
        ({"x": "half"}, "'x' is 'half'"),
    ],
)
def test_coordinates_that_are_none_are_named(heat_dataset, at, said):
    with pytest.raises(InputError, match=said):
        Query.of(at, domain_of(heat_dataset), ("y", "x"))
