"""What happened in a run, step by step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np


@dataclass(slots=True)
class StepRecord:
    """One optimizer step.

    Args:
        step: count from 1.
        phase: index of the phase.
        loss: weighted sum.
        losses: each by name, unweighted.
        lr: learning rate.
        wait: seconds until the batch was there.
        compute: seconds of forward, backward and update.
        samples: size of the batch.
    """

    step: int
    phase: int
    loss: float
    losses: dict[str, float]
    lr: float
    wait: float
    compute: float
    samples: int


#: What a step holds besides its losses by name, and its type.
_COLUMNS: dict[str, Callable[[Any], Any]] = {
    "step": int,
    "phase": int,
    "loss": float,
    "lr": float,
    "wait": float,
    "compute": float,
    "samples": int,
}

#: Steps kept in detail; a run of days must not fill the memory.
KEPT = 100_000


@dataclass(slots=True, repr=False)
class History:
    """The last steps, all validations, and sums over everything.

    Args:
        steps: the last :data:`KEPT`.
        validations: dicts with ``step`` and what the validation gave.
        wait, compute: seconds waited for data, and spent training.
        samples: drawn in all.
        left_out: by target, how many had no norm for a relative loss, and of how many that it was asked
            for.
        ended: why it ended: ``"phases"``, ``"source"`` or ``"stopped"``.
    """

    steps: deque[StepRecord] = field(default_factory=lambda: deque(maxlen=KEPT))
    validations: list[dict[str, Any]] = field(default_factory=list)
    wait: float = 0.0
    compute: float = 0.0
    samples: int = 0
    left_out: dict[str, tuple[int, int]] = field(default_factory=dict)
    ended: str = ""

    def __repr__(self) -> str:
        last = self.steps[-1] if self.steps else None
        reached = f"step {last.step}, loss {last.loss:.3g}" if last else "no steps"
        return f"History({reached}, {len(self.validations)} validations, ended by {self.ended!r})"

    def add(self, step: StepRecord) -> None:
        self.steps.append(step)
        self.wait += step.wait
        self.compute += step.compute
        self.samples += step.samples

    def joined(self, later: History) -> History:
        """This, and what came after it; a validation of the same step is that of the later one."""
        again = {found["step"] for found in later.validations}
        return History(
            steps=deque([*self.steps, *later.steps], maxlen=KEPT),
            validations=[v for v in self.validations if v["step"] not in again] + later.validations,
            wait=self.wait + later.wait,
            compute=self.compute + later.compute,
            samples=self.samples + later.samples,
            left_out=later.left_out,
            ended=later.ended or self.ended,
        )

    def state_dict(self) -> dict[str, Any]:
        """Plain data and arrays, a column for each entry of a step."""
        names = list(dict.fromkeys(name for step in self.steps for name in step.losses))
        losses = [[step.losses.get(name, np.nan) for step in self.steps] for name in names]
        columns = {key: [getattr(step, key) for step in self.steps] for key in _COLUMNS}
        return {
            "steps": {key: np.array(column, np.float64) for key, column in columns.items()},
            "losses": dict(zip(names, map(np.array, losses), strict=True)),
            "validations": self.validations,
            "sums": [self.wait, self.compute, self.samples],
        }

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> History:
        """Inverse of :meth:`state_dict`."""
        columns, losses = state["steps"], state["losses"]
        steps = []
        for row, values in enumerate(zip(*(columns[key] for key in _COLUMNS), strict=True)):
            entry = {key: _COLUMNS[key](value) for key, value in zip(_COLUMNS, values, strict=True)}
            named = {name: float(column[row]) for name, column in losses.items()}
            entry["losses"] = {name: value for name, value in named.items() if not np.isnan(value)}
            steps.append(StepRecord(**entry))
        wait, compute, samples = state["sums"]
        return cls(deque(steps, maxlen=KEPT), list(state["validations"]), wait, compute, samples)

    @property
    def losses(self) -> list[float]:
        return [s.loss for s in self.steps]

    def limit(self, last: int = 50) -> str:
        """What limited the last steps: ``"data"`` or ``"training"``."""
        recent = list(islice(reversed(self.steps), last))
        waited, computed = sum(s.wait for s in recent), sum(s.compute for s in recent)
        return "data" if waited > computed else "training"
