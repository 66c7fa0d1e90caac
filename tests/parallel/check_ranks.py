"""Run under mpirun by test_distributed.py: halos, sums, gathering and solves on any ranks."""

import itertools

import numpy as np
from mpi4py import MPI

from sciml.domain import Grid, Particles
from sciml.parallel import (
    ConjugateGradient,
    Decomposition,
    Gather,
    GlobalSum,
    Halo,
    Rows,
    free_points,
    shifted,
)

COMM = MPI.COMM_WORLD


def check_halo(shape, boundary, width, corners):
    grid = Grid(shape, ((0.0, 1.0),) * len(shape), boundary)
    halo = Halo(COMM, Decomposition(grid, COMM.size, width), corners=corners)
    whole = np.arange(grid.size, dtype=float).reshape(shape)
    array = halo.allocate()
    array[:] = -1.0
    halo.owned(array)[:] = whole[halo.block.slices]
    halo.exchange(array)
    for local in itertools.product(*(range(n) for n in array.shape)):
        place = [i - width + o for i, o in zip(local, halo.block.offset, strict=True)]
        outside = [not 0 <= p < n for p, n in zip(place, shape, strict=True)]
        beyond = any(o and kind != "periodic" for o, kind in zip(outside, boundary, strict=True))
        in_halo = sum(
            not width <= i < width + n for i, n in zip(local, halo.block.shape, strict=True)
        )
        if in_halo > 1 and not corners:
            continue
        expected = (
            -1.0 if beyond else whole[tuple(p % n for p, n in zip(place, shape, strict=True))]
        )
        if beyond and corners:
            # A physical halo is the program's, but what lies there travels along.
            continue
        assert array[local] == expected, (shape, boundary, width, corners, local)


def check_gather_and_sum():
    grid = Grid((9, 8), ((0.0, 1.0),) * 2, ("periodic",) * 2)
    block = Decomposition(grid, COMM.size).block(COMM.rank)
    whole = np.arange(72.0).reshape(9, 8)
    got = Gather(COMM, block, grid.shape)(whole[block.slices])
    if COMM.rank == 0:
        np.testing.assert_array_equal(got, whole)
    else:
        assert got is None
    mine = whole[block.slices]
    assert GlobalSum(COMM).dot(mine, mine) == float((whole**2).sum())


def check_rows():
    """Runs of points: scalars, vectors and tensors come together on every rank."""
    particles = Particles(np.zeros(10, int))
    rows = Rows(COMM, particles)
    assert rows.block.shape[0] in (10 // COMM.size, 10 // COMM.size + 1)
    for trailing in ((), (3,), (2, 2)):
        whole = np.random.default_rng(1).random((10, *trailing))
        np.testing.assert_array_equal(rows.whole(whole[rows.own]), whole)
        got = Gather(COMM, rows.block, (10,))(whole[rows.own])
        assert (got is None) if COMM.rank else np.array_equal(got, whole)


def check_vectors_on_grids():
    grid = Grid((9, 8), ((0.0, 1.0),) * 2, ("periodic",) * 2)
    block = Decomposition(grid, COMM.size).block(COMM.rank)
    whole = np.random.default_rng(2).random((9, 8, 3))
    got = Gather(COMM, block, grid.shape).everywhere(whole[block.slices])
    np.testing.assert_array_equal(got, whole)


def check_solve():
    """(1 − ∇²) x = b against a dense solve."""
    grid = Grid((9, 8), ((0.0, 8.0), (0.0, 7.0)), ("dirichlet",) * 2)
    halo = Halo(COMM, Decomposition(grid, COMM.size))
    inner = free_points(grid, halo.block)
    padded = halo.allocate()

    def apply(p, out):
        padded[inner] = p
        halo.exchange(padded)
        out[...] = 5.0 * padded[inner]
        for axis in (0, 1):
            for by in (-1, 1):
                out -= padded[shifted(inner, axis, by)]

    line = lambda n: 2.0 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)  # noqa: E731
    dense = np.eye(42) + np.kron(line(7), np.eye(6)) + np.kron(np.eye(7), line(6))
    b = np.random.default_rng(0).standard_normal((9, 8))
    expected = np.zeros((9, 8))
    expected[1:-1, 1:-1] = np.linalg.solve(dense, b[1:-1, 1:-1].ravel()).reshape(7, 6)
    local = np.pad(b[halo.block.slices], 1)[inner]
    x = np.zeros_like(local)
    solver = ConjugateGradient(apply, GlobalSum(COMM), x.shape)
    assert 0 < solver.solve(local, x) < 60
    np.testing.assert_allclose(x, np.pad(expected[halo.block.slices], 1)[inner], atol=1e-13)
    x[:] = 0.0
    assert solver.solve(np.zeros_like(local), x) == 0


for kinds in (("periodic",), ("dirichlet",)):
    check_halo((16,), kinds, 2, False)
for kinds in itertools.product(("periodic", "neumann"), repeat=2):
    for width, corners in ((1, False), (1, True), (2, True)):
        check_halo((15, 14), kinds, width, corners)
check_halo((7, 8, 7), ("periodic",) * 3, 1, True)
check_halo((7, 8, 7), ("periodic", "open", "periodic"), 1, False)
check_gather_and_sum()
check_rows()
check_vectors_on_grids()
check_solve()
print(f"rank {COMM.rank} fine")
