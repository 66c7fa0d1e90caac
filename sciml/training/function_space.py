"""Training data from a space of random functions and an operator that acts on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from sciml.domain import Field, Grid
from sciml.domain.dataset import to_dataset
from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates.batch import Batch
from sciml.surrogates.deepxde_import import numpy_seeded

if TYPE_CHECKING:
    import xarray as xr


class FunctionSpace(Protocol):
    """What deepxde's function spaces (``GRF``, ``Chebyshev``, ``PowerSeries``, ``GRF2D``, …) have."""

    def random(self, size: int) -> np.ndarray:
        """Features of ``size`` random functions."""
        ...

    def eval_batch(self, features: np.ndarray, xs: np.ndarray) -> np.ndarray:
        """Their values ``(size, P)`` at points ``(P, d)``."""
        ...


#: ``operator(u, grid)``: u ``(B, *space)`` → the outputs, alike, by name.
Operator = Callable[[np.ndarray, Grid], Mapping[str, np.ndarray]]


class FunctionSpaceSource:
    """Batches of new functions, and what an operator makes of them.

    deepxde draws from numpy's global generator; it is seeded for the draw from ``(seed, number of
    the batch)`` and put back, so that a resumed run draws the same functions.

    Args:
        space: e.g. ``deepxde.data.GRF(length_scale=0.2)``; evaluated at the points of the grid in
            its units.
        operator: ``operator(u, grid) -> {"s": s}``.
        grid: of inputs and outputs.
        task: one input, ``lead: 0``.
        batch_size: functions a batch.
        seed: of the draws.
        draws: number of batches; ``None``: without end.

    Raises:
        InputError: a task with more than one input, or that advances in time; outputs that the
            operator does not give, or of another shape.
    """

    def __init__(
        self,
        space: FunctionSpace,
        operator: Operator,
        grid: Grid,
        task: Task,
        batch_size: int,
        seed: int = 0,
        draws: int | None = None,
    ) -> None:
        if len(task.inputs) != 1 or task.lead or task.static or task.parameters or task.time:
            raise InputError(
                f"function space: task {task.inputs} → {task.targets} with lead={task.lead}; expected "
                "one input, lead=0, and no static fields, parameters or time"
            )
        if batch_size < 1:
            raise InputError(f"function space: batch_size={batch_size}; expected at least 1")
        self.space, self.operator, self.grid, self.task = space, operator, grid, task
        self.batch_size, self.seed, self.draws = batch_size, seed, draws
        self._drawn = 0

    def next_batch(self) -> Batch | None:
        if self.draws is not None and self._drawn >= self.draws:
            return None
        u = functions(self.space, self.grid, self.batch_size, (self.seed, self._drawn))
        self._drawn += 1
        found = _outputs(self.operator, u, self.grid, self.task.targets)
        n = self.batch_size
        dtype = torch.get_default_dtype()
        spacing = torch.tensor([self.grid.spacing], dtype=dtype)
        return Batch(
            inputs={self.task.inputs[0]: _tensor(u)},
            targets={name: _tensor(values) for name, values in found.items()},
            parameters=torch.zeros(n, 0, dtype=dtype),
            time=torch.zeros(n, 1, dtype=dtype),
            geometry={
                "spacing": spacing.expand(n, -1),
                "periodic": torch.tensor([b == "periodic" for b in self.grid.boundary]),
            },
            size=n,
        )

    def state_dict(self) -> dict[str, Any]:
        return {"drawn": self._drawn}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._drawn = int(state["drawn"])


def function_dataset(
    space: FunctionSpace,
    operator: Operator,
    grid: Grid,
    task: Task,
    count: int,
    seed: int = 0,
) -> xr.Dataset:
    """``count`` functions and what ``operator`` makes of them, for ``sciml.fit`` or a file.

    Args, errors: as for :class:`FunctionSpaceSource`.

    Returns:
        Variables ``(sample, [z, y,] x)``.
    """
    source = FunctionSpaceSource(space, operator, grid, task, count, seed)
    u = functions(source.space, grid, count, (seed, 0))
    values = {task.inputs[0]: u, **_outputs(operator, u, grid, task.targets)}
    fields = tuple(Field(name) for name in values)
    ds = to_dataset(grid, fields, {n: v[:, None] for n, v in values.items()}, [0.0])
    return ds.isel(time=0, drop=True)


def functions(
    space: FunctionSpace, grid: Grid, count: int, seed: int | tuple[int, ...]
) -> np.ndarray:
    """Values ``(count, *shape)`` of random functions at the points of ``grid``."""
    axes = [grid.coordinates(axis) for axis in range(grid.ndim)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, grid.ndim)
    with numpy_seeded(seed):
        features = space.random(count)
    values = np.asarray(space.eval_batch(features, points))
    if values.shape != (count, grid.size):
        raise InputError(
            f"function space {type(space).__name__}: values of shape {values.shape} for {count} "
            f"functions at {grid.size} points; expected ({count}, {grid.size})"
        )
    return values.reshape(count, *grid.shape)


def _outputs(
    operator: Operator, u: np.ndarray, grid: Grid, names: tuple[str, ...]
) -> dict[str, np.ndarray]:
    found = operator(u, grid)
    for name in names:
        if name not in found or np.shape(found[name]) != u.shape:
            came = np.shape(found[name]) if name in found else f"{', '.join(found) or 'nothing'}"
            raise InputError(
                f"operator: {came} for the target '{name}'; expected values of shape {u.shape}"
            )
    return {name: np.asarray(found[name]) for name in names}


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.get_default_dtype()).unsqueeze(1)
