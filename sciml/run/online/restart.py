"""From a checkpoint and the spool back to the trainer that was: buffer, windows, held-out frames."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml.run.online.repair import mend
from sciml.samples import Frame, Sample, Simulation, Task

if TYPE_CHECKING:
    from sciml.run.online.trainer import Trainer
    from sciml.training.checkpoint import Checkpoint


class Tally:
    """A count that outlives a SIGKILL: eight bytes in a mapped file.

    It tells the next life how many samples the last one had drawn, and so how many of its draws are
    undone by going back to a checkpoint.

    Args:
        path: of the file, made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        if (
            not path.exists() or path.stat().st_size != 8
        ):  # a kill may have torn it: nothing is known
            path.write_bytes(struct.pack("<q", 0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)

    def set(self, count: int) -> None:
        struct.pack_into("<q", self._map, 0, count)

    def get(self) -> int:
        return struct.unpack_from("<q", self._map, 0)[0]


def sample_frames(task: Task, keys: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """Keys of the frames behind samples, given by (simulation, origin)."""
    return {
        (simulation, step)
        for simulation, origin in keys
        for step in (*task.input_steps(origin), *task.target_steps(origin))
    }


def needed(task: Task, state: dict[str, Any]) -> set[tuple[int, int]]:
    """Keys of all frames without which a checkpoint's ``state`` cannot be restored."""
    beside = state["extra"]
    held = [tuple(entry[:2]) for entry in state["source"]["buffer"]["entries"]]
    waiting = [tuple(entry[:2]) for entry in beside["on_the_way"]]
    return sample_frames(task, [*held, *waiting]) | {tuple(key) for key in beside["frames"]}


def kept(task: Task, state: dict[str, Any]) -> set[tuple[int, int]]:
    """Keys of all frames that the spool must hold on to: those of :func:`needed`, those of simulations
    that are being recorded, and what was taken out of the buffer and is held back."""
    recorded = (state["extra"].get("recorder") or {"open": ()})["open"]
    # Of simulations that are held back, the samples that may be let in again.
    held = state["extra"].get("screen", {"held": ()})["held"]
    aside = sample_frames(task, [(n, origin) for n, _, origins, _ in held for origin in origins])
    return (
        needed(task, state) | aside | {(n, step) for n, _, steps in recorded for step, *_ in steps}
    )


def restore(trainer: Trainer, checkpoint: Checkpoint) -> None:
    """Put a fresh trainer where ``checkpoint`` was taken; its server has recovered that ledger.

    Frames that entered after the checkpoint come again from the spool; draws after it are undone
    together with the weights, and counted as rolled back. Frames that the spool has lost are
    computed again.

    Raises:
        ScimlError: they cannot be.
    """
    state, server = checkpoint.state, trainer.server
    beside, buffered = state["extra"], state["source"]["buffer"]
    task = trainer.study.task.build()
    _mend(trainer, kept(task, state), _simulations(state))
    if trainer.stop.is_set():
        return
    keys = needed(task, state)
    frames = {frame.key: frame for frame in server.replay(sorted(keys))}
    simulations = {number: server.simulation(number) for number in _simulations(state)}
    simulations |= {number: server.simulation(number) for number in {key[0] for key in keys}}

    def sample(key: tuple[int, int]) -> Sample:
        return cut(task, simulations[key[0]], key[1], frames)

    # The supervisor says anew when reception is over: there may be simulations to run again.
    trainer.buffer.load_state_dict({**buffered, "closed": False}, sample)
    put = buffered["counts"][0]
    waiting = [sample((n, origin)) for n, origin, ordinal in beside["on_the_way"] if ordinal >= put]
    trainer.intake.restore(beside, waiting, put, simulations, frames)
    if trainer.recorder is not None and not beside.get("recorder"):
        for number in beside["ledger"]["open"]:
            trainer.recorder.leave_out(int(number), "its recording began in the middle")
    elif trainer.recorder is not None:
        noted = beside["recorder"]
        trainer.recorder.load_state_dict(
            noted,
            {number: server.simulation(number) for number, *_ in noted["open"]},
            # One by one: together they may be much larger than what training holds.
            lambda key: next(iter(server.replay([key]))),
        )
    trainer.first_step_at = beside["first_step"]
    ledger = server.ledger
    ledger.set("entered", put)
    drawn = buffered["counts"][1]
    ledger.count("rolled_back", max(0, trainer.tally.get() - drawn))
    trainer.tally.set(drawn)
    trainer.progress["step"] = checkpoint.step


def _simulations(state: dict[str, Any]) -> set[int]:
    """Simulations that a checkpoint's ``state`` holds open: their descriptions are needed."""
    beside = state["extra"]
    recorded = (beside.get("recorder") or {"open": ()})["open"]
    entries = (*beside["windower"]["open"], *beside["heldout"]["open"], *recorded)
    return {number for number, *_ in entries}


def _mend(trainer: Trainer, keys: set[tuple[int, int]], open_: set[int]) -> None:
    """Have lost frames, and simulations of which nothing is known any more, computed again."""
    server = trainer.server
    sound: dict[int, Frame] = {}
    missing = set(keys)
    for frame in server.replay(sorted(keys)):  # one by one: they may be more than memory holds
        sound.setdefault(frame.simulation, frame)
        missing.discard(frame.key)
    damaged = {number for number, _ in missing}
    known = open_ | {number for number, _ in keys}
    damaged |= {number for number in known if server.simulation(number) is None}
    for number in sorted(damaged):
        steps = {step for n, step in missing if n == number}
        lost = f"{len(steps)} frames" if steps else "the description"
        trainer.tell(
            f"the spool has lost {lost} of simulation {number} that the checkpoint needs; the "
            "program computes again what is missing"
        )
        mend(
            server,
            trainer.study,
            trainer.run,
            number,
            steps,
            sound.get(number),
            trainer.stop,
        )


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
