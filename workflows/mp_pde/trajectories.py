"""Simulations of data/mp_pde_e1, e2 and e3 by their recipes, computed in this process and kept.

A trajectory is what the recipe's program sends with ``--seed SEED``; a program a trajectory would start
for longer than it computes. Those of E1 and E2 are rows of one array, and differ from the program's by
rounding, as a test checks; of E3 it is the program itself that is called. Parameters are drawn evenly
from the recipe's ranges. Seeds of training, validation and test are far apart.
"""

import importlib.util
from functools import cache
from types import SimpleNamespace

import numpy as np

from sciml.datasets.recipe import load_recipe
from sciml.equations import forced_burgers as equation
from sciml.errors import InputError
from sciml.parallel.kernels import riemann, weno
from sciml.share import find
from sciml.solver import Integrator, Program
from sciml.solver.flags import parse
from sciml.solver.program_description import describe

EXPERIMENTS = ("E1", "E2", "E3")
FIRST = {"train": 0, "validation": 1_000_000, "test": 2_000_000}
#: Of the states that a recipe keeps, those that the source has.
FRAMES = 250
#: Trajectories in one file.
BLOCK = 32
#: Points that the restriction of the source averages over.
WIDE = 5


@cache
def recipe(experiment):
    return load_recipe(f"mp_pde_{experiment.lower()}", "small")


def ranges(experiment):
    """Bounds of each parameter by name."""
    return {name: span.bounds for name, span in recipe(experiment).parameters.ranges.items()}


def step(experiment):
    """Time between two frames."""
    solver = recipe(experiment).solver
    return solver.options["dt"] * solver.send.every


def draw(experiment, seed):
    """Parameters of a trajectory."""
    rng = np.random.default_rng((seed, 1))
    return {name: float(rng.uniform(*bounds)) for name, bounds in ranges(experiment).items()}


@cache
def _program(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    own = [v for v in vars(module).values() if getattr(v, "__module__", "") == path.stem]
    return next(v for v in own if isinstance(v, type) and issubclass(v, Program))


def simulate(experiment, seeds, points=None):
    """u ``(trajectory, frame, x)``; of E1 and E2 on so many points instead of the recipe's."""
    given = recipe(experiment).solver
    advance, state = (_alone if experiment == "E3" else _side_by_side)(experiment, seeds, points)
    frames = [state()]
    for n in range((FRAMES - 1) * given.send.every):
        advance(n)
        if (n + 1) % given.send.every == 0:
            frames.append(state())
    return np.stack(frames, axis=1)


def _alone(experiment, seeds, points):
    solver = recipe(experiment).solver
    path = find(solver.program)
    program, runs = _program(path), []
    for seed in seeds:
        options = {**solver.options, **draw(experiment, seed), "seed": seed}
        runs.append(program(parse(program, describe(path).arguments(options))))
        runs[-1].start(SimpleNamespace(rank=0, size=1))

    def advance(n):
        for run in runs:
            run.step(n)

    return advance, lambda: np.stack([np.array(run.state()["u"]) for run in runs])


def _side_by_side(experiment, seeds, points):
    """solvers/forced_burgers.py, a row a trajectory."""
    options = recipe(experiment).solver.options
    alpha, length, dt = options["alpha"], options["length"], options["dt"]
    n = points or options["points"]
    h = length / n
    x = h * np.arange(n)  # of the grid, where the program takes the forcing
    beta = np.array([draw(experiment, s).get("beta", options.get("beta")) for s in seeds])[:, None]
    waves = [equation.Forcing.draw(s, length, most=options["waves"]) for s in seeds]
    rates = np.stack([w.rate for w in waves])
    sines, cosines = (np.stack([part(w, x, h) for w in waves]) for part in (
        equation.Forcing.sines, equation.Forcing.cosines,
    ))  # fmt: skip
    u = np.stack([w(0.0, x, h) for w in waves])
    padded, faces = np.empty((1, len(u), n + 6)), np.empty((2, 1, len(u), n + 1))

    def rate(t, u, out):
        padded[0, :, 3:-3], padded[0, :, :3], padded[0, :, -3:] = u, u[:, -3:], u[:, :3]
        weno.faces_x(padded, *faces)
        left, right = faces
        slow, fast = equation.wave_speeds(left[0], right[0], alpha)
        flux = equation.flux(left, alpha)
        riemann.hll(left, right, flux, equation.flux(right, alpha), slow, fast)
        out[...] = 0.0
        riemann.subtract_difference_x(flux, 1.0 / h, out[None])
        v = padded[0]
        slope = sum(
            weight * (v[:, 3 + i : 4 + i + n] - v[:, 2 - i : 3 - i + n])
            for i, weight in enumerate(equation.SLOPE)
        )
        out += beta / h**2 * np.diff(slope)
        angle = (rates * t)[:, None]
        out += (np.cos(angle) @ sines + np.sin(angle) @ cosines)[:, 0]

    integrator = Integrator("ssp-rk3", rate, dt)

    def advance(n):
        limit = equation.stable_step(2 * alpha * np.abs(u).max(), beta.max(), h)
        if dt > limit:
            raise InputError(f"dt={dt:g} exceeds {limit:.4g}, the stable limit on {len(x)} points")
        integrator.advance(n * dt, u)

    return advance, u.copy


def block(folder, experiment, part, number):
    """A file of trajectories: u ``(simulation, frame, x)``, parameters ``(simulation, parameter)``."""
    file = folder / f"{experiment}-{part}-{number}.npz"
    if not file.exists():
        seeds = [FIRST[part] + number * BLOCK + i for i in range(BLOCK)]
        u = simulate(experiment, seeds).astype(np.float32)
        numbers = np.array([[*draw(experiment, seed).values()] for seed in seeds])
        folder.mkdir(parents=True, exist_ok=True)
        aside = file.with_suffix(".part.npz")
        np.savez(aside, u=u, parameters=numbers)
        aside.rename(file)
    with np.load(file) as held:
        return held["u"], held["parameters"]


def take(folder, experiment, part, count, points):
    """The first ``count`` trajectories of a part on a coarser grid, and their parameters."""
    blocks = [block(folder, experiment, part, n) for n in range(-(-count // BLOCK))]
    u = [restricted(held, points).astype(np.float32) for held, _ in blocks]
    return np.concatenate(u)[:count], np.concatenate([numbers for _, numbers in blocks])[:count]


def restricted(u, points):
    """Means over five points' width around the centres of coarser cells, ``(…, points)``.

    As in the source, but there around every second, fourth or fifth point: on a periodic line the same,
    and here the places of a coarser finite volume solver.
    """
    each = u.shape[-1] // points
    near = range(-(WIDE // 2), WIDE // 2 + 1)
    wide = sum(np.roll(u, k, axis=-1) for k in near) / WIDE
    middle = slice((each - 1) // 2, each // 2 + 1)
    return wide.reshape(*u.shape[:-1], points, each)[..., middle].mean(-1)
