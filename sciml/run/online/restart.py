"""From a checkpoint and the spool back to the trainer that was: buffer, windows, held-out frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sciml.run.online.lost_frames import REASON, Losses
from sciml.samples import Sample, Task
from sciml.samples.windower import sample_frames, window

if TYPE_CHECKING:
    from sciml.run.online.life import Life
    from sciml.training.checkpoint import Checkpoint


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
    held = state["extra"]["screen"]["held"]
    aside = sample_frames(task, [(n, origin) for n, _, origins, _ in held for origin in origins])
    return (
        needed(task, state) | aside | {(n, step) for n, _, steps in recorded for step, *_ in steps}
    )


def of_stream(state: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint's ``state`` with that of the stream alone as its source: a mix has others besides."""
    source = state["source"]
    if "buffer" in source:
        return state
    return {**state, "source": next(one for one in source.values() if "buffer" in one)}


def restore(life: Life, checkpoint: Checkpoint) -> None:
    """Put a fresh life where ``checkpoint`` was taken; its server has recovered that ledger.

    Frames that entered after the checkpoint come again from the spool; draws after it are undone
    together with the weights, and counted as rolled back. What the spool has lost is left out.
    """
    state, server, task = of_stream(checkpoint.state), life.server, life.study.task.build()
    lost_frames = Losses.of(server, kept(task, state), _simulations(state))
    if lost_frames:
        state = _without(life, task, lost_frames, state)
    beside, buffered = state["extra"], state["source"]["buffer"]
    keys = needed(task, state)
    frames = {frame.key: frame for frame in server.replay(sorted(keys))}
    simulations = {number: server.simulation(number) for number in _simulations(state)}
    simulations |= {number: server.simulation(number) for number in {key[0] for key in keys}}

    def sample(key: tuple[int, int]) -> Sample:
        number, origin = key
        return window(task, simulations[number], origin, lambda step: frames[number, step])

    # The supervisor says anew when reception is over: there may be simulations to run again.
    life.buffer.load_state_dict({**buffered, "closed": False}, sample)
    put = buffered["counts"][0]
    waiting = [sample((n, origin)) for n, origin, ordinal in beside["on_the_way"] if ordinal >= put]
    life.intake.restore(beside, waiting, put, simulations, frames)
    if life.recorder is not None and not beside.get("recorder"):
        for number in beside["ledger"]["open"]:
            life.recorder.leave_out(int(number), "its recording began in the middle")
    elif life.recorder is not None:
        noted = beside["recorder"]
        life.recorder.load_state_dict(
            noted,
            {number: server.simulation(number) for number, *_ in noted["open"]},
            # One by one: together they may be much larger than what training holds.
            lambda key: next(iter(server.replay([key]))),
        )
    life.first_step_at = beside["first_step"]
    ledger = server.ledger
    ledger.set("entered", put)
    drawn = buffered["counts"][1]
    ledger.count("rolled_back", max(0, life.draw_count.get() - drawn))
    life.draw_count.set(drawn)
    life.progress["step"] = checkpoint.step


def _without(life: Life, task: Task, lost_frames: Losses, state: dict[str, Any]) -> dict[str, Any]:
    """The state without what is lost; says so, and takes leave of simulations that cannot be whole."""
    pruned, heldout = lost_frames.without(task, state)
    removed = len(state["source"]["buffer"]["entries"]) - len(pruned["source"]["buffer"]["entries"])
    life.say(lost_frames.line(removed))
    for number in heldout:
        life.server.quarantine(number, REASON)
    if life.recorder is not None:
        for number in lost_frames.unrecorded(state):
            life.recorder.leave_out(number, REASON)
    return pruned


def _simulations(state: dict[str, Any]) -> set[int]:
    """Simulations that a checkpoint's ``state`` holds open: their descriptions are needed."""
    beside = state["extra"]
    recorded = (beside.get("recorder") or {"open": ()})["open"]
    entries = (*beside["windower"]["open"], *beside["heldout"]["open"], *recorded)
    return {number for number, *_ in entries}
