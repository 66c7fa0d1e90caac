"""Every program gives the same fields on 1, 2, 3 and 4 ranks.

By default each program on four, and on three all cases that are cut along two axes."""

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

# All cases in one job: starting MPI takes longer than running them. Each word is a part of the job: a
# file of cases for all ranks; or 3:one,other, a file for the first three ranks and one for the rest.
DRIVER = """
import importlib.util
import sys
import time

from mpi4py import MPI

from sciml.solver import Program, main

world = MPI.COMM_WORLD
for word in sys.argv[1:]:
    count, _, cases = word.rpartition(":")
    rest = bool(count) and world.rank >= int(count)
    MPI.COMM_WORLD = world.Split(rest)
    for line in open(cases.split(",")[rest]):
        path, *words = line.split()
        spec = importlib.util.spec_from_file_location("program", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        [program] = [
            c for c in vars(module).values()
            if isinstance(c, type) and issubclass(c, Program) and c.__module__ == "program"
        ]
        main(program, words)
    done = world.Ibarrier()
    while not done.Test():
        time.sleep(0.01)  # without load, unlike a rank that waits within MPI
"""


#: Cut along two axes: four are two by two, and three in a row, of which the middle one has no end.
BLOCKS = ("advection_diffusion", "darcy", "heat", "helmholtz", "shallow_water", "wave")
IN_BLOCKS = [name for name, (program, _) in CASES.items() if program in BLOCKS]
OTHERS = [name for name in CASES if name not in IN_BLOCKS]
#: The first case of each program, in their order: behind ngsolve the last bits of xtb differ.
FIRST = list({program: name for name, (program, _) in reversed(CASES.items())}.values())[::-1]
REST = [name for name in CASES if name not in FIRST]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """``runs(case, ranks)``: its dataset."""
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "driver.py").write_text(DRIVER)

    def cases(ranks, names):
        path = folder / f"cases-{ranks}-{next(iter(names))}-{len(names)}"
        path.write_text(
            "".join(
                f"{find(f'solvers/{program}.py')} {flags} --out {folder}/{name}-{ranks}.nc\n"
                for name, (program, flags) in ((name, CASES[name]) for name in names)
            )
        )
        return path

    @cache
    def start(ranks, *parts):
        words = command(folder / "driver.py", ranks, parts)
        return subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=600)

    @cache
    def read(case, ranks):
        if ranks == 2:
            done = start(2, cases(2, CASES))
        elif ranks == 3 and case in OTHERS:
            done = start(3, cases(3, OTHERS))
        elif ranks == 4 and case in REST:
            done = start(4, cases(4, REST))
        else:
            done = start(4, f"3:{cases(3, IN_BLOCKS)},{cases(1, CASES)}", cases(4, FIRST))
        assert done.returncode == 0, done.stderr
        return xr.load_dataset(folder / f"{case}-{ranks}.nc")

    return read


@pytest.mark.parametrize(
    ("case", "ranks"),
    [
        *(pytest.param(case, 2, marks=pytest.mark.slow) for case in CASES),
        *(pytest.param(case, 3, marks=pytest.mark.slow) for case in OTHERS),
        *((case, 3) for case in IN_BLOCKS),
        *((case, 4) for case in FIRST),
        *(pytest.param(case, 4, marks=pytest.mark.slow) for case in REST),
    ],
)
def test_same_fields(runs, case, ranks):
    one, many = runs(case, 1), runs(case, ranks)
    assert set(one.data_vars) == set(many.data_vars) != set()
    for name, field in one.data_vars.items():
        values = field.values
        assert np.isfinite(values).all()
        apart = np.linalg.norm(many[name].values - values) / max(np.linalg.norm(values), 1e-300)
        assert apart <= TOLERANCES.get(CASES[case][0], TOLERANCE), f"{name}: {apart:.1e}"


@pytest.mark.parametrize("case", CASES)
def test_a_case_shows_something(runs, case):
    """Fields vary, and at least one of them in time."""
    one = runs(case, 1)
    assert all(np.ptp(one[field.name].values) > 0.0 for field in load(CASES[case][0]).fields)
    moved = [
        np.abs(field[-1] - field[0]).max() > 1e-3 * np.abs(field).max()
        for field in one.data_vars.values()
        if "time" in field.dims
    ]
    assert any(moved)


@pytest.mark.parametrize("case", CASES)
def test_time_is_in_seconds_where_fields_and_parameters_are(runs, case):
    one = runs(case, 1)
    rest = [
        v.attrs.get("units", "1").split() for n, v in one.variables.items() if n not in one.dims
    ]
    seconds = any(re.fullmatch(r"s(-?\d)?", word) for words in rest for word in words)
    steady = load(CASES[case][0]).steady
    assert one.time.attrs["units"] == ("s" if seconds and not steady else "1")


def test_every_program_has_a_case():
    programs = {path.stem for path in find("solvers/heat.py").parent.glob("*.py")}
    assert {program for program, _ in CASES.values()} == programs
