"""Learned stencils between grids of any size: on one grid, to every second point, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sciml.surrogates.grid.channels_last import channels_last, convolve, convolve_transposed

#: What stands outside an axis: nothing; its other end; its mirror image about the end point.
BOUNDARIES = ("zeros", "circular", "reflect")


def halved(n: int, interior: bool = False) -> int:
    """Points of an axis of ``n`` points, one grid coarser.

    Coarse point j lies on fine point 2j; on an odd axis of interior points it lies on 2j + 1, so
    that 2^k − 1 points become 2^(k−1) − 1 and the walls, one spacing beyond both ends, stay.
    """
    return n // 2 if interior else (n + 1) // 2


def halved_grid(
    space: Sequence[int], boundary: Sequence[str], interior: bool = False
) -> tuple[int, ...]:
    """Points along each axis, one grid coarser; only zeros axes may have interior points."""
    return tuple(
        halved(n, interior and kind == "zeros") for n, kind in zip(space, boundary, strict=True)
    )


def depth(space: Sequence[int], boundary: Sequence[str], interior: bool = False) -> int:
    """Grids from this one down to the first with a single point along an axis."""
    grids = 1
    while min(space) > 1:
        space = halved_grid(space, boundary, interior)
        grids += 1
    return grids


def surround(x: Tensor, boundary: Sequence[str]) -> Tensor:
    """``x`` with one more point at both ends of each axis that is not ``zeros``.

    The zeros are left to the convolutions, which need no copy of the field for them. A mirror of a
    single point is that point.
    """
    if x.ndim == 3:  # as a plane of one row: torch pads lines with channels first only
        return surround(x.unsqueeze(2), ("zeros", *boundary)).squeeze(2)
    x = channels_last(x)
    mirrors: dict[str, list[int]] = {}
    for axis, kind in enumerate(boundary, start=2):
        n = x.shape[axis]
        if kind == "circular":
            # Gradients of pieces of a split are put together in one copy; those of slices are
            # whole fields each.
            pieces = x.split((1, n - 2, 1) if n > 2 else 1, axis)
            x = torch.cat((pieces[-1], *pieces, pieces[0]), dim=axis)
        elif kind == "reflect":
            widths = mirrors.setdefault(
                "reflect" if n > 1 else "replicate", [0] * 2 * len(boundary)
            )
            at = 2 * (len(boundary) - 1) - 2 * (axis - 2)
            widths[at : at + 2] = 1, 1
    for mode, widths in mirrors.items():
        x = F.pad(x, widths, mode=mode)
    return x


class Stencil(nn.Module):
    """y_i = Σ_k K_k x_(s·i + k) + b, k from −1 to 1 along each axis, s = 1 or 2.

    Shapes: x ``(B, given, *space)``, surrounded → ``(B, wanted, *space)``, or every second point.

    Args:
        given, wanted: channels.
        boundary: of each axis, see :data:`BOUNDARIES`.
        stride: s; 2 makes a restriction.
        interior: see :func:`halved`.
        bias: whether there is a b.
    """

    def __init__(
        self,
        given: int,
        wanted: int,
        boundary: Sequence[str],
        stride: int = 1,
        interior: bool = False,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.boundary = tuple(boundary)
        self.stride, self.interior = stride, interior
        self.weight = nn.Parameter(torch.empty(wanted, given, *(3,) * len(self.boundary)))
        self.bias = nn.Parameter(torch.empty(wanted)) if bias else None
        _fill(given * 3 ** len(self.boundary), self.weight, self.bias)

    def forward(
        self, x: Float[Tensor, "batch given *surrounded"]
    ) -> Float[Tensor, "batch wanted *space"]:
        padding = [
            int(kind == "zeros" and not (self.stride == 2 and self.interior and n % 2))
            for n, kind in zip(x.shape[2:], self.boundary, strict=True)
        ]
        return convolve(x, self.weight, self.bias, self.stride, padding)


class Prolongation(nn.Module):
    """y_i = Σ_j P_(i − 2j) x_j: from every second point to all of them.

    Shapes: x ``(B, given, *coarse)`` → ``(B, wanted, *space)`` for the ``space`` that is asked for,
    which must halve to ``coarse``.

    Kernels of three points, −1 to 1, hold the (bi-, tri-)linear interpolation ½, 1, ½ of grids
    whose coarse points are fine points, as odd axes have; those of four points, −1 to 2, hold that
    as ½, 1, ½, 0, and ¼, ¾, ¾, ¼ of grids whose coarse points lie between two fine ones, too.

    Args:
        given, wanted: channels.
        boundary: of each axis, see :data:`BOUNDARIES`.
        kernel: 3 or 4 for each axis.
        interior: see :func:`halved`.
    """

    def __init__(
        self,
        given: int,
        wanted: int,
        boundary: Sequence[str],
        kernel: Sequence[int],
        interior: bool = False,
    ) -> None:
        super().__init__()
        self.boundary, self.kernel = tuple(boundary), tuple(kernel)
        self.interior = interior
        self.weight = nn.Parameter(torch.empty(given, wanted, *self.kernel))
        _fill(wanted * math.prod(self.kernel), self.weight)

    def forward(
        self, x: Float[Tensor, "batch given *coarse"], space: Sequence[int]
    ) -> Float[Tensor, "batch wanted *space"]:
        x = surround(x, self.boundary)
        padding, more = [], []
        for n, m, kernel, kind in zip(space, x.shape[2:], self.kernel, self.boundary, strict=True):
            # Two fine points more for the surrounding one, one for the point before the first.
            skipped = int(not (kind == "zeros" and self.interior and n % 2))
            skipped += 0 if kind == "zeros" else 2
            padding.append(skipped)
            more.append(max(0, n - ((m - 1) * 2 - 2 * skipped + kernel)))
        y = convolve_transposed(x, self.weight, 2, padding, more)
        for axis, n in enumerate(space, start=2):
            if y.shape[axis] != n:
                y = y.narrow(axis, 0, n)
        return y


def _fill(fan_in: int, *tensors: Tensor | None) -> None:
    """Uniform within ±1/√fan_in, as torch fills its convolutions."""
    for tensor in tensors:
        if tensor is not None:
            nn.init.uniform_(tensor, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))
