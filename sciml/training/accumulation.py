"""Several batches for one optimizer step, where the memory does not hold the large one."""

from __future__ import annotations

from typing import Any

from sciml.errors import InputError
from sciml.training.source import Batches, Source


class Draws:
    """``count`` batches of a source for each step.

    The gradient of a step is that of one batch of all their samples: losses of the batches enter
    with the part of the samples that each holds (exact for losses that are means over samples; a mean
    over the points of meshes of different sizes becomes a mean over batches of such means).

    An epoch ends with a step, which may have fewer batches than the others, as the last batch of an
    epoch may have fewer samples; so does the source.

    Args:
        source: of batches.
        count: a step.
    """

    def __init__(self, source: Source, count: int = 1) -> None:
        if count < 1:
            raise InputError(f"accumulate={count}; expected 1 or more batches a step")
        self.source = source
        self.count = count
        self.drawn = 0
        #: Whether the source had no more when it was asked last.
        self.ended = False

    @property
    def epoch_steps(self) -> int | None:
        """Steps in one epoch; ``None`` if the source has no epochs."""
        return epoch_steps(self.source, self.count)

    def next(self) -> list[Batches]:
        """The batches of the next step; none when the source has ended."""
        wanted, epoch = self.count, getattr(self.source, "epoch_steps", None)
        if epoch is not None:
            wanted = min(wanted, epoch - self.drawn % epoch)
        found: list[Batches] = []
        while len(found) < wanted and (batch := self.source.next_batch()) is not None:
            found.append(batch)
        self.drawn += len(found)
        self.ended = len(found) < wanted
        return found

    def state_dict(self) -> dict[str, Any]:
        return {"source": self.source.state_dict(), "drawn": self.drawn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.source.load_state_dict(state["source"])
        self.drawn = state["drawn"]


def epoch_steps(source: Source, count: int) -> int | None:
    """Optimizer steps that one epoch of a source takes with ``count`` batches a step."""
    batches = getattr(source, "epoch_steps", None)
    return None if batches is None else -(-batches // count)
