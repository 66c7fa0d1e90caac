"""Exact solutions of a study's equation, as simulations that are held out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np

from sciml.domain import Domain, Field, Grid
from sciml.equations.equation import Equation, Solution
from sciml.equations.named import equation
from sciml.errors import InputError
from sciml.record import Trajectories, open_trajectories
from sciml.record.trajectories import Order
from sciml.run.feasibility import check_model
from sciml.run.points import mixture_of
from sciml.samples import Frame, Simulation
from sciml.samples.splits import VALIDATION
from sciml.samples.step import Step
from sciml.study.designs import draw
from sciml.study.schema import Study


class Solutions(Trajectories):
    """``validation.simulations`` solutions with parameters drawn from their ranges, one where there are
    no parameters; none where the equation has no exact solution of its fields.

    Args:
        study: of collocation points alone.
        grid: where the solutions are wanted.
    """

    def __init__(self, study: Study, grid: Grid) -> None:
        self._grid, self._task = grid, study.task.build()
        self._held = _held(study)
        section = next(iter(study.training.collocation.values()))
        spans = {name: section.parameters[name] for name in self._task.parameters}
        count = study.validation.simulations if self._held else 0
        drawn = draw("random", spans, count, study.seed) if spans else [{}] * min(1, count)
        self._parameters = dict(enumerate(drawn))
        first, last = section.time or (0.0, 0.0)
        self._times = np.linspace(first, last, study.validation.times if section.time else 1)
        self._known = lru_cache(maxsize=None)(self._solved)  # few, each asked for several times

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(self._parameters)

    @property
    def roles(self) -> Mapping[int, str]:
        return dict.fromkeys(self._parameters, VALIDATION)

    @property
    def units(self) -> Mapping[str, str]:
        return dict.fromkeys(self._task.parameters, "1")

    @property
    def identity(self) -> str:
        said = [self._held[2] if self._held else None, self._parameters, self._times.tolist()]
        return hashlib.sha256(json.dumps(said, default=str).encode()).hexdigest()

    def simulation(self, number: int) -> Simulation:
        fields = tuple(Field(name) for name in self._task.targets)
        return Simulation(number, self._grid, fields, self._parameters[number])

    def order(self, number: int) -> Order:
        steps = np.arange(len(self._times))
        return Order(steps, steps, np.zeros_like(steps))

    def step(self, number: int) -> Step | None:
        return Step(self._times[1] - self._times[0], "1") if len(self._times) > 1 else None

    def frame(self, number: int, step: int) -> Frame:
        return self._known(number, step)

    def _solved(self, number: int, step: int) -> Frame:
        held, solution, given = self._held
        grid, time = self._grid, float(self._times[step])
        lines = [grid.coordinates(axis) for axis in range(grid.ndim)]
        points = dict(zip(grid.dims, np.meshgrid(*lines, indexing="ij"), strict=True))
        sides = dict(zip(grid.dims, grid.extent, strict=True))
        given = held.given_to(solution, {**given, **self._parameters[number]})
        values = solution.value(points, time, sides, **given)
        fields = {n: np.broadcast_to(values[n], grid.shape).copy() for n in self._task.targets}
        return Frame(number, step, time, fields)


def held_against(study: Study) -> tuple[Trajectories, Grid]:
    """What a study of points alone is validated on, and the grid of its surrogate: that of
    files that it names, or that of the study with exact solutions, if there are any.

    Raises:
        InputError: files that do not lie on the domain of the points.
    """
    grid = mixture_of(study).grid()
    check_model(study, grid)
    if not study.validation.data:
        return Solutions(study, grid), grid
    held = open_trajectories(study.validation.data, study.task.build())
    there = held.simulation(held.ids[0]).domain
    if there.kind == "grid" and there.ndim == grid.ndim:
        grid = replace(grid, shape=there.shape)
        lines = [(grid.coordinates(i), there.coordinates(i)) for i in range(grid.ndim)]
        cells = grid.spacing
        if all(np.abs(a - b).max() < 1e-2 * h for (a, b), h in zip(lines, cells, strict=True)):
            return held, grid
    raise InputError(
        f"validation.data: fields on {_spelled(there)}; expected points of the domain of "
        f"training.sources, {_spelled(grid)}"
    )


def _spelled(domain: Domain) -> str:
    if domain.kind != "grid":
        return f"a {domain.kind}"
    sides = zip(domain.dims, domain.extent, domain.boundary, strict=True)
    return ", ".join(
        f"{n} from {a:g} to {b:g}{' (periodic)' if kind == 'periodic' else ''}"
        for n, (a, b), kind in sides
    )


def against(study: Study, held: Trajectories) -> str:
    """What is trained on and validated on, in a line."""
    points = ", ".join(study.training.sources)
    if not held.ids:
        return f"trained on points alone ({points}); nothing to validate on: give validation.data"
    return f"trained on points alone ({points}), validated on {spelled(held)}"


def undetermined(study: Study) -> str:
    """What is to be said where nothing tells one solution of the equations from another."""
    residuals = [s for s in study.training.objectives.values() if s.kind == "residual"]
    if not residuals or any(section.solution is not None for section in residuals):
        return ""
    return (
        "nothing says what holds at the first time and on the sides: unless the model does by itself, "
        "what is learned is any solution of the equation, such as zero; name one by solution="
    )


def spelled(held: Trajectories) -> str:
    """What a study of collocation points alone is held against."""
    if not held.ids:
        return "nothing"
    many = "s" * (len(held.ids) > 1)
    what = f"exact solution{many}" if isinstance(held, Solutions) else f"simulation{many} of files"
    return f"{len(held.ids)} {what}"


def _held(study: Study) -> tuple[Equation, Solution, dict[str, object]] | None:
    """The solution that an objective names, its equation, and the constants and options given."""
    for section in study.training.objectives.values():
        if section.kind != "residual" or "name" not in (section.solution or {}):
            continue
        held = equation(section.equation)
        if {*study.task.targets} <= {*held.fields}:
            options = dict(section.solution)
            solution = held.solution(options.pop("name"))
            return held, solution, {**section.parameters, **options}
    return None
