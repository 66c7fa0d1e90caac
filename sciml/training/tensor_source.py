"""Batches cut from tensors that hold all samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from sciml.errors import InputError
from sciml.surrogates.batch import VALUES, Batch
from sciml.training.epochs import Epochs, InEpochs


class TensorSource(InEpochs):
    """Every sample once an epoch, as :class:`DatasetSource`, without touching them one by one.

    For small samples, many at a time: a batch of 10 000 takes microseconds a tensor instead of
    microseconds a sample. All of them lie in memory as tensors.

    Args:
        samples: one batch of them all, as ``collate(samples, task)`` gives; of grids.
        batch_size: samples a batch; the last one of an epoch may be smaller. ``None``: all of them,
            the very same batch each time.
        epochs: passes; ``None``: without end.
        seed: of the order, which follows from ``(seed, epoch)`` alone.

    Raises:
        InputError: samples that are no grids, no samples, a batch size below 1.
    """

    def __init__(
        self,
        samples: Batch,
        batch_size: int | None = None,
        epochs: int | None = None,
        seed: int = 0,
    ) -> None:
        if "owner" in samples.geometry:
            raise InputError(
                f"tensor source: samples on a {samples.kind}, whose points lie one after the other; "
                "expected grids: use DatasetSource"
            )
        if samples.size < 1:
            raise InputError("tensor source: no samples; expected at least one")
        if batch_size is not None and batch_size < 1:
            raise InputError(f"tensor source: batch_size={batch_size}; expected at least 1")
        self.samples = samples
        size = batch_size or samples.size
        self._order = Epochs(samples.size, size, epochs, seed, shuffle=size < samples.size)

    def next_batch(self) -> Batch | None:
        chosen = self._order.draw()
        if chosen is None:
            return None
        if len(chosen) == self.samples.size:
            return self.samples
        return select(self.samples, torch.from_numpy(chosen))


def select(batch: Batch, index: Tensor) -> Batch:
    """The samples ``index`` of a batch of grids."""

    def of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: t[index] for name, t in tensors.items()}

    # What has no sample axis is shared: the periods of the axes, points asked of all samples.
    shared = {
        n: t for n, t in batch.geometry.items() if n == "periodic" or (n == "at" and t.ndim < 3)
    }
    own = {n: t for n, t in batch.geometry.items() if n not in shared}
    return replace(
        batch,
        **{name: of(getattr(batch, name)) for name in VALUES if name != "masks"},
        weights={n: t[index] if len(t) == batch.size else t for n, t in batch.weights.items()},
        geometry={**shared, **of(own)},
        parameters=None if batch.parameters is None else batch.parameters[index],
        time=None if batch.time is None else batch.time[index],
        size=len(index),
        keys=tuple(batch.keys[i] for i in index.tolist()) if batch.keys else (),
    )
