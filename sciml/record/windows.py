"""Every window of a task in recorded simulations, read when it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np

from sciml.errors import InputError
from sciml.record.trajectories import Order, Trajectories
from sciml.samples import Sample, Task, Windower


class Windows(Sequence[Sample]):
    """Samples in order of simulation and step.

    Args:
        trajectories: where frames lie.
        numbers: simulations to cut.
        task: the window.

    Raises:
        InputError: the task names what a simulation lacks, or no window fits into any.
    """

    def __init__(self, trajectories: Trajectories, numbers: Sequence[int], task: Task) -> None:
        self.trajectories, self.task = trajectories, task
        windower = Windower(task)
        keys: list[np.ndarray] = []
        longest = 0
        for number in numbers:
            windower.open(trajectories.simulation(number))
            windower.close(number)
            order = trajectories.order(number)
            longest = max(longest, len(order.steps))
            origins = _origins(order, task)
            keys.append(np.stack([np.full(len(origins), number), origins], axis=1))
        self.keys = np.concatenate(keys) if keys else np.empty((0, 2), np.int64)
        if not len(self.keys):
            raise InputError(
                f"no window of the task (lead={task.lead}, history={task.history}, "
                f"unroll={task.unroll}) fits into {len(numbers)} simulations of at most {longest} "
                f"frames; shorten it or record longer ones{_of_one(longest)}{trajectories.hint}"
            )

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...

    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number, origin = self.keys[index]
        return self.trajectories.sample(self.task, int(number), int(origin))


def _of_one(longest: int) -> str:
    return ", or say lead=0 in the task: targets in the frame of the inputs" if longest == 1 else ""


def _origins(order: Order, task: Task) -> np.ndarray:
    """Steps at which a whole window lies in one segment."""
    if not len(order.steps):
        return np.empty(0, np.int64)
    segments = np.full(int(order.steps[-1]) + 1, -1)
    segments[order.steps] = order.segments
    offsets = np.array(sorted({*task.input_steps(0), *task.target_steps(0)}))
    origins = np.arange(-int(offsets[0]), len(segments) - int(offsets[-1]))
    if not len(origins):
        return origins
    found = segments[origins[:, None] + offsets]
    return origins[(found >= 0).all(axis=1) & (found == found[:, :1]).all(axis=1)]
