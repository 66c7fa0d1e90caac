"""The same checks on 1, 2, 3, 4 and 7 ranks: three are a row with an inner one, four two by two."""

import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sciml.domain import Grid
from sciml.errors import InputError, ScimlError
from sciml.parallel import ConjugateGradient, Decomposition, GlobalSum, Halo, Rows
from sciml.solver.mpirun import command, environment

ALONE = SimpleNamespace(rank=0, size=1)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "ranks", [1, 3, 4, pytest.param(2, marks=SLOW), pytest.param(7, marks=SLOW)]
)
def test_halos_sums_and_solves(ranks):
    program = Path(__file__).with_name("check_ranks.py")
    # A failed assertion leaves the other ranks waiting: mpi4py's runner aborts them.
    words = command(program, ranks)
    words[-1:] = ["-m", "mpi4py", words[-1]]
    done = subprocess.run(words, capture_output=True, text=True, env=environment(), timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("fine") == ranks


def test_halo_of_another_communicator_is_refused():
    grid = Grid((8, 8), ((0.0, 1.0),) * 2, ("periodic",) * 2)
    with pytest.raises(InputError, match="1 ranks for a grid cut into 2"):
        Halo(ALONE, Decomposition(grid, 2))


def test_rows_are_of_what_has_no_axes():
    with pytest.raises(InputError, match="Rows of a grid; expected Decomposition"):
        Rows(ALONE, Grid((8, 8), ((0.0, 1.0),) * 2, ("periodic",) * 2))


def test_solver_refuses_what_it_cannot_solve():
    def indefinite(p, out):
        out[...] = -p

    def stiff(p, out):
        out[...] = p * np.logspace(0, 8, p.size)

    with pytest.raises(ScimlError, match="positive definite"):
        ConjugateGradient(indefinite, GlobalSum(ALONE), (4,)).solve(np.ones(4), np.zeros(4))
    with pytest.raises(ScimlError, match="after 3 iterations"):
        solver = ConjugateGradient(stiff, GlobalSum(ALONE), (40,), iterations=3)
        solver.solve(np.ones(40), np.zeros(40))
