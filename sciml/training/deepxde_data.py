"""Our sources as data of a ``deepxde.Model``, for whoever trains there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sciml.errors import InputError
from sciml.surrogates.batch import Batch
from sciml.surrogates.deepxde_import import import_deepxde
from sciml.training.source import Source

dde = import_deepxde()


class StreamData(dde.data.Data):
    """A source of ours in the format of deepxde's ``DeepONetCartesianProd``.

    Training batches come from ``source``: a stream from running solvers
    (:class:`~sciml.training.StreamSource` on a buffer), a dataset, a function space. In physical units::

        data = StreamData(source, collate(held_out, task))
        net = dde.nn.DeepONetCartesianProd([m, 40, 40], [d, 40, 40], "relu", "Glorot normal")
        model = dde.Model(data, net)
        model.compile("adam", lr=1e-3)
        model.train(iterations=10_000, callbacks=[StopWithSource()])

    Shapes: inputs ``(u (B, m), y (P, d))``, m = points times fields, and parameters; y from 0 to 1
    along each axis; targets ``(B, P)``, with several fields ``(B, P, out)``.

    Args:
        source: of batches on one grid.
        held_out: a batch for testing; never trained on.

    Raises:
        InputError: a domain that is no grid, a batch size other than the source's.
    """

    def __init__(self, source: Source, held_out: Batch) -> None:
        self.source = source
        self._test = cartesian(held_out)
        self._last: tuple[tuple[np.ndarray, np.ndarray], np.ndarray] | None = None
        #: Whether the source has ended; the last batch is then given again.
        self.ended = False

    def losses(self, targets, outputs, loss_fn, inputs, model, aux=None) -> Any:
        return loss_fn(targets, outputs)

    def train_next_batch(self, batch_size: int | None = None) -> Any:
        if batch_size is not None:
            raise InputError(
                f"StreamData: batch_size={batch_size}; the source has its own: leave it out of "
                "Model.train"
            )
        batch = self.source.next_batch()
        if batch is None:
            if self._last is None:
                raise InputError("StreamData: the source gave no batch at all")
            self.ended = True
        else:
            self._last = cartesian(batch)
        return self._last

    def test(self) -> Any:
        return self._test


class StopWithSource(dde.callbacks.Callback):
    """Ends ``Model.train`` when the source of its :class:`StreamData` has ended."""

    def on_batch_end(self) -> None:
        if self.model.data.ended:
            self.model.stop_training = True


def cartesian(batch: Batch) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """``((u, y), targets)`` of a batch on a grid."""
    if "periodic" not in batch.geometry or "at" in batch.geometry:
        raise InputError(f"StreamData: a batch on a {batch.kind}; expected whole fields on a grid")
    if batch.forcing:
        raise InputError("StreamData: a task with forcing; train it with sciml.fit, or in a study")
    batch = batch.to("cpu", torch.get_default_dtype())
    columns = [t.flatten(1) for t in (*batch.inputs.values(), *batch.static.values())]
    if batch.parameters is not None and batch.parameters.shape[1]:
        columns.append(batch.parameters)
    targets = [t[:, 0].flatten(1) for t in batch.targets.values()]
    space = next(iter(batch.targets.values())).shape[2:]
    lines = [
        torch.arange(n, dtype=columns[0].dtype) / (n if wraps else n - 1)
        for n, wraps in zip(space, batch.geometry["periodic"].tolist(), strict=True)
    ]
    y = torch.cartesian_prod(*lines).reshape(-1, len(lines))
    outputs = targets[0] if len(targets) == 1 else torch.stack(targets, dim=2)
    return (_array(torch.cat(columns, dim=1)), _array(y)), _array(outputs)


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.numpy())
