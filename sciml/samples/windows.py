"""Windows of a task by the keys of their frames."""

from __future__ import annotations

from collections.abc import Iterable

from sciml.samples.frame import Frame
from sciml.samples.sample import Sample, Simulation
from sciml.samples.task import Task


def sample_frames(task: Task, keys: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """Keys of the frames behind samples, given by (simulation, origin)."""
    return {
        (simulation, step)
        for simulation, origin in keys
        for step in (*task.input_steps(origin), *task.target_steps(origin))
    }


def cut(
    task: Task, simulation: Simulation, origin: int, frames: dict[tuple[int, int], Frame]
) -> Sample:
    """The window at ``origin`` from frames by key."""
    return Sample(
        simulation,
        origin,
        tuple(frames[(simulation.id, step)] for step in task.input_steps(origin)),
        tuple(frames[(simulation.id, step)] for step in task.target_steps(origin)),
    )
