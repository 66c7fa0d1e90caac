"""What a run wrote, reduced to a part of a dataset."""

import h5netcdf
import numpy as np
import pytest

from sciml.datasets.part import PartJob, reduce
from sciml.domain import Field
from sciml.errors import InputError


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("name", ["u", "c"])
def test_values_that_the_narrower_type_cannot_hold_are_refused(tmp_path, name, last):
    raw, part = tmp_path / "raw.nc", tmp_path / "part.nc"
    values = {"u": np.ones((3, 5)), "c": np.ones(5)}
    values[name][..., 3] = 1e200
    with h5netcdf.File(raw, "w") as file:
        file.dimensions = {"time": 3, "x": 5}
        file.create_variable("time", ("time",), data=np.arange(3.0))
        file.create_variable("x", ("x",), data=np.linspace(0.0, 1.0, 5))
        file.create_variable("u", ("time", "x"), data=values["u"])
        file.create_variable("c", ("x",), data=values["c"])

    def job(dtype):
        kept = {
            "states": 1 if last else 3,
            "last": last,
            "fields": [Field("u")],
            "static": [Field("c")],
        }
        where = {"run": str(tmp_path), "raw": str(raw), "part": str(part)}
        return PartJob(0, (), {}, **where, **kept, coarsen=1, dtype=dtype)

    with pytest.raises(InputError, match=f"{name} is inf"):
        reduce(job("float32"))
    assert not part.exists()
    reduce(job("float64"))
    with h5netcdf.File(part) as file:
        np.testing.assert_array_equal(
            file[name][...], values[name][-1:] if last and name == "u" else values[name]
        )
