"""Run under mpirun by test_fourier.py: Fourier series are bitwise the same on any ranks."""

import sys
from types import SimpleNamespace

import numpy as np
from mpi4py import MPI

from sciml.domain import Grid
from sciml.errors import InputError
from sciml.parallel import Fourier

COMM = MPI.COMM_WORLD
ALONE = SimpleNamespace(rank=0, size=1)
LIBRARY = sys.argv[1]


def periodic(shape):
    return Grid(
        shape, ((0.0, 1.0), (-1.0, 1.5), (0.0, 7.0))[: len(shape)], ("periodic",) * len(shape)
    )


def check(shape, modes, components=()):
    grid = periodic(shape)
    one, ours = (Fourier(comm, grid, modes=modes, library=LIBRARY) for comm in (ALONE, COMM))
    u = np.random.default_rng(0).standard_normal((*components, *shape))
    expected = one.forward(u)
    columns = ours._columns
    c = ours.forward(u[(..., *ours.work.slices)])
    assert c.shape == (*components, *ours.shape)
    np.testing.assert_array_equal(c, expected[..., columns])
    for axis in range(len(shape)):
        whole = one.k[axis][..., columns] if axis == len(shape) - 1 else one.k[axis]
        np.testing.assert_array_equal(ours.k[axis], whole)
    back = one.inverse(expected)
    for _ in range(2):  # what is kept between calls does not leak into the next
        np.testing.assert_array_equal(ours.inverse(c), back[(..., *ours.work.slices)])
        np.testing.assert_array_equal(ours.forward(u[(..., *ours.work.slices)]), c)
    np.testing.assert_array_equal(ours.owned(ours.inverse(c)), back[(..., *ours.block.slices)])
    blocks = COMM.allgather(ours.block)
    assert sum(b.size for b in blocks) == grid.size and all(b.size for b in blocks)

    other = ours.forward(ours.inverse(c) ** 2)
    for name, given, all_of_it in (
        ("mean_square", (c,), (expected,)),
        ("tail", (c,), (expected,)),
        ("dot", (c, other), (expected, one.forward(back**2))),
    ):
        value = getattr(ours, name)(*given)
        assert len(set(COMM.allgather(value))) == 1, name
        np.testing.assert_allclose(value, getattr(one, name)(*all_of_it), rtol=1e-13)

    rough = np.random.default_rng(1).standard_normal((2, *expected.shape))
    rough = rough[0] + 1j * rough[1]
    mine = rough[..., columns].copy()
    one.symmetrize(rough)
    ours.symmetrize(mine)
    np.testing.assert_array_equal(mine, rough[..., columns])


check((30,), None)
check((7,), "all")
check((24, 20), None)
check((23, 27), "all")
check((7, 40), (2, 9), (2,))
check((21, 8, 25), None)
check((12, 13, 22), "all", (3,))
try:
    Fourier(COMM, periodic((40, 3 * COMM.size)), modes=(4, COMM.size - 2))
    raise AssertionError("one column too few")
except InputError as error:
    # With one rank, the number of modes itself is what is wrong.
    assert f"{COMM.size} slabs; use {COMM.size - 1} ranks" in str(error) or COMM.size == 1, error
print(f"rank {COMM.rank} fine")
