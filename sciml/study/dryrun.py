"""`sciml run --dry-run`: what a study will cost, measured on a few steps of its own program."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml.errors import InputError
from sciml.solver.describe import Description
from sciml.study.designs import PlannedSimulation
from sciml.study.jobs import example_start, starts_of, values
from sciml.study.schema import Study

#: Memory of a trainer that has imported torch and neuraloperator, before any data.
TRAINER_BASE = 700 * 2**20
RANK_BASE = 45 * 2**20
START_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Estimate:
    """Cost of a study.

    Args:
        simulations: how many, validation included.
        validation: how many of them are held out.
        frames: frames of one simulation.
        frame_bytes: bytes of one frame as sent.
        step_seconds: measured time of one solver step on one rank.
        seconds: estimated time for all simulations, start-up included.
        memory: estimated peak of the trainer.
        rank_memory: estimated peak of one rank.
        starts: states of ``parameters.files`` that are used, and files that they come from.
    """

    simulations: int
    validation: int
    frames: int
    frame_bytes: int
    step_seconds: float
    seconds: float
    memory: int
    rank_memory: int
    starts: tuple[int, int] | None = None

    @property
    def stream_bytes(self) -> int:
        return self.simulations * self.frames * self.frame_bytes

    @property
    def _step(self) -> str:
        if not self.step_seconds:
            return "a step is too short to be measured"
        return f"{self.step_seconds * 1e3:.3g} ms a step on one rank"

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("simulations", f"{self.simulations}, of which {self.validation} held out"),
            *([("initial states", "{} of {} files".format(*self.starts))] if self.starts else []),
            ("frames", f"{self.frames} a simulation, {self.frames * self.simulations} in all"),
            ("stream", f"{_size(self.frame_bytes)} a frame, {_size(self.stream_bytes)} in all"),
            ("trainer memory", f"about {_size(self.memory)} at its peak"),
            ("rank memory", f"about {_size(self.rank_memory)} a rank"),
            (
                "simulation time",
                f"about {self.seconds:.0f} s ({self._step}); training may take longer",
            ),
        ]


def estimate(study: Study, description: Description, plan: Sequence[PlannedSimulation]) -> Estimate:
    """Run a few steps of the first simulation on one rank, and reckon from there.

    Raises:
        InputError: the program cannot be told how many steps to make, or to write a file.
    """
    from sciml.solver.simulate import simulated

    for option in ("steps", "out"):
        if option not in description.flags:
            raise InputError(
                f"dry run: {description.name} has no option '{option}', so a few steps of it cannot "
                f"be measured; run the study without --dry-run, or let the program take --{option}"
            )
    steps = _total_steps(study, description)
    few, more = min(steps, 4), min(steps, 44)
    with example_start(study, description) as start:
        given = values(study, plan[0], start)
        short, dataset = _timed(simulated, study.solver.program, {**given, "steps": few})
        long, _ = _timed(simulated, study.solver.program, {**given, "steps": more})
    step_seconds = max(long - short, 0.0) / max(more - few, 1)
    send = study.solver.send
    itemsize = {"float32": 4, "float64": 8}.get(send.dtype or "", 0)
    names = send.fields or [field.name for field in description.fields]
    frame_bytes, full_bytes = 0, 0
    for name in names:
        one = dataset[name].isel(time=0)
        full_bytes += one.size * one.dtype.itemsize
        frame_bytes += one.size // send.coarsen**one.ndim * (itemsize or one.dtype.itemsize)
    frames = steps // send.every + 1
    slots = study.cluster.simulations_at_once
    per_simulation = START_SECONDS + steps * step_seconds / study.solver.ranks
    window = 2 * study.task.lead * (study.task.history + study.task.unroll)
    held = study.buffer.capacity + window + study.validation.simulations * frames
    return Estimate(
        simulations=len(plan),
        validation=sum(p.role == "validation" for p in plan),
        frames=frames,
        frame_bytes=frame_bytes,
        step_seconds=step_seconds,
        seconds=len(plan) * per_simulation / slots,
        memory=TRAINER_BASE + held * frame_bytes + study.stream.queue_limit,
        rank_memory=RANK_BASE + 4 * full_bytes // study.solver.ranks,
        starts=_starts(study, description, plan),
    )


def _starts(
    study: Study, description: Description, plan: Sequence[PlannedSimulation]
) -> tuple[int, int] | None:
    starts = starts_of(study, description)
    if starts is None:
        return None
    used = {p.start for p in plan if p.start is not None}
    return len(used), len({starts.states[number].path for number in used})


def _total_steps(study: Study, description: Description) -> int:
    return int(study.solver.options.get("steps", description.flags["steps"].default))


def _timed(simulated: Any, program: str | Path, values: dict[str, Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    dataset = simulated(program, **values)
    return time.perf_counter() - began, dataset


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
