"""Run under mpirun by test_multigrid.py: one solution and one count of iterations on any ranks."""

import sys

import numpy as np
from mpi4py import MPI

from sciml.domain import Grid
from sciml.parallel import ConjugateGradient, Decomposition, Diffusion, Gather, GlobalSum, Multigrid
from sciml.parallel.random_field import SmoothField

COMM = MPI.COMM_WORLD
CASES = {
    "walls": ((85, 70), ("dirichlet", "dirichlet"), 0.0),
    "mixed": ((72, 66), ("periodic", "neumann"), 2.0),
    "odd": ((66, 91), ("periodic", "dirichlet"), 0.0),
    "line": ((301,), ("dirichlet",), 0.0),
    "space": ((20, 21, 18), ("dirichlet", "neumann", "periodic"), 0.0),
}


def solve(shape, boundary, reaction):
    grid = Grid(shape, ((0.0, 1.0),) * len(shape), boundary)
    cut = Decomposition(grid, COMM.size, 2)
    block = cut.block(COMM.rank)
    operator, multigrid = Diffusion(COMM, cut), Multigrid(COMM, cut)
    solver = ConjugateGradient(
        operator.apply, GlobalSum(COMM), operator.shape, tolerance=1e-11, precondition=multigrid
    )
    wave = SmoothField(2, len(shape), modes=6).on(grid, block)
    operator.update(np.where(wave > 0.0, 100.0, 1.0), reaction)
    multigrid.update(operator.faces, operator.reaction)
    x, cycle = np.zeros((2, *operator.shape))
    load, gather = operator.volume * wave[moved_in(operator)], Gather(COMM, block, shape)
    multigrid(load, cycle)
    count = solver.solve(load, x)
    fields = []
    for field in (x, cycle):
        padded = operator.halo.allocate()
        padded[operator.inner] = field
        fields.append(gather(operator.halo.owned(padded)))
    return count, *fields


def moved_in(operator):
    """Free points within the block."""
    w = operator.halo.width
    return tuple(slice(s.start - w, s.stop - w) for s in operator.inner)


found = {}
for name, case in CASES.items():
    count, whole, cycle = solve(*case)
    if COMM.rank == 0:
        found |= {name: whole, f"{name}_iterations": count, f"{name}_cycle": cycle}
if COMM.rank == 0:
    np.savez(sys.argv[1], **found)
