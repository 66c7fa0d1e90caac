"""Programs of three kinds of domains that differ from simulation to simulation, and models for them.

:func:`program` writes the file of a program; run by itself, that file is one: what it solves says its
name, ``mesh.py``, ``particles.py`` or ``graph.py``.
"""

import shutil
from pathlib import Path

#: States that a program of :func:`study` sends.
FRAMES = 9
KINDS = ("mesh", "particles", "graph")
TASKS = {
    "mesh": {"inputs": ["u"], "parameters": ["rate"], "static": ["wall"]},
    "particles": {"inputs": ["positions", "velocities"], "parameters": ["rate"]},
    "graph": {"inputs": ["u"], "parameters": ["rate"]},
}
#: Beside what the task needs, what else there is to be written and read.
FIELDS = {
    "mesh": [
        {"name": "u", "units": "K"},
        {"name": "flow", "components": 2},
        {"name": "source", "on": "cell"},
        {"name": "flux", "on": "edge"},
    ],
    "particles": [
        {"name": "positions", "units": "m", "components": 3},
        {"name": "velocities", "units": "m s-1", "components": 3},
        {"name": "energy", "units": "J", "on": "global"},
        {"name": "stress", "on": "global", "components": 6},
    ],
    "graph": [{"name": "u", "units": "K"}, {"name": "flux", "on": "edge"}],
}
STATIC = {
    "mesh": [{"name": "wall", "categories": ["inside", "boundary"]}],
    "particles": [{"name": "charge"}],
    "graph": [{"name": "conductance", "on": "edge"}],
}

MODELS = '''
import torch
from torch import nn


class OnNodes(nn.Module):
    """x_i ↦ ψ(x_i, mean of x_j over neighbours j)."""

    def __init__(self, channels, outputs, width):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2 * channels, width), nn.Tanh(), nn.Linear(width, outputs))

    def forward(self, x, *places):
        source, receiver = places[-2]
        degree = torch.zeros(len(x), 1).index_add(0, receiver, torch.ones(len(receiver), 1))
        mean = torch.zeros_like(x).index_add(0, receiver, x[source]) / degree.clamp(min=1)
        return self.net(torch.cat([x, mean], 1))


class OnParticles(nn.Module):
    """x += h v, v += h a, with a(x − mean, v, species)."""

    def __init__(self, width):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, width), nn.Tanh(), nn.Linear(width, 6))

    def forward(self, positions, velocities, *, species, ptr, owner, parameters, **rest):
        count = (ptr[1:] - ptr[:-1])[:, None]
        center = positions.new_zeros(len(count), 3).index_add(0, owner, positions) / count
        kinds = torch.stack([species.to(positions), parameters[owner, 0]], 1)
        given = torch.cat([positions - center[owner], velocities, kinds], 1)
        x, v = self.net(given).split(3, dim=1)
        return {"positions": positions + 0.1 * x, "velocities": velocities + 0.1 * v}


def build(setting, *, width=8):
    if setting.scope.kind == "particles":
        return OnParticles(width)
    return OnNodes(*setting.channels, width)
'''


def program(folder, kind):
    """A program that streams simulations of a kind; its path."""
    return shutil.copy(__file__, Path(folder) / f"{kind}.py")


def model(folder):
    """A file whose model goes with all of them; its path."""
    path = Path(folder) / "every_model.py"
    path.write_text(MODELS)
    return path


def study(folder, kind, **changes):
    """A study of a kind that takes seconds, with its program and model in ``folder``."""
    made = {
        "name": f"a-{kind}",
        "solver": {
            "program": str(program(folder, kind)),
            "options": {"steps": FRAMES - 1},
            "send": {"dtype": None},
        },
        "parameters": {"simulations": 4, "ranges": {"rate": [0.2, 0.8]}},
        "task": TASKS[kind],
        "model": {"name": str(model(folder))},
        "buffer": {"kind": "fifo", "capacity": 32, "watermark": 4},
        "training": {"batch_size": 4, "loss": "mse", "phases": [{"lr": 1e-3}]},
        "validation": {"simulations": 2, "every": 4, "rollout": 3},
        "record": True,
    }
    return made | changes


def solved(kind, number=0, rate=0.5, seed=0, frames=FRAMES):
    """What a program sends: the simulation, and its frames."""
    import numpy as np

    from sciml.domain import Field
    from sciml.samples import Frame, Simulation

    rng = np.random.default_rng(seed)
    domain, static = {"mesh": _mesh, "graph": _graph, "particles": _particles}[kind](rng)
    simulation = Simulation(
        number,
        domain,
        tuple(Field(**f) for f in FIELDS[kind]),
        {"rate": rate},
        static,
        time_units="s",
        static_fields=tuple(Field(**f) for f in STATIC[kind]),
    )
    march = (_move if kind == "particles" else _spread)(domain, rate, rng)
    return simulation, [Frame(number, n, 0.1 * n, next(march)) for n in range(frames)]


def _mesh(rng):
    import numpy as np
    from scipy.spatial import Delaunay

    from sciml.domain import Mesh

    ring = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    around = np.stack([np.cos(ring), np.sin(ring)], 1)
    inside = rng.uniform(-0.6, 0.6, (int(rng.integers(4, 12)), 2))
    points = np.concatenate([around, inside])
    cells = Delaunay(points).simplices
    mesh = Mesh(points, cells, "m", groups={"wall": np.arange(8)})
    return mesh, {"wall": (np.arange(mesh.size) < 8).astype(np.float64)}


def _graph(rng):
    import numpy as np

    from sciml.domain import Graph

    n = int(rng.integers(5, 12))
    ring, far = np.arange(n), rng.permutation(n)
    pairs = np.concatenate([np.stack([ring, np.roll(ring, 1)]), np.stack([ring, far])], axis=1)
    pairs = pairs[:, pairs[0] != pairs[1]]
    edges = np.unique(np.concatenate([pairs, pairs[::-1]], axis=1), axis=1)
    return Graph(n, edges), {"conductance": rng.uniform(0.5, 1.0, edges.shape[1])}


def _particles(rng):
    import numpy as np

    from sciml.domain import Particles

    n = int(rng.integers(3, 7))
    species = np.concatenate([[1, 8], rng.choice([1, 8], n - 2)])
    particles = Particles(species, 10.0 * np.eye(3), (True, True, True), units="m")
    return particles, {"charge": np.where(species == 1, 1.0, -2.0)}


def _spread(domain, rate, rng):
    """A temperature that spreads along the edges."""
    import numpy as np

    source, receiver = domain.edges
    u = rng.standard_normal(domain.size)
    while True:
        values = {"u": u}
        if domain.kind == "mesh":
            a, b = domain.sides.T
            values |= {"flow": u[:, None] * domain.points, "flux": u[a] - u[b]}
            values |= {"source": u[domain.cells].mean(axis=1)}
        else:
            values |= {"flux": u[source] - u[receiver]}
        yield values
        degree = np.bincount(receiver, minlength=domain.size)
        u = u + rate * np.bincount(receiver, u[source] - u[receiver]) / degree


def _move(domain, rate, rng):
    """Springs to the center."""
    import numpy as np

    x, v = rng.standard_normal((domain.size, 3)), np.zeros((domain.size, 3))
    while True:
        energy = 0.5 * (v**2).sum() + 0.5 * rate * (x**2).sum()
        yield {"positions": x, "velocities": v, "energy": energy, "stress": np.full(6, energy)}
        v = v - 0.1 * rate * x
        x = x + 0.1 * v


def _main(kind):
    import argparse
    import json

    from sciml.stream.client import connect

    parser = argparse.ArgumentParser()
    parser.add_argument("--describe", action="store_true")
    parser.add_argument("--rate", type=float, default=0.5)
    parser.add_argument("--steps", type=int, default=FRAMES - 1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.describe:
        about = {
            "schema_version": 1,
            "name": kind,
            "domain": kind,
            "deterministic": True,
            "fields": FIELDS[kind],
            "static": STATIC[kind],
            "parameters": [{"name": "rate", "default": 0.5, "low": 0.1, "high": 1.0}],
            "options": [{"name": "steps", "default": FRAMES - 1}, {"name": "seed", "default": 0}],
        }
        print(json.dumps(about))
        return
    simulation, frames = solved(kind, 0, given.rate, given.seed, given.steps + 1)
    client = connect(
        domain=simulation.domain,
        fields=simulation.fields,
        parameters=simulation.parameters,
        static=simulation.static,
        static_fields=simulation.static_fields,
        time_units=simulation.time_units,
    )
    with client:
        for frame in frames:
            client.send(frame.step, frame.time, **frame.fields)


if __name__ == "__main__":
    _main(Path(__file__).stem)
