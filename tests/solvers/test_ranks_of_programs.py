"""Every program gives the same fields on 1, 2, 3 and 4 ranks."""

import re
import subprocess
from functools import cache

import numpy as np
import pytest
import xarray as xr
from cases import CASES, TOLERANCE, TOLERANCES
from programs import load

from sciml.share import find
from sciml.solver.mpirun import command, environment

# All cases in one job: starting MPI takes longer than running them.
DRIVER = """
import importlib.util
import sys
from sciml.solver import Program, main
for line in open(sys.argv[1]):
    path, *words = line.split()
    spec = importlib.util.spec_from_file_location("program", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    [program] = [
        c for c in vars(module).values()
        if isinstance(c, type) and issubclass(c, Program) and c.__module__ == "program"
    ]
    main(program, words)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """``runs(ranks)``: datasets by case."""

    @cache
    def run(ranks):
        folder = tmp_path_factory.mktemp(f"ranks{ranks}")
        (folder / "driver.py").write_text(DRIVER)
        (folder / "cases").write_text(
            "".join(
                f"{find(f'solvers/{program}.py')} {flags} --out {folder}/{name}.nc\n"
                for name, (program, flags) in CASES.items()
            )
        )
        words = command(folder / "driver.py", ranks, [str(folder / "cases")])
        done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return {name: xr.load_dataset(folder / f"{name}.nc") for name in CASES}

    return run


# Two are the half of four, which are two by two where a program is cut along two axes.
@pytest.mark.parametrize("ranks", [pytest.param(2, marks=pytest.mark.slow), 3, 4])
@pytest.mark.parametrize("case", CASES)
def test_same_fields(runs, case, ranks):
    one, many = runs(1)[case], runs(ranks)[case]
    assert set(one.data_vars) == set(many.data_vars) != set()
    for name, field in one.data_vars.items():
        values = field.values
        assert np.isfinite(values).all()
        apart = np.linalg.norm(many[name].values - values) / max(np.linalg.norm(values), 1e-300)
        assert apart <= TOLERANCES.get(CASES[case][0], TOLERANCE), f"{name}: {apart:.1e}"


@pytest.mark.parametrize("case", CASES)
def test_a_case_shows_something(runs, case):
    """Fields vary, and at least one of them in time."""
    one = runs(1)[case]
    assert all(np.ptp(one[field.name].values) > 0.0 for field in load(CASES[case][0]).fields)
    moved = [
        np.abs(field[-1] - field[0]).max() > 1e-3 * np.abs(field).max()
        for field in one.data_vars.values()
        if "time" in field.dims
    ]
    assert any(moved)


@pytest.mark.parametrize("case", CASES)
def test_time_is_in_seconds_where_fields_and_parameters_are(runs, case):
    one = runs(1)[case]
    rest = [
        v.attrs.get("units", "1").split() for n, v in one.variables.items() if n not in one.dims
    ]
    seconds = any(re.fullmatch(r"s(-?\d)?", word) for words in rest for word in words)
    steady = load(CASES[case][0]).steady
    assert one.time.attrs["units"] == ("s" if seconds and not steady else "1")


def test_every_program_has_a_case():
    programs = {path.stem for path in find("solvers/heat.py").parent.glob("*.py")}
    assert {program for program, _ in CASES.values()} == programs
