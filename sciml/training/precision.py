"""The precision of weights, and of matrix products of the forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.units import Units

Forward = Callable[..., Any]

#: dtypes of weights that a phase may name, and those of complex weights beside them. Not bfloat16, in
#: which weights stand still: see :func:`lowered`.
WEIGHTS = {
    "float32": (torch.float32, torch.complex64),
    "float64": (torch.float64, torch.complex128),
}

DTYPES: dict[str, torch.dtype] = {"bfloat16": torch.bfloat16}


def lowered(forward: Forward, name: str, device: torch.device) -> Forward:
    """``forward`` under ``torch.autocast``, with outputs in float32.

    Weights, optimizer, normalization, feeding back, and the loss stay in float32; products of
    matrices and convolutions, and what is kept for the backward pass, are in bfloat16: 8 bits of
    mantissa, so a one-step error below some 1e-3 of the output is out of reach; with increments the
    output is the change, and the limit is 1e-3 of that.

    Args:
        forward: of the network, from tensors to a tensor or a dict of them.
        name: ``bfloat16``. Not float16: its gradients vanish below 6e-8 unless the loss is scaled.
        device: where it runs, a CPU or a GPU.
    """
    dtype = dtype_of(name)

    def under(*args: Any, units: Units | None = None, **kwargs: Any) -> Any:
        with torch.autocast(device.type, dtype):
            output = forward(*args, **kwargs)
        if isinstance(output, Mapping):
            return {key: _full(value, dtype) for key, value in output.items()}
        output = _full(output, dtype)
        # Not in the network: a mean has more digits than bfloat16.
        return output if units is None else units.physical(output)

    return under


def set_dtype(model: nn.Module, name: str) -> None:
    """Give weights and buffers of a model the dtype ``float32`` or ``float64``, in place.

    Not :meth:`torch.nn.Module.to`, which would make complex weights real. What stays in float64
    whatever happens, as the normalizer does, stays.
    """
    real, both = WEIGHTS[name]

    def converted(t: Tensor) -> Tensor:
        if t.is_complex():
            return t.to(both)
        return t.to(real) if t.is_floating_point() else t

    model._apply(converted)


def dtype_of(name: str) -> torch.dtype:
    """Raises :class:`InputError` for anything but ``bfloat16``."""
    if name not in DTYPES:
        why = ", whose gradients vanish below 6e-8" if name == "float16" else ""
        raise InputError(f"autocast: got '{name}'{why}; expected {' or '.join(DTYPES)}")
    return DTYPES[name]


def _full(value: Any, dtype: torch.dtype) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype == dtype else value
