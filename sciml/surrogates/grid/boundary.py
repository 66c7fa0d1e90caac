"""Ghost points beyond the ends of axes, and convolutions with them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.errors import InputError
from sciml.surrogates.grid.geometry import expect_channels

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}

#: What torch calls the padding that suits each boundary of :class:`~sciml.domain.Grid`.
PADDING = {
    "periodic": "circular",
    "dirichlet": "zeros",
    "neumann": "reflect",
    "open": "replicate",
}


def extend(x: Tensor, axis: int, before: int, after: int, mode: str, fade: int = 1) -> Tensor:
    """``x`` with ghost points before and after an axis.

    Args:
        x: any shape.
        axis: of ``x``.
        before, after: ghost points, 0 or more.
        mode: ``circular``; ``reflect`` about the last point (even: u(−s) = u(s)); ``odd`` about it
            (u(−s) = 2 u(0) − u(s), which goes on in a straight line); ``replicate``; ``zeros``.
        fade: with ``zeros``: ghost points until which the value at the end falls to zero, in a
            straight line; 1 is zero padding as torch does it.
    """
    if before == after == 0:
        return x
    n = x.shape[axis]
    index = torch.arange(-before, n + after, device=x.device)
    if mode == "circular":
        return x.index_select(axis, index % n)
    ends = index.clamp(0, n - 1)
    if mode == "replicate":
        return x.index_select(axis, ends)
    shape = [1] * x.ndim
    shape[axis] = len(index)
    away = (index - ends).abs()
    if mode == "zeros":
        left = (1.0 - away.to(x.dtype) / fade).clamp(min=0.0)
        return x.index_select(axis, ends) * left.view(shape)
    if mode == "reflect" and max(before, after) >= n:
        raise InputError(
            f"an axis of {n} points cannot be reflected {max(before, after)} points beyond its end; "
            "expected more points than that: refine the grid or use fewer levels"
        )
    mirrored = x.index_select(axis, (2 * ends - index).clamp(0, n - 1))
    if mode == "reflect":
        return mirrored
    outside = (away > 0).view(shape)
    return torch.where(outside, 2.0 * x.index_select(axis, ends) - mirrored, mirrored)


class BoundaryConv(nn.Module):
    """A convolution whose axes are padded each in its own way, which torch's cannot be.

    Shapes: x ``(B, in_channels, *space)`` → ``(B, out_channels, *space / stride)``.

    Args:
        conv: a convolution of torch, whose weights, stride, padding and dilation are taken over.
        modes: padding of each axis, as in :func:`extend`.
    """

    def __init__(self, conv: nn.Conv1d | nn.Conv2d | nn.Conv3d, modes: Sequence[str]) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.kernel_size, self.stride = conv.kernel_size, conv.stride
        self.padding, self.dilation, self.groups = conv.padding, conv.dilation, conv.groups
        self.modes = tuple(modes)

    def forward(
        self, x: Float[Tensor, "batch channel *space"]
    ) -> Float[Tensor, "batch out *coarse"]:
        for axis, (points, mode) in enumerate(zip(self.padding, self.modes, strict=True), start=2):
            x = extend(x, axis, points, points, mode)
        convolve = CONVOLVE[len(self.modes)]
        return convolve(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class PadToMultiple(nn.Module):
    """Ghost points after the end of each axis, up to the next multiple of ``multiple``.

    Args:
        multiple: of points.
        modes: as in :func:`extend`, one for each axis.
    """

    def __init__(self, multiple: int, modes: Sequence[str]) -> None:
        super().__init__()
        self.multiple, self.modes = multiple, tuple(modes)

    def forward(self, x: Tensor) -> Tensor:
        for axis, mode in enumerate(self.modes, start=2):
            x = extend(x, axis, 0, -x.shape[axis] % self.multiple, mode)
        return x


def convolution(
    in_channels: int,
    out_channels: int,
    modes: Sequence[str],
    kernel_size: int = 3,
    stride: int = 1,
    dilation: int = 1,
    bias: bool = True,
) -> nn.Module:
    """A convolution of odd ``kernel_size`` that keeps ``ceil(n / stride)`` points of each axis.

    torch's own where all axes are padded alike, else :class:`BoundaryConv`.
    """
    alike = len(set(modes)) == 1
    conv = CONVOLUTIONS[len(modes)](
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=dilation * (kernel_size // 2),
        dilation=dilation,
        bias=bias,
        padding_mode=modes[0] if alike else "zeros",
    )
    return conv if alike or kernel_size == 1 else BoundaryConv(conv, modes)


def paddings(boundary: Sequence[str]) -> tuple[str, ...]:
    """Padding of each axis by the boundary of the grid."""
    return tuple(PADDING[b] for b in boundary)


def checked(name: str, x: Tensor, in_channels: int, ndim: int, points: int, why: str) -> None:
    """What every model on grids wants of its input.

    Args:
        name: of the model.
        x: its input.
        in_channels, ndim: what it was built for.
        points: least number along each axis.
        why: what asks for so many.

    Raises:
        InputError: another number of axes or channels, or a grid too small.
    """
    expect_channels(name, x, in_channels, ndim)
    space = tuple(x.shape[2:])
    if min(space) < points:
        raise InputError(
            f"{name}: grid {space} is too small for {why}; every axis needs at least {points} "
            "points: refine the grid, or lower that"
        )
