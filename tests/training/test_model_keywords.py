"""Options of a model as keywords of ``fit``."""

import numpy as np
import pytest
import torch
import xarray as xr

import sciml
from sciml.errors import InputError


@pytest.fixture(scope="module")
def waves():
    x = np.linspace(0.0, 2 * np.pi, 16, endpoint=False)
    u = np.sin(x + np.arange(4)[:, None] + np.arange(3)[:, None, None]).astype(np.float32)
    ds = xr.Dataset({"u": (("sample", "time", "x"), u)}, {"time": np.arange(4.0), "x": x})
    ds.x.attrs["boundary"] = "periodic"
    return ds


def test_they_are_those_of_the_mapping(waves):
    one = sciml.fit("fno", waves, modes=3, hidden_channels=4, n_layers=1, epochs=1)
    other = sciml.fit(
        {"name": "fno", "modes": 3, "hidden_channels": 4, "n_layers": 1}, waves, epochs=1
    )
    assert (
        one.config
        == other.config
        == {"name": "fno", "modes": 3, "hidden_channels": 4, "n_layers": 1}
    )
    assert one.predict(waves).equals(other.predict(waves))
    more = sciml.fit({"name": "fno", "hidden_channels": 4}, waves, modes=3, n_layers=1, epochs=1)
    assert more.config["modes"] == 3 and more.config["hidden_channels"] == 4


def test_levels_as_a_number_are_those_of_a_model(waves):
    assert sciml.fit("unet", waves, levels=1, width=4, epochs=1).config["levels"] == 1


@pytest.mark.parametrize(
    ("model", "given", "line"),
    [
        ("fno", {"mods": 8}, "'mods' is no argument, and no option of fno; did you mean 'modes'"),
        ("fno", {"epoch": 8}, "did you mean 'epochs'"),
        ("fno", {"modes": "many"}, "modes='many'; expected"),
        ({"name": "fno", "modes": 2}, {"modes": 8}, "modes in the model and as keyword"),
        (torch.nn.Conv1d(1, 1, 1), {"modes": 8}, "modes with a module, which is built already"),
        (torch.nn.Conv1d(1, 1, 1), {"epoch": 8}, "did you mean 'epochs'"),
        ("fmo", {"modes": 8}, "unknown model 'fmo'"),
    ],
)
def test_what_is_neither_argument_nor_option(waves, model, given, line):
    with pytest.raises(InputError, match=line):
        sciml.fit(model, waves, **given)
