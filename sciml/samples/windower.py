"""Cuts samples from frames as they arrive, in any order."""

from __future__ import annotations

from dataclasses import dataclass, field

from sciml.errors import InputError, nearest
from sciml.samples.frame import Frame, Simulation
from sciml.samples.sample import Sample
from sciml.samples.task import Task


@dataclass(slots=True)
class _Open:
    """A simulation whose windows are not all cut yet."""

    simulation: Simulation
    frames: dict[int, Frame] = field(default_factory=dict)
    # Number of windows that still want each frame; a frame is let go at zero.
    wanted: dict[int, int] = field(default_factory=dict)


class Windower:
    """Turns frames into samples, each window once, whatever the order of arrival.

    A window is given as soon as its last frame is there. A frame is kept only while a window that
    needs it can still be completed: at most ``(history + unroll) · lead`` frames a simulation when
    they arrive in order.

    Args:
        task: the window.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._open: dict[int, _Open] = {}
        origin = 0
        steps = [*task.input_steps(origin), *task.target_steps(origin)]
        self._offsets = tuple(sorted(set(steps)))

    def open(self, simulation: Simulation) -> None:
        """Announce a simulation; fields and parameters that the task names must be there.

        Raises:
            InputError: the task names something that the simulation does not have.
        """
        names = {f.name for f in simulation.fields}
        wants = (
            ("field", (*self.task.inputs, *self.task.targets), names),
            ("parameter", self.task.parameters, set(simulation.parameters)),
            ("static field", self.task.static, set(simulation.static)),
        )
        for what, wanted, known in wants:
            for name in wanted:
                if name not in known:
                    raise InputError(
                        f"task wants {what} '{name}', which simulation {simulation.id} does not "
                        f"have; {nearest(name, known)}"
                    )
        self._open.setdefault(simulation.id, _Open(simulation))

    def push(self, frame: Frame) -> list[Sample]:
        """Add a frame; returns the samples that it completes, oldest first.

        Raises:
            InputError: a frame of a simulation that was not opened, or one that came before.
        """
        state = self._open.get(frame.simulation)
        if state is None:
            raise InputError(f"frame of simulation {frame.simulation}, which is not open")
        if frame.step in state.frames:
            raise InputError(f"frame {frame.key} came twice")
        state.frames[frame.step] = frame
        state.wanted[frame.step] = sum(self._possible(frame.step - o) for o in self._offsets)
        origins = sorted(frame.step - offset for offset in self._offsets)
        samples = [self._cut(state, origin) for origin in origins if self._complete(state, origin)]
        self._release(state, frame.step)
        return samples

    def cut(self, simulation: int) -> None:
        """Forget the frames held of a simulation: no window will join what came before with what
        comes after (a new attempt that need not agree with the last one)."""
        state = self._open.get(simulation)
        if state is not None:
            state.frames.clear()
            state.wanted.clear()

    def close(self, simulation: int) -> None:
        """The simulation sends no more; its incomplete windows are dropped."""
        self._open.pop(simulation, None)

    def pending(self) -> list[Frame]:
        """Frames held for windows that are not complete."""
        return [frame for state in self._open.values() for frame in state.frames.values()]

    def _possible(self, origin: int) -> bool:
        return origin + self._offsets[0] >= 0

    def _complete(self, state: _Open, origin: int) -> bool:
        return all(origin + offset in state.frames for offset in self._offsets)

    def _cut(self, state: _Open, origin: int) -> Sample:
        for offset in self._offsets:
            state.wanted[origin + offset] -= 1
        return Sample(
            state.simulation,
            origin,
            tuple(state.frames[s] for s in self.task.input_steps(origin)),
            tuple(state.frames[s] for s in self.task.target_steps(origin)),
        )

    def _release(self, state: _Open, step: int) -> None:
        touched = {step - a + b for a in self._offsets for b in self._offsets}
        for s in touched:
            if state.wanted.get(s) == 0:
                del state.frames[s], state.wanted[s]
