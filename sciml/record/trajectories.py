"""Simulations and their frames, wherever they lie, as training without a stream sees them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sciml.samples import Frame, Sample, Simulation, Task
from sciml.samples.program_warnings import Finding
from sciml.samples.step import Step
from sciml.samples.windower import window


@dataclass(frozen=True, slots=True)
class Order:
    """The frames of one simulation, one entry a frame, in order of steps.

    Args:
        steps: of the frames that are there, ``(n,)``.
        arrivals: places in the order of arrival of all simulations, ``(n,)``.
        segments: windows join frames of one segment only, ``(n,)``.
    """

    steps: np.ndarray
    arrivals: np.ndarray
    segments: np.ndarray


class Trajectories(ABC):
    """Simulations by number; frames are read when they are asked for.

    Iterating gives ``(simulation, frames)`` in order of number, frames as an iterator.
    """

    @property
    @abstractmethod
    def ids(self) -> tuple[int, ...]:
        """Numbers of the simulations, ascending."""

    @property
    @abstractmethod
    def roles(self) -> Mapping[int, str]:
        """``"train"``, ``"validation"`` or ``"test"``, for those of which the data say so; also of those
        for testing that are not read and have a number all the same."""

    @property
    @abstractmethod
    def units(self) -> Mapping[str, str]:
        """Of the parameters."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """Changes when the data do: a resumed run must see what it saw before."""

    @property
    def channels(self) -> Mapping[str, tuple[str, ...]]:
        """Fields that a name of the task stands for, of variables with levels."""
        return {}

    @property
    def hint(self) -> str:
        """What else may be the matter where simulations are too short, in words that go on."""
        return ""

    @property
    def remarks(self) -> Sequence[str]:
        """What was taken for granted of the data, a line each."""
        return ()

    @property
    def doubts(self) -> Sequence[str]:
        """What of the data may be a mistake, a line each."""
        return ()

    def varying(self, task: Task) -> str:
        """Numbers that differ from simulation to simulation and are not in the task, in words."""
        return ""

    @abstractmethod
    def simulation(self, number: int) -> Simulation:
        """Domain, fields, parameters and static fields."""

    @abstractmethod
    def order(self, number: int) -> Order:
        """Which frames there are."""

    @abstractmethod
    def step(self, number: int) -> Step | None:
        """Time from one frame to the next; ``None`` of a single one."""

    @abstractmethod
    def frame(self, number: int, step: int) -> Frame:
        """One frame; arrays cannot be written."""

    @property
    def warnings(self) -> list[Finding]:
        """What the programs that gave these data warned of."""
        return []

    def about(self, number: int) -> Mapping[str, object]:
        """What the study knew of a simulation: ``seed``, ``role``."""
        return {}

    def frames(self, number: int) -> Iterator[Frame]:
        """The frames of a simulation in order of steps."""
        for step in self.order(number).steps:
            yield self.frame(number, int(step))

    def __iter__(self) -> Iterator[tuple[Simulation, Iterator[Frame]]]:
        for number in self.ids:
            yield self.simulation(number), self.frames(number)

    def __len__(self) -> int:
        return len(self.ids)

    def sample(self, task: Task, number: int, origin: int) -> Sample:
        """The window of ``task`` at ``origin``."""
        steps = dict.fromkeys((*task.input_steps(origin), *task.target_steps(origin)))
        frames = {step: self.frame(number, step) for step in steps}
        return window(task, self.simulation(number), origin, frames.__getitem__)

    def arrivals(self, numbers: Sequence[int]) -> np.ndarray:
        """``(frames, 3)``: number, step and segment of every frame, in order of arrival."""
        rows, places = [], []
        for number in numbers:
            order = self.order(number)
            column = np.full(len(order.steps), number)
            rows.append(np.stack([column, order.steps, order.segments], axis=1))
            places.append(order.arrivals)
        if not rows:
            return np.empty((0, 3), np.int64)
        return np.concatenate(rows)[np.argsort(np.concatenate(places), kind="stable")]
