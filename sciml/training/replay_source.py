"""Batches of a recorded stream, replayed through windower and buffer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sciml.buffer.core import Buffer
from sciml.errors import InputError
from sciml.record import Trajectories, Windows
from sciml.samples import Sample, Task, Windower
from sciml.surrogates.batch import Batch
from sciml.surrogates.collation import collate
from sciml.surrogates.structure import Structure


class ReplaySource:
    """Frames in recorded order of arrival → windows → buffer → batches, in one thread.

    Between two batches the buffer is given what is due: ``max(watermark, batch)`` samples before
    the first, the others spread evenly over ``steps``, as from solvers that end with the training.
    Less where the buffer has no room, more where it would run short. So the draws depend on the
    recording, the study and the seed alone, and a resumed replay goes on bitwise.

    Args:
        trajectories: the recording.
        numbers: simulations to replay.
        task: the window.
        buffer: any kind, empty.
        batch_size: samples a batch; the last ones may be smaller.
        steps: batches that will be drawn; ``None``: solvers faster than the trainer, so that the
            buffer takes what it can.
        measure: called with the samples before they are put, for the normalizer.
        begin: called when the first batch is there, before anyone computes with it.
        structures: what the model wants derived; see :class:`~sciml.surrogates.traits.Traits`.

    Raises:
        InputError: no window fits.
    """

    def __init__(
        self,
        trajectories: Trajectories,
        numbers: Sequence[int],
        task: Task,
        buffer: Buffer,
        batch_size: int,
        *,
        steps: int | None = None,
        measure: Callable[[list[Sample]], None] | None = None,
        begin: Callable[[], None] = lambda: None,
        structures: Sequence[Structure] = (),
    ) -> None:
        self.trajectories, self.task, self.buffer = trajectories, task, buffer
        self.batch_size, self.steps = batch_size, steps
        self._measure, self._begin, self._structures = measure, begin, structures
        self.total = len(Windows(trajectories, numbers, task))
        self._arrivals = trajectories.arrivals(numbers)
        self._last = {int(n): i for i, (n, _, _) in enumerate(self._arrivals)}
        self._windower = Windower(task)
        self._position = 0
        self._segments: dict[int, int] = {}
        self._queue: deque[Sample] = deque()
        self._put = 0
        self._batches = 0

    def next_batch(self) -> Batch | None:
        self._feed()
        samples = self.buffer.get_batch(self.batch_size)
        if not samples:
            return None
        self._batches += 1
        begin, self._begin = self._begin, lambda: None
        begin()
        return collate(samples, self.task, self._structures)

    def state_dict(self) -> dict[str, Any]:
        return {
            "position": self._position,
            "put": self._put,
            "batches": self._batches,
            "segments": [list(entry) for entry in self._segments.items()],
            "queue": [list(sample.key) for sample in self._queue],
            "windower": self._windower.state_dict(),
            "buffer": self.buffer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`state_dict` was taken; samples are read again.

        Raises:
            InputError: the state of another recording.
        """
        if state["position"] > len(self._arrivals):
            raise InputError(
                f"replay: the checkpoint stands at frame {state['position']}, the recording has "
                f"{len(self._arrivals)}; resume with the recording of the first part"
            )
        self._position, self._put = state["position"], state["put"]
        self._batches = state["batches"]
        self._segments = dict(state["segments"])
        self._queue = deque(self._sample(key) for key in state["queue"])
        open_ = {entry[0] for entry in state["windower"]["open"]}
        self._windower.load_state_dict(
            state["windower"],
            {number: self.trajectories.simulation(number) for number in open_},
            lambda key: self.trajectories.frame(*key),
        )
        self.buffer.load_state_dict(state["buffer"], self._sample)

    def _sample(self, key: Sequence[int]) -> Sample:
        return self.trajectories.sample(self.task, int(key[0]), int(key[1]))

    def _feed(self) -> None:
        need = max(self.buffer.watermark, self.batch_size)
        due = self.total
        if self.steps is not None:
            due = need + -(-(self.total - need) * (self._batches + 1) // self.steps)
        while True:
            stats = self.buffer.stats()
            if stats["closed"] or stats["unseen"] >= stats["capacity"]:
                return
            if self._put >= due and stats["size"] >= need:
                return
            while not self._queue and self._position < len(self._arrivals):
                self._advance()
            if not self._queue:
                self.buffer.close()
                return
            sample = self._queue.popleft()
            self.buffer.put(sample)
            self._put += 1

    def _advance(self) -> None:
        """Take in the next frame."""
        number, step, segment = map(int, self._arrivals[self._position])
        if number not in self._segments:
            self._windower.open(self.trajectories.simulation(number))
        elif self._segments[number] != segment:
            self._windower.cut(number)
        self._segments[number] = segment
        samples = self._windower.push(self.trajectories.frame(number, step))
        if samples and self._measure is not None:
            self._measure(samples)
        self._queue.extend(samples)
        if self._last[number] == self._position:
            self._windower.close(number)
        self._position += 1
