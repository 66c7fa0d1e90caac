"""The same bits on any number of ranks."""

import subprocess

import numpy as np
import pytest
import xarray as xr

from sciml.share import find
from sciml.solver.mpirun import command, environment

#: Name, program and flags of small cases; fields are elementwise sums and products, so bits agree.
CASES = {
    "antiderivative": ("antiderivative", "--shape 23 --steps 70 --every 7 --seed 3"),
    "nonlinear-ode": ("nonlinear_ode", "--shape 23 --steps 70 --every 7 --mean -2.2 --seed 3"),
    "pendulum": ("pendulum", "--shape 23 --steps 6 --end 7 --k 3 --scheme heun --substeps 8"),
    "diffusion-reaction": (
        "diffusion_reaction",
        "--shape 9 22 --steps 5 --every 2 --k 0.5 --substeps 8",
    ),
    "lorenz": ("lorenz", "--shape 7 --steps 300 --every 50 --spinup 5"),
    "lorenz-heun": ("lorenz", "--shape 5 --steps 20 --every 5 --scheme heun --rho 20 --seed 2"),
}

# All cases in one job: starting MPI takes longer than running them.
DRIVER = """
import sys
sys.path.insert(0, sys.argv[2])
from importlib import import_module
from sciml.solver import Program, main
for line in open(sys.argv[1]):
    name, *words = line.split()
    (program,) = (
        value for value in vars(import_module(name)).values()
        if isinstance(value, type) and issubclass(value, Program) and value.__module__ == name
    )
    main(program, words)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Datasets by (case, ranks)."""
    found = {}
    for ranks in (1, 2, 3, 4):
        folder = tmp_path_factory.mktemp(f"ranks{ranks}")
        driver, cases = folder / "driver.py", folder / "cases"
        driver.write_text(DRIVER)
        cases.write_text(
            "".join(
                f"{program} {flags} --out {folder}/{name}.nc\n"
                for name, (program, flags) in CASES.items()
            )
        )
        words = command(driver, ranks, [str(cases), str(find("solvers/lorenz.py").parent)])
        done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        for name in CASES:
            with xr.open_dataset(folder / f"{name}.nc") as ds:
                found[name, ranks] = ds.load()
    return found


@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.parametrize("case", CASES)
def test_same_bits(runs, case, ranks):
    one, many = runs[case, 1], runs[case, ranks]
    assert list(one.data_vars) == list(many.data_vars)
    for name, field in one.data_vars.items():
        np.testing.assert_array_equal(many[name].values, field.values)
        assert np.isfinite(field.values).all() and np.ptp(field.values) > 0.1


def test_frames_of_a_steady_program_are_numbered(runs):
    ds = runs["antiderivative", 3]
    assert list(ds.time.values) == [7.0 * i for i in range(11)]
    assert ds.u.dims == ("time", "x") and ds.x.attrs["units"] == "s"
    assert runs["diffusion-reaction", 2].s.dims == ("time", "y", "x")
