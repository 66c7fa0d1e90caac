"""Elimination of rows against a dense solve, for a definite and an indefinite system."""

from types import SimpleNamespace

import numpy as np
import pytest

from sciml.domain import Grid
from sciml.errors import InputError, ScimlError
from sciml.parallel import Decomposition, Diffusion, RowElimination

ALONE = SimpleNamespace(rank=0, size=1)


def build(boundary, shape=(9, 7)):
    cut = Decomposition(Grid(shape, ((0.0, 1.0),) * 2, boundary), 1, 2, (0,))
    return Diffusion(ALONE, cut), RowElimination(ALONE, cut)


def dense(operator):
    size = int(np.prod(operator.shape))
    matrix, out = np.zeros((size, size)), np.zeros(operator.shape)
    for i in range(size):
        unit = np.zeros(size)
        unit[i] = 1.0
        operator.apply(unit.reshape(operator.shape), out)
        matrix[:, i] = out.ravel()
    return matrix


@pytest.mark.parametrize("reaction", [5.0, -300.0])
@pytest.mark.parametrize(
    "boundary", [("neumann", "neumann"), ("dirichlet", "dirichlet"), ("neumann", "dirichlet")]
)
def test_against_a_dense_solve(boundary, reaction):
    operator, direct = build(boundary)
    rng = np.random.default_rng(0)
    operator.update(rng.uniform(0.5, 2.0, (9, 7)), reaction)
    direct.update(operator.faces, operator.reaction)
    b = rng.standard_normal(operator.shape)
    matrix = dense(operator)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    negative = (np.linalg.eigvalsh(matrix) < 0.0).sum()
    assert negative == 0 if reaction > 0.0 else negative > 2
    expected = np.linalg.solve(matrix, b.ravel()).reshape(b.shape)
    np.testing.assert_allclose(direct.solve(b), expected, rtol=1e-8, atol=1e-10)


def test_what_cannot_be_solved_is_refused():
    operator, direct = build(("neumann", "neumann"))
    with pytest.raises(InputError, match="no periodic one"):
        build(("periodic", "neumann"))
    with pytest.raises(InputError, match="along the first of two axes"):
        cut = Decomposition(Grid((9, 9), ((0.0, 1.0),) * 2, ("neumann",) * 2), 4, 2)
        RowElimination(SimpleNamespace(rank=0, size=4), cut)
    operator.update(np.ones((9, 7)), 0.0)
    for faces in operator.faces:
        faces[...] = 0.0
    with pytest.raises(ScimlError, match="singular"):
        direct.update(operator.faces, operator.reaction)


def test_strips_are_cut_along_their_axis():
    grid = Grid((30, 90), ((0.0, 1.0),) * 2, ("neumann",) * 2)
    assert Decomposition(grid, 4, 2).dims == (1, 4)
    assert Decomposition(grid, 4, 2, (0,)).dims == (4, 1)
    with pytest.raises(InputError, match="use 15 ranks"):
        Decomposition(grid, 16, 2, (0,))
