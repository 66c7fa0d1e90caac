"""The same fields on any number of ranks."""

import subprocess

import numpy as np
import pytest
import xarray as xr

from sciml.share import find
from sciml.solver.mpirun import command, environment

CASES = {
    f"{scheme}-{boundary}-{initial}": (scheme, boundary, initial)
    for scheme in ("explicit", "crank-nicolson")
    for boundary in ("periodic", "dirichlet")
    for initial in ("smooth", "piecewise")
}

# All cases in one job: starting MPI takes longer than running them.
DRIVER = """
import sys
sys.path.insert(0, sys.argv[1])
from heat import Heat
from sciml.solver import main
for line in open(sys.argv[2]):
    main(Heat, line.split())
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Fields by (case, ranks)."""
    found = {}
    for ranks in (1, 2, 3, 4, 7):
        folder = tmp_path_factory.mktemp(f"ranks{ranks}")
        driver, cases = folder / "driver.py", folder / "cases"
        driver.write_text(DRIVER)
        cases.write_text(
            "".join(
                f"--shape 16 15 --steps 20 --every 5 --scheme {scheme} --boundary {boundary} "
                f"--initial {initial} --dt 0.02 --kappa 0.03 --seed 5 --out {folder}/{name}.nc\n"
                for name, (scheme, boundary, initial) in CASES.items()
            )
        )
        words = command(driver, ranks, [str(find("solvers")), str(cases)])
        done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        for name in CASES:
            with xr.open_dataset(folder / f"{name}.nc") as ds:
                found[name, ranks] = ds.u.values
    return found


@pytest.mark.parametrize("ranks", [2, 3, 4, 7])
@pytest.mark.parametrize("case", CASES)
def test_same_fields(runs, case, ranks):
    one, many = runs[case, 1], runs[case, ranks]
    assert one.shape == (5, 16, 15) and np.ptp(one[0]) > 0.1
    # Conjugate gradients stop at a residual of 1e-14; 20 steps and cond(A) < 5 stand in between.
    tolerance = 1e-12
    assert np.linalg.norm(many - one) <= tolerance * np.linalg.norm(one)
