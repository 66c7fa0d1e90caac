"""A solver with a loop of its own that streams by three calls, and that a study can launch:

    solver: {program: docs/foreign_solver.py}
    parameters: {seed: false, simulations: 20, ranges: {speed: [0.2, 1.0]}}

It carries a bump around a ring, ∂u/∂t + c ∂u/∂x = 0.
"""

import argparse
import json

import numpy as np

from sciml.domain import Field, Grid
from sciml.stream.client import connect

U = {"name": "u", "units": "1", "long_name": "concentration"}
SPEED = {"name": "speed", "units": "m s-1", "low": 0.1, "high": 2.0, "default": 0.5}
STEPS = {"name": "steps", "default": 100}

parser = argparse.ArgumentParser()
parser.add_argument("--describe", action="store_true", help="print what a study must know, and end")
parser.add_argument("--speed", type=float, default=SPEED["default"])
parser.add_argument("--steps", type=int, default=STEPS["default"])
given = parser.parse_args()
if given.describe:
    about = {"schema_version": 1, "name": "ring", "deterministic": True}
    print(json.dumps({**about, "fields": [U], "parameters": [SPEED], "options": [STEPS]}))
    raise SystemExit

n, dt, speed = 200, 0.0025, given.speed
x = np.arange(n) / n
u = np.exp(-100.0 * (x - 0.5) ** 2)
grid = Grid(shape=(n,), extent=((0.0, 1.0),), boundary=("periodic",))
client = connect(domain=grid, fields=[Field(**U)], parameters={"speed": speed}, time_units="s")
for step in range(given.steps + 1):
    client.send(step, step * dt, u=u)  # waits while the trainer has no room
    u = u - speed * dt * n * (u - np.roll(u, 1))  # first-order upwind
client.close()  # returns when the trainer holds every frame
