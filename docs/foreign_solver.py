"""A solver that knows nothing of sciml but three calls: connect, send, close.

    SCIML_ENDPOINT=runs/x/endpoint.json SCIML_SIMULATION=0 python foreign_solver.py

It advects a bump around a ring, ∂u/∂t + c ∂u/∂x = 0, with a loop and numpy of its own.
"""

import numpy as np

from sciml.domain import Field, Grid
from sciml.stream.client import connect

N, STEPS, SPEED = 200, 100, 0.5
dx = 1.0 / N
dt = 0.5 * dx / SPEED
x = dx * np.arange(N)
u = np.exp(-100.0 * (x - 0.5) ** 2)

client = connect(
    domain=Grid(shape=(N,), extent=((0.0, 1.0),), boundary=("periodic",)),
    fields=[Field("u", units="1", long_name="concentration")],
    parameters={"speed": SPEED},
)
for step in range(STEPS + 1):
    client.send(step, step * dt, u=u)  # waits while the trainer has no room
    u = u - SPEED * dt / dx * (u - np.roll(u, 1))  # first-order upwind
client.close()  # returns when the trainer holds every frame
