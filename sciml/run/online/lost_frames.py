"""What a damaged spool has lost of a checkpoint: left out of its state, and said.

A sample without its frames leaves the buffer, and counts as removed; a window that lacks one is not
cut; a held-out simulation that lacks one is quarantined, since an error on half of it means another
thing. To compute such frames again would take a second stream inside the trainer, and a program that
gives the same bits twice, for a few samples of a buffer that forgets all of them in the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from sciml.samples import Task
from sciml.samples.windower import sample_frames
from sciml.stream.server import Server

REASON = "frames of it were lost from a damaged spool"


@dataclass(frozen=True, slots=True)
class Losses:
    """Frames and simulations that the spool should hold and does not.

    Args:
        frames: by (simulation, step).
        simulations: whose description is lost.
    """

    frames: Set[tuple[int, int]]
    simulations: Set[int]

    @classmethod
    def of(
        cls, server: Server, keys: Iterable[tuple[int, int]], simulations: Iterable[int]
    ) -> Losses:
        """What of this the server cannot give."""
        keys = set(keys)
        # One by one: they may be more than memory holds.
        there = {frame.key for frame in server.replay(sorted(keys))}
        numbers = {*simulations, *(number for number, _ in keys)}
        return cls(keys - there, {n for n in numbers if server.simulation(n) is None})

    def __bool__(self) -> bool:
        return bool(self.frames or self.simulations)

    def without(self, task: Task, state: Mapping[str, Any]) -> tuple[dict[str, Any], list[int]]:
        """A checkpoint's ``state`` without what is lost; held-out simulations that have to go."""
        beside, source = state["extra"], state["source"]
        buffered = source["buffer"]
        entries = [e for e in buffered["entries"] if self._whole(task, e)]
        counts = [*buffered["counts"]]
        counts[4] += len(buffered["entries"]) - len(entries)
        windows = [
            [
                number,
                floor,
                sorted({*gone, *(step for step, _ in wanted if (number, step) in self.frames)}),
                [[step, n] for step, n in wanted if (number, step) not in self.frames],
            ]
            for number, floor, gone, wanted in beside["windower"]["open"]
            if number not in self.simulations
        ]
        heldout = beside["heldout"]
        sound = [[n, steps] for n, steps in heldout["open"] if not self._touches(n, steps)]
        extra = {
            **beside,
            "frames": [[n, step] for n, step in beside["frames"] if not self._touches(n, (step,))],
            "windower": {"open": windows},
            "heldout": {**heldout, "open": sound},
            "on_the_way": [e for e in beside["on_the_way"] if self._whole(task, e)],
        }
        if beside.get("recorder"):
            noted = beside["recorder"]
            extra["recorder"] = {
                **noted,
                "open": [
                    e for e in noted["open"] if not self._touches(e[0], (s for s, *_ in e[2]))
                ],
            }
        held = [
            [n, far, [o for o in origins if self._whole(task, (n, o))], lost]
            for n, far, origins, lost in beside["screen"]["held"]
        ]
        extra["screen"] = {**beside["screen"], "held": held}
        pruned = {
            **state,
            "extra": extra,
            "source": {**source, "buffer": {**buffered, "entries": entries, "counts": counts}},
        }
        return pruned, sorted({n for n, _ in heldout["open"]} - {n for n, _ in sound})

    def unrecorded(self, state: Mapping[str, Any]) -> list[int]:
        """Simulations that were being recorded, and cannot be any more."""
        noted = (state["extra"].get("recorder") or {"open": ()})["open"]
        return [n for n, _, steps in noted if self._touches(n, (s for s, *_ in steps))]

    def line(self, removed: int) -> str:
        """What is lost, in words; ``removed`` samples left the buffer for it."""
        some = sorted({n for n, _ in self.frames} | self.simulations)
        named = ", ".join(map(str, some[:5])) + (", …" if len(some) > 5 else "")
        return (
            f"the spool is damaged: {len(self.frames)} frames and {len(self.simulations)} descriptions "
            f"that the checkpoint needs are lost (simulations {named}); {removed} samples leave the "
            "buffer, and training goes on without them"
        )

    def _whole(self, task: Task, key: Iterable[int]) -> bool:
        number, origin, *_ = key
        if number in self.simulations:
            return False
        return self.frames.isdisjoint(sample_frames(task, [(number, origin)]))

    def _touches(self, number: int, steps: Iterable[int]) -> bool:
        return number in self.simulations or any((number, step) in self.frames for step in steps)
