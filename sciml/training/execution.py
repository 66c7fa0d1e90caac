"""How the network is run while it trains: compiled, in lower precision, or as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from sciml.training.compilation import compiled
from sciml.training.precision import lowered


class Execution:
    """Puts another ``forward`` instead of the network's own, for as long as a step takes.

    The network is ``model.model`` of a surrogate, which sees plain tensors, else the model itself.
    Validation and whatever is saved see the network as it is: float32, and weights under their own
    names.

    Args:
        model: that is trained.
        device: where it is.
        autocast: see :func:`sciml.training.precision.lowered`.
        compile: see :func:`sciml.training.compilation.compiled`; ``True``, or a backend.
    """

    def __init__(
        self,
        model: nn.Module,
        device: torch.device,
        autocast: str | None = None,
        compile: bool | str | Callable[..., Any] = False,
    ) -> None:
        self._network = getattr(model, "model", model)
        forward = self._network.forward
        if compile:
            forward = compiled(forward, "inductor" if compile is True else compile)
        if autocast is not None:
            forward = lowered(forward, autocast, device)
        self._forward = forward
        self._own = not compile and autocast is None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        if self._own:
            yield
            return
        attributes = vars(self._network)
        before = attributes.get("forward")
        self._network.forward = self._forward
        try:
            yield
        finally:
            if before is None:
                del attributes["forward"]
            else:
                self._network.forward = before
