"""Multigrid: iterations that do not grow with the grid, nor with the contrast, on any ranks."""

import subprocess
from functools import cache
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sciml.domain import Grid
from sciml.errors import InputError
from sciml.parallel import (
    ConjugateGradient,
    Decomposition,
    Diffusion,
    GlobalSum,
    Multigrid,
    PiecewiseField,
    SmoothField,
)
from sciml.solver.mpirun import command, environment

ALONE = SimpleNamespace(rank=0, size=1)
MOST = 15
CONTRASTS = (1.0, 10.0, 100.0, 1000.0)
#: Two phases with a rough border, and many small discs in one of them.
COEFFICIENTS = {
    "phases": lambda grid: SmoothField(1, grid.ndim, modes=16).on(grid) > 0.0,
    "discs": lambda grid: PiecewiseField(3, 2, count=30, radius=(0.03, 0.1)).on(grid) != 0.0,
}


def build(shape, boundary="dirichlet", extent=None):
    kinds = (boundary,) * len(shape) if isinstance(boundary, str) else boundary
    grid = Grid(shape, extent or ((0.0, 1.0),) * len(shape), kinds)
    cut = Decomposition(grid, 1, 2)
    return grid, Diffusion(ALONE, cut), Multigrid(ALONE, cut)


def iterations(system, a, reaction=0.0, tolerance=1e-10):
    """Conjugate gradients for a source of 1."""
    _, operator, multigrid = system
    operator.update(a, reaction)
    multigrid.update(operator.faces, operator.reaction)
    total = GlobalSum(ALONE)
    solver = ConjugateGradient(
        operator.apply,
        total,
        operator.shape,
        tolerance=tolerance,
        iterations=200,
        precondition=multigrid,
    )
    return solver.solve(operator.volume.copy(), np.zeros(operator.shape))


def table(sizes):
    found = {}
    for n in sizes:
        system = build((n, n))
        for name, contrast in product(COEFFICIENTS, CONTRASTS):
            a = np.where(COEFFICIENTS[name](system[0]), contrast, 1.0)
            found[name, contrast, n] = iterations(system, a)
    return found


def shown(found):
    return "\n".join(f"{key}: {count}" for key, count in found.items())


@pytest.mark.parametrize("sizes", [(64, 85, 141), (211, 256)])
def test_iterations_hardly_depend_on_grid_and_contrast(sizes):
    found = table(sizes)
    assert max(found.values()) <= MOST, shown(found)
    assert max(v for (_, c, _), v in found.items() if c == 1.0) <= 8, shown(found)


@pytest.mark.slow
def test_iterations_on_fine_grids():
    found = table((421, 512))
    assert max(found.values()) <= MOST, shown(found)


@pytest.mark.parametrize(
    ("shape", "boundary", "extent", "reaction"),
    [
        ((100, 66), "neumann", None, 1.0),
        ((64, 64), "periodic", None, 1.0),
        ((66, 67), ("periodic", "dirichlet"), None, 0.0),
        ((64, 64), "dirichlet", ((0.0, 1.0), (0.0, 10.0)), 0.0),
        ((200, 20), "dirichlet", None, 0.0),
        ((300,), "dirichlet", None, 0.0),
        ((24, 25, 26), ("dirichlet", "neumann", "periodic"), None, 0.0),
        ((4, 5), "dirichlet", None, 0.0),
    ],
)
def test_boundaries_shapes_and_dimensions(shape, boundary, extent, reaction):
    system = build(shape, boundary, extent)
    a = np.where(SmoothField(1, len(shape), modes=6).on(system[0]) > 0.0, 100.0, 1.0)
    assert iterations(system, a, reaction) <= MOST


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
def test_a_cycle_is_symmetric_and_positive(boundary):
    grid, operator, multigrid = build((50, 44), boundary)
    operator.update(np.where(COEFFICIENTS["phases"](grid), 1e3, 1.0), 1.0)
    multigrid.update(operator.faces, operator.reaction)
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal((2, *operator.shape))
    mu, mv = np.zeros((2, *operator.shape))
    multigrid(u, mu)
    multigrid(v, mv)
    size = (np.vdot(u, mu) * np.vdot(v, mv)) ** 0.5
    # Cycles run in single precision.
    assert abs(np.vdot(u, mv) - np.vdot(v, mu)) < 1e-5 * size
    assert np.vdot(u, mu) > 0.0 and np.vdot(v, mv) > 0.0


def test_operator_is_the_matrix_it_should_be():
    """−∇·(a ∇u) + c u against a dense matrix with harmonic means at the faces."""
    grid, operator, _ = build((6, 7), ("dirichlet", "neumann"), ((0.0, 1.0), (0.0, 2.0)))
    rng = np.random.default_rng(1)
    a, c = rng.uniform(0.1, 10.0, grid.shape), 3.0
    operator.update(a, c)
    u = np.zeros(grid.shape)
    u[1:-1] = rng.standard_normal((4, 7))
    part = np.ones(7)
    part[[0, -1]] = 0.5
    expected = c * u * part
    for i, j in product(range(1, 5), range(7)):
        for di, dj in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            if 0 <= j + dj < 7:
                b = a[i + di, j + dj]
                k = 2.0 * a[i, j] * b / (a[i, j] + b)
                k *= part[j] / 0.2**2 if di else 1.0 / (1.0 / 3.0) ** 2
                expected[i, j] += k * (u[i, j] - u[i + di, j + dj])
    got = np.zeros(operator.shape)
    operator.apply(u[1:-1], got)
    np.testing.assert_allclose(got, expected[1:-1], rtol=1e-12)


def test_any_size_of_the_source_will_do():
    system = build((40, 40))
    _, operator, multigrid = system
    operator.update(np.full((40, 40), 2.0))
    multigrid.update(operator.faces)
    counts = set()
    for size in (1e-100, 1.0, 1e100):
        solver = ConjugateGradient(
            operator.apply, GlobalSum(ALONE), operator.shape, tolerance=1e-9, precondition=multigrid
        )
        x = np.zeros(operator.shape)
        counts.add(solver.solve(np.full(operator.shape, size), x))
        assert x.max() / size == pytest.approx(0.0736713532815 / 2.0, rel=2e-3)
    assert len(counts) == 1


def test_what_cannot_be_solved_is_refused():
    grid, operator, multigrid = build((32, 32), "periodic")
    operator.update(np.ones(grid.shape))
    with pytest.raises(InputError, match="hold a boundary, or add a reaction"):
        multigrid.update(operator.faces, operator.reaction)
    for bad in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="expected positive finite values"):
            operator.update(np.full(grid.shape, bad))
    with pytest.raises(InputError, match="even numbers of points along periodic axes"):
        build((101, 101), "periodic")
    with pytest.raises(InputError, match="use fewer ranks"):
        Multigrid(SimpleNamespace(rank=0, size=1024), Decomposition(grid, 1024))
    with pytest.raises(InputError, match="expected 2"):
        Diffusion(ALONE, Decomposition(grid, 1))


@pytest.fixture(scope="module")
def solutions(tmp_path_factory):
    """``solutions(ranks)``: what check_multigrid.py saves."""
    folder = tmp_path_factory.mktemp("ranks")

    @cache
    def saved(ranks):
        out = folder / f"{ranks}.npz"
        words = command(Path(__file__).with_name("check_multigrid.py"), ranks, [str(out)])
        words[-2:] = ["-m", "mpi4py", *words[-2:]]
        done = subprocess.run(
            words, capture_output=True, text=True, env=environment(), timeout=600, check=False
        )
        assert done.returncode == 0, done.stderr
        return dict(np.load(out))

    return saved


@pytest.mark.parametrize(
    # Darcy's program solves on three by default: tests/solvers/test_ranks_of_programs.py.
    "ranks",
    [*(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3)), 4],
)
def test_same_solution_on_any_ranks(solutions, ranks):
    one, many = solutions(1), solutions(ranks)
    for name, expected in one.items():
        # The order of sums differs, and with it the last digits of the iteration.
        assert np.linalg.norm(many[name] - expected) <= 1e-9 * np.linalg.norm(expected), name
        if name.endswith("cycle"):
            np.testing.assert_array_equal(many[name], expected, name)
        if name.endswith("iterations"):
            assert many[name] == expected <= MOST, name
