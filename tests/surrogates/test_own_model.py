"""Models of a user's own, by name: from a file, and from a package that declares one."""

from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pytest
import xarray as xr

import sciml
from sciml.domain import Grid
from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import Surrogate, own_model, registry
from sciml.surrogates.setting import Setting

NET = """
from __future__ import annotations

from dataclasses import dataclass

from torch import nn

@dataclass
class Options:
    width: int

def build(setting, *, width: int = 4):
    options = Options(width)
    return nn.Sequential(nn.Conv1d(1, options.width, 3, padding=1), nn.Conv1d(options.width, 1, 1))
"""
TASK, LINE = Task(("u",), ("u",)), Grid((8,), ((0.0, 1.0),), ("periodic",))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def data():
    x, t = np.arange(8) / 8, np.arange(12) / 12
    u = np.sin(6.28 * (x - t[:, None]))
    return xr.Dataset({"u": (("time", "x"), u)}, {"time": t, "x": x})


def test_a_file_is_built_fitted_saved_and_loaded(folder):
    (folder / "net.py").write_text(NET)
    ds = data()
    surrogate = sciml.fit({"name": "net.py", "width": 3}, ds, targets=["u"], epochs=1)
    assert surrogate.model[0].out_channels == 3
    surrogate.save("saved")
    again = sciml.load("saved", model="net.py")
    xr.testing.assert_identical(again.predict(ds), surrogate.predict(ds))


def test_layers_without_sizes_get_them_from_the_data_in_fit(folder):
    text = "from torch import nn\ndef build(setting):\n    return nn.LazyConv1d(1, 3, padding=1)\n"
    (folder / "net.py").write_text(text)
    surrogate = sciml.fit("net.py", data(), targets=["u"], epochs=1)
    surrogate.save("saved")
    again = sciml.load("saved", model="net.py")
    xr.testing.assert_identical(again.predict(data()), surrogate.predict(data()))


def test_a_card_alone_never_makes_a_file_run(folder):
    (folder / "net.py").write_text(NET)
    Surrogate.build("net.py", TASK, LINE).save("saved")
    (folder / "net.py").write_text(NET + "open('ran', 'w').close()\n")
    with pytest.raises(InputError, match=r"built by the file net\.py.*model='net\.py'"):
        sciml.load("saved")
    assert not (folder / "ran").exists()
    sciml.load("saved", model="net.py")
    assert (folder / "ran").exists(), "a file that was changed is run again"


def test_its_options_are_checked_as_ours_are(folder):
    (folder / "net.py").write_text(NET)
    with pytest.raises(InputError, match="no option 'widht'; did you mean 'width'"):
        registry.build("net.py", Setting(TASK, LINE), widht=3)
    with pytest.raises(InputError, match="width='three'; expected a whole number"):
        registry.build("net.py", Setting(TASK, LINE), width="three")
    (folder / "plain.py").write_text(NET.replace("*, ", ""))  # not by keyword alone
    assert registry.build("plain.py", Setting(TASK, LINE), width=2)[0].out_channels == 2
    text = "from torch import nn\nclass build(nn.Identity):\n"
    (folder / "whole.py").write_text(
        text + "    def __init__(self, setting, width: int = 4):\n        super().__init__()\n"
    )
    with pytest.raises(InputError, match="width='three'; expected a whole number"):
        registry.build("whole.py", Setting(TASK, LINE), width="three")


def test_a_file_may_import_those_beside_it(folder):
    (folder / "beside_it.py").write_text("WIDTH = 5\n")
    text = NET.replace("from torch", "from beside_it import WIDTH\nfrom torch")
    (folder / "net.py").write_text(text.replace("= 4", "= WIDTH"))
    assert registry.build("net.py", Setting(TASK, LINE))[0].out_channels == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", r"has no function build; expected build\(setting, \*, width=32\)"),
        ("def build(*, width):\n    return 3\n", r"has no function build;"),
        ("build = 3\n", r"has no function build;"),
        ("import there_is_no_such\n", r"ModuleNotFoundError.*net\.py, line 1"),
        ("def build(task domain):\n", "SyntaxError.*line 1"),
        (
            "def build(setting):\n    return 3\n",
            "build returned int; expected a torch.nn.Module",
        ),
        ("def build(setting, *, n):\n    return n\n", "cannot be built: .*'n'"),
    ],
)
def test_what_is_no_model_is_told_in_one_line(text, said, folder):
    (folder / "net.py").write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        registry.build("net.py", Setting(TASK, LINE))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_and_a_name_that_is_none(folder):
    with pytest.raises(InputError, match=r"no 'nets\.py' in "):
        registry.build("nets.py", Setting(TASK, LINE))
    with pytest.raises(InputError, match=r"unknown model 'fna'; did you mean 'fno'.*my_net\.py"):
        registry.build("fna", Setting(TASK, LINE))


def test_a_package_declares_one(folder, monkeypatch):
    (folder / "their_net.py").write_text(NET)
    monkeypatch.syspath_prepend(folder)
    there = EntryPoints(
        [
            EntryPoint("theirs", "their_net", own_model.GROUP),
            EntryPoint("broken", "there_is_no_such", own_model.GROUP),
        ]
    )
    monkeypatch.setattr(own_model, "entry_points", lambda **which: there.select(**which))
    assert {"theirs", "fno"} <= set(registry.names())
    Surrogate.build({"name": "theirs", "width": 2}, TASK, LINE).save("saved")
    assert sciml.load("saved").model[0].out_channels == 2  # what is installed may be run
    with pytest.raises(InputError, match="'broken': there_is_no_such cannot be imported"):
        registry.build("broken", Setting(TASK, LINE))
