"""Names with which no dataset could be made are refused before anything is computed."""

import numpy as np
import pytest

from sciml.domain import Field, Grid
from sciml.domain.dataset import to_dataset
from sciml.domain.names import require_names
from sciml.errors import DomainError


@pytest.mark.parametrize(
    ("fields", "static", "parameters", "kind", "words"),
    [
        (["x"], [], [], None, "field 'x': that is the name of a coordinate"),
        (["time"], [], [], None, "field 'time': that is the name of a coordinate"),
        (["u"], ["y"], [], None, "static field 'y'"),
        (["u"], [], ["simulation"], None, "parameter 'simulation': that is the name of a note"),
        (["arrival"], [], [], None, "a note in recordings"),
        (["step"], [], [], None, r"send\(\) has an argument"),
        (["u", "u"], [], [], None, "field 'u': a field is called so, too"),
        (["u"], ["u"], [], None, "static field 'u': a field is called so"),
        (["u"], [], ["u"], None, "parameter 'u': a field is called so"),
        (["u", "u_true"], [], [], None, "beside predictions of 'u'"),
        (["u/v"], [], [], None, "files take no such name"),
        (["+u"], [], [], None, "a letter, digit or underscore first"),
        ([""], [], [], None, "files take no such name"),
        ([3], [], [], None, "no name"),
        (["u" * 300], [], [], None, "a name of 300 bytes; expected 256"),
        (["cell"], [], [], "particles", "part of a particles"),
    ],
)
def test_names_that_are_refused(fields, static, parameters, kind, words):
    with pytest.raises(DomainError, match=words):
        require_names(fields, static, parameters, kind)


def test_names_that_pass_make_a_dataset(tmp_path):
    fields, parameters = ["u", "U", "rho_0", "ψ", "p(1)", "cell", "mesh"], ["Re", "Ra", "F", "step"]
    require_names(fields, ["k"], parameters, "grid")
    grid = Grid((4,), ((0.0, 1.0),), ("periodic",))
    values = {name: np.full((2, 4), place) for place, name in enumerate(fields)}
    known = dict.fromkeys(parameters, 7.0)
    made = to_dataset(grid, [Field(n) for n in fields], values, [0.0, 1.0], parameters=known)
    made.to_netcdf(tmp_path / "f.nc", engine="h5netcdf")
    import xarray as xr

    with xr.open_dataset(tmp_path / "f.nc") as ds:
        assert {*fields} == {*ds.data_vars} and float(ds.Re) == 7.0
        assert float(ds["p(1)"].max()) == fields.index("p(1)")
