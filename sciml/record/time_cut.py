"""A single simulation as two along time: what is trained on, and what is held out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import final

from sciml.record.trajectories import Order, Trajectories
from sciml.samples import Frame, Simulation, Task
from sciml.samples.splits import held_in_time
from sciml.samples.step import Step


def _passed(name: str) -> property:
    """What both parts have of the whole."""
    return property(lambda self: getattr(self._all, name))


def cut_of(trajectories: Trajectories, number: int, task: Task, part: float) -> int | None:
    """The step from which on a simulation is held out; ``None`` where it is too short for that."""
    order = trajectories.order(number)
    pairs = zip(order.steps.tolist(), order.segments.tolist(), strict=True)
    places = [SimpleNamespace(step=step, segment=segment) for step, segment in pairs]
    held = held_in_time(places, task, part)
    return places[-held].step if held else None


@final
class CutInTime(Trajectories):
    """``trajectories`` with one simulation cut in two; the later part gets a number behind all others.

    Args:
        trajectories: of which one is cut.
        number: of the simulation.
        cut: its first step that belongs to the later part.
    """

    def __init__(self, trajectories: Trajectories, number: int, cut: int) -> None:
        self._all, self._number, self._cut = trajectories, number, cut
        #: Number of the later part.
        self.later = max({*trajectories.ids, *trajectories.roles}) + 1

    @property
    def ids(self) -> tuple[int, ...]:
        return (*self._all.ids, self.later)

    roles, units, identity = map(_passed, ("roles", "units", "identity"))
    channels, remarks, doubts = map(_passed, ("channels", "remarks", "doubts"))
    warnings = _passed("warnings")

    def varying(self, task: Task) -> str:
        return self._all.varying(task)

    def about(self, number: int) -> Mapping[str, object]:
        return self._all.about(self._own(number))

    def simulation(self, number: int) -> Simulation:
        return replace(self._all.simulation(self._own(number)), id=number)

    def step(self, number: int) -> Step | None:
        return self._all.step(self._own(number))

    def order(self, number: int) -> Order:
        order = self._all.order(self._own(number))
        if number not in (self._number, self.later):
            return order
        kept = (order.steps >= self._cut) == (number == self.later)
        return Order(order.steps[kept], order.arrivals[kept], order.segments[kept])

    def frame(self, number: int, step: int) -> Frame:
        return replace(self._all.frame(self._own(number), step), simulation=number)

    def _own(self, number: int) -> int:
        return self._number if number == self.later else number
