"""Many simulations of solvers/n_body.py at once, and kept: the state at two of its frames.

A trajectory is what ``python solvers/n_body.py --seed SEED`` with the options of :data:`SYSTEMS` sends;
a program a trajectory would start for longer than it computes. What is computed here side by side
differs from it by rounding, as a test checks. Seeds of training, validation, test and stream are far
apart.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

#: Where the seeds of each part begin; a stream goes on without end.
FIRST = {"train": 0, "validation": 1_000_000, "test": 2_000_000, "stream": 10_000_000}
#: Trajectories that are computed side by side, and kept in one file.
BLOCK = 1000


@dataclass(frozen=True)
class System:
    """Options of the program, and the steps of the frames that go in and come out."""

    law: str
    bodies: int
    softening: float
    scheme: str
    given: int
    wanted: int
    dt: float = 1e-3
    clip: float = 100.0
    #: Whom a body sees: all others, or so many.
    nearest: int | None = None


#: ``charged`` is EGNN's benchmark: frames 30 and 40 there, a frame a hundred steps, begin at step 100.
SYSTEMS = {
    "charged": System("charged", 5, 0.0, "symplectic-euler", 3100, 4100),
    "gravity": System("gravity", 20, 0.1, "leapfrog", 1000, 2000, clip=0.0, nearest=6),
    "gravity-100": System("gravity", 100, 0.1, "leapfrog", 3000, 4000, clip=0.0, nearest=6),
}


def start(system, seed):
    """Positions, velocities and charges, as the program draws them."""
    draws = np.random.default_rng(seed)
    charge = draws.choice([-1.0, 1.0], system.bodies)
    r = draws.standard_normal((system.bodies, 3))
    v = draws.standard_normal((system.bodies, 3))
    return r, 0.5 * v / np.linalg.norm(v, axis=1, keepdims=True), charge


def simulate(system, seeds):
    """``(simulation, state, body, 3)``, position and velocity before, then after; charges."""
    r, v, charge = (
        np.stack(x, axis=-1) for x in zip(*(start(system, s) for s in seeds), strict=True)
    )
    gravity = system.law == "gravity"
    c = (
        np.ones_like(charge) if gravity else charge
    )  # (body, simulation); r and v (body, 3, simulation)
    i, j = np.triu_indices(system.bodies, 1)
    # Action and reaction: +1 for the first of each pair, −1 for the second.
    acts = np.zeros((system.bodies, len(i)))
    acts[i, np.arange(len(i))], acts[j, np.arange(len(i))] = 1.0, -1.0
    strength = (-1.0 if gravity else 1.0) * c[i] * c[j]

    def force():
        apart = r[i] - r[j]
        squared = (apart * apart).sum(1) + system.softening**2
        pulls = (strength / (squared * np.sqrt(squared)))[:, None] * apart
        f = (acts @ pulls.reshape(len(i), -1)).reshape(r.shape)
        return f.clip(-system.clip, system.clip) if system.clip else f

    first = 0.5 if system.scheme == "leapfrog" else 1.0
    f, kept = force(), []
    for step in range(1, system.wanted + 1):
        v = v + first * system.dt * f
        r = r + system.dt * v
        f = force()
        if system.scheme == "leapfrog":
            v = v + 0.5 * system.dt * f
        if step in (system.given, system.wanted):
            kept += [r, v]
    states = np.stack([x.transpose(2, 0, 1) for x in kept], axis=1)
    return states, np.ones_like(charge.T) if gravity else charge.T


def block(folder, name, part, number, size=BLOCK):
    """States and charges of a block of a part, computed once and kept in ``folder``."""
    path = Path(folder) / f"{name}-{part}-{number:04d}-{size}.npz"
    if not path.exists():
        first = FIRST[part] + number * size
        states, charge = simulate(SYSTEMS[name], range(first, first + size))
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".part.npz")
        np.savez(aside, states=states, charge=charge.astype(np.int8))
        aside.rename(path)
    with np.load(path, allow_pickle=False) as file:
        return file["states"], file["charge"].astype(np.float64)
