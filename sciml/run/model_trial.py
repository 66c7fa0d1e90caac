"""A model evaluated once on a window of zeros, before there are any data: does it take its channels?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from sciml.domain import Domain, Field, Graph, Grid, Mesh, Particles
from sciml.errors import InputError, ScimlError
from sciml.samples import Task
from sciml.surrogates import Surrogate
from sciml.surrogates.example import window
from sciml.surrogates.traits import traits_of
from sciml.training.trial import try_out

#: Weights, and values of a window, beyond which a model is not tried out.
LARGE = 1 << 25
#: Weights, and values of a window, up to which it is tried with values: that takes milliseconds, and
#: to go without them takes the import of torch's compiler, a second.
SMALL_MODEL, SMALL_WINDOW = 1 << 21, 1 << 14


def built(
    config: Mapping[str, Any], task: Task, domain: Domain, fields: Sequence[Field] = ()
) -> Surrogate | None:
    """A surrogate on torch's meta device: shapes without values and memory. ``None`` where the model
    looks at values while it is built.

    Raises:
        InputError: it cannot be built.
    """
    try:
        with torch.device("meta"), _Unfilled():
            return Surrogate.build(config, task, domain, normalizer=None, fields=fields)
    except RuntimeError:
        return None


class _Unfilled(TorchFunctionMode):
    """Weights are neither drawn nor scaled: torch would do so by way of its compiler, whose import
    takes a second."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in (torch.randn, torch.rand):
            func, kwargs = torch.empty, {k: v for k, v in kwargs.items() if k != "generator"}
        elif func in _TIMES and isinstance(args[1], float) and args[0].is_floating_point():
            return args[0].new_empty(args[0].shape)
        return func(*args, **kwargs)


_TIMES = (torch.Tensor.mul, torch.Tensor.__mul__, torch.Tensor.__rmul__)


def try_model(
    config: Mapping[str, Any],
    task: Task,
    domain: Domain,
    fields: Sequence[Field],
    empty: Surrogate | None,
) -> None:
    """Evaluate a model on a window of zeros.

    Args:
        config: name and options of the model.
        task, domain, fields: what it is for.
        empty: as :func:`built` gave it. What cannot be evaluated so is tried on the processor, if it is
            not large.

    Raises:
        InputError: it does not take what the task gives, or gives something else.
    """
    values = domain.size * task.span * len(task.moving)
    if values > LARGE:
        return
    samples, doubt = window(task, domain, fields), None
    weights = 0 if empty is None else sum(p.numel() for p in empty.model.parameters())
    if empty is not None and traits_of(empty.model).basis:
        return  # it works only once it has seen data
    if empty is not None and (weights > SMALL_MODEL or values > SMALL_WINDOW):
        try:
            return try_out(empty, samples, torch.device("meta"))
        except ScimlError as error:
            doubt = error
    try:
        if weights <= LARGE:
            with torch.random.fork_rng(devices=[]):
                real = Surrogate.build(config, task, domain, normalizer=None, fields=fields)
                try_out(real, samples, torch.device("cpu"))
        elif "meta" not in str(doubt).lower():
            raise doubt
    except ScimlError as error:
        raise InputError(f"model: {config['name']}: {error}") from error


#: Where a model is tried without a field that goes in.
ALONE = "parameter and time"
#: Where it is tried with what particles usually have.
ATOMS = "particles to an energy"


def suits(name: str) -> dict[str, str]:
    """On which domains a model works with its defaults: learning one field, given it and a parameter.

    Returns:
        By domain, its number of weights or why it does not work.
    """
    corners = np.array([(i / 3, j / 3) for j in range(4) for i in range(4)])
    cells = [
        cell for j in range(3) for i in range(3) for k in [4 * j + i]
        for cell in ((k, k + 1, k + 5), (k, k + 5, k + 4))
    ]  # fmt: skip
    ring = np.arange(8)
    domains: dict[str, Domain] = {
        f"grid, {n} ax{'i' if n == 1 else 'e'}s": Grid(
            (16,) * n, ((0.0, 1.0),) * n, ("periodic",) * n
        )
        for n in (1, 2, 3)
    }
    domains |= {
        "mesh": Mesh(corners, np.array(cells)),
        "graph": Graph(8, np.stack([ring, np.roll(ring, 1)])),
        ATOMS: Particles(np.array([1, 1, 8])),
    }
    one, results = Task(inputs=("u",), targets=("u",), parameters=("p",)), {}
    domains[ALONE] = domains["grid, 1 axis"]
    for kind, domain in domains.items():
        task, fields = one, ()
        if kind == ALONE:
            task = Task((), ("u",), history=0, parameters=("p",), time=True)
        elif kind == ATOMS:
            task = Task(("positions",), ("energy",), lead=0)
            fields = (Field("positions", components=3), Field("energy", on="global"))
        try:
            empty = built({"name": name}, task, domain, fields)
            try_model({"name": name}, task, domain, fields, empty)
            weights = 0 if empty is None else sum(p.numel() for p in empty.model.parameters())
            results[kind] = f"{weights} weights" if weights else "works"
        except (ScimlError, RuntimeError) as error:
            results[kind] = f"no: {_why(str(error))}"
    return results


def _why(error: str) -> str:
    """What a model says, in one line; arguments that it lacks are fields that no task here has."""
    lacked = re.search(r"missing \d+ required [\w-]+ arguments?: (.*)", error)
    if lacked:
        return f"gets no {lacked[1]} here; static fields reach it where task.static names them"
    return " ".join(error.rpartition("it says: ")[2].split())
