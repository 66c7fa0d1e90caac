"""Cuts samples from frames as they arrive, in any order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sciml.errors import InputError, nearest
from sciml.samples.frame import Frame, Simulation
from sciml.samples.groups import members
from sciml.samples.sample import Sample
from sciml.samples.task import Task


@dataclass(slots=True)
class _OpenWindows:
    """A simulation whose windows are not all cut yet."""

    simulation: Simulation
    frames: dict[int, Frame] = field(default_factory=dict)
    # Number of windows that still want each frame; a frame is let go at zero.
    wanted: dict[int, int] = field(default_factory=dict)
    # Steps that came and were let go: all below the floor, and these.
    floor: int = 0
    gone: set[int] = field(default_factory=set)

    def is_gone(self, step: int) -> bool:
        return step < self.floor or step in self.gone

    def let_go(self, step: int) -> None:
        self.frames.pop(step, None)
        self.wanted.pop(step, None)
        self.gone.add(step)
        while self.floor in self.gone:
            self.gone.discard(self.floor)
            self.floor += 1


class Windower:
    """Turns frames into samples, each window once, whatever the order of arrival.

    A window is given as soon as its last frame is there. A frame is kept only while a window that
    needs it can still be completed: at most ``(history + unroll − 1) · lead`` frames a simulation
    when they arrive in order.

    Args:
        task: the window.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._open: dict[int, _OpenWindows] = {}
        origin = 0
        steps = [*task.input_steps(origin), *task.target_steps(origin)]
        self._offsets = tuple(sorted(set(steps)))

    def open(self, simulation: Simulation) -> None:
        """Announce a simulation; fields and parameters that the task names must be there.

        Raises:
            InputError: the task names something, or a group of points, that the simulation does not
                have.
        """
        names = {f.name for f in simulation.fields}
        wants = (
            ("field", self.task.moving, names),
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
        for _, groups in self.task.prescribed:
            for group in groups:
                members(simulation, group)
        self._open.setdefault(simulation.id, _OpenWindows(simulation))

    def push(self, frame: Frame) -> list[Sample]:
        """Add a frame; returns the samples that it completes, oldest first.

        Raises:
            InputError: a frame of a simulation that was not opened, or one that came before.
        """
        state = self._open.get(frame.simulation)
        if state is None:
            raise InputError(f"frame of simulation {frame.simulation}, which is not open")
        if frame.step in state.frames or state.is_gone(frame.step):
            raise InputError(f"frame {frame.key} came twice")
        origins = [frame.step - offset for offset in reversed(self._offsets)]
        wanted = sum(self._possible(state, origin) for origin in origins)
        if not wanted:
            state.let_go(frame.step)
            return []
        state.frames[frame.step] = frame
        state.wanted[frame.step] = wanted
        samples = [self._cut(state, origin) for origin in origins if self._complete(state, origin)]
        for sample in samples:
            for step in (sample.origin + offset for offset in self._offsets):
                if state.wanted.get(step) == 0:
                    state.let_go(step)
        return samples

    def cut(self, simulation: int) -> None:
        """Let go of the frames held of a simulation: no window will join what came before with what
        comes after (a new attempt that need not agree with the last one)."""
        state = self._open.get(simulation)
        if state is not None:
            for step in list(state.frames):
                state.let_go(step)

    def close(self, simulation: int) -> None:
        """The simulation sends no more; its incomplete windows are dropped."""
        self._open.pop(simulation, None)

    def pending(self) -> list[Frame]:
        """Frames held for windows that are not complete."""
        return [frame for state in self._open.values() for frame in state.frames.values()]

    def state_dict(self) -> dict[str, Any]:
        """Steps instead of frames: numbers and lists only."""
        return {
            "open": [
                [number, state.floor, sorted(state.gone), [list(w) for w in state.wanted.items()]]
                for number, state in self._open.items()
            ]
        }

    def load_state_dict(
        self,
        state: Mapping[str, Any],
        simulations: Mapping[int, Simulation],
        resolve: Callable[[tuple[int, int]], Frame],
    ) -> None:
        """Continue where :meth:`state_dict` was taken: windows that were cut do not come again.

        Args:
            state: from :meth:`state_dict`, perhaps through JSON or msgpack.
            simulations: by number, at least those that were open.
            resolve: gives the frame of a key ``(simulation, step)``.
        """
        self._open = {
            number: _OpenWindows(
                simulations[number],
                {step: resolve((number, step)) for step, _ in wanted},
                dict(wanted),
                floor,
                set(gone),
            )
            for number, floor, gone, wanted in state["open"]
        }

    def _possible(self, state: _OpenWindows, origin: int) -> bool:
        """Whether a window can still be completed by frames that are held or to come."""
        if origin + self._offsets[0] < 0:
            return False
        return not any(state.is_gone(origin + offset) for offset in self._offsets)

    def _complete(self, state: _OpenWindows, origin: int) -> bool:
        return all(origin + offset in state.frames for offset in self._offsets)

    def _cut(self, state: _OpenWindows, origin: int) -> Sample:
        for offset in self._offsets:
            state.wanted[origin + offset] -= 1
        return window(self.task, state.simulation, origin, state.frames.__getitem__)


def window(
    task: Task, simulation: Simulation, origin: int, frame_at: Callable[[int], Frame]
) -> Sample:
    """The sample at ``origin``, of the frames at its steps."""
    return Sample(
        simulation,
        origin,
        tuple(map(frame_at, task.input_steps(origin))),
        tuple(map(frame_at, task.target_steps(origin))),
    )


def sample_frames(task: Task, keys: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """Keys of the frames behind samples, given by (simulation, origin)."""
    return {
        (simulation, step)
        for simulation, origin in keys
        for step in (*task.input_steps(origin), *task.target_steps(origin))
    }


def windows_of(simulation: Simulation, frames: Iterable[Frame], task: Task) -> Iterator[Sample]:
    """Samples of one simulation whose frames come in order of steps; none goes across a gap, where that
    matters."""
    windower = Windower(task)
    windower.open(simulation)
    segment = None
    for frame in frames:
        if task.even and segment is not None and frame.segment != segment:
            windower.cut(simulation.id)
        segment = frame.segment
        yield from windower.push(frame)


def longest_stretch(frames: Iterable[Any], task: Task) -> int:
    """How many frames in order of steps follow one another without a gap, at most.

    Args:
        frames: anything with ``step`` and ``segment``.
    """
    best = count = 0
    last: Any = None
    for frame in frames:
        joined = last is not None and frame.step == last.step + 1
        if joined and task.even:
            joined = frame.segment == last.segment
        count, last = count + 1 if joined else 1, frame
        best = max(best, count)
    return best
