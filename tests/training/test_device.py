"""One piece of code says which devices there are, for ``fit`` and for studies."""

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import sciml.training.device as module
from sciml.errors import InputError
from sciml.samples import Task
from sciml.study.schema import Study
from sciml.surrogates import Normalizer
from sciml.training import fit
from sciml.training.device import counts, device_of, require_dtypes, require_name


def here(monkeypatch, **there):
    monkeypatch.setattr(module, "counts", lambda: {"cuda": 0, "xpu": 0, "mps": 0, "cpu": 1} | there)


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ({}, "cpu"),
        ({"mps": 1}, "mps"),
        ({"xpu": 2, "mps": 1}, "xpu"),
        ({"cuda": 1, "xpu": 1, "mps": 1}, "cuda"),
    ],
)
def test_where_nothing_is_said_a_gpu_is_taken(monkeypatch, there, taken):
    here(monkeypatch, **there)
    assert device_of(None) == device_of("auto") == torch.device(taken)


@pytest.mark.parametrize("name", ["cuda", "cuda:7", "xpu", "xpu:0", "mps", "mps:0"])
def test_what_is_not_there_is_one_line(monkeypatch, name):
    here(monkeypatch)
    kind = name.partition(":")[0].upper()
    with pytest.raises(InputError, match=f"{name[:3]}.*no {kind} device here; expected auto, cpu$"):
        device_of(name, "training.device")
    here(monkeypatch, cuda=2, xpu=1, mps=1)
    if name == "cuda:7":
        with pytest.raises(InputError, match=r"no CUDA device 7 here.*cuda:0 to cuda:1"):
            device_of(name)
    else:
        assert device_of(name).type == kind.lower()


@pytest.mark.parametrize(
    "name", ["meta", "gpu", "", "cuda:", "cuda:-1", "CPU", "mps:1", 0, True, 1.5]
)
def test_what_is_no_device_is_one_line_in_fit_and_in_a_study(name, small_waves):
    with pytest.raises(
        InputError, match=r"device: got .*; expected auto, cpu, cuda, cuda:1"
    ) as said:
        fit("fno", small_waves, epochs=1, device=name)
    assert "\n" not in str(said.value)
    sections = {
        "solver": {"program": "p"},
        "parameters": {"simulations": 1},
        "task": {"inputs": ["u"]},
    }
    with pytest.raises(ValueError, match=r"training\.device"):
        Study.model_validate({**sections, "training": {"device": name}})


def test_names_of_devices_stand_in_a_study_whether_they_are_there_or_not():
    for name in ("auto", "cpu", "cuda", "cuda:1", "xpu", "xpu:3", "mps"):
        assert require_name(name) == name
    assert counts()["cpu"] == 1 and device_of(torch.device("cpu")) == device_of("cpu:0")


def test_float64_is_refused_where_there_is_none():
    model = nn.Linear(2, 2).double()
    require_dtypes(model, torch.device("cpu"))
    require_dtypes(model.float(), torch.device("mps"))
    with pytest.raises(InputError, match=r"mps has no torch\.float64, in which 'weight' is"):
        require_dtypes(model.double(), torch.device("mps"))


def test_the_normalizer_gives_way_where_there_is_no_float64():
    """As ``.to("mps")`` does: it refuses float64 by a TypeError."""

    def to_mps(tensor):
        if tensor.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return tensor.clone()

    normalizer = Normalizer(Task(("u",), ("u",)))
    normalizer.mean.fill_(3.0)
    normalizer._apply(to_mps)
    assert normalizer.mean.tolist() == [3.0] * 3


@pytest.fixture
def small_waves():
    u = np.random.default_rng(0).normal(size=(4, 6, 16)).astype("f4")
    return xr.Dataset(
        {"u": (("sample", "time", "x"), u)}, {"time": np.arange(6.0), "x": np.arange(16) / 16}
    )
