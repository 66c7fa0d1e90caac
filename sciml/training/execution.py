"""How the network is run while it trains: compiled, in lower precision, or as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from sciml.errors import InputError
from sciml.training.compilation import compiled
from sciml.training.precision import lowered


class Execution:
    """Puts another ``forward``, and Taylor mode, instead of the network's own, as long as a step takes.

    The network is ``model.model`` of a surrogate, which sees plain tensors, else the model itself.
    Validation and whatever is saved see the network as it is: float32, and weights under their own
    names.

    Args:
        model: that is trained.
        device: where it is.
        autocast: see :func:`sciml.training.precision.lowered`.
        compile: see :func:`sciml.training.compilation.compiled`; ``True``, or a backend.

    Raises:
        InputError: a compiled energy whose forces are trained on.
    """

    def __init__(
        self,
        model: nn.Module,
        device: torch.device,
        autocast: str | None = None,
        compile: bool | str | Callable[..., Any] = False,
    ) -> None:
        network = getattr(model, "model", model)
        forward = network.forward
        #: Of modules, what stands instead of which of their functions.
        self._instead: list[tuple[nn.Module, str, Callable[..., Any]]] = []
        if compile:
            backend = "inductor" if compile is True else compile
            derived = getattr(getattr(model, "potential", None), "derived", ())
            if derived and backend != "eager":
                raise InputError(
                    f"compile: {' and '.join(derived)}, slopes of the energy, would be differentiated "
                    "again, which torch.compile cannot; set compile to false: what is trained is "
                    "compiled by surrogate.export(path, compiled=True)"
                )
            forward = compiled(forward, backend)
            # Derivatives in Taylor mode do not go through forward.
            for module in network.modules():
                if hasattr(module, "carry"):
                    self._instead.append((module, "carry", compiled(module.carry, backend)))
        if autocast is not None:
            forward = lowered(forward, autocast, device)
        if compile or autocast is not None:
            self._instead.append((network, "forward", forward))

    @contextmanager
    def __call__(self) -> Iterator[None]:
        before = [vars(module).get(name) for module, name, _ in self._instead]
        for module, name, function in self._instead:
            setattr(module, name, function)
        try:
            yield
        finally:
            for (module, name, _), own in zip(self._instead, before, strict=True):
                if own is None:
                    delattr(module, name)
                else:
                    setattr(module, name, own)
