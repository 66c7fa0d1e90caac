"""`sciml run --dry-run`: what a study will cost, measured on a few steps of its own program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sciml.domain import Field
from sciml.ensemble.rehearsal import rehearse
from sciml.run.simulations import example_start, starts_of, values
from sciml.solver.program_description import Description
from sciml.study.designs import PlannedSimulation
from sciml.study.schema import Study

#: Bytes of a trainer that has imported torch and neuraloperator, before any data, and of a rank.
TRAINER_BASE = 700 * 2**20
RANK_BASE = 45 * 2**20
#: States after which a program is ended that was asked for no number of them.
FEW = 45


@dataclass(frozen=True, slots=True)
class Estimate:
    """Cost of a study.

    Args:
        simulations: how many, validation included.
        validation: how many of them are held out.
        frames: frames of one simulation; ``None``: its program alone knows.
        frame_bytes: bytes of one frame as sent.
        step_seconds: measured time of one solver step.
        ranks: on how many it was measured.
        seconds: estimated time for all simulations, start-up included; ``None`` without ``frames``.
        memory: estimated peak of the trainer.
        rank_memory: estimated peak of one rank.
        feeds: what the samples of the stream are enough for, a line each; none without ``frames``.
        starts: states of ``parameters.files`` that are used, and files that they come from.
    """

    simulations: int
    validation: int
    frames: int | None
    frame_bytes: int
    step_seconds: float
    seconds: float | None
    memory: int
    rank_memory: int
    ranks: int = 1
    feeds: Sequence[str] = ()
    starts: tuple[int, int] | None = None

    def rows(self) -> list[tuple[str, str]]:
        step = f"{self.step_seconds * 1e3:.3g} ms a step on {_ranks(self.ranks)}"
        if not self.step_seconds:
            step = "a step is too short to be measured"
        frames, stream, cost = "as many as the program gives", "", step
        if self.frames is not None:
            total = self.frames * self.simulations
            frames = f"{self.frames} a simulation, {total} in all"
            stream = f", {_size(self.frame_bytes * total)} in all"
            cost = f"about {self.seconds:.0f} s ({step}); training may take longer"
        return [
            ("simulations", f"{self.simulations}, of which {self.validation} held out"),
            *([("initial states", "{} of {} files".format(*self.starts))] if self.starts else []),
            ("frames", frames),
            ("stream", f"{_size(self.frame_bytes)} a frame{stream}"),
            *(("training", line) for line in self.feeds),
            ("trainer memory", f"about {_size(self.memory)} at its peak"),
            ("rank memory", f"about {_size(self.rank_memory)} a rank"),
            ("simulation time", cost),
        ]


def estimate(study: Study, description: Description, plan: Sequence[PlannedSimulation]) -> Estimate:
    """Run a few steps of the first simulation, and reckon from there.

    Raises:
        ScimlError: the program fails.
    """
    send = study.solver.send
    ranks = 1 if description.ours else study.solver.ranks
    with example_start(study, description) as start:
        given = values(study, plan[0], start)
        steps = given.get("steps", getattr(description.flags.get("steps"), "default", None))
        if description.ours:
            given["steps"] = min(steps, FEW - 1)
        whole = send.model_dump() | {"every": 1}
        rehearsal = rehearse(description, given, ranks=ranks, send=whole, frames=FEW)
    rehearsal.require()
    if rehearsal.closed and not description.ours:
        steps = rehearsal.frames - 1  # all there are: what a step is, such a program knows best
    frames = None if steps is None else int(steps) // send.every + 1
    frame_bytes, points = (
        rehearsal.first.nbytes,
        rehearsal.simulation.domain.size
        * send.coarsen ** len(rehearsal.simulation.domain.point_shape),
    )
    seconds = None
    if steps is not None:
        shared = study.solver.ranks // ranks
        seconds = len(plan) * (rehearsal.began + int(steps) * rehearsal.step_seconds / shared)
        seconds /= study.cluster.simulations_at_once
    task = study.task.build()
    window = 2 * study.task.lead * (study.task.history + study.task.build().unroll)
    held = study.buffer.capacity + window + study.validation.simulations * (frames or FEW)
    validation = sum(p.role == "validation" for p in plan)
    return Estimate(
        simulations=len(plan),
        validation=validation,
        frames=frames,
        frame_bytes=frame_bytes,
        step_seconds=rehearsal.step_seconds,
        ranks=ranks,
        seconds=seconds,
        memory=TRAINER_BASE + held * frame_bytes + study.stream.queue_limit,
        rank_memory=RANK_BASE + 4 * _bytes(description.fields, points) // study.solver.ranks,
        feeds=_feeds(study, task.span, frames, len(plan) - validation),
        starts=_starts(study, description, plan),
    )


def _feeds(study: Study, span: int, frames: int | None, simulations: int) -> list[str]:
    """What the samples of the stream are enough for, in words, with what may surprise."""
    if frames is None:
        return []
    buffer, training = study.buffer, study.training
    samples = max(frames - span + 1, 0) * simulations
    batch = training.size_of(training.fed) * training.accumulate
    # A reservoir draws more often where solvers are slower than the training.
    repeats, steps, planned = (
        buffer.kind == "reservoir",
        samples * buffer.draws // batch,
        training.steps,
    )
    least = "at least " if repeats else ""
    if planned is None:
        lines = [f"until the stream ends: {least}{steps} steps"]
    elif steps >= planned:
        lines = [f"{planned} steps"]
    else:
        lines = [
            f"this stream feeds {least}{steps} of {planned} steps; raise buffer.draws or "
            "parameters.simulations, or lower training.phases"
        ]
    seen = (planned or 0) * batch / max(samples, 1)
    if repeats and seen > buffer.draws:
        lines.append(
            f"{samples} samples for {planned} steps of {batch}: each is drawn up to "
            f"{seen:.1f} times while solvers are slower than the training"
        )
    if samples < buffer.watermark:
        lines.append(
            f"{samples} samples never reach buffer.watermark {buffer.watermark}: training begins "
            "when the last simulation has ended; lower it, or run more simulations"
        )
    return lines


def _bytes(fields: Sequence[Field], points: int) -> int:
    """Of one state in double precision."""
    return sum(8 * max(f.components, 1) * (1 if f.on == "global" else points) for f in fields)


def _starts(
    study: Study, description: Description, plan: Sequence[PlannedSimulation]
) -> tuple[int, int] | None:
    starts = starts_of(study, description)
    if starts is None:
        return None
    used = {p.start for p in plan if p.start is not None}
    return len(used), len({starts.states[number].path for number in used})


def _ranks(number: int) -> str:
    return "one rank" if number == 1 else f"{number} ranks"


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
