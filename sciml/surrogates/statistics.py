"""What a surrogate takes from its data before the first step: scaling, and the basis of some models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from sciml.errors import InputError
from sciml.samples import Sample
from sciml.surrogates.collation import collate
from sciml.surrogates.surrogate import Surrogate

#: Samples from which a basis is taken, at most; drawn evenly from all that came.
BASIS_SAMPLES = 2000


class Statistics:
    """Measures samples as they come; from :meth:`fix` on, what was measured stays.

    A model with a method ``fit_basis(outputs)``, outputs ``(sample, target, *space)`` scaled as the
    model shall give them, is handed those of at most 2000 samples, drawn evenly (reservoir), once.
    Online these are the samples that came before the first step: as many as the buffer's watermark.

    Args:
        surrogate: whose normalizer and model are served.
        seed: of the draw.
    """

    def __init__(self, surrogate: Surrogate, seed: int = 0) -> None:
        self.surrogate = surrogate
        self._wanted = hasattr(surrogate.model, "fit_basis")
        self._rng = np.random.default_rng(seed)
        self._seen = 0
        self._kept: list[Sample] = []
        self._widened: set[int] = set()

    def update(self, samples: Iterable[Sample]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Take samples into account; once fixed, for the bounds of what is trained on alone. One thread
        at a time.

        Returns bounds and moments of each; see :meth:`Bounds.update`, :meth:`Normalizer.update`.
        """
        samples = list(samples)
        for number, domain in {s.key[0]: s.simulation.domain for s in samples}.items():
            if number not in self._widened:
                self._widened.add(number)
                self.surrogate.widen(domain)
        found = self.surrogate.bounds.update(samples), self.surrogate.normalizer.update(samples)
        if not self._open:
            return found
        for sample in samples:
            self._seen += 1
            if len(self._kept) < BASIS_SAMPLES:
                self._kept.append(sample)
            else:
                place = int(self._rng.integers(self._seen))
                if place < BASIS_SAMPLES:
                    self._kept[place] = sample
        return found

    def fix(self) -> None:
        """Stop measuring: from here on the model sees one and the same scaling and basis."""
        self.surrogate.normalizer.fix()
        if self._open:
            self.surrogate.model.fit_basis(_outputs(self.surrogate, self._kept))
        self._kept = []

    def forget(self, simulation: int) -> None:
        """No basis is taken from its samples."""
        self._kept = [sample for sample in self._kept if sample.key[0] != simulation]

    def reopen(self, samples: Sequence[Sample]) -> None:
        """Measure again, with these samples for the basis; what was measured stays until then."""
        self.surrogate.normalizer.fixed.fill_(False)
        if self._wanted:
            self.surrogate.model.fitted.fill_(False)
            self._kept = list(samples[-BASIS_SAMPLES:])
            self._seen = len(self._kept)

    @property
    def _open(self) -> bool:
        """Whether a basis is wanted still; one that came with a checkpoint is not taken anew."""
        return self._wanted and not self.surrogate.model.fitted


def _outputs(surrogate: Surrogate, samples: list[Sample]) -> Tensor:
    """What the model should have given for ``samples``: (sample, target, *space)."""
    if not samples:
        raise InputError("basis: no samples came; expected some before the first step")
    batch = collate(samples, surrogate.task)
    columns = []
    for name in surrogate.task.targets:
        wanted = batch.targets[name][:, 0]
        kind = "field"
        if surrogate.increment and name in batch.inputs:
            wanted, kind = wanted - batch.inputs[name][:, -1], "increment"
        if surrogate.normalizer is not None:
            device = surrogate.normalizer.mean.device
            wanted = surrogate.normalizer.normalize(name, wanted.to(device), kind)
        if name in batch.masks:  # the mean, as a model sees what is not there
            wanted = wanted.masked_fill(~batch.masks[name].squeeze(1).to(wanted.device), 0.0)
        columns.append(wanted.to(torch.get_default_dtype()))
    return torch.stack(columns, dim=1)
