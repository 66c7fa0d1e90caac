"""What a program says of itself is read key by key; what is wrong with it is one line."""

import json
import subprocess
import sys

import pytest
import xarray as xr
from patience import PATIENCE

from sciml.errors import InputError
from sciml.solver.mpirun import environment
from sciml.solver.program_description import describe

WHOLE = {
    "schema_version": 1,
    "name": "cavity",
    "fields": [{"name": "u"}],
    "parameters": [{"name": "Re", "default": 100, "low": 1, "high": 1000}],
    "options": [{"name": "every", "default": 10, "type": "int"}, {"name": "N", "default": 32}],
}

OWN = """
import numpy as np
from sciml.domain import Field, Grid
from sciml.solver import Option, Parameter, Program, main
from sciml.domain import Block

class Own(Program):
    name = "own"
    equation = "du/dt = −F u"
    fields = (Field("u"),)
    parameters = (Parameter("F", 2.0, 0.1, 10.0),)
    options = (Option("every", 3, low=1, help="steps between two kicks"),)
    order_space, order_time = None, {"none": 1}

    def __init__(self, given):
        self.given = given

    def domain(self):
        return Grid((8,), ((0.0, 1.0),), ("periodic",))

    def start(self, comm):
        self.u = np.ones(8)
        return Block((0,), (8,))

    def state(self):
        return {"u": self.u}

    def step(self, n):
        self.u = self.u + (n % self.given.every == 0)
        return 0.1 * (n + 1)

if __name__ == "__main__":
    main(Own)
"""


@pytest.fixture
def says(tmp_path):
    """A program that prints this when it is asked what it is."""

    def make(text):
        path = tmp_path / "foreign.py"
        path.write_text(f"print({text!r})")
        return path

    return make


def test_a_foreign_program_may_have_upper_case_names_and_an_option_every(says):
    found = describe(says(json.dumps(WHOLE)))
    assert found.parameter("Re").high == 1000.0 and not found.thins_files
    assert found.arguments({"Re": 50.0, "every": 5}) == ["--Re", "50.0", "--every", "5"]
    assert describe("solvers/heat.py").thins_files


def test_steps_of_a_program_that_draws_samples_are_samples():
    samples, march = describe("solvers/darcy.py"), describe("solvers/heat.py")
    assert samples.ours and samples.thins_files and march.ours
    assert samples.flags["steps"].help == "samples after the first, a state each"
    assert samples.flags["every"].help == "samples from one in the file to the next"
    assert march.flags["steps"].help == "number of time steps"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fields": [{"name": "x"}]}, "field 'x': that is the name of a coordinate"),
        ({"fields": [{"name": "Re"}]}, "parameter 'Re': a field is called so"),
        ({"fields": []}, "no fields"),
        ({"fields": "u"}, "fields: 'u'; expected a list"),
        ({"fields": [{"nam": "u"}]}, r"fields\[0\]: no key 'nam'; did you mean 'name'"),
        ({"fields": [{"name": "u", "on": "face"}]}, r"fields\[0\] 'u': .*on='face'"),
        ({"parameters": [{"name": "Re"}]}, r"parameters\[0\] 'Re': 'default' is missing"),
        ({"parameters": WHOLE["parameters"] * 2}, "flag --Re is declared twice"),
        ({"parameters": [WHOLE["parameters"][0] | {"low": "a"}]}, r"parameters\[0\] 'Re': could not"),
        ({"options": [{"name": "every", "default": None}]}, r"'every': .*expected one of int"),
        ({"options": [{"name": "help", "default": 1}]}, "every program has a flag of that name"),
        ({"schema_version": 2}, "schema_version 2; expected 1"),
        ({"name": 3}, "name: 3; expected text"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_description_is_one_line(says, change, words):
    with pytest.raises(InputError, match=words) as caught:
        describe(says(json.dumps(WHOLE | change)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello there", "printed 'hello there', no JSON"),
        ("", "printed nothing, no JSON"),
        ("[1]", "printed list"),
        ('{"schema_version": 1}', "no key 'name'"),
    ],
)
def test_what_is_no_description_is_quoted(says, text, words):
    with pytest.raises(InputError, match=words):
        describe(says(text))


def own(path, *words):
    return subprocess.run(
        [sys.executable, str(path), *words],
        capture_output=True, text=True, env=environment(), timeout=PATIENCE,
    )  # fmt: skip


def test_an_own_program_may_have_an_option_every(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    assert [o.name for o in describe(path).options].count("every") == 1
    done = own(path, "--every", "2", "--steps", "4", "--F", "3", "--out", str(tmp_path / "f.nc"))
    assert done.returncode == 0, done.stderr
    with xr.open_dataset(tmp_path / "f.nc") as ds:
        assert ds.u.isel(x=0).values.tolist() == [1, 2, 2, 3, 3]  # all states; it is its own option
        assert float(ds.F) == 3.0 and ds.attrs["every"] == 2


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('Field("u")', 'Field("time")', "own: error: field 'time': that is the name of a coordinate"),
        ("def step", "def stepp", "own: error: class Own lacks step()"),
        ('    equation = "du/dt = −F u"', "", "own: error: class Own lacks equation = ..."),
        ('Option("every"', 'Option("steps"', "own: error: flag --steps is declared twice"),
    ],
)  # fmt: skip
def test_what_an_own_program_lacks_is_one_line(tmp_path, old, new, words):
    path = tmp_path / "own.py"
    path.write_text(OWN.replace(old, new))
    for flags in (["--describe"], ["--out", str(tmp_path / "f.nc")]):
        done = own(path, *flags)
        assert done.returncode == 2 and done.stderr.startswith(words), done.stderr
        assert done.stderr.count("\n") == 1


def test_a_declaration_that_python_refuses_is_told_by_its_reason(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN.replace('"F", 2.0', '"F", 20.0'))
    with pytest.raises(
        InputError, match=r"ended with code 1: parameter 'F': default 20 on \[0.1, 10\]"
    ):
        describe(path)
