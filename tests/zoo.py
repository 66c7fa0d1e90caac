"""Every registered model at a size that takes milliseconds, and data for it: a family adds its line."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from every_kind import solved

from sciml.domain import Field, Grid, Particles
from sciml.samples import Frame, Simulation, Task, Windower
from sciml.surrogates import Statistics, Surrogate, collate

STEP = Task(("u",), ("u",), parameters=("rate",))

#: Of particles that move.
NAMES = ("positions", "velocities")
MOVES = Task(NAMES, NAMES, parameters=("rate",), static=("charge",))

#: Of models that see places, times and parameters.
AT_POINTS = Task((), ("u",), history=0, time=True, parameters=("rate",))


@dataclass(frozen=True)
class Toy:
    """Options of a model, the kind of domain that it is tried on, and a task for it."""

    options: dict
    domain: str = "grid"
    task: Task = STEP


ZOO = {
    "cnn": Toy({"width": 6, "blocks": 1, "dilations": [1, 2]}),
    "deeponet": Toy({"branch": [12], "trunk": [12], "basis": 6}),
    "egnn": Toy({"hidden": 8, "layers": 2, "cutoff": 3.0}, "particles", MOVES),
    "fa_gnn": Toy({"channels": 4, "layers": 2}, "cloud", MOVES),
    "fno": Toy({"modes": 4, "hidden_channels": 6, "n_layers": 2}),
    "frame_averaging": Toy(
        {"options": {"hidden": 8, "layers": 2}}, "cloud", replace(MOVES, targets=(*NAMES, "energy"))
    ),
    "gcn": Toy({"hidden": 8, "layers": 2}, "mesh"),
    "grand": Toy({"hidden": 8, "width": 8, "heads": 2, "time": 2.0}, "graph"),
    "gread": Toy({"hidden": 8, "width": 8, "heads": 2, "per_channel": "both"}, "mesh"),
    "mace": Toy(
        {"hidden": "3x0e + 3x1o", "degree": 2, "correlation": 2, "radial": [4]}, "particles", MOVES
    ),
    "mesh_transformer": Toy({"layers": 2, "width": 8, "heads": 2, "dilations": [1, 2]}, "mesh"),
    "meshgraphnet": Toy({"hidden": 8, "layers": 2}, "mesh"),
    "mionet": Toy({"branch": [12], "trunk": [12], "basis": 6}),
    "mgno": Toy({"width": 6, "n_layers": 2, "levels": 2}),
    "mlp": Toy({"hidden": [12], "activation": "tanh"}),
    "mpnn": Toy({"hidden": 8, "layers": 2, "nearest": 2}, "particles", MOVES),
    "mppde": Toy({"hidden": 8, "layers": 2}, "mesh"),
    "ponita": Toy(
        {"hidden": 8, "basis": 8, "layers": 2, "layer_scale": 0.1, "cutoff": 3.0},
        "particles",
        MOVES,
    ),
    "sheaf_diffusion": Toy({"features": 4, "layers": 2}, "mesh"),
    "sheaf_nn": Toy({"features": 4, "layers": 2}, "graph"),
    "tfno": Toy({"modes": 4, "hidden_channels": 6, "n_layers": 2, "rank": 0.3}),
    "transolver": Toy({"layers": 2, "width": 8, "heads": 2, "slices": 4}, "mesh"),
    "unet": Toy({"width": 6, "levels": 2}),
    "uno": Toy({"modes": 4, "hidden_channels": 4, "levels": 1}),
    "vit": Toy({"width": 8, "patch": 3, "layers": 1, "heads": 2}),
    "lpinn": Toy({"state": [8], "characteristics": [6], "labels": 32}, task=AT_POINTS),
    "pinn": Toy({"hidden": [8, 8], "fourier": 3}, task=AT_POINTS),
    "pod_deeponet": Toy({"branch": [12], "basis": 1}),
}


def samples(toy, count=3):
    """One of each of so many simulations."""
    found = []
    for number in range(count):
        grid = toy.domain == "grid"
        kind = "particles" if toy.domain == "cloud" else toy.domain
        simulation, frames = _waves(number) if grid else solved(kind, number, seed=number)
        if toy.domain == "cloud":  # in open space
            domain = Particles(simulation.domain.species, units=simulation.domain.units)
            simulation = replace(simulation, domain=domain)
        simulation = replace(simulation, id=number)
        windower = Windower(toy.task)
        windower.open(simulation)
        cut = [s for f in frames for s in windower.push(replace(f, simulation=number))]
        found.append(cut[1])  # at first some move not at all
    return found


def built(name, toy, seed=0):
    """The surrogate with what it takes from data before the first step, and a batch of those data."""
    there = samples(toy)
    torch.default_generator.manual_seed(seed)
    first = there[0].simulation
    config = {"name": name, **toy.options}
    surrogate = Surrogate.build(config, toy.task, first.domain, fields=first.fields)
    statistics = Statistics(surrogate)
    statistics.update(there)
    statistics.fix()
    return surrogate, collate(there, toy.task, surrogate.structures), there


def _waves(number, shape=(8, 6), frames=4):
    rng = np.random.default_rng(number)
    grid = Grid(shape, ((0.0, 1.0),) * len(shape), ("periodic",) * len(shape))
    simulation = Simulation(number, grid, (Field("u", "K"),), {"rate": rng.uniform(1, 2)})
    values = rng.standard_normal((frames, *shape)).astype(np.float32)
    return simulation, [Frame(number, n, 0.1 * n, {"u": u}) for n, u in enumerate(values)]
