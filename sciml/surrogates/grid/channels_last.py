"""Fields with their channels side by side in memory, and convolutions that keep them so.

On the CPU most convolutions are faster that way: oneDNN else copies each field into blocks of 16
channels and back, and computes 32 channels where there are 24.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

_CONVOLVE = {2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {2: F.conv_transpose2d, 3: F.conv_transpose3d}


def channels_last(x: Tensor) -> Tensor:
    """``x``, ``(B, C, *space)``, with channels last in memory on the CPU.

    The strides say so for a single channel, too. By itself torch calls such a field channels first,
    and whatever a convolution makes of it.
    """
    if x.device.type != "cpu" or x.stride(1) == 1:
        return x
    if x.shape[1] == 1:
        return x.squeeze(1).unsqueeze(-1).movedim(-1, 1)
    return x.movedim(1, -1).contiguous().movedim(-1, 1)


# torch's convolutions of lines copy them to channels first. Those of planes do not, so that a line
# is taken as a plane of one row.


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: Sequence[int]
) -> Tensor:
    """A convolution along the axes of x, with one stride for all."""
    if len(padding) > 1:
        return _CONVOLVE[len(padding)](x, weight, bias, stride, padding)
    x, weight = x.unsqueeze(2), weight.unsqueeze(2)
    return F.conv2d(x, weight, bias, (1, stride), (0, *padding)).squeeze(2)


def convolve_transposed(
    x: Tensor, weight: Tensor, stride: int, padding: Sequence[int], more: Sequence[int]
) -> Tensor:
    """The adjoint of a convolution, ``more`` points longer."""
    if len(padding) > 1:
        return _TRANSPOSED[len(padding)](x, weight, None, stride, padding, more)
    x, weight = x.unsqueeze(2), weight.unsqueeze(2)
    return F.conv_transpose2d(x, weight, None, (1, stride), (0, *padding), (0, *more)).squeeze(2)
