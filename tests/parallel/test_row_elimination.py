"""Elimination of rows against a dense solve, for definite and indefinite systems."""

from types import SimpleNamespace

import numpy as np
import pytest

from sciml.domain import Grid
from sciml.errors import InputError, ScimlError
from sciml.parallel import Decomposition, NinePoint, RowElimination

ALONE = SimpleNamespace(rank=0, size=1)
SHAPE = (9, 7)


def build():
    cut = Decomposition(Grid(SHAPE, ((0.0, 1.0),) * 2, ("neumann",) * 2), 1, 2, (0,))
    return NinePoint(ALONE, cut), RowElimination(ALONE, cut)


def line(n):
    """Weights, and −δ² times them, between reflecting walls."""
    weight = np.ones(n)
    weight[[0, -1]] = 0.5
    stiff = 2.0 * np.diag(weight) - np.eye(n, k=1) - np.eye(n, k=-1)
    return np.diag(weight), stiff * (n - 1) ** 2


def dense(q):
    """The operator as its docstring has it."""
    (wy, sy), (wx, sx) = line(SHAPE[0]), line(SHAPE[1])
    hy2, hx2 = (1.0 / (n - 1) ** 2 for n in SHAPE)
    stiffness = np.kron(sy, wx) + np.kron(wy, sx) - (hx2 + hy2) / 12.0 * np.kron(sy, sx)
    mass = np.kron(wy, wx) - hx2 / 12.0 * np.kron(wy, sx) - hy2 / 12.0 * np.kron(sy, wx)
    q = np.diag(q.ravel())
    return stiffness - 0.5 * (mass @ q + q @ mass), mass


@pytest.mark.parametrize("mean", [-5.0, 300.0])
def test_nine_points_and_their_elimination(mean):
    points, direct = build()
    rng = np.random.default_rng(0)
    q = mean * rng.uniform(0.5, 1.5, SHAPE)
    b = rng.standard_normal(SHAPE)
    matrix, mass = dense(q)
    operator = points.operator(q)
    np.testing.assert_allclose(operator.dense(), matrix, atol=1e-10)
    np.testing.assert_allclose(points.weighted(b).ravel(), mass @ b.ravel(), atol=1e-13)
    negative = (np.linalg.eigvalsh(matrix) < 0.0).sum()
    assert negative == 0 if mean < 0.0 else negative > 2
    direct.update(operator)
    expected = np.linalg.solve(matrix, b.ravel()).reshape(SHAPE)
    np.testing.assert_allclose(direct.solve(b), expected, rtol=1e-8, atol=1e-10)


def test_what_cannot_be_solved_is_refused():
    for boundary in ("periodic", "dirichlet"):
        grid = Grid(SHAPE, ((0.0, 1.0),) * 2, (boundary,) * 2)
        with pytest.raises(InputError, match="no periodic or held ones"):
            RowElimination(ALONE, Decomposition(grid, 1, 2, (0,)))
        with pytest.raises(InputError, match="axes with neumann boundaries"):
            NinePoint(ALONE, Decomposition(grid, 1, 2))
    with pytest.raises(InputError, match="along the first of two axes"):
        grid = Grid(SHAPE, ((0.0, 1.0),) * 2, ("neumann",) * 2)
        RowElimination(SimpleNamespace(rank=0, size=4), Decomposition(grid, 4, 2))
    points, direct = build()
    operator = points.operator(np.zeros(SHAPE))
    operator.diagonal[...] = 0.0
    for coupling in operator.couplings.values():
        coupling[...] = 0.0
    with pytest.raises(ScimlError, match="singular"):
        direct.update(operator)


def test_strips_are_cut_along_their_axis():
    grid = Grid((30, 90), ((0.0, 1.0),) * 2, ("neumann",) * 2)
    assert Decomposition(grid, 4, 2).dims == (1, 4)
    assert Decomposition(grid, 4, 2, (0,)).dims == (4, 1)
    with pytest.raises(InputError, match="use 15 ranks"):
        Decomposition(grid, 16, 2, (0,))
