"""Maxima and means over windows of fixed size in space."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.errors import InputError
from sciml.surrogates.grid.boundary import extend
from sciml.surrogates.grid.operator.convolution import convolve, ones_kernel
from sciml.surrogates.grid.operator.quadrature import grid_weights
from sciml.surrogates.grid.operator.refinement import Refinement

MaxPools = nn.MaxPool1d | nn.MaxPool2d | nn.MaxPool3d
AvgPools = nn.AvgPool1d | nn.AvgPool2d | nn.AvgPool3d
_MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


class KernelMaxPool(nn.Module):
    """(M u)(x) = max of u over the box [x − p h₀, x + ((k − 1) d − p) h₀], on every s-th point.

    k points at the base are (k − 1) r + 1 at spacing h₀/r, with both ends of the box.

    Args:
        pool: of torch.
        refinement: of the network.

    Raises:
        InputError: ``ceil_mode`` or ``return_indices``, which depend on the grid.
    """

    def __init__(self, pool: MaxPools, refinement: Refinement) -> None:
        super().__init__()
        _refuse(pool, "ceil_mode", "return_indices")
        ndim, self.refinement = len(refinement.base), refinement
        self.kernel_size = _each(pool.kernel_size, ndim)
        self.stride = _each(pool.stride, ndim)
        self.padding = _each(pool.padding, ndim)
        self.dilation = _each(pool.dilation, ndim)

    def forward(self, x: Tensor) -> Tensor:
        ratio, window, steps = self.refinement.ratios_at(x.shape[2:]), [], []
        for a, r in enumerate(ratio):
            n, p, s, d = x.shape[2 + a], self.padding[a], self.stride[a], self.dilation[a]
            reach = d * (self.kernel_size[a] - 1)
            n0 = self.refinement.coarse(n, a)
            out0 = (n0 + 2 * p - reach - 1) // s + 1
            r_out = self.refinement.strided(out0, a, s, r)
            wanted, step = self.refinement.fine(out0, a, r_out), s * r // r_out
            right = step * (wanted - 1) + r * (reach - p) - (n - 1)
            if p:
                shape = list(x.shape)
                shape[2 + a] = r * p
                low = x.new_full(shape, -torch.inf)
                x = torch.cat([low, x, low], dim=2 + a)
                right -= r * p
            mode = "circular" if self.refinement.periodic[a] else "replicate"
            x = extend(x, 2 + a, 0, max(0, right), mode)
            x = x.narrow(2 + a, 0, step * (wanted - 1) + r * reach + 1)
            steps.append(step)
            window.append(r * (self.kernel_size[a] - 1) + 1)
        out = _MAX[len(ratio)](x, tuple(window), tuple(steps), 0, self.dilation)
        self.refinement.grid = tuple(out.shape[2:])
        return out


class KernelAvgPool(nn.Module):
    """A mean over k points at the base: :class:`KernelConv` with equal weights 1/kᵈ.

    Args:
        pool: of torch.
        refinement: of the network.
        kernel: as in :class:`~sciml.surrogates.grid.operator.convolution.KernelConv`.

    Raises:
        InputError: ``ceil_mode`` or ``divisor_override``.
    """

    def __init__(self, pool: AvgPools, refinement: Refinement, kernel: str = "points") -> None:
        super().__init__()
        _refuse(pool, "ceil_mode", "divisor_override")
        ndim, self.refinement, self.kernel = len(refinement.base), refinement, kernel
        self.kernel_size = _each(pool.kernel_size, ndim)
        self.stride = _each(pool.stride, ndim)
        self.padding = _each(pool.padding, ndim)
        self.counts_padding = pool.count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        out = self._mean(x)
        if any(self.padding) and not self.counts_padding:
            return out / self._mean(torch.ones_like(x))
        return out

    def _mean(self, x: Tensor) -> Tensor:
        ndim = len(self.kernel_size)
        return convolve(
            x,
            ones_kernel(x.shape[1], [x.new_full((k,), 1.0 / k) for k in self.kernel_size]),
            None,
            self.refinement,
            stride=self.stride,
            padding=[(p, p) for p in self.padding],
            groups=x.shape[1],
            modes=("zeros",) * ndim,
            kernel=self.kernel,
        )


class Mean(nn.Module):
    """∫ u dx / |box|, kept as a grid of one point: adaptive average pooling to size 1."""

    def __init__(self, refinement: Refinement) -> None:
        super().__init__()
        self.refinement = refinement

    def forward(self, x: Tensor) -> Tensor:
        space = tuple(range(2, x.ndim))
        weights = grid_weights(x.shape[2:], self.refinement, x)
        if weights is None:
            return x.mean(space, keepdim=True)
        return (x * weights).sum(space, keepdim=True)


def _each(value: int | tuple[int, ...], ndim: int) -> tuple[int, ...]:
    return (value,) * ndim if isinstance(value, int) else tuple(value)


def _refuse(pool: nn.Module, *options: str) -> None:
    for option in options:
        if getattr(pool, option, None):
            raise InputError(
                f"{type(pool).__name__} with {option}={getattr(pool, option)} has no meaning at "
                "another resolution; leave it out"
            )
