"""Batches from a fixed set of samples, epoch after epoch."""

from __future__ import annotations

from collections.abc import Sequence

from sciml.errors import InputError
from sciml.samples import Sample, Task
from sciml.surrogates.batch import Batch
from sciml.surrogates.collation import collate
from sciml.surrogates.structure import Structure
from sciml.training.epochs import Epochs, InEpochs


class DatasetSource(InEpochs):
    """Every sample once an epoch, in an order of its own each time.

    The order of an epoch follows from ``(seed, epoch)`` alone, so a resumed run draws the very
    batches that an uninterrupted one would have drawn.

    Args:
        samples: anything with a length and an index; read when drawn.
        task: the one that cut them.
        batch_size: samples a batch; the last one of an epoch may be smaller.
        epochs: passes over the samples; ``None``: without end.
        seed: of the order.
        shuffle: ``False`` keeps the order of ``samples``.
        structures: what the model wants derived; see :class:`~sciml.surrogates.traits.Traits`.

    Raises:
        InputError: no samples, or a batch size below 1.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        task: Task,
        batch_size: int,
        epochs: int | None = None,
        seed: int = 0,
        shuffle: bool = True,
        structures: Sequence[Structure] = (),
    ) -> None:
        if len(samples) == 0:
            raise InputError("dataset source: no samples; expected at least one")
        if batch_size < 1:
            raise InputError(f"dataset source: batch_size={batch_size}; expected at least 1")
        self.samples = samples
        self.task = task
        self._structures = structures
        self._order = Epochs(len(samples), batch_size, epochs, seed, shuffle)

    @property
    def batch_size(self) -> int:
        return self._order.batch_size

    @batch_size.setter
    def batch_size(self, size: int) -> None:
        self._order.batch_size = min(size, self._order.count)

    def next_batch(self) -> Batch | None:
        chosen = self._order.draw()
        if chosen is None:
            return None
        return collate([self.samples[int(i)] for i in chosen], self.task, self._structures)
