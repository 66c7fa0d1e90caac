"""A program of ours run in this process, on one rank: no second to start a process."""

from __future__ import annotations

import importlib.util
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import xarray as xr

from sciml.domain.dataset import to_dataset
from sciml.share import find
from sciml.solver import Program
from sciml.solver.flags import parse

ALONE = SimpleNamespace(rank=0, size=1)


@cache
def _program(path: str) -> type[Program]:
    spec = importlib.util.spec_from_file_location("program_of_the_study", find(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    [found] = [
        v
        for v in vars(module).values()
        if isinstance(v, type) and issubclass(v, Program) and v.__module__ == module.__name__
    ]
    return found


def simulated(path: str, every: int, **flags: Any) -> xr.Dataset:
    """What the program computes, each ``every``-th state, as the dataset that it would write."""
    words = []
    for flag, value in flags.items():
        words += [f"--{flag}", *map(str, value if isinstance(value, tuple | list) else (value,))]
    program = _program(path)
    run = program(parse(program, words))
    run.start(ALONE)
    times, states = [0.0], [_copies(run)]
    for n in range(run.given.steps):
        time = run.step(n)
        if (n + 1) % every == 0:
            times.append(time)
            states.append(_copies(run))
    moving = {f.name: np.stack([state[f.name] for state in states]) for f in run.fields}
    still = {f.name: states[0][f.name] for f in run.static}
    return to_dataset(
        run.domain(), run.fields, moving, np.array(times), static=still, static_fields=run.static
    )


def _copies(run: Program) -> dict[str, np.ndarray]:
    return {name: np.array(values) for name, values in run.state().items()}
