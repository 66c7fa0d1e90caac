"""Simulations made up in memory: values follow from their number and the step."""

import numpy as np

from sciml.domain import Field, Grid, Mesh
from sciml.samples import Frame, Simulation

GRID = Grid((6, 8), ((0.0, 1.0), (0.0, 2.0)), ("periodic", "open"), "m")
FIELDS = (Field("u", "K", "temperature"), Field("energy", "J", "energy", on="global"))


def simulation(number, domain=GRID, fields=FIELDS, **more):
    return Simulation(number, domain, fields, {"kappa": 0.1 * (number + 1)}, **more)


def frame(sim, step, dtype="float32", attempt=1):
    """Values that follow from (simulation, step), so that every reader can be checked."""
    random = np.random.default_rng((sim.id, step))
    shapes = {f.name: f.shape(sim.domain) for f in sim.fields}
    fields = {name: random.random(shape).astype(dtype) for name, shape in shapes.items()}
    return Frame(sim.id, step, 0.25 * step, fields, attempt)


def mesh(nodes):
    points = np.arange(nodes)[:, None] % [nodes, 2] + 0.2 * np.random.default_rng(nodes).random(
        (nodes, 2)
    )
    cells = np.stack([np.arange(nodes - 2), np.arange(1, nodes - 1), np.arange(2, nodes)], axis=1)
    return Mesh(points, cells, "m")
