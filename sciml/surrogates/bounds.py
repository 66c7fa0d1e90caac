"""Smallest and largest values that a surrogate was trained on, kept with its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import reduce

import numpy as np
import torch
from torch import Tensor, nn

from sciml.samples import Sample, Task

FIELD, FORCING, PARAMETER, TIME = "field", "forcing", "parameter", "time"


class Bounds(nn.Module):
    """Least and largest of each field, parameter and time that is seen.

    They move with :meth:`update`, and stay in float64 where they are, whatever the model does: nothing
    is computed with them.

    Args:
        task: names the quantities.
    """

    low: Tensor
    high: Tensor

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        self.keys = (
            *((FIELD, n) for n in dict.fromkeys((*task.inputs, *task.static))),
            *((FORCING, n) for n in task.forcing),
            *((PARAMETER, n) for n in task.parameters),
            *(((TIME, TIME),) if task.time else ()),
        )
        self.register_buffer("low", torch.full((len(self.keys),), torch.inf, dtype=torch.float64))
        self.register_buffer("high", torch.full((len(self.keys),), -torch.inf, dtype=torch.float64))

    def update(self, samples: Iterable[Sample]) -> list[np.ndarray]:
        """Take samples into account; gives the bounds of each, as :attr:`both` are those of all."""
        found = [self._measured(sample) for sample in samples]
        self.both = reduce(joined, found, self.both)
        return found

    def take(self, values: Mapping[tuple[str, str], np.ndarray]) -> None:
        """Take numbers into account by what they are, of which there are no samples."""
        found = self.nothing
        for key in values.keys() & {*self.keys}:
            found[:, self.keys.index(key)] = np.min(values[key]), np.max(values[key])
        self.both = joined(self.both, found)

    @property
    def both(self) -> np.ndarray:
        """low and high, ``(2, quantity)``."""
        return np.stack([self.low.numpy(), self.high.numpy()])

    @both.setter
    def both(self, both: np.ndarray) -> None:
        self.low.numpy()[:], self.high.numpy()[:] = both

    @property
    def nothing(self) -> np.ndarray:
        """Bounds of no samples."""
        return np.array([[np.inf] * len(self.keys), [-np.inf] * len(self.keys)])

    def _measured(self, sample: Sample) -> np.ndarray:
        values = values_of(self.keys, sample)
        return np.array([[np.min(v) for v in values], [np.max(v) for v in values]], np.float64)

    def of(self, kind: str, name: str) -> tuple[float, float] | None:
        """The least and the largest; ``None`` where nothing is known."""
        row = self.keys.index((kind, name))
        low, high = float(self.low[row]), float(self.high[row])
        return (low, high) if low <= high else None

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Bounds:
        return self


def joined(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Bounds of both."""
    return np.stack([np.minimum(a[0], b[0]), np.maximum(a[1], b[1])])


def values_of(keys: Iterable[tuple[str, str]], sample: Sample) -> list[np.ndarray | float]:
    """What a surrogate sees of a sample, a quantity each: of fields those of the newest frame, at points
    that have values."""
    found: list[np.ndarray | float] = []
    simulation = sample.simulation
    for kind, name in keys:
        if kind == PARAMETER:
            found.append(simulation.parameters[name])
        elif kind == TIME:
            found.append(np.array([frame.time for frame in sample.targets]))
        elif kind == FORCING:
            mask = simulation.masks.get(name)
            arrays = [f.fields[name] for f in sample.targets]
            arrays = arrays if mask is None else [a[mask] for a in arrays]
            found.append(np.concatenate([np.ravel(a) for a in arrays]))
        else:
            static = name in simulation.static
            values = simulation.static[name] if static else sample.inputs[-1].fields[name]
            mask = simulation.masks.get(name)
            found.append(values if mask is None else values[mask])
    return found
