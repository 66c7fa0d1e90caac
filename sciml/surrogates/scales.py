"""The numbers by which a model's scalars and fields are scaled, for a model that computes in units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

from torch import Tensor

from sciml.samples import Task
from sciml.surrogates.normalizer import TIME, Normalizer

#: μ and σ.
Pair = tuple[Any, Any]


@dataclass(frozen=True, slots=True)
class Scales:
    """x̂ = (x − μ) / σ of the time, of each parameter of a task, of each target.

    Args:
        time: (μ, σ).
        parameters, fields: likewise, in the order of the task.
        outputs: of what is given of each target.
        increments: whether that is their increments.
        static: of static fields, by name.
    """

    time: Pair
    parameters: tuple[Pair, ...]
    fields: tuple[Pair, ...]
    outputs: tuple[Pair, ...] = ()
    increments: bool = False
    static: Mapping[str, Pair] = field(default_factory=dict)

    @classmethod
    def of(cls, normalizer: Normalizer | None, task: Task, increments: bool = False) -> Scales:
        """Those of a surrogate; without a normalizer nothing is scaled.

        Args:
            increments: whether targets are given as increments.
        """
        if normalizer is None:
            still = (0.0, 1.0)
            same = (still,) * len(task.targets)
            numbers = (still,) * len(task.parameters)
            return cls(still, numbers, same, same, increments, dict.fromkeys(task.static, still))
        kind = "increment" if increments else "field"
        return cls(
            normalizer.numbers(TIME, "time"),
            tuple(normalizer.numbers(name, "parameter") for name in task.parameters),
            tuple(normalizer.numbers(name) for name in task.targets),
            tuple(normalizer.numbers(n, kind) for n in task.targets),
            increments,
            {name: normalizer.numbers(name) for name in task.static},
        )

    @property
    def duration(self) -> Any:
        """Of times that are spread evenly, of which σ is the deviation."""
        return sqrt(12.0) * self.time[1]

    def parameters_of(self, scalars: Tensor) -> list[Tensor]:
        """Parameters in their units, ``(n,)`` each, from all scalars, of which they are the first."""
        return [
            mean + deviation * scalars[:, i] for i, (mean, deviation) in enumerate(self.parameters)
        ]
