"""Between physical units and the numbers that a network computes with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Units:
    """x̂_c = (x_c − μ_c) / σ_c of each channel c.

    A model whose :class:`~sciml.surrogates.traits.Traits` say ``takes_units`` does by itself what a
    surrogate does around the others: it is called with fields in physical units, ``given=`` the units
    of their channels and ``units=`` those of its outputs, and gives these in physical units. It pays
    where a model looks at few points
    of a field, and where its last operation is linear in small tensors, which can be scaled in
    the place of the outputs.

    Args:
        std, mean: one number a channel.
    """

    std: tuple[float, ...]
    mean: tuple[float, ...]

    @classmethod
    def of(cls, pairs: Iterable[tuple[float, float]]) -> Units:
        """From (μ, σ) of each channel."""
        pairs = list(pairs)
        return cls(tuple(std for _, std in pairs), tuple(mean for mean, _ in pairs))

    def scaled(self, values: Tensor) -> Tensor:
        """x̂ of values ``(B, channel, …)``."""
        mean, std = self.numbers(values, values.ndim - 2)
        # μ first: x/σ − μ/σ in one pass would lose the digits that a large offset takes.
        return (values - mean).div_(std)

    def physical(self, values: Tensor) -> Tensor:
        """x of scaled values ``(B, channel, …)``."""
        mean, std = self.numbers(values, values.ndim - 2)
        return values * std + mean

    def numbers(self, like: Tensor, behind: int = 0) -> tuple[Tensor | float, Tensor | float]:
        """μ and σ, ``(channel, 1, …)`` with so many axes behind; plain numbers where all channels have
        the same, which spares a small GPU transfer each."""
        if len(set(self.std)) == len(set(self.mean)) == 1:
            return self.mean[0], self.std[0]
        both = torch.tensor((self.mean, self.std), dtype=like.dtype, device=like.device)
        mean, std = both.view(2, -1, *(1,) * behind)
        return mean, std
