"""Basis functions at the points that were asked for last."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

#: Numbers of a basis that are kept at most; a larger one is computed at every call.
KEPT = 1 << 22


class BasisCache:
    """A network evaluated once for the same points and weights.

    A dataset is predicted batch by batch, a rollout goes step by step, and each asks the trunk the same
    question. Only on the CPU, in evaluation and without gradients; on a GPU to compare takes as long as
    to compute. Points and weights are compared with copies, value by value, so that there is no
    way to change them unnoticed.
    """

    def __init__(self) -> None:
        self._last: tuple[list[Tensor], Tensor] | None = None

    def __call__(
        self, network: Callable[[Tensor], Tensor], y: Tensor, weights: Iterable[Tensor]
    ) -> Tensor:
        """``network(y)``; the tensor must not be changed."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or y.device.type != "cpu":
            return network(y)
        if torch.is_autocast_enabled("cpu"):
            return network(y)  # in another precision than its weights say
        given = [y, *weights]
        last = self._last  # read once: another thread may ask at other points meanwhile
        if last is not None and _same(given, last[0]):
            return last[1]
        found = network(y)
        small = found.numel() <= KEPT
        self._last = ([t.detach().clone() for t in given], found) if small else None
        return found

    def __deepcopy__(self, memo: object) -> BasisCache:
        return BasisCache()

    def __reduce__(self) -> tuple[type[BasisCache], tuple[()]]:
        return BasisCache, ()


def _same(some: list[Tensor], others: list[Tensor]) -> bool:
    return len(some) == len(others) and all(
        a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(some, others, strict=True)
    )
