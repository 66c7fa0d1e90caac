"""Matrix products of the forward pass in bfloat16."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from sciml.errors import InputError
from sciml.surrogates.units import Units

Forward = Callable[..., Any]

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


def dtype_of(name: str) -> torch.dtype:
    """Raises :class:`InputError` for anything but ``bfloat16``."""
    if name not in DTYPES:
        why = ", whose gradients vanish below 6e-8" if name == "float16" else ""
        raise InputError(f"autocast: got '{name}'{why}; expected {' or '.join(DTYPES)}")
    return DTYPES[name]


def _full(value: Any, dtype: torch.dtype) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype == dtype else value
