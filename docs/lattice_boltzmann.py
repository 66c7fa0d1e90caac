"""Kolmogorov flow by the lattice Boltzmann method (D2Q9), on MPI ranks with slabs of rows.

A code with a loop, names and a decomposition of its own. What makes it stream to a study are the
places marked with (1) to (4); `docs/solvers.md` goes through them.

    ∂u/∂t + u·∇u = −∇p + ∇²u / Re + F sin(4π y) e_x,   ∇·u = 0,   on the periodic unit square

by populations f_i that collide, f_i += (f_i^eq − f_i) / τ, and move to the neighbor along c_i.
Velocities are in units of the initial one, times in its crossing times.
"""

import argparse
import json

import numpy as np
from mpi4py import MPI

from sciml.domain import Block, Field, Grid
from sciml.stream.client import connect

FIELDS = [{"name": "rho"}, {"name": "u", "parity": "x"}, {"name": "v", "parity": "y"}]
PARAMETERS = [
    {"name": "Re", "default": 100.0, "low": 10.0, "high": 200.0, "help": "Reynolds number"},
    {"name": "F", "default": 1.0, "low": 0.0, "high": 4.0, "help": "forcing"},
]
OPTIONS = [
    {"name": "N", "default": 32, "low": 8, "help": "points along each side"},
    {"name": "steps", "default": 400, "low": 0, "help": "states after the first one"},
    {"name": "every", "default": 10, "low": 1, "help": "lattice steps from one state to the next"},
    {"name": "seed", "default": 0, "low": 0, "help": "of the initial perturbation"},
]

# (1) --describe: name, fields, parameters and options, as JSON.
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--describe", action="store_true")
for entry in (*PARAMETERS, *OPTIONS):
    parser.add_argument(f"--{entry['name']}", type=type(entry["default"]), default=entry["default"])
given = parser.parse_args()
if given.describe:
    about = {"schema_version": 1, "name": "lattice-boltzmann", "summary": __doc__.splitlines()[0]}
    about |= {"fields": FIELDS, "parameters": PARAMETERS, "options": OPTIONS, "deterministic": True}
    print(json.dumps(about))
    raise SystemExit

comm, n, dt = MPI.COMM_WORLD, given.N, 1e-3
first = n * comm.rank // comm.size
rows = n * (comm.rank + 1) // comm.size - first
below, above = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size

C = np.array([(0, 0), (1, 0), (0, 1), (-1, 0), (0, -1), (1, 1), (-1, 1), (-1, -1), (1, -1)])
W = np.array([4 / 9] + [1 / 9] * 4 + [1 / 36] * 4)
speed = dt * n  # of the lattice, for a velocity of 1
tau = 0.5 + 3.0 * speed * n / given.Re
x, y = np.arange(n) / n, (first + np.arange(rows)) / n
force = np.zeros((2, rows, n))
force[0] = given.F * speed * dt * np.sin(4.0 * np.pi * y)[:, None]


def equilibrium(rho, velocity):
    along = np.tensordot(C, velocity, 1)  # c_i · u
    squared = (velocity**2).sum(axis=0)
    return W[:, None, None] * rho * (1 + 3 * along + 4.5 * along**2 - 1.5 * squared)


def moments(f):
    rho = f.sum(axis=0)
    return rho, np.tensordot(C.T, f, 1) / rho


def step(f):
    rho, velocity = moments(f)
    f = f + (equilibrium(rho, velocity + tau * force) - f) / tau
    for i, (along_x, along_y) in enumerate(C):
        f[i] = np.roll(f[i], along_x, axis=1)
        if along_y:  # the row that leaves goes to the next rank, one comes from the other side
            to, source, edge = (above, below, -1) if along_y > 0 else (below, above, 0)
            coming = np.empty(n)
            comm.Sendrecv(np.ascontiguousarray(f[i, edge]), to, recvbuf=coming, source=source)
            f[i] = np.roll(f[i], along_y, axis=0)
            f[i, 0 if along_y > 0 else -1] = coming
    return f


phase = np.random.default_rng(given.seed).uniform(0.0, 2.0 * np.pi)
velocity = np.zeros((2, rows, n))
velocity[0] = speed * np.sin(4.0 * np.pi * y)[:, None]
velocity[1] = 0.2 * speed * np.sin(2.0 * np.pi * x + phase)
f = equilibrium(np.ones((rows, n)), velocity)

# (2) connect: where the fields live, and which part of them this rank holds.
client = connect(
    domain=Grid((n, n), ((0.0, 1.0), (0.0, 1.0)), ("periodic", "periodic")),
    fields=[Field(**entry) for entry in FIELDS],
    parameters={"Re": given.Re, "F": given.F},
    block=Block((first, 0), (rows, n)),
    rank=comm.rank,
    ranks=comm.size,
)
for state in range(given.steps + 1):
    rho, velocity = moments(f)
    # (3) send: every state, whole; the study thins it out.
    client.send(
        state, state * given.every * dt, rho=rho, u=velocity[0] / speed, v=velocity[1] / speed
    )
    if not np.isfinite(rho).all():
        raise SystemExit(f"rank {comm.rank}: the flow is not finite in state {state}; lower --Re")
    for _ in range(given.every if state < given.steps else 0):
        f = step(f)
# (4) close: returns when the trainer holds every frame.
client.close()
