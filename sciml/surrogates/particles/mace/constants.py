"""Numbers that follow from what a network is, in full precision whatever its weights are in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn


class Constants(nn.Module):
    """Arrays as buffers that move with a model, made again from float64 where its precision changes.

    They are no part of what is saved.

    Args:
        arrays: by the name of the attribute.
    """

    def __init__(self, **arrays: np.ndarray) -> None:
        super().__init__()
        self._arrays = {n: np.ascontiguousarray(a) for n, a in arrays.items()}
        for name, array in self._arrays.items():
            self.register_buffer(name, _tensor(array), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Constants:
        super()._apply(fn, recurse)
        for name, array in self._arrays.items():
            held = self._buffers[name]
            if held.is_floating_point() and held.device.type != "meta":
                self._buffers[name] = torch.from_numpy(array).to(held.device, held.dtype)
        return self


def _tensor(array: np.ndarray) -> Tensor:
    return torch.tensor(array, dtype=torch.get_default_dtype() if array.dtype.kind == "f" else None)
