"""The network compiled by torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from sciml.errors import InputError, nearest

Forward = Callable[..., Any]


def compiled(forward: Forward, backend: str | Callable[..., Any] = "inductor") -> Forward:
    """``forward`` as one graph of ``torch.compile``, mode "default".

    Nothing falls back in silence: what cannot be traced as one graph, a missing compiler, or more
    shapes than are worth compiling for end the training with a line that says so. The first step
    takes seconds to a minute, the second batch size once more; second derivatives (forces from
    energies, residuals) are possible in Taylor mode alone, of ``pinn`` and ``lpinn``.

    Args:
        forward: of the network; weights stay where they are, with the names they have.
        backend: of ``torch.compile``.

    Raises:
        InputError: a backend that torch does not have; in use: what cannot be compiled.
    """
    try:
        fast = torch.compile(forward, fullgraph=True, backend=backend)
    except torch._dynamo.exc.InvalidBackend as error:
        raise InputError(
            f"compile: torch has no backend {backend!r}; "
            f"{nearest(str(backend), torch._dynamo.list_backends())}"
        ) from error

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return fast(*args, **kwargs)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(
                f"compile: torch.compile failed with {type(error).__name__}: {reason}; it needs a "
                "C++ compiler and a model that is one graph; set compile to false"
            ) from error

    return call
