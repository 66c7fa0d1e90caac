"""The unit that is buffered and drawn."""

from __future__ import annotations

from dataclasses import dataclass

from sciml.samples.frame import Frame, Simulation


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """One window of one simulation; it refers to frames and copies nothing.

    Frames are shared by the windows that overlap them; their storage goes when the last window goes.

    Args:
        simulation: domain, parameters and static fields.
        origin: step of the window (see :class:`~sciml.samples.task.Task`).
        inputs: frames, oldest first; empty when the task has no history.
        targets: frames, oldest first.
    """

    simulation: Simulation
    origin: int
    inputs: tuple[Frame, ...]
    targets: tuple[Frame, ...]

    @property
    def key(self) -> tuple[int, int]:
        return (self.simulation.id, self.origin)

    @property
    def frames(self) -> tuple[Frame, ...]:
        return self.inputs + self.targets
